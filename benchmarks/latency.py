"""Compare latency, text in to label out: `python -m benchmarks.latency --bundle B --checkpoint C --out DIR`."""

import argparse
import dataclasses
import sys
from pathlib import Path

from setfuse.runtime import Manifest, SetfuseError

from ._cases import LENGTHS, QUICK_LENGTHS, make_cases
from ._contenders import CONTENDERS, Models
from ._environment import environment
from ._errors import BenchmarkError
from ._files import write_json
from ._report import plot, table
from ._runner import Row, measure, workers

SCHEMA_VERSION = 1
DEMO = Path(__file__).resolve().parent.parent / "build" / "demo"


def run(models: Models, out: Path, *, quick: bool, threads: int) -> list[Row]:
    """Measure, and write `latency.json` and `latency.png` into a folder.

    Args:
        models: The bundle and the checkpoint that it was exported from.
        out: The folder; made if need be, other files in it are left alone.
        quick: Fewer lengths and shorter turns.
        threads: For every contender.

    Returns:
        A row a case and contender.

    Raises:
        BenchmarkError: The models cannot be used, a contender died, or the labels differ.
        SetfuseError: The bundle cannot be read.
    """
    if not (models.checkpoint / "head.json").is_file():
        raise BenchmarkError(
            f"{models.checkpoint}: expected a checkpoint folder with head.json, found none; "
            "`make demo` makes one, or pass --checkpoint and --bundle"
        )
    manifest = Manifest.read(models.bundle)
    cases = make_cases(models.bundle, manifest.max_length, QUICK_LENGTHS if quick else LENGTHS)
    found = environment()
    with workers(list(CONTENDERS), models, threads) as contenders:
        rows = measure(contenders, cases, rounds=4 if quick else 10, seconds=0.3 if quick else 0.5, warmup=0.3)
    write_json(
        out / "latency.json",
        {
            "schema_version": SCHEMA_VERSION,
            "environment": found,
            "settings": {"threads": threads, "quick": quick, "reference": next(iter(CONTENDERS))},
            "model": {"labels": list(manifest.labels), "provenance": dict(manifest.provenance)},
            "rows": [dataclasses.asdict(row) for row in rows],
        },
    )
    plot(rows, out / "latency.png", f"{found['cpu']}, {threads} thread{'s' * (threads > 1)}")
    return rows


def main() -> int:
    """Run the command line and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.latency", description=__doc__)
    parser.add_argument("--bundle", type=Path, default=DEMO / "bundle", help="default: the one of make demo")
    parser.add_argument("--checkpoint", type=Path, default=DEMO / "checkpoint", help="default: the one of make demo")
    parser.add_argument("--out", type=Path, default=Path("build/latency"), help="default: %(default)s")
    parser.add_argument("--threads", type=int, default=1, help="threads of every contender; default: %(default)s")
    parser.add_argument("--quick", action="store_true", help="two lengths and short turns: half a minute")
    options = parser.parse_args()
    if options.threads < 1:
        parser.error(f"--threads: expected 1 or more, got {options.threads}")
    models = Models(options.bundle.resolve(), options.checkpoint.resolve())
    try:
        rows = run(models, options.out, quick=options.quick, threads=options.threads)
    except (BenchmarkError, SetfuseError) as error:
        print(f"benchmarks.latency: {error}", file=sys.stderr)
        return 1
    print(table(rows))
    print(f"\nratio: how many times as long as setfuse it takes\n{options.out}/latency.json, {options.out}/latency.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
