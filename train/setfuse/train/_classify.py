"""The classifier on top of a body: its head fitted, its answers measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sentence_transformers import SentenceTransformer

from ._batches import LabelledTexts
from ._errors import OutOfMemory
from ._head import FittedHead
from ._memory import out_of_memory_told
from ._metrics import Metric

_BATCH = 32
"""Texts that are embedded at once: sentence-transformers' default."""

_TOO_LITTLE = (
    "embedding the texts for the head: expected room for one text at a time, ran out of memory; lower max_length "
    "(now {})"
)


def encode(body: SentenceTransformer, texts: Sequence[str], *, progress: bool = False) -> npt.NDArray[np.float32]:
    """Embed texts without gradients, those of like length together, in smaller batches where memory runs out.

    Args:
        body: Embeds.
        texts: Any number.
        progress: Show a progress bar on stderr.

    Returns:
        float32 (texts, dim), in their order.

    Raises:
        OutOfMemory: There is no room for one text.
    """
    size = _BATCH
    while True:
        try:
            with out_of_memory_told(lambda: _TOO_LITTLE.format(body.max_seq_length)):
                embeddings: npt.NDArray[np.float32] = body.encode(
                    list(texts), batch_size=size, convert_to_numpy=True, show_progress_bar=progress
                )
                return embeddings
        except OutOfMemory:
            if size == 1:
                raise
            size //= 2


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Rows that the training does not see, and how answers to them are judged.

    Attributes:
        data: Their texts and labels.
        metric: Of predicted and given labels.
    """

    data: LabelledTexts
    metric: Metric

    def judge(self, head: FittedHead, embeddings: npt.NDArray[np.float32]) -> Mapping[str, float]:
        """Measure a head's answers.

        Args:
            head: Fitted.
            embeddings: float32 (texts, dim), of `data.texts`.
        """
        return self.metric(head.predict(embeddings), self.data.labels)
