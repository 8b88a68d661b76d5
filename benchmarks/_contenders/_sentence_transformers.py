"""sentence-transformers with the checkpoint's head."""

from typing import Any

import numpy as np
import numpy.typing as npt

from ._contender import Models, System
from ._head import Head


class SentenceTransformersTorch(System):
    """The checkpoint in sentence-transformers on torch: the path that trained it."""

    def __init__(self, models: Models, threads: int) -> None:
        """Load the body."""
        import torch
        from sentence_transformers import SentenceTransformer

        torch.set_num_threads(threads)
        self._body: Any = SentenceTransformer(str(models.checkpoint), device="cpu", local_files_only=True)
        self._head = Head.read(models.artefacts)

    def answer(self, texts: list[str]) -> list[str]:
        """Embed, then label."""
        return self._head.labels(self._body.encode(texts, show_progress_bar=False))

    def probabilities(self, texts: list[str]) -> npt.NDArray[np.float64]:
        """Embed, then give the head's probabilities."""
        return self._head.probabilities(self._body.encode(texts, show_progress_bar=False))
