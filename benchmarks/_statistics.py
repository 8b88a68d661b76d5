"""Ratios of interleaved measurements, and how sure they are."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

CONFIDENCE = 0.95
RESAMPLES = 9_999
MIN_ROUNDS = 6
"""With fewer, the least and the greatest of them do not hold the median as often as the interval would promise."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """How one contender compares with another.

    Attributes:
        value: Median over the rounds of the ratio within a round; None where there is nobody to compare with.
        low: Lower end of its 95 % bootstrap confidence interval; None with fewer than `MIN_ROUNDS`.
        high: Its upper end.
    """

    value: float | None
    low: float | None
    high: float | None


def ratio(own: Sequence[float], reference: Sequence[float] | None) -> Ratio:
    """Compare two contenders round by round: what slows a round down slows both, and leaves the ratio as it was.

    Args:
        own: One figure a round.
        reference: The other's, of the same rounds; None for nobody.
    """
    if reference is None:
        return Ratio(None, None, None)
    within = np.asarray(own) / np.asarray(reference)
    value = float(np.median(within))
    if len(within) < MIN_ROUNDS:
        return Ratio(value, None, None)
    if np.ptp(within) == 0:
        return Ratio(value, value, value)
    # A percentile bootstrap: by hand, since a machine that is measured may have numpy and no scipy.
    drawn = np.random.default_rng(0).choice(within, size=(RESAMPLES, len(within)))
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(np.median(drawn, axis=1), [tail, 1 - tail]).tolist()
    return Ratio(value, low, high)
