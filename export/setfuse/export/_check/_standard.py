"""What the checkpoint answers, and how near a graph has to come to it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from setfuse.export._check_set import chosen, margin
from setfuse.export._heads import Head
from setfuse.export._validate import FP32_TOLERANCE, ROUNDING_FACTOR, Answers
from setfuse.runtime import Scores

from ._roles import FloatArray, OutputRole


@dataclass(frozen=True, slots=True)
class Standard:
    """What a graph is held to.

    Attributes:
        head: The checkpoint's.
        answers: Torch's, a text at a time.
        again: Torch's in batches, which shows what rounding alone does.
        tolerance: As of `check`.
    """

    head: Head
    answers: Answers
    again: Answers
    tolerance: float | None

    def expected(self, role: OutputRole) -> FloatArray:
        """Give what an output is to hold: scores, labels as 0 and 1, or embeddings; (texts, ...)."""
        if role is OutputRole.SCORES:
            return self.answers.probabilities.astype(np.float64)
        if role is OutputRole.LABELS:
            return self.chosen(self.answers.probabilities).astype(np.float64)
        return self.answers.embeddings.astype(np.float64)

    def unit(self, role: OutputRole) -> float:
        """Give what a difference is measured in: 1, but the size of decision scores and embeddings where it is more."""
        if role is OutputRole.SCORES and self.head.scores is Scores.DECISION:
            return max(1.0, float(np.abs(self.answers.probabilities).mean()))
        if role in {OutputRole.SCORES, OutputRole.LABELS}:
            return 1.0
        return max(1.0, float(np.abs(self.answers.embeddings).max()))

    def allowed(self, role: OutputRole) -> float:
        """Give the largest difference that counts as equal."""
        if role is OutputRole.LABELS:
            return 0.0
        if self.tolerance is not None:
            return self.tolerance * self.unit(role)
        some, others = self.answers.embeddings, self.again.embeddings
        if role is OutputRole.SCORES:
            some, others = self.answers.probabilities, self.again.probabilities
            if self.head.has_steps:  # torch's own scores may have jumped
                others = some
        return max(FP32_TOLERANCE * self.unit(role), ROUNDING_FACTOR * float(np.abs(some - others).max()))

    def chosen(self, scores: npt.NDArray[np.floating]) -> npt.NDArray[np.bool_]:
        """Tell which labels each text is given: (texts, labels); of NaN, none."""
        given = chosen(np.nan_to_num(scores), multi_label=self.head.multi_label, kind=self.head.scores)
        result: npt.NDArray[np.bool_] = given & ~np.isnan(scores).any(axis=1, keepdims=True)
        return result

    def at_a_tie(self, scores: npt.NDArray[np.floating]) -> npt.NDArray[np.bool_]:
        """Tell of which texts the label may be another one, at what differences of the scores are allowed: (texts,)."""
        sure = margin(scores, multi_label=self.head.multi_label, kind=self.head.scores)
        tie: npt.NDArray[np.bool_] = sure <= 2 * self.allowed(OutputRole.SCORES)
        return tie
