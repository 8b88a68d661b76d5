"""Rows with the same labels, taken together: what pairs are counted and found by."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Labels = Sequence[str] | Sequence[tuple[str, ...]]
"""A label a row, or (multi-label) any number of labels a row."""


class LabelGroups:
    """Rows grouped by their set of labels.

    Attributes:
        of_row: int64 (rows,), the group of each row.
        rows: int64 (rows,), the rows, group by group, each group in its own order.
        starts: int64 (groups + 1,), where each group begins in `rows`; the last entry is the number of rows.
    """

    def __init__(self, labels: Labels) -> None:
        sets = [frozenset({row} if isinstance(row, str) else row) for row in labels]
        self._labels = sorted(set(sets), key=sorted)
        numbers = {labels: number for number, labels in enumerate(self._labels)}
        self.of_row = np.array([numbers[labels] for labels in sets], np.int64)
        self.rows = np.argsort(self.of_row, kind="stable")
        self.starts = np.concatenate([[0], np.cumsum(np.bincount(self.of_row, minlength=len(self._labels)))])
        self._groups_with: dict[str, list[int]] = {}
        for number, names in enumerate(self._labels):
            for name in names:
                self._groups_with.setdefault(name, []).append(number)

    def __len__(self) -> int:
        return len(self._labels)

    def sizes(self) -> npt.NDArray[np.int64]:
        """Give int64 (groups,), the number of rows of each group."""
        return np.diff(self.starts)

    def sharing(self, group: int) -> npt.NDArray[np.bool_]:
        """Tell which groups have at least one label in common with a group.

        Rows without any label share none, not even with themselves: SetFit calls those pairs negative, too.

        Returns:
            bool (groups,).
        """
        shared = np.zeros(len(self), bool)
        for name in self._labels[group]:
            shared[self._groups_with[name]] = True
        return shared
