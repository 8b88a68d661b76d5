"""The command line that latency, throughput and footprint share."""

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path

from setfuse.runtime import SetfuseError, require_extra

from ._contenders import CONTENDERS
from ._errors import BenchmarkError
from ._files import ROOT
from ._plan import FULL, QUICK, Measure
from ._process import DEFAULT_LIMITS, Limits

DEMO = ROOT / "build" / "demo"
SLOW = Measure.FOOTPRINT
"""Left out of a quick run, unless it is all that is wanted, or asked for."""
DEMO_TRAIN = ROOT / "benchmarks" / "data" / "support_desk" / "train.jsonl"


def main(name: str, description: str, measures: Sequence[Measure], arguments: Sequence[str] | None) -> int:
    """Run the command line of one module and return its exit status.

    Args:
        name: The module, `latency` of `python -m benchmarks.latency`.
        description: What it does, in one line.
        measures: What it measures unless it is told otherwise.
        arguments: None for those of the process.
    """
    program = f"benchmarks.{name}"
    parser = _parser(program, description, measures)
    options = parser.parse_args(arguments)
    unknown = [wanted for wanted in options.only if not any(wanted in contender for contender in CONTENDERS)]
    if unknown:
        parser.error(f"--only: expected a part of one of these names: {', '.join(CONTENDERS)}; got {unknown[0]!r}")
    if options.threads < 1:
        parser.error(f"--threads: expected 1 or more, got {options.threads}")
    if not 0 < options.limit < math.inf:
        parser.error(f"--limit: expected seconds above 0, got {options.limit:g}")
    wanted_measures = options.measures or measures
    if options.quick and not options.measures and len(measures) > 1:
        wanted_measures = [measure for measure in measures if measure is not SLOW]
    only = [name for name in CONTENDERS if not options.only or any(wanted in name for wanted in options.only)]
    train = options.train or (DEMO_TRAIN if options.checkpoint.resolve() == (DEMO / "checkpoint").resolve() else None)
    try:
        require_extra("bench", program)
        from . import _models
        from ._report import summary
        from ._suite import run

        results = run(
            _models.find_models(options.bundle, options.checkpoint, train),
            options.out,
            QUICK if options.quick else FULL,
            measures=wanted_measures,
            only=only,
            texts=options.texts,
            threads=options.threads,
            limits=Limits(call_s=options.limit),
            fresh=options.fresh,
        )
    except (
        BenchmarkError,
        SetfuseError,
        OSError,
    ) as error:  # OSError: a full disk, a folder that may not be written to
        print(f"{program}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{program}: interrupted; the same command, without --fresh, goes on where it was", file=sys.stderr)
        return 130
    print(summary(results))
    print(f"\n{options.out}/report.md, {options.out}/report.html, {options.out}/results.json")
    return 0


def _parser(program: str, description: str, measures: Sequence[Measure]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m {program}", description=description)
    parser.add_argument("--bundle", type=Path, default=DEMO / "bundle", help="default: the one of make demo")
    parser.add_argument("--checkpoint", type=Path, default=DEMO / "checkpoint", help="default: the one of make demo")
    parser.add_argument("--texts", type=Path, help="real texts, JSON lines with text and label; default: the demo's")
    parser.add_argument("--train", type=Path, help="labelled texts, for the contender that must fit its own head")
    out = Path("build") / program.removeprefix("benchmarks.")
    parser.add_argument("--out", type=Path, default=out, help="default: %(default)s")
    parser.add_argument("--threads", type=int, default=1, help="threads of every contender; default: %(default)s")
    parser.add_argument("--quick", action="store_true", help="few texts, short turns, no footprint: 4 to 5 minutes")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="contenders whose name contains this")
    parser.add_argument(
        "--measures",
        nargs="+",
        type=Measure,
        choices=list(Measure),
        help=f"default: {' '.join(measures)}",
    )
    parser.add_argument(
        "--limit", type=float, default=DEFAULT_LIMITS.call_s, help="seconds an answer may take; default: %(default)g"
    )
    parser.add_argument("--fresh", action="store_true", help="start over where an interrupted run is found")
    return parser
