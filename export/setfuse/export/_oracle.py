"""What the torch checkpoint itself answers: sentence-transformers for the body, scikit-learn for the head."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from sentence_transformers import SentenceTransformer

from ._checkpoint import Checkpoint
from ._encoder import FloatArray
from ._validate import Answers


class TorchOracle:
    """The checkpoint, loaded by the libraries that it comes from; it shares no code with the graph.

    Attributes:
        body: The sentence-transformers pipeline.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        """Load body and head."""
        self.body = SentenceTransformer(
            str(checkpoint.folder), device="cpu", local_files_only=True, model_kwargs={"dtype": torch.float32}
        )
        self._normalize = checkpoint.normalize_embeddings
        self._head = checkpoint.head

    def answer(self, texts: Sequence[str], *, batch_size: int) -> Answers:
        """Embed and classify."""
        embeddings: FloatArray = self.body.encode(
            list(texts),
            batch_size=batch_size,
            normalize_embeddings=self._normalize,
            convert_to_numpy=True,
            show_progress_bar=False,
        )
        return Answers(probabilities=self.classify(embeddings), embeddings=embeddings)

    def classify(self, embeddings: FloatArray) -> npt.NDArray[np.floating]:
        """Run the head alone on embeddings (texts, dim)."""
        return self._head.answer(embeddings)
