"""Write the generated tables of the READMEs: `python -m benchmarks.tables`, or `--check` whether any is stale."""

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from setfuse.export._supported import supported_tables

from ._ahead import ahead
from ._document import note
from ._errors import BenchmarkError
from ._files import ROOT, read_json, whole_file
from ._reading import Run, digits
from ._report import escaped
from ._results import Entrant, Results, Status
from ._training import training_table

PARITY = ROOT / "benchmarks" / "results" / "parity" / "parity.json"
RESULTS = ROOT / "benchmarks" / "results"
RUNS = {"peers": "card", "nearest": "engines"}
"""The runs that the README shows: the name between the marks, and the folder among the results."""
CARD = "bge-small-en-v1.5-card"
"""The folder's name of the card's model, in the run that is committed."""
_LENGTHS = (16, 64, 256)


def tables() -> dict[tuple[Path, str], str]:
    """Give each table by its file and the name between its marks."""
    found = {
        (ROOT / "export" / "README.md", "supported"): supported_tables(),
        (ROOT / "README.md", "parity"): card_table(read_json(PARITY)["rows"]),
    }
    for name, folder in RUNS.items():
        results = RESULTS / folder / "results.json"
        if results.is_file():
            found[ROOT / "README.md", name] = peers_table(Results.read(results))
    training = RESULTS / "training" / "training.json"
    if training.is_file():
        found[ROOT / "benchmarks" / "README.md", "training"] = training_table(read_json(training))
    return found


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


def peers_table(results: Results) -> str:
    """Write a row a contender: latency, throughput, answers and start, eight columns; the reasons below.

    Args:
        results: The run.
    """
    run = Run(results)
    most = max(run.threads, default=None)
    lengths = [case for case in run.cases if case.kind == "length" and case.tokens in _LENGTHS]
    columns = [
        "contender",
        *(f"{case.title}, ms" for case in lengths),
        *(["real texts, ms (ratio)"] if run.real else []),
        *([f"texts/s, {most} thread{'s' * (most > 1)}"] if most else []),
        "torch's labels, accuracy",
        *(["cold start, s"] if run.footprint else []),
    ]
    lines = [_line(columns), _line(["---"] * len(columns))]
    for entrant in results.contenders:
        name = escaped(entrant.contender)
        cells = [*_latencies(run, entrant, [case.case for case in lengths]), *_answers(run, entrant, most)]
        lines.append(_line([f"**{name}**" if entrant.contender in run.ours else name, *cells]))
    return "\n".join([*lines, "", *_notes(run)]).rstrip()


def _latencies(run: Run, entrant: Entrant, cases: Sequence[str]) -> list[str]:
    cells = []
    for case in cases:
        row = run.latency.get((entrant.contender, case))
        cells.append(_struck(entrant, digits(row.p50_ms if row else None)))
    if run.real:
        row = run.latency.get((entrant.contender, run.real.case))
        ratio = f" ({row.ratio:.2f})" if row and row.ratio is not None else ""
        cells.append(_struck(entrant, f"{digits(row.p50_ms)}{ratio}" if row else "-"))
    return cells


def _answers(run: Run, entrant: Entrant, threads: int | None) -> list[str]:
    cells = []
    if threads is not None:
        rate = run.throughput.get((entrant.contender, threads))
        cells.append(_struck(entrant, digits(rate.texts_per_s if rate else None)))
    agreement = "-" if entrant.label_agreement is None else f"{entrant.label_agreement:.1%}"
    cells.append(agreement if entrant.accuracy is None else f"{agreement}, {entrant.accuracy:.4f}")
    if run.footprint:
        row = run.footprint.get(entrant.contender)
        cells.append(_struck(entrant, digits(row.cold_start_s if row else None)))
    return cells


def _notes(run: Run) -> list[str]:
    """Say what the ratio is, who is ahead, and the reason of everyone struck out, failed, or of another model."""
    results = run.results
    environment, threads = results.environment, results.settings["threads"]
    cpu, day = escaped(str(environment.get("cpu"))), escaped(str(environment.get("time"))[:10])
    ratio = "Ratio: how many times as long as setfuse's variant of the same quality; below 1, the contender is ahead."
    lines = [f"Medians, {threads} thread{'s' * (threads > 1)}, {cpu}, {day}. {ratio}"]
    lines += ["", f"Who is ahead of setfuse, in all that was timed: {escaped(ahead(run).text[0])}"]
    for warning in results.warnings:
        lines += ["", f"Warning: {escaped(warning)}."]
    for entrant in results.contenders:
        said = note(entrant, whole=True)
        if said:
            lines += ["", f"{escaped(entrant.contender)}: {escaped(said)}."]
    return lines


def _struck(entrant: Entrant, text: str) -> str:
    return f"~~{text}~~" if entrant.status == Status.STRUCK_OUT and text != "-" else text


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


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
    try:
        found = tables()
    except (BenchmarkError, OSError) as error:
        print(f"benchmarks.tables: {error}", file=sys.stderr)
        return 1
    for (path, name), table in found.items():
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
