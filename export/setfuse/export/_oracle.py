"""What the torch checkpoint itself answers: sentence-transformers for the body, scikit-learn for the head."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from sentence_transformers import SentenceTransformer

from ._checkpoint import Checkpoint
from ._encoder import FloatArray
from ._errors import CheckpointError
from ._validate import Answers


class TorchOracle:
    """The checkpoint, loaded by the libraries that it comes from; it shares no code with the graph.

    Attributes:
        body: The sentence-transformers pipeline.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        """Load body and head.

        Raises:
            CheckpointError: sentence-transformers cannot load the body.
        """
        self._folder = checkpoint.folder
        try:
            self.body = SentenceTransformer(
                str(checkpoint.folder), device="cpu", local_files_only=True, model_kwargs={"dtype": torch.float32}
            )
        except Exception as error:  # a value that none of our readers looks at may make torch raise anything
            raise CheckpointError(_failure(self._folder, "load", error)) from error
        self._normalize = checkpoint.normalize_embeddings
        self._head = checkpoint.head

    def answer(self, texts: Sequence[str], *, batch_size: int) -> Answers:
        """Embed and classify.

        Raises:
            CheckpointError: The body does not run, or gives embeddings that are not finite.
        """
        try:
            embeddings: FloatArray = self.body.encode(
                list(texts),
                batch_size=batch_size,
                normalize_embeddings=self._normalize,
                convert_to_numpy=True,
                show_progress_bar=False,
            )
        except Exception as error:
            raise CheckpointError(_failure(self._folder, "run", error)) from error
        finite = np.isfinite(embeddings).all(axis=1)
        if not finite.all():
            raise CheckpointError(
                f"{self._folder}: expected a body whose embeddings are finite, found NaN or infinity from torch for "
                f"the text {texts[int(finite.argmin())]!r:.60}"
            )
        return Answers(probabilities=self.classify(embeddings), embeddings=embeddings)

    def classify(self, embeddings: FloatArray) -> npt.NDArray[np.floating]:
        """Run the head alone on embeddings (texts, dim)."""
        return self._head.answer(embeddings)


def _failure(folder: Path, what: str, error: Exception) -> str:
    reason = f"{type(error).__name__}: {error}"
    return f"{folder}: expected a body that sentence-transformers can {what}, but it fails: {reason:.300}"
