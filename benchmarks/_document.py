"""A report before it is Markdown or HTML: sections of text and tables, and how figures are written."""

from dataclasses import dataclass

from ._results import Entrant, Status


@dataclass(frozen=True, slots=True)
class Cell:
    """One figure or word of a table.

    Attributes:
        text: As it is shown, not yet escaped.
        value: What to sort by; None sorts by the text.
        struck: Whether it is struck out: measured, but not of the same work.
    """

    text: str
    value: float | None = None
    struck: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """A row of a table.

    Attributes:
        head: What the row is about: a contender, mostly.
        cells: One a column after the first.
        ours: Whether it is setfuse's.
    """

    head: str
    cells: tuple[Cell, ...]
    ours: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table.

    Attributes:
        caption: What it shows, with the unit.
        columns: Their titles, that of the heads first.
        lines: The rows.
    """

    caption: str
    columns: tuple[str, ...]
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the report.

    Attributes:
        title: Its heading.
        text: Paragraphs before the tables.
        tables: The tables.
        plots: Names of the plots that belong here.
    """

    title: str
    text: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    plots: tuple[str, ...] = ()


def interval(ratio: float | None, low: float | None, high: float | None) -> str:
    """Write a ratio with its confidence interval."""
    if ratio is None:
        return "-"
    return _ratio(ratio) if low is None or high is None else f"{_ratio(ratio)} [{_ratio(low)}, {_ratio(high)}]"


def share(value: float | None) -> str:
    """Write a share in percent."""
    return "-" if value is None else f"{value:.1%}"


def note(entrant: Entrant, *, whole: bool = False) -> str:
    """Say what a reader must know of a contender's figures; with the reason in whole."""
    if entrant.status != Status.MEASURED:
        return f"{entrant.status}: {entrant.reason}" if whole else str(entrant.status)
    return "another model" if entrant.quality == "other" else ""


def _ratio(value: float) -> str:
    return f"{value:.2f}" if value >= 0.1 else f"{value:.2g}"
