"""From scores to labels: what a text is given, and when it is given none."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ._batching import is_number
from ._errors import UsageError
from ._manifest import Manifest, Task
from ._variant import Scores

THRESHOLDS = {Scores.PROBABILITIES: 0.5, Scores.DECISION: 0.0}
"""The score above which a label applies, of several that may: where scikit-learn's own `predict` draws the line."""

Threshold = float | Mapping[str, float]
"""One for all labels, or by label; labels that are not named keep the usual one."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answer to one text. Plain values throughout: `json.dumps(dataclasses.asdict(prediction))` works.

    Attributes:
        label: The label with the highest score; None only where that score is below the `abstain` that was asked for.
        score: The highest score: a probability, 0 to 1; of a bundle with decision scores, any number.
        scores: The score of every label, in the order of `Classifier.labels`.
        labels: The labels that apply: of a multi-label bundle, those with a score above the threshold (a probability
            above 0.5, a decision score above 0, or as asked for), in the order of `Classifier.labels`, possibly none;
            of any other, `label` alone, or none where that is None.
    """

    label: str | None
    score: float
    scores: Mapping[str, float] = field(repr=False, hash=False)
    labels: tuple[str, ...]

    def top_k(self, k: int) -> list[tuple[str, float]]:
        """Give the labels with the highest scores, whether they apply or not.

        Args:
            k: How many; more than there are gives all.

        Returns:
            Label and score, the highest first, at most `k`; equal scores in the order of `Classifier.labels`.

        Raises:
            UsageError: `k` is no whole number from 1.
        """
        if isinstance(k, bool) or not isinstance(k, int) or k < 1:
            raise UsageError(f"top_k: expected a whole number from 1, got {k!r}")
        return sorted(self.scores.items(), key=lambda item: -item[1])[:k]

    def __repr__(self) -> str:
        if self.label is not None and self.labels != (self.label,):
            return f"Prediction(labels={self.labels!r}, label={self.label!r}, score={self.score:.4f})"
        return f"Prediction(label={self.label!r}, score={self.score:.4f})"


@dataclass(frozen=True, slots=True)
class Rule:
    """Which labels a text is given.

    Attributes:
        labels: Names of the columns.
        thresholds: Of a multi-label bundle, the score of each label above which it applies; else None.
        abstain: Of any other, the score below which a text is given no label; `-inf` for none.
    """

    labels: tuple[str, ...]
    thresholds: tuple[float, ...] | None
    abstain: float

    @classmethod
    def make(cls, manifest: Manifest, abstain: float | None = None, threshold: Threshold | None = None) -> "Rule":
        """Check what was asked for against the bundle.

        Args:
            manifest: The bundle's.
            abstain: Only for bundles of one label a text; None for a label always.
            threshold: Only for multi-label bundles: one for all labels, or by label; None, and labels that are not
                named, for 0.5 (decision scores: 0).

        Raises:
            UsageError: It is for the other kind of bundle, is no number of the range, or names no label of the bundle.
        """
        several = manifest.task is Task.MULTI_LABEL
        if abstain is not None and several:
            raise UsageError("abstain: expected a bundle of one label a text, got a multi-label one; pass threshold")
        if threshold is not None and not several:
            raise UsageError("threshold: expected a multi-label bundle, got one of one label a text; pass abstain")
        by_label: Mapping[str, float] = {}
        default = THRESHOLDS[manifest.scores]
        if isinstance(threshold, Mapping):
            by_label = {label: _score("threshold", value, manifest.scores) for label, value in threshold.items()}
        elif threshold is not None:
            default = _score("threshold", threshold, manifest.scores)
        for label in by_label:
            if label not in manifest.labels:
                raise UsageError(f"threshold: expected labels of {', '.join(manifest.labels)}, got {label!r:.60}")
        return cls(
            labels=manifest.labels,
            thresholds=tuple(by_label.get(label, default) for label in manifest.labels) if several else None,
            abstain=-math.inf if abstain is None else _score("abstain", abstain, manifest.scores),
        )

    def changed(self, manifest: Manifest, abstain: float | None, threshold: Threshold | None) -> "Rule":
        """Give the rule for one call: this one, unless something was asked for.

        Raises:
            UsageError: As of `make`.
        """
        return self if abstain is None and threshold is None else Rule.make(manifest, abstain, threshold)

    def predictions(self, scores: npt.NDArray[np.float32]) -> list[Prediction]:
        """Make of each row of scores (texts, labels) a prediction."""
        return [self.prediction(row) for row in scores.tolist()]

    def prediction(self, row: list[float]) -> Prediction:
        """Make of the scores of one text a prediction."""
        best = max(row)
        label = None if best < self.abstain else self.labels[row.index(best)]
        one = () if label is None else (label,)
        applying = one if self.thresholds is None else self.applying(row)
        named = dict(zip(self.labels, row, strict=True))
        return Prediction(label=label, score=best, scores=named, labels=applying)

    def applying(self, row: list[float]) -> tuple[str, ...]:
        """Give the labels with a score above their threshold."""
        return tuple(
            label
            for label, score, threshold in zip(self.labels, row, self.thresholds or (), strict=True)
            if score > threshold
        )


def _score(name: str, value: float, scores: Scores) -> float:
    number = float(value) if is_number(value) else math.nan
    if not math.isfinite(number) or (scores is Scores.PROBABILITIES and not 0 <= number <= 1):
        expected = "a probability from 0 to 1" if scores is Scores.PROBABILITIES else "a number"
        raise UsageError(f"{name}: expected {expected}, got {value!r:.60}")
    return number
