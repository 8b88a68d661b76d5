"""The LogisticRegression on the embedding, for contenders that bring none: numpy alone, so that none pays for more."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks._files import whole_file


@dataclass(frozen=True, slots=True)
class Head:
    """A LogisticRegression.

    Attributes:
        coef: (labels, dim); (1, dim) where there are two labels.
        intercept: (labels,) or (1,).
        names: The labels.
    """

    coef: npt.NDArray[np.float64]
    intercept: npt.NDArray[np.float64]
    names: tuple[str, ...]

    @classmethod
    def read(cls, artefacts: Path) -> "Head":
        """Read `head.npz`."""
        with np.load(artefacts / "head.npz") as arrays:
            return cls(arrays["coef"], arrays["intercept"], tuple(map(str, arrays["labels"])))

    def write(self, artefacts: Path) -> None:
        """Write `head.npz`."""
        with whole_file(artefacts / "head.npz") as partial, partial.open("wb") as file:
            np.savez(file, coef=self.coef, intercept=self.intercept, labels=np.asarray(self.names))

    def labels(self, embeddings: npt.ArrayLike) -> list[str]:
        """Give the label of each embedding (texts, dim)."""
        return [self.names[index] for index in self.probabilities(embeddings).argmax(axis=1)]

    def probabilities(self, embeddings: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Give the probabilities (texts, labels), as scikit-learn's `predict_proba` does."""
        scores = np.asarray(embeddings, dtype=np.float64) @ self.coef.T + self.intercept
        if len(self.coef) == 1:
            positive = (1 + np.tanh(scores / 2)) / 2  # the logistic function, without overflow
            return np.hstack([1 - positive, positive])
        exponentials = np.exp(scores - scores.max(axis=1, keepdims=True))
        shares: npt.NDArray[np.float64] = exponentials / exponentials.sum(axis=1, keepdims=True)
        return shares
