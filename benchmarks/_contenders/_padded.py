"""A transformer on an engine, as a careful engineer writes it by hand: sorted by length, padded, pooled in numpy."""

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ._body import Body
from ._contender import BATCH_SIZE, Models, System
from ._head import Head


@dataclass(frozen=True, slots=True)
class Batch:
    """Texts that go through the engine together.

    Attributes:
        places: Where they stand in the call (texts,).
        ids: Token ids, padded (texts, tokens).
        mask: 1 for a token, 0 for padding (texts, tokens).
    """

    places: npt.NDArray[np.int64]
    ids: npt.NDArray[np.int64]
    mask: npt.NDArray[np.int64]

    def feed(self, names: Iterable[str]) -> dict[str, npt.NDArray[np.int64]]:
        """Give the inputs that a traced transformer declares."""
        given = {"input_ids": self.ids, "attention_mask": self.mask}
        return {name: given[name] if name in given else np.zeros_like(self.ids) for name in names}


class Padded(System):
    """Everything but the engine."""

    def __init__(self, models: Models, shares: int = 1) -> None:
        """Load tokenizer and head.

        Args:
            models: The checkpoint and `head.npz` are read.
            shares: Batches that the engine runs at the same time: few texts are spread over as many.
        """
        self._body = Body.read(models.checkpoint)
        self._tokenizer = self._body.tokenizer()
        self._head = Head.read(models.artefacts)
        self._shares = shares

    @abstractmethod
    def run(self, batches: list[Batch]) -> Iterable[npt.NDArray[np.float32]]:
        """Give the transformer's last hidden state of each batch (texts, tokens, dim)."""

    def answer(self, texts: list[str]) -> list[str]:
        """Embed, then label."""
        return self._head.labels(self._embed(texts))

    def probabilities(self, texts: list[str]) -> npt.NDArray[np.float64]:
        """Embed, then give the head's probabilities."""
        return self._head.probabilities(self._embed(texts))

    def _embed(self, texts: list[str]) -> npt.NDArray[np.float32]:
        batches = self._batches(texts)
        found = [self._body.embed(hidden, batch.mask) for batch, hidden in zip(batches, self.run(batches), strict=True)]
        embeddings = np.empty((len(texts), found[0].shape[1]), dtype=np.float32)
        for batch, rows in zip(batches, found, strict=True):
            embeddings[batch.places] = rows
        return embeddings

    def _batches(self, texts: list[str]) -> list[Batch]:
        tokens = [encoding.ids for encoding in self._tokenizer.encode_batch_fast(texts)]
        lengths = np.array([len(ids) for ids in tokens])
        order = np.argsort(-lengths, kind="stable")
        size = min(BATCH_SIZE, -(-len(texts) // self._shares))
        return [_pad(order[start : start + size], tokens, lengths) for start in range(0, len(texts), size)]


def _pad(places: npt.NDArray[np.int64], tokens: list[list[int]], lengths: npt.NDArray[np.int64]) -> Batch:
    width = int(lengths[places].max())
    mask = (np.arange(width) < lengths[places][:, None]).astype(np.int64)
    ids = np.zeros_like(mask)
    for row, place in zip(ids, places, strict=True):
        row[: lengths[place]] = tokens[place]
    return Batch(places, ids, mask)
