"""What to know of labelled rows before training: their labels, and which rows contradict each other."""

from collections.abc import Sequence

from setfuse.runtime import MultiLabelRow, Row

Rows = Sequence[Row] | Sequence[MultiLabelRow]

SHOWN = 5
"""Rows of a kind that are warned of one by one; a file with thousands should not fill the screen."""


def labels_of(row: Row | MultiLabelRow) -> tuple[str, ...]:
    """Give the labels of a row, one or several."""
    return (row.label,) if isinstance(row, Row) else row.labels


def label_values(rows: Rows) -> list[str] | list[tuple[str, ...]]:
    """Give the label of each row, or (multi-label) the tuple of its labels."""
    return [row.label if isinstance(row, Row) else row.labels for row in rows]  # type: ignore[return-value] # rows are of one kind


def contradictions(rows: Rows) -> str | None:
    """Find texts that stand in the data more than once, with different labels.

    Args:
        rows: The training rows.

    Returns:
        A warning that names the lines, or None if there are no such texts. Rows that repeat both text and labels
        contradict nothing.
    """
    first: dict[str, Row | MultiLabelRow] = {}
    found: dict[str, list[Row | MultiLabelRow]] = {}
    for row in rows:
        earlier = first.setdefault(row.text, row)
        if set(labels_of(earlier)) != set(labels_of(row)):
            found.setdefault(row.text, [earlier]).append(row)
    if not found:
        return None
    shown = ["; ".join(f"{row.origin} {_shown(row)}" for row in same) for same in list(found.values())[:SHOWN]]
    more = f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    texts = "1 text has" if len(found) == 1 else f"{len(found)} texts have"
    return f"{texts} different labels in different rows: {' | '.join(shown)}{more}; correct or remove them"


def _shown(row: Row | MultiLabelRow) -> str:
    return ", ".join(map(repr, labels_of(row))) or "no label"
