"""What an export needs to know of a head."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from setfuse.runtime import Scores

from ._ask import ask
from ._formulas import Formula


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """A classifier on the body's embedding.

    Attributes:
        kind: The estimator, such as `StandardScaler, LinearSVC`.
        classes: Names of the columns, in their order; of a multi-label head without names `0`, `1` and so on.
        numbers: What SetFit's `labels` names: an estimator's own classes where they are numbers, or the columns'
            positions. None where classes are texts: these are the names.
        width: Numbers of the embedding that it reads.
        multi_label: Whether a text can have several labels or none: those above 0.5, or with a decision score above
            0.
        scores: Probabilities, or the decision scores of an estimator that has no `predict_proba`.
        has_steps: Whether a tiny change of the embedding can change a score by much (forests, neighbours, chains of
            hard answers, isotonic calibration).
        formula: What is written into the graph.
        estimator: The estimator itself, which the graph is compared with.
    """

    kind: str
    classes: tuple[str, ...]
    numbers: tuple[int, ...] | None
    width: int
    multi_label: bool
    scores: Scores
    has_steps: bool
    formula: Formula
    estimator: Any

    def answer(self, embeddings: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Ask the estimator itself.

        Args:
            embeddings: (texts, width), of any float type.

        Returns:
            float64 (texts, labels): its probabilities or decision scores. Of two classes with one decision score, the
            first column is its negative.
        """
        return ask(self.estimator, np.asarray(embeddings, dtype=np.float64), self.scores)
