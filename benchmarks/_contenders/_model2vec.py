# mypy: disable-error-code="import-not-found"
"""model2vec: a vector a token, distilled from the checkpoint's body, and a head of its own."""

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ._body import Body
from ._contender import Models, System
from ._head import Head


class Model2vec(System):
    """What `distill` made."""

    def __init__(self, models: Models, threads: int) -> None:
        """Load it."""
        from model2vec import StaticModel

        folder = models.artefacts / "model2vec"
        self._model = StaticModel.from_pretrained(folder)
        self._head = Head.read(folder)
        self._processes = threads > 1

    def answer(self, texts: list[str]) -> list[str]:
        """Embed, then label."""
        return self._head.labels(self._embed(texts))

    def probabilities(self, texts: list[str]) -> npt.NDArray[np.float64]:
        """Embed, then give the head's probabilities."""
        return self._head.probabilities(self._embed(texts))

    def _embed(self, texts: list[str]) -> npt.NDArray[np.float32]:
        embeddings: npt.NDArray[np.float32] = self._model.encode(texts, use_multiprocessing=self._processes)
        return embeddings


def distill(models: Models, folder: Path) -> None:
    """Distil the body with model2vec's own settings, and fit a LogisticRegression on the training texts.

    Raises:
        ValueError: There are no training texts.
    """
    if models.train is None:
        raise ValueError("model2vec must fit a head of its own and was given no labelled texts; pass --train")
    from model2vec.distill import distill as distill_body
    from sklearn.linear_model import LogisticRegression

    rows = [json.loads(line) for line in models.train.read_text(encoding="utf-8").splitlines() if line.strip()]
    model = distill_body(str(Body.read(models.checkpoint).transformer), device="cpu")
    model.save_pretrained(folder)
    fitted = LogisticRegression(max_iter=1000).fit(
        model.encode([row["text"] for row in rows]), [row["label"] for row in rows]
    )
    Head(fitted.coef_, fitted.intercept_, tuple(map(str, fitted.classes_))).write(folder)
