"""A run in words: the Markdown report, and the table for a terminal."""

import re
import textwrap
from collections.abc import Callable, Sequence
from functools import partial

from ._canvas import Plot
from ._document import Cell, Section, Table, share
from ._reading import Run, digits
from ._results import Entrant, Results, Status
from ._sections import opening, sections, title

WIDTH = 110
"""Columns of a terminal that a summary fits into, where it can."""


def markdown(results: Results, plots: Sequence[Plot]) -> str:
    """Write the report.

    Args:
        results: The run.
        plots: What was drawn of it; linked as PNG files beside the report.
    """
    drawn = {plot.name: plot for plot in plots}
    parts = [f"# {escaped(title(results))}", escaped(opening(results))]
    if results.warnings:
        parts += ["> [!WARNING]\n" + "\n".join(f"> - {escaped(warning)}" for warning in results.warnings)]
    parts += [_section(section, drawn) for section in sections(results)]
    return "\n\n".join(parts) + "\n"


def markdown_table(table: Table) -> str:
    """Write a table, its caption above it."""
    return f"{escaped(table.caption)}\n\n{markdown_grid(table)}"


def markdown_grid(table: Table) -> str:
    """Write a table without its caption."""
    lines = [_row(table.columns), _row(["---"] * len(table.columns), escape=False)]
    for line in table.lines:
        head = f"**{escaped(line.head)}**" if line.ours else escaped(line.head)
        lines.append(_row([head, *map(_cell, line.cells)], escape=False))
    return "\n".join(lines)


def escaped(text: str) -> str:
    """Take away what Markdown would see in a text, line ends among it."""
    return re.sub(r"([\\`*_\[\]<>|~#])", r"\\\1", " ".join(text.split()))


def aligned(table: Sequence[Sequence[str]]) -> list[str]:
    """Lay a table out in columns, as a line a row: what the row is about to the left, figures to the right."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in table
    ]


def summary(results: Results) -> str:
    """Lay the run out for a terminal: a line a contender, columns that line up.

    Where all cases would not fit, single lengths are left out: the report has them.
    """
    run = Run(results)
    reasons = {entrant.contender: _reason(entrant) for entrant in results.contenders}
    lines = _lines(run, _columns(run, every=1))
    for every in (2, 3, len(run.cases)):
        if max(map(len, lines)) <= WIDTH:
            break
        lines = _lines(run, _columns(run, every))
    failures = [f"{name}: {reason}" for name, reason in reasons.items() if reason]
    return "\n".join([*lines, *([""] if failures else []), *failures])


def _section(section: Section, drawn: dict[str, Plot]) -> str:
    paragraphs = [f"## {escaped(section.title)}", *map(escaped, section.text), *map(markdown_table, section.tables)]
    found = [drawn[name] for name in section.plots if name in drawn]
    return "\n\n".join([*paragraphs, *(f"![{escaped(plot.alt)}]({plot.name}.png)" for plot in found)])


def _row(cells: Sequence[str], *, escape: bool = True) -> str:
    return f"| {' | '.join(escaped(cell) if escape else cell for cell in cells)} |"


def _cell(cell: Cell) -> str:
    return f"~~{escaped(cell.text)}~~" if cell.struck else escaped(cell.text)


def _reason(entrant: Entrant) -> str:
    if entrant.status == Status.MEASURED:
        return ""
    return textwrap.shorten(f"{entrant.status}: {entrant.reason}", 2 * WIDTH, placeholder=" ...")


Column = tuple[str, Callable[[Entrant], str]]


def _columns(run: Run, every: int) -> list[Column]:
    """Give the columns after the name that hold anything.

    Args:
        run: The run.
        every: Which of the single lengths are shown: each `every`-th, the last among them.
    """
    lengths = [case for case in run.cases if case.kind == "length"]
    kept = lengths[::-1][::every]
    cases = [case for case in run.cases if case.kind != "length" or case in kept]
    columns: list[Column] = [(f"{case.title} ms", partial(_p50, run, case.case)) for case in cases]
    shown = run.main
    if shown:
        columns.append(("ratio", partial(_ratio, run, shown.case)))
    columns += [(f"texts/s {threads} thr", partial(_rate, run, threads)) for threads in run.threads]
    if run.footprint:
        columns.append(("start s", partial(_start, run)))
    columns.append(("same labels", lambda entrant: share(entrant.label_agreement)))
    columns.append(("accuracy", lambda entrant: "-" if entrant.accuracy is None else f"{entrant.accuracy:.4f}"))
    return columns


def _p50(run: Run, case: str, entrant: Entrant) -> str:
    row = run.latency.get((entrant.contender, case))
    return _struck(entrant, digits(row.p50_ms if row else None))


def _ratio(run: Run, case: str, entrant: Entrant) -> str:
    row = run.latency.get((entrant.contender, case))
    return _struck(entrant, "-" if row is None or row.ratio is None else f"{row.ratio:.2f}")


def _rate(run: Run, threads: int, entrant: Entrant) -> str:
    row = run.throughput.get((entrant.contender, threads))
    return _struck(entrant, digits(row.texts_per_s if row else None))


def _start(run: Run, entrant: Entrant) -> str:
    row = run.footprint.get(entrant.contender)
    return _struck(entrant, digits(row.cold_start_s if row else None))


def _struck(entrant: Entrant, text: str) -> str:
    return f"({text})" if entrant.status == Status.STRUCK_OUT and text != "-" else text


def _lines(run: Run, columns: Sequence[Column]) -> list[str]:
    """Lay columns out; a title is broken into two lines, so that figures and not words make the width."""
    titles = [_broken(name) for name, _ in columns]
    table = [["", *(first for first, _ in titles)], ["contender", *(second for _, second in titles)]]
    for entrant in run.results.contenders:
        table += [[" ".join(entrant.contender.split()), *(figure(entrant) for _, figure in columns)]]
    return aligned(table)


def _broken(name: str) -> tuple[str, str]:
    """Break a title where its longer half is shortest."""
    words = name.split()
    halves = [(" ".join(words[:cut]), " ".join(words[cut:])) for cut in range(len(words))]
    return min(halves, key=lambda half: max(map(len, half)))
