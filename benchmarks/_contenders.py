"""The systems under test: each loads its model and turns texts into labels, as its own users would write it."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast


@dataclass(frozen=True, slots=True)
class Models:
    """The same model in the forms that the contenders read.

    Attributes:
        bundle: What `setfuse export` wrote.
        checkpoint: What it was exported from.
    """

    bundle: Path
    checkpoint: Path


class Contender(ABC):
    """One system under test. A process makes one and uses it from one thread."""

    @abstractmethod
    def answer(self, texts: list[str]) -> list[str]:
        """Give the label of each text: everything from text to label, nothing cached."""


class Setfuse(Contender):
    """Our runtime, in the checkpoint's own arithmetic."""

    def __init__(self, models: Models, threads: int) -> None:
        from setfuse.runtime import Classifier

        self._classifier = Classifier.load(models.bundle, device="cpu", precision="fp32", threads=threads)

    def answer(self, texts: list[str]) -> list[str]:
        return cast("list[str]", self._classifier.predict(texts))  # one label a text: both contenders know no other


class SentenceTransformersTorch(Contender):
    """The checkpoint in sentence-transformers on torch, eager, with scikit-learn's head: the path that trained it."""

    def __init__(self, models: Models, threads: int) -> None:
        import numpy as np
        import torch
        from safetensors.numpy import load_file
        from sentence_transformers import SentenceTransformer
        from sklearn.linear_model import LogisticRegression

        from ._files import read_json

        torch.set_num_threads(threads)
        self._body = SentenceTransformer(str(models.checkpoint), device="cpu", local_files_only=True)
        tensors = load_file(models.checkpoint / "head.safetensors")
        self._head = LogisticRegression()
        self._head.coef_, self._head.intercept_ = tensors["coef"], tensors["intercept"]
        self._head.classes_ = np.asarray(read_json(models.checkpoint / "head.json")["classes"])

    def answer(self, texts: list[str]) -> list[str]:
        labels: list[str] = self._head.predict(self._body.encode(texts, show_progress_bar=False)).tolist()
        return labels


CONTENDERS: dict[str, Callable[[Models, int], Contender]] = {
    "setfuse": Setfuse,
    "sentence-transformers": SentenceTransformersTorch,
}
"""What loads each, given the models and the number of threads. The first is the one that the ratios are taken to."""
