"""Labelled rows together with the order of their labels, which the names alone do not tell."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Self, TypeVar, overload

from setfuse.runtime import MultiLabelRow, Row, UsageError

from ._data_checks import labels_of

AnyRow = TypeVar("AnyRow", Row, MultiLabelRow)

_DIGITS = 18
"""That int64 holds whatever they are."""


@dataclass(frozen=True, slots=True)
class LabelledRows(Sequence[AnyRow], Generic[AnyRow]):
    """A sequence of rows that knows the number of each label.

    Attributes:
        rows: The rows, in the data's order.
        numbers: Of every label, ascending: the order of a classifier's columns. There may be labels that no row has.

    Raises:
        UsageError: A row has a label without a number; raised on construction.
    """

    rows: tuple[AnyRow, ...]
    numbers: Mapping[str, int]

    def __post_init__(self) -> None:
        for row in self.rows:
            for label in labels_of(row):
                if label not in self.numbers:
                    raise UsageError(
                        f"{row.origin or 'the rows'}: expected one of the labels {', '.join(self.numbers)}, got "
                        f"{label!r}; name all labels"
                    )

    @classmethod
    def of(cls, rows: Sequence[AnyRow], names: Sequence[str] = ()) -> Self:
        """Number the labels of rows as SetFit has them.

        Without names, whole numbers stand for themselves, be they numbers or texts (a CSV file has nothing else);
        other labels get their positions in alphabetical order, as scikit-learn's LabelEncoder numbers them.

        Args:
            rows: In their order.
            names: Those of the labels 0, 1, 2, …, all labels of the rows among them; none if numbers have no names.

        Raises:
            UsageError: A row has a label that is not among the names.
        """
        found = names or _in_order({label for row in rows for label in labels_of(row)})
        own = not names and all(map(_is_whole_number, found))
        return cls(tuple(rows), {label: int(label) if own else number for number, label in enumerate(found)})

    def counts(self) -> dict[str, int]:
        """Count the rows of each label that has any, in the labels' order; a row of several labels counts for each."""
        counts = Counter(label for row in self.rows for label in labels_of(row))
        return {label: counts[label] for label in self.numbers if label in counts}

    @overload
    def __getitem__(self, index: int) -> AnyRow: ...

    @overload
    def __getitem__(self, index: slice) -> Self: ...

    def __getitem__(self, index: int | slice) -> AnyRow | Self:
        """Give a row; or some rows, whose labels keep their numbers."""
        return type(self)(self.rows[index], self.numbers) if isinstance(index, slice) else self.rows[index]

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.rows)


AnyLabelledRows = LabelledRows[Row] | LabelledRows[MultiLabelRow]


def _in_order(labels: Iterable[str]) -> list[str]:
    found = sorted(labels)
    return sorted(found, key=int) if all(map(_is_whole_number, found)) else found


def _is_whole_number(label: str) -> bool:
    # "01" is none: it would be the same number as "1".
    return len(label) <= _DIGITS and label.removeprefix("-").isdecimal() and str(int(label)) == label
