"""Compare latency, text in to label out: `python -m benchmarks.latency --bundle B --checkpoint C --out DIR`."""

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

from setfuse.runtime import Manifest, SetfuseError, require_extra

from ._cases import make_cases
from ._contenders import CONTENDERS, Models
from ._environment import environment
from ._errors import BenchmarkError
from ._files import check_writable, write_json
from ._process import ROOT, worker_command, workers
from ._report import plot, table
from ._runner import Row, measure

SCHEMA_VERSION = 1
DEMO = ROOT / "build" / "demo"


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured.

    Attributes:
        lengths: Tokens of the single texts; those above the model's maximum are left out.
        rounds: How often every contender has a turn at every case.
        seconds: Length of a turn.
    """

    lengths: tuple[int, ...]
    rounds: int
    seconds: float


FULL = Plan(lengths=(8, 16, 32, 64, 128, 256), rounds=10, seconds=0.5)
QUICK = Plan(lengths=(16, 64), rounds=4, seconds=0.3)


def run(models: Models, out: Path, plan: Plan, *, threads: int) -> list[Row]:
    """Measure, and write `latency.json` and `latency.png` into a folder.

    Args:
        models: The bundle and the checkpoint that it was exported from.
        out: The folder; made if need be, other files in it are left alone.
        plan: How much.
        threads: For every contender.

    Returns:
        A row a case and contender.

    Raises:
        BenchmarkError: The models or the folder cannot be used, a contender died, or the labels differ.
        SetfuseError: A package is missing, or the bundle cannot be read.
    """
    require_extra("bench", "benchmarks.latency")
    check_writable(out)
    if not (models.checkpoint / "head.json").is_file():
        raise BenchmarkError(
            f"{models.checkpoint}: expected a checkpoint folder with head.json, found none; "
            "`make demo` makes one, or pass --checkpoint and --bundle"
        )
    manifest = Manifest.read(models.bundle)
    tokenizer = Tokenizer.from_buffer(manifest.tokenizer.read(models.bundle))
    cases = make_cases(tokenizer, manifest.max_length, plan.lengths)
    found = environment()
    commands = {name: worker_command(name, models, threads) for name in CONTENDERS}
    with workers(commands, threads) as contenders:
        rows = measure(contenders, cases, rounds=plan.rounds, seconds=plan.seconds)
    settings = {"threads": threads, "reference": next(iter(CONTENDERS)), **dataclasses.asdict(plan)}
    write_json(
        out / "latency.json",
        {
            "schema_version": SCHEMA_VERSION,
            "environment": found,
            "settings": settings,
            "model": {"labels": list(manifest.labels), "provenance": dict(manifest.provenance)},
            "rows": [dataclasses.asdict(row) for row in rows],
        },
    )
    plot(rows, out / "latency.png", f"{found['cpu']}, {threads} thread{'s' * (threads > 1)}, {found['time'][:10]}")
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.latency", description=__doc__)
    parser.add_argument("--bundle", type=Path, default=DEMO / "bundle", help="default: the one of make demo")
    parser.add_argument("--checkpoint", type=Path, default=DEMO / "checkpoint", help="default: the one of make demo")
    parser.add_argument("--out", type=Path, default=Path("build/latency"), help="default: %(default)s")
    parser.add_argument("--threads", type=int, default=1, help="threads of every contender; default: %(default)s")
    parser.add_argument("--quick", action="store_true", help="two lengths and short turns: half a minute")
    options = parser.parse_args(arguments)
    if options.threads < 1:
        parser.error(f"--threads: expected 1 or more, got {options.threads}")
    models = Models(options.bundle, options.checkpoint)
    try:
        rows = run(models, options.out, QUICK if options.quick else FULL, threads=options.threads)
    except (BenchmarkError, SetfuseError) as error:
        print(f"benchmarks.latency: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("benchmarks.latency: interrupted", file=sys.stderr)
        return 130
    print(table(rows))
    print(f"\nratio: how many times as long as setfuse it takes\n{options.out}/latency.json, {options.out}/latency.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
