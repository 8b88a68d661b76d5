"""Who gives the model's answers: compared with torch before anybody is timed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ._contenders import Quality

MIN_LABELS = {Quality.SAME: 0.998, Quality.ROUNDED: 0.95, Quality.OTHER: 0.0}
"""Share of torch's labels that a contender must give for its times to be times of the same work. One text may differ in
any case: in a few hundred, one that torch itself was undecided about is more than the share allows."""

MAX_MEAN_DIFFERENCE = {Quality.SAME: 0.01, Quality.ROUNDED: 0.1, Quality.OTHER: np.inf}
"""How far its probabilities may be from torch's in the mean: labels may agree by luck where probabilities are wrong."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What one contender said.

    Attributes:
        labels: The label of each text.
        probabilities: (texts, labels), of all texts or the first of them; None where it has none.
    """

    labels: tuple[str, ...]
    probabilities: npt.NDArray[np.float64] | None


@dataclass(frozen=True, slots=True)
class Agreement:
    """How the answers of one contender compare with torch's.

    Attributes:
        label_agreement: Share of the texts with torch's label.
        mean_difference: Of the probabilities, over all labels and texts; None without probabilities.
        max_difference: The largest.
        wrong: Why its times are struck out; empty where its answers are the model's.
    """

    label_agreement: float
    mean_difference: float | None
    max_difference: float | None
    wrong: str


def compare(answers: Answers, oracle: Answers, texts: Sequence[str], quality: Quality) -> Agreement:
    """Compare a contender's answers with torch's.

    Args:
        answers: The contender's.
        oracle: Torch's, of the same texts.
        texts: To name the first that differs.
        quality: What the contender is held to.
    """
    differ = [
        index for index, (own, right) in enumerate(zip(answers.labels, oracle.labels, strict=True)) if own != right
    ]
    share = 1 - len(differ) / len(texts)
    mean = largest = None
    shapes = {None if one.probabilities is None else one.probabilities.shape for one in (answers, oracle)} - {None}
    if len(shapes) > 1:
        return Agreement(share, None, None, f"expected probabilities of one shape, found {sorted(map(str, shapes))}")
    if answers.probabilities is not None and oracle.probabilities is not None and quality is not Quality.OTHER:
        difference = np.abs(answers.probabilities - oracle.probabilities)
        mean, largest = float(difference.mean()), float(difference.max())
    wrong = []
    if share < MIN_LABELS[quality] and len(differ) > 1:
        first = differ[0]
        wrong.append(
            f"{len(differ)} of {len(texts)} labels are not torch's ({MIN_LABELS[quality]:.1%} must be), the first "
            f"{answers.labels[first]!r} for {oracle.labels[first]!r} of {texts[first]!r:.60}"
        )
    if mean is not None and not mean <= MAX_MEAN_DIFFERENCE[quality]:  # NaN is wrong, too
        wrong.append(f"probabilities off by {mean:.2g} in the mean (at most {MAX_MEAN_DIFFERENCE[quality]:g})")
    return Agreement(share, mean, largest, "; ".join(wrong))
