"""What a training step is given: its texts, tokenized, and which of them belong together."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypedDict

import numpy as np
import numpy.typing as npt
import torch
from sentence_transformers import SentenceTransformer

from ._embedding import Features, tokenize_by_length, tokenize_sides
from ._pairs import Pairs

Indices = npt.NDArray[np.int64]


class Batch(TypedDict):
    """One batch, as a data loader hands it on and moves it to the device.

    Attributes:
        chunks: As in `Tokenized`.
        back: As in `Tokenized`.
        truth: What the objective compares the embeddings with, as `Objective.loss` takes it.
    """

    chunks: list[Features]
    back: torch.Tensor
    truth: tuple[torch.Tensor, torch.Tensor] | torch.Tensor


class TextBatch(TypedDict):
    """One batch for a loss that embeds by itself.

    Attributes:
        columns: Both sides of the pairs, or the texts of a loss on labels alone.
        targets: float32 (pairs,), 1 where the two have the same label, else 0; or int64 (texts,), the labels.
    """

    columns: list[list[str]]
    targets: torch.Tensor


@dataclass(frozen=True)
class LabelledTexts:
    """Texts and the label of each.

    Attributes:
        texts: The texts.
        labels: As many; a text's labels are a tuple where it may have several.
    """

    texts: list[str]
    labels: list[str] | list[tuple[str, ...]]

    def __len__(self) -> int:
        return len(self.texts)

    @cached_property
    def numbers(self) -> Indices:
        """The labels, one a text, numbered in the order of their names: int64 (texts,)."""
        return np.unique(np.asarray(self.labels), return_inverse=True)[1].astype(np.int64)


def pair_batch(
    body: SentenceTransformer, texts: Sequence[str], pairs: Pairs, indices: Indices, *, distinct: bool
) -> Batch:
    """Make a batch of pairs.

    Args:
        body: Has the tokenizer.
        texts: Of all rows.
        pairs: Of indices into `texts`.
        indices: int64 (pairs of this batch,).
        distinct: Embed each distinct text once, not both sides of every pair.
    """
    rows, same = pairs.rows_of(indices)
    if distinct:
        named, positions = np.unique(rows, return_inverse=True)
        tokenized = tokenize_by_length(body, [texts[row] for row in named])
        sides = positions.reshape(-1, 2)
    else:
        left, right = ([texts[row] for row in side] for side in rows.T)
        tokenized = tokenize_sides(body, left, right)
        sides = np.arange(2 * len(rows)).reshape(2, -1).T
    truth = (torch.from_numpy(np.ascontiguousarray(sides)), torch.from_numpy(same))
    return Batch(chunks=tokenized.chunks, back=tokenized.back, truth=truth)


def label_batch(body: SentenceTransformer, texts: Sequence[str], numbers: Indices, indices: Indices) -> Batch:
    """Make a batch of texts and their labels.

    Args:
        body: Has the tokenizer.
        texts: Of all rows.
        numbers: int64 (rows,), the label of each.
        indices: int64 (texts of this batch,).
    """
    tokenized = tokenize_by_length(body, [texts[row] for row in indices])
    return Batch(chunks=tokenized.chunks, back=tokenized.back, truth=torch.from_numpy(numbers[indices]))


def text_batch(data: LabelledTexts, pairs: Pairs | None, indices: Indices) -> TextBatch:
    """Make a batch of plain texts.

    Args:
        data: All rows.
        pairs: Of indices into `data`; None for a loss on labels.
        indices: int64 (pairs or texts of this batch,).
    """
    if pairs is None:
        return TextBatch(
            columns=[[data.texts[row] for row in indices]], targets=torch.from_numpy(data.numbers[indices])
        )
    rows, same = pairs.rows_of(indices)
    return TextBatch(columns=[[data.texts[row] for row in side] for side in rows.T], targets=torch.from_numpy(same))


class Order(torch.utils.data.Sampler[list[int]]):
    """The batches of an epoch, as torch's data loaders take them.

    Args:
        of_epoch: Gives the indices of each batch of an epoch, which is numbered from 0.
        batches: How many there are in an epoch.
    """

    def __init__(self, of_epoch: Callable[[int], Iterator[Indices]], batches: int) -> None:
        self._of_epoch = of_epoch
        self._batches = batches
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Go on with that epoch; accelerate and transformers call it before each."""
        self._epoch = epoch

    def __iter__(self) -> Iterator[list[int]]:
        return (batch.tolist() for batch in self._of_epoch(self._epoch))

    def __len__(self) -> int:
        return self._batches
