"""Write the report of a run again: `python -m benchmarks.report RESULTS.json [--out DIR]`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ._errors import BenchmarkError
from ._files import check_writable
from ._output import write_report
from ._report import summary
from ._results import Results


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__)
    parser.add_argument("results", type=Path, metavar="RESULTS.json", help="what a run wrote")
    parser.add_argument("--out", type=Path, help="the folder to write to; default: beside the results")
    options = parser.parse_args(arguments)
    out = options.out or options.results.parent
    try:
        results = Results.read(options.results)
        check_writable(out)
        write_report(results, out)
    except (BenchmarkError, OSError) as error:
        print(f"benchmarks.report: {error}", file=sys.stderr)
        return 1
    print(summary(results))
    print(f"\n{out / 'report.md'}, {out / 'report.html'}, and the plots beside them")
    return 0


if __name__ == "__main__":
    sys.exit(main())
