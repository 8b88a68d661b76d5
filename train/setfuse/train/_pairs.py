"""Pairs of texts for contrastive learning, in SetFit's order."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from setfuse.runtime import DatasetError

from ._ranges import SamplingStrategy

MAX_ROWS = 5000
"""SetFit's order is one permutation of all n(n+1)/2 pairs; beyond this it would take more than a gigabyte."""

_SETFIT_PAIR_SEED = 42
"""SetFit shuffles the pairs with this seed whatever the training's own seed is."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pairs of rows and whether their labels are the same.

    Attributes:
        rows: int64 (pairs, 2), indices of the two rows of each pair.
        same: float32 (pairs,), 1 where the two have the same label, else 0.
    """

    rows: npt.NDArray[np.int64]
    same: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.rows)


def make_pairs(labels: Sequence[str], strategy: SamplingStrategy | str, num_iterations: int | None = None) -> Pairs:
    """Pair rows as SetFit's `ContrastiveDataset` does, the same pairs in the same order.

    A row is also paired with itself (10 + 10 rows give 220 pairs, not 200), the order of the unique pairs comes from
    a fixed seed, the scarcer kind is repeated from its start, and positive and negative pairs alternate.

    Args:
        labels: The label of each row.
        strategy: `oversampling` repeats the scarcer kind up to the other's number, `undersampling` cuts the other
            kind, `unique` leaves both as they are.
        num_iterations: If given, that many pairs of each kind a row, whatever the strategy.

    Returns:
        At least one pair.

    Raises:
        DatasetError: There are more rows than `MAX_ROWS`.
    """
    if len(labels) > MAX_ROWS:
        raise DatasetError(
            f"expected at most {MAX_ROWS} training rows, found {len(labels)}: contrastive pairs grow with the square "
            "of the rows; train on a sample, a few dozen rows a label are enough"
        )
    first, second = np.triu_indices(len(labels))
    order = np.random.RandomState(_SETFIT_PAIR_SEED).permutation(len(first))
    rows = np.stack([first[order], second[order]], axis=1)
    numbers = np.unique(np.asarray(labels), return_inverse=True)[1]
    is_same = numbers[rows[:, 0]] == numbers[rows[:, 1]]
    positive, negative = rows[is_same], rows[~is_same]
    wanted = _numbers_wanted(len(labels), len(positive), len(negative), SamplingStrategy(strategy), num_iterations)
    positive, negative = (
        np.resize(kind, (number, 2)) for kind, number in zip((positive, negative), wanted, strict=True)
    )
    return _alternate(positive, negative)


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


def _alternate(positive: npt.NDArray[np.int64], negative: npt.NDArray[np.int64]) -> Pairs:
    """Take a positive and a negative pair in turn; what is left of the longer kind comes last."""
    turn = np.concatenate([2 * np.arange(len(positive)), 2 * np.arange(len(negative)) + 1])
    order = np.argsort(turn)
    same = np.concatenate([np.ones(len(positive), np.float32), np.zeros(len(negative), np.float32)])
    return Pairs(rows=np.concatenate([positive, negative])[order], same=same[order])


def batches(pairs: int, batch_size: int, epochs: int, seed: int) -> Iterator[npt.NDArray[np.int64]]:
    """Give the indices of the pairs of each training step, in the order of transformers' Trainer.

    Args:
        pairs: How many there are.
        batch_size: Pairs a step; the last step of an epoch may have fewer.
        epochs: Passes over the pairs; each has a permutation of its own, of the seed plus the epoch's number.
        seed: The training's seed.

    Yields:
        int64 (up to batch_size,), one array a step.
    """
    import torch

    for epoch in range(epochs):
        generator = torch.Generator().manual_seed(seed + epoch)
        order: npt.NDArray[np.int64] = torch.randperm(pairs, generator=generator).numpy()
        for start in range(0, pairs, batch_size):
            yield order[start : start + batch_size]
