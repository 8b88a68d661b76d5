"""Pairs of texts for contrastive learning, in SetFit's order, and the order of the batches."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from setfuse.runtime import DatasetError

from ._label_groups import LabelGroups, Labels
from ._pair_order import PairOrder, found_pairs, listed_pairs
from ._permutation import Permutation
from ._ranges import SamplingStrategy

SETFIT_ORDER_ROWS = 4000
"""Up to so many rows the order is SetFit's: one shuffle of all n(n+1)/2 pairs, 96 MB while it is made, 32 MB after."""

SETFIT_ORDER_PAIRS = SETFIT_ORDER_ROWS * (SETFIT_ORDER_ROWS + 1)
"""Up to so many pairs the batches' order is transformers'. `SETFIT_ORDER_ROWS` rows give no more by oversampling."""

SETFIT_PAIR_SEED = 42
"""SetFit shuffles the pairs with this seed whatever the training's own seed is."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """What is drawn from the pairs of one kind.

    Attributes:
        order: All different pairs of the kind.
        different: Only the first so many of them are used.
        wanted: How many are drawn; past `different` they are repeated from the start.
    """

    order: PairOrder
    different: int
    wanted: int


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pairs of rows and whether their labels are the same; each is looked up when it is asked for.

    Positive and negative pairs take turns; what is left of the more numerous kind comes last.

    Attributes:
        positive: The pairs with a label in common.
        negative: The pairs without.
    """

    positive: Drawn
    negative: Drawn

    def __len__(self) -> int:
        return self.positive.wanted + self.negative.wanted

    def rows_of(self, indices: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """Look pairs up.

        Args:
            indices: int64 (n,), each from 0 to `len(self) - 1`.

        Returns:
            The two rows of each pair, int64 (n, 2), the second never before the first; and whether the two have a
            label in common, float32 (n,), 1 or 0.
        """
        turns = min(self.positive.wanted, self.negative.wanted)
        in_turn = indices < 2 * turns
        is_positive = np.where(in_turn, indices % 2 == 0, self.positive.wanted > self.negative.wanted)
        number = np.where(in_turn, indices // 2, indices - turns)
        rows = np.empty((len(indices), 2), np.int64)
        for drawn, of_kind in ((self.positive, is_positive), (self.negative, ~is_positive)):
            if of_kind.any():
                rows[of_kind] = drawn.order.rows_of(number[of_kind] % drawn.different)
        return rows, is_positive.astype(np.float32)


def make_pairs(
    labels: Labels,
    strategy: SamplingStrategy | str,
    num_iterations: int | None = None,
    *,
    max_pairs: int | None = None,
    self_pairs: bool = True,
    seed: int = SETFIT_PAIR_SEED,
) -> Pairs:
    """Pair rows as SetFit's `ContrastiveDataset` does, the same pairs in the same order.

    A pair is positive if its rows have the same label or, where rows have several, at least one label in common; two
    rows without any label make a negative pair. A row is also paired with itself (10 + 10 rows give 220 pairs, not
    200).

    Up to `SETFIT_ORDER_ROWS` rows the pairs are shuffled as SetFit shuffles them. Above, the order is another one,
    computed pair by pair, and memory grows with the rows alone. Which pairs there are, and how many, is the same in
    both.

    Args:
        labels: The label of each row or, for multi-label data, a tuple of labels a row.
        strategy: `oversampling` repeats the scarcer kind up to the other's number, `undersampling` cuts the other
            kind, `unique` leaves both as they are.
        num_iterations: If given, that many pairs of each kind a row, whatever the strategy.
        max_pairs: Use at most half so many different pairs of each kind. Where `max_steps` is given, SetFit sets this
            to `max_steps` times the batch size.
        self_pairs: Whether a row is paired with itself, as SetFit has it.
        seed: Of the shuffle, from 0 to 2^32 - 1.

    Returns:
        At least one pair.

    Raises:
        DatasetError: Pairs of a kind are wanted, and the rows make none.
    """
    groups = LabelGroups(labels)
    ordered = listed_pairs if len(labels) <= SETFIT_ORDER_ROWS else found_pairs
    positive, negative = ordered(groups, seed, self_pairs=self_pairs)
    most = max(1, max_pairs // 2) if max_pairs is not None else len(positive) + len(negative)
    different = min(len(positive), most), min(len(negative), most)
    wanted = _numbers_wanted(len(labels), *different, SamplingStrategy(strategy), num_iterations)
    wanted_by = strategy if num_iterations is None else "num_iterations"
    for kind, found, number in zip(("at least one", "no"), different, wanted, strict=True):
        if not found and (number or not any(wanted)):
            raise DatasetError(
                f"{wanted_by} needs pairs of rows with {kind} label in common, and {len(labels)} rows make none; "
                "add rows, or use the sampling strategy unique"
            )
    return Pairs(Drawn(positive, different[0], wanted[0]), Drawn(negative, different[1], wanted[1]))


def _numbers_wanted(
    rows: int, positive: int, negative: int, strategy: SamplingStrategy, num_iterations: int | None
) -> tuple[int, int]:
    if num_iterations is not None:
        return num_iterations * rows, num_iterations * rows
    match strategy:
        case SamplingStrategy.UNIQUE:
            return positive, negative
        case SamplingStrategy.UNDERSAMPLING:
            return min(positive, negative), min(positive, negative)
        case SamplingStrategy.OVERSAMPLING:
            return max(positive, negative), max(positive, negative)


def batches(pairs: int, batch_size: int, seed: int) -> Iterator[npt.NDArray[np.int64]]:
    """Give the indices of the pairs of each training step of an epoch.

    The order is that of transformers' Trainer up to `SETFIT_ORDER_PAIRS` pairs, and above a permutation that is
    computed batch by batch.

    Args:
        pairs: How many there are.
        batch_size: Pairs a step; the last may have fewer.
        seed: Of the permutation: the training's seed plus the epoch's number.

    Yields:
        int64 (up to batch_size,), one array a step.
    """
    order = _epoch_order(pairs, seed)
    for start in range(0, pairs, batch_size):
        yield order(np.arange(start, min(start + batch_size, pairs)))


def _epoch_order(pairs: int, seed: int) -> Callable[[npt.NDArray[np.int64]], npt.NDArray[np.int64]]:
    if pairs > SETFIT_ORDER_PAIRS:
        return Permutation(pairs, (seed,))
    import torch

    order: npt.NDArray[np.int64] = torch.randperm(pairs, generator=torch.Generator().manual_seed(seed)).numpy()
    return order.__getitem__
