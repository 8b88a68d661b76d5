"""What is contrasted: texts and pairs on the one hand, a loss on the other."""

import math
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

import numpy as np
import torch
from sentence_transformers import SentenceTransformer

from ._arguments import TrainingArguments
from ._batches import (
    Batch,
    Indices,
    LabelledTexts,
    Order,
    TextBatch,
    label_batch,
    pair_batch,
    text_batch,
)
from ._embedding import embed
from ._label_batches import make_label_batches
from ._losses import Objective, OwnLoss, loss_of_texts
from ._pairs import Pairs, batches


class Contrast(Protocol):
    """Texts, which of them belong together, and the loss that says how well their embeddings show it.

    Attributes:
        data: The texts and their labels.
        pairs: Of indices into `data`; None for a loss on labels.
        trained: The module whose parameters the loss depends on.
    """

    data: LabelledTexts
    pairs: Pairs | None
    trained: torch.nn.Module

    def batch(self, indices: Indices) -> Batch | TextBatch:
        """Make what `loss` takes, of these pairs or texts."""

    def loss(self, model: Any, batch: Any) -> torch.Tensor:
        """Take the loss of a batch through the model, which is the body, possibly wrapped."""

    def loss_on(self, embeddings: torch.Tensor, indices: Indices) -> torch.Tensor:
        """Take the loss of these pairs or texts, the embeddings of all texts, float32 (texts, dim), being known."""

    def with_data(self, data: LabelledTexts, pairs: Pairs | None) -> "Contrast":
        """Give the same loss on other texts."""


class OnEmbeddings:
    """A loss on embeddings: each distinct text of a batch is embedded once.

    Args:
        body: Embeds.
        data: The texts and their labels.
        pairs: Of indices into `data`; None for a loss on labels.
        objective: The loss.
        distinct: False: both sides of every pair are embedded apart.
    """

    def __init__(
        self,
        body: SentenceTransformer,
        data: LabelledTexts,
        pairs: Pairs | None,
        objective: Objective,
        *,
        distinct: bool,
    ) -> None:
        self.data = data
        self.pairs = pairs
        self.trained: torch.nn.Module = body
        self._body = body
        self._objective = objective
        self._distinct = distinct

    def batch(self, indices: Indices) -> Batch:
        """See `Contrast`."""
        if self.pairs is None:
            return label_batch(self._body, self.data.texts, self.data.numbers, indices)
        return pair_batch(self._body, self.data.texts, self.pairs, indices, distinct=self._distinct)

    def loss(self, model: Any, batch: Any) -> torch.Tensor:
        """See `Contrast`."""
        embeddings = embed(model, batch["chunks"], batch["back"], self._body.truncate_dim)
        return self._objective.loss(embeddings, batch["truth"])

    def loss_on(self, embeddings: torch.Tensor, indices: Indices) -> torch.Tensor:
        """See `Contrast`."""
        if self.pairs is None:
            return self._objective.loss(embeddings[indices], torch.from_numpy(self.data.numbers[indices]))
        sides, same = self.pairs.rows_of(indices)
        return self._objective.loss(embeddings, (torch.from_numpy(sides), torch.from_numpy(same)))

    def with_data(self, data: LabelledTexts, pairs: Pairs | None) -> "OnEmbeddings":
        """See `Contrast`."""
        return OnEmbeddings(self._body, data, pairs, self._objective, distinct=self._distinct)


class OnTexts:
    """A loss that embeds by itself, such as a class of the caller's.

    Args:
        body: The body that it was made with.
        data: The texts and their labels.
        pairs: Of indices into `data`; None for a loss on labels.
        module: The loss; its own parameters are trained with the body's.
    """

    def __init__(
        self, body: SentenceTransformer, data: LabelledTexts, pairs: Pairs | None, module: torch.nn.Module
    ) -> None:
        self.data = data
        self.pairs = pairs
        self.trained = module
        self._body = body

    def batch(self, indices: Indices) -> TextBatch:
        """See `Contrast`."""
        return text_batch(self.data, self.pairs, indices)

    def loss(self, model: Any, batch: Any) -> torch.Tensor:
        """See `Contrast`; the module has the model already."""
        del model
        return loss_of_texts(self.trained, self._body, batch["columns"], batch["targets"])

    def loss_on(self, embeddings: torch.Tensor, indices: Indices) -> torch.Tensor:
        """See `Contrast`; the module embeds anew."""
        del embeddings
        batch = self.batch(indices)
        return loss_of_texts(self.trained, self._body, batch["columns"], batch["targets"])

    def with_data(self, data: LabelledTexts, pairs: Pairs | None) -> "OnTexts":
        """See `Contrast`."""
        return OnTexts(self._body, data, pairs, self.trained)


def make_contrast(
    body: SentenceTransformer,
    data: LabelledTexts,
    pairs: Pairs | None,
    objective: Objective | OwnLoss,
    *,
    distinct: bool,
) -> Contrast:
    """Bring texts, pairs and a loss together.

    Args:
        body: Embeds.
        data: The texts and their labels.
        pairs: Of indices into `data`; None for a loss on labels.
        objective: The loss.
        distinct: Whether to embed each distinct text of a batch once; an own loss embeds by itself.

    Raises:
        UsageError: The loss is no torch module.
    """
    if isinstance(objective, OwnLoss):
        return OnTexts(body, data, pairs, objective.on(body))
    return OnEmbeddings(body, data, pairs, objective, distinct=distinct)


def items(contrast: Contrast) -> int:
    """Count the pairs an epoch, or the texts of a loss on labels."""
    return len(contrast.data) if contrast.pairs is None else len(contrast.pairs)


def training_order(contrast: Contrast, args: TrainingArguments) -> Iterable[list[int]]:
    """Give the batches of an epoch, as a torch data loader takes them: SetFit's order."""
    size, seed, number = args.embedding_batch_size, args.seed, items(contrast)
    if contrast.pairs is None:
        return make_label_batches(contrast.data.numbers.tolist(), size, seed)
    return Order(lambda epoch: batches(number, size, seed + epoch), math.ceil(number / size))


def held_out_order(contrast: Contrast, args: TrainingArguments) -> Iterator[Indices]:
    """Give the batches of held-out pairs or texts, pairs in their own order."""
    size, number = args.embedding_batch_size, items(contrast)
    if contrast.pairs is None:
        return (np.array(batch) for batch in make_label_batches(contrast.data.numbers.tolist(), size, args.seed))
    return (np.arange(start, min(start + size, number)) for start in range(0, number, size))
