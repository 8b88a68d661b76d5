"""Tell what changed between two runs, and what is noise: `python -m benchmarks.compare A.json B.json`.

The change of each time and rate, with a 95 % bootstrap confidence interval, divided by the median change of the other
contenders that are not setfuse: a machine that was slower in the second run slows everybody. The exit status is 0
whatever changed.
"""

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from setfuse.runtime import SetfuseError, require_extra

from ._comparison import SMALLEST, Change, Comparison, Verdict, compare
from ._errors import BenchmarkError
from ._reading import digits
from ._results import Results


def text(comparison: Comparison) -> str:
    """Lay a comparison out for a terminal."""
    parts = [f"warning: {warning}" for warning in comparison.warnings]
    if comparison.changes:
        parts += ["", *_table(comparison.changes), "", *_verdicts(comparison.changes)]
    else:
        parts += ["", "no time and no rate is in both runs"]
    for title, lines in (
        ("what else changed:", comparison.others),
        ("only in the first run:", comparison.only_before),
        ("only in the second run:", comparison.only_after),
    ):
        parts += ["", title, *(f"  {line}" for line in lines)] if lines else []
    return "\n".join(parts).strip("\n")


def _table(changes: Sequence[Change]) -> list[str]:
    rows = [["case", "contender", "unit", "before", "after", "change", "95 % interval", "machine", "verdict"]]
    order = {case: number for number, case in enumerate(dict.fromkeys(change.case for change in changes))}
    for change in sorted(changes, key=lambda change: order[change.case]):
        known = change.low is not None and change.high is not None
        interval = f"{change.low:+.1%} to {change.high:+.1%}" if known else "too few rounds"
        machine = f"{change.machine:+.1%} ({change.yardsticks})" if change.yardsticks else "unknown"
        shown = "" if change.verdict == Verdict.NOISE else change.verdict.upper()
        figures = [digits(change.before), digits(change.after), f"{change.change:+.1%}", interval, machine]
        rows.append([change.case, " ".join(change.contender.split()), change.unit, *figures, shown or "noise"])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    left = {0, 1, 2, 8}
    return [
        "  ".join(
            cell.ljust(width) if place in left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _verdicts(changes: Sequence[Change]) -> list[str]:
    counts = {verdict: sum(change.verdict == verdict for change in changes) for verdict in Verdict}
    lines = [", ".join(f"{count} {verdict}" for verdict, count in counts.items())]
    lines.append(
        "machine: the median change of the other contenders that are not setfuse (how many); it is taken out of the "
        "change and its interval"
    )
    lines.append(
        f"noise: the interval includes no change, or it is below {SMALLEST:.0%}; of intervals as these one in twenty "
        "misses by chance, so believe what is seen in several cases"
    )
    if any(not change.yardsticks for change in changes):
        lines.append("unknown: no such contender is in both runs, so the machine's own change is not taken out")
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=__doc__)
    parser.add_argument("before", type=Path, metavar="A.json", help="the results of a run")
    parser.add_argument("after", type=Path, metavar="B.json", help="those of a later one")
    parser.add_argument("--json", action="store_true", help="print the comparison as JSON")
    options = parser.parse_args(arguments)
    try:
        require_extra("bench", "benchmarks.compare")
        found = compare(Results.read(options.before), Results.read(options.after))
    except (BenchmarkError, SetfuseError) as error:
        print(f"benchmarks.compare: {error}", file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps(dataclasses.asdict(found), ensure_ascii=False, indent=2))
    else:
        print(text(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
