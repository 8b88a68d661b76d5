"""Write the generated tables of the READMEs: `python -m benchmarks.tables`, or `--check` whether any is stale."""

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from setfuse.export._supported import supported_tables

from ._files import ROOT, read_json, whole_file

PARITY = ROOT / "benchmarks" / "results" / "parity" / "parity.json"
CARD = "bge-small-en-v1.5-card"
"""The folder's name of the card's model, in the run that is committed."""


def tables() -> dict[tuple[Path, str], str]:
    """Give each table by its file and the name between its marks."""
    return {
        (ROOT / "export" / "README.md", "supported"): supported_tables(),
        (ROOT / "README.md", "parity"): card_table(read_json(PARITY)["rows"]),
    }


def card_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Write the rows of the card's model."""
    lines = ["| graph | MB | accuracy | torch's | torch's labels | probabilities, mean and max difference |"]
    lines.append("|---|---|---|---|---|---|")
    for row in rows:
        if row["what"] == CARD:
            shares = f"{row['accuracy']:.4f} | {row['torch_accuracy']:.4f} | {row['label_agreement']:.1%}"
            differences = f"{row['mean_difference']:.1e}, {row['max_difference']:.1e}"
            lines.append(f"| {row['precision']} | {row['megabytes']:.1f} | {shares} | {differences} |")
    return "\n".join(lines)


def with_table(text: str, name: str, table: str) -> str:
    """Put a table between its marks.

    Raises:
        ValueError: The marks are not there.
    """
    marks = re.compile(rf"(<!-- {name}: [^>]*-->\n).*?(<!-- end of {name} -->)", re.DOTALL)
    changed, count = marks.subn(lambda match: f"{match[1]}\n{table}\n\n{match[2]}", text)
    if count != 1:
        raise ValueError(f"expected the marks of the table {name!r} once, found them {count} times")
    return changed


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tables", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit status 1 if a table is stale")
    options = parser.parse_args(arguments)
    stale = False
    for (path, name), table in tables().items():
        before = path.read_text(encoding="utf-8")
        after = with_table(before, name, table)
        if after != before:
            stale = True
            print(f"{path.relative_to(ROOT)}: the table {name!r} is {'stale' if options.check else 'written'}")
            if not options.check:
                with whole_file(path) as partial:
                    partial.write_text(after, encoding="utf-8")
    return int(options.check and stale)


if __name__ == "__main__":
    sys.exit(main())
