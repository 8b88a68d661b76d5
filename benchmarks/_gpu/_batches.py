"""Texts into batches for an engine: sorted by length, padded to few shapes, so that each shape can be captured."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ._system import ROWS

STEP = 8
"""Lengths are rounded up to a multiple of it: tensor cores like it, and there are fewer shapes."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Texts that go through the engine together.

    Attributes:
        places: Where they stand in the call (texts,).
        ids: Token ids (rows, tokens), int64; rows beyond `places` repeat the first, and their answers are dropped.
        mask: 1 for a token, 0 for padding (rows, tokens), int64.
    """

    places: npt.NDArray[np.int64]
    ids: npt.NDArray[np.int64]
    mask: npt.NDArray[np.int64]


def make_batches(tokens: Sequence[Sequence[int]], max_length: int, rows: int = ROWS) -> list[Batch]:
    """Sort texts by length, the longest first, and pad them.

    Args:
        tokens: Token ids of each text.
        max_length: Lengths are not rounded up beyond it: the model has no more positions.
        rows: Texts a batch, at most. A smaller batch gets a power of two of rows.
    """
    lengths = np.array([len(ids) for ids in tokens])
    order = np.argsort(-lengths, kind="stable")
    return [_pad(order[start : start + rows], tokens, lengths, max_length) for start in range(0, len(tokens), rows)]


def _pad(
    places: npt.NDArray[np.int64], tokens: Sequence[Sequence[int]], lengths: npt.NDArray[np.int64], max_length: int
) -> Batch:
    longest = int(lengths[places].max())
    width = max(longest, min(-(-longest // STEP) * STEP, max_length))
    rows = 1 << (len(places) - 1).bit_length()
    filled = np.concatenate([places, np.repeat(places[:1], rows - len(places))])
    mask = (np.arange(width) < lengths[filled][:, None]).astype(np.int64)
    ids = np.zeros_like(mask)
    for row, place in zip(ids, filled, strict=True):
        row[: lengths[place]] = tokens[place]
    return Batch(places, ids, mask)
