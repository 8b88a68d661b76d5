"""A head that is ready to answer."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from setfuse.runtime import UsageError

from ._torch_head import DifferentiableHead


@dataclass(frozen=True, slots=True, eq=False)
class FittedHead:
    """A classifier on embeddings, and the names of what it answers.

    Attributes:
        estimator: scikit-learn's, or a `DifferentiableHead`.
        labels: Names of its columns, in their order.
        multi_label: Whether a text has any number of them.
        strategy: The `MultiTarget` that it was made with; None without one.
        probes: float32 (up to 256, dim), some of the embeddings it was fitted to: a graph that is stored in its place
            is compared with it on these.
    """

    estimator: Any
    labels: tuple[str, ...]
    multi_label: bool
    strategy: str | None
    probes: npt.NDArray[np.float32]

    @property
    def kind(self) -> str:
        """Name of the estimator's class."""
        return type(self.estimator).__name__

    def predict(self, embeddings: npt.NDArray[np.float32]) -> list[Any]:
        """Label texts.

        Args:
            embeddings: float32 (rows, dim).

        Returns:
            A label a row; multi-label a tuple of labels a row, in the order of `labels`.
        """
        if not self.multi_label and not isinstance(self.estimator, DifferentiableHead):
            answers = self.estimator.predict(embeddings)
            return [self.labels[answer] if isinstance(answer, np.integer) else str(answer) for answer in answers]
        if isinstance(self.estimator, DifferentiableHead):
            answers = self.estimator.predict_proba(embeddings)
            if not self.multi_label:
                return [self.labels[column] for column in answers.argmax(axis=1)]
            applies = answers > 0.5  # noqa: PLR2004 - as likely as not
        else:
            applies = np.asarray(self.estimator.predict(embeddings)) > 0
        return [tuple(name for name, is_in in zip(self.labels, row, strict=True) if is_in) for row in applies]

    def predict_proba(self, embeddings: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Give probabilities.

        Args:
            embeddings: float32 (rows, dim).

        Returns:
            float64 (rows, labels).

        Raises:
            UsageError: The estimator gives none.
        """
        if not hasattr(self.estimator, "predict_proba"):
            raise UsageError(f"head: expected a classifier with predict_proba, got {self.kind}, which only decides")
        answers = self.estimator.predict_proba(embeddings)
        if isinstance(answers, list):  # a binary answer a label
            answers = np.stack(answers, axis=1)[:, :, 1]
        return np.asarray(answers, dtype=np.float64)
