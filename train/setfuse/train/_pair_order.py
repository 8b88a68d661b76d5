"""All pairs of rows of one kind, shuffled: in SetFit's order from a list, in another by their numbers."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ._label_groups import LabelGroups
from ._permutation import Permutation

Indices = npt.NDArray[np.int64]


class PairOrder(Protocol):
    """All different pairs of one kind, positive or negative, in an order of their own."""

    def __len__(self) -> int: ...

    def rows_of(self, numbers: Indices) -> Indices:
        """Give int64 (n, 2), the two rows of each pair; the second row is never before the first."""
        ...


@dataclass(frozen=True, slots=True)
class ListedPairs:
    """Pairs whose order is held in memory, 4 bytes a pair.

    Attributes:
        triangle: What the codes are positions in.
        codes: int32 (pairs,).
    """

    triangle: "Triangle"
    codes: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.codes)

    def rows_of(self, numbers: Indices) -> Indices:
        """As in `PairOrder`."""
        return np.stack(self.triangle.at(self.codes[numbers].astype(np.int64)), axis=1)


@dataclass(frozen=True, slots=True)
class FoundPairs:
    """Pairs whose order is a permutation computed on the fly: memory grows with the rows, never with the pairs.

    Attributes:
        pairs: The pairs in their natural order.
        order: The permutation of their numbers.
    """

    pairs: "NumberedPairs"
    order: Permutation

    def __len__(self) -> int:
        return self.order.size

    def rows_of(self, numbers: Indices) -> Indices:
        """As in `PairOrder`."""
        return self.pairs.rows_of(self.order(numbers))


class Triangle:
    """The pairs (i, j) of 0, …, n - 1 with i < j, with a diagonal also i = j, numbered as `np.triu_indices` does."""

    def __init__(self, n: int, *, diagonal: bool) -> None:
        self._skip = 0 if diagonal else 1
        first = np.arange(n, dtype=np.int64)
        self._starts = np.concatenate([[0], np.cumsum(n - self._skip - first)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def at(self, numbers: Indices) -> tuple[Indices, Indices]:
        """Give the two members of each pair, each int64 (n,)."""
        first = np.searchsorted(self._starts, numbers, side="right") - 1
        return first, first + self._skip + numbers - self._starts[first]


class NumberedPairs:
    """The pairs of one kind, numbered group by group: first those inside a group, then its rows with later groups'.

    A number is found by a search in one count a group, so that finding a pair takes no longer among more rows.
    """

    def __init__(self, groups: LabelGroups, *, positive: bool, self_pairs: bool) -> None:
        self._groups = groups
        self._positive = positive
        self._self_pairs = self_pairs
        sizes = groups.sizes()
        inside = np.zeros(len(groups), np.int64)
        across = np.zeros(len(groups), np.int64)
        for group in range(len(groups)):
            wanted = groups.sharing(group) == positive
            if wanted[group]:
                inside[group] = sizes[group] * (sizes[group] + (1 if self_pairs else -1)) // 2
            across[group] = sizes[group] * sizes[group + 1 :][wanted[group + 1 :]].sum()
        self._inside = inside
        self._starts = np.concatenate([[0], np.cumsum(inside + across)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def rows_of(self, numbers: Indices) -> Indices:
        """As in `PairOrder`, in the natural order."""
        group_of = np.searchsorted(self._starts, numbers, side="right") - 1
        rows = np.empty((len(numbers), 2), np.int64)
        for group in np.unique(group_of):
            members = group_of == group
            rows[members] = self._in_group(int(group), numbers[members] - self._starts[group])
        rows.sort(axis=1)
        return rows

    def _in_group(self, group: int, numbers: Indices) -> Indices:
        start, stop = self._groups.starts[group : group + 2]
        places = np.empty((len(numbers), 2), np.int64)
        inside = numbers < self._inside[group]
        triangle = Triangle(int(stop - start), diagonal=self._self_pairs)
        places[inside] = start + np.stack(triangle.at(numbers[inside]), axis=1)
        rest = numbers[~inside] - self._inside[group]
        if len(rest):
            later = np.arange(group + 1, len(self._groups))
            later = later[self._groups.sharing(group)[later] == self._positive]
            before = np.concatenate([[0], np.cumsum(self._groups.sizes()[later])])
            row, partner = np.divmod(rest, before[-1])
            block = np.searchsorted(before, partner, side="right") - 1
            places[~inside, 0] = start + row
            places[~inside, 1] = self._groups.starts[later[block]] + partner - before[block]
        return self._groups.rows[places]


def listed_pairs(groups: LabelGroups, seed: int, *, self_pairs: bool) -> tuple[ListedPairs, ListedPairs]:
    """Shuffle all pairs at once, as SetFit does, and part the positive from the negative ones.

    Returns:
        The positive pairs and the negative ones. Making them takes at most 12 bytes for each of the n(n+1)/2 pairs.
    """
    rows = len(groups.of_row)
    triangle = Triangle(rows, diagonal=self_pairs)
    is_positive = np.empty(len(triangle), bool)
    share = np.stack([groups.sharing(group) for group in range(len(groups))])
    stop = 0
    for row in range(rows):
        later = groups.of_row[row if self_pairs else row + 1 :]
        start, stop = stop, stop + len(later)
        is_positive[start:stop] = share[groups.of_row[row], later]
    # RandomState, not Generator: the order is SetFit's.
    order = np.random.RandomState(seed).permutation(len(triangle)).astype(np.int32)
    shuffled = is_positive[order]
    return ListedPairs(triangle, order[shuffled]), ListedPairs(triangle, order[~shuffled])


def found_pairs(groups: LabelGroups, seed: int, *, self_pairs: bool) -> tuple[FoundPairs, FoundPairs]:
    """Give every pair a number and shuffle the numbers.

    Returns:
        The positive pairs and the negative ones. Making them takes memory for the rows alone.
    """
    positive, negative = (NumberedPairs(groups, positive=kind, self_pairs=self_pairs) for kind in (True, False))
    return (
        FoundPairs(positive, Permutation(len(positive), (seed, 1))),
        FoundPairs(negative, Permutation(len(negative), (seed, 2))),
    )
