"""The classifier on top of a body: its head fitted, its answers measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sentence_transformers import SentenceTransformer

from ._batches import LabelledTexts
from ._head import FittedHead
from ._metrics import Metric


def encode(body: SentenceTransformer, texts: Sequence[str], *, progress: bool = False) -> npt.NDArray[np.float32]:
    """Embed texts without gradients, those of like length together: float32 (texts, dim), in their order."""
    embeddings: npt.NDArray[np.float32] = body.encode(list(texts), convert_to_numpy=True, show_progress_bar=progress)
    return embeddings


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
