"""Ratios within a round, their intervals, and the share of padding."""

import numpy as np
import pytest

from benchmarks._contenders import Batching
from benchmarks._padding import padding_share
from benchmarks._statistics import MIN_ROUNDS, Ratio, ratio


def test_the_interval_covers_the_true_ratio_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(200):
        drift = rng.uniform(1, 3, size=15)
        found = ratio(2.0 * drift * rng.lognormal(0, 0.05, 15), drift)
        covered += found.low <= 2.0 <= found.high

    assert 0.85 < covered / 200 <= 1.0


@pytest.mark.parametrize("rounds", [MIN_ROUNDS, 10, 25])
def test_the_interval_is_scipys(rounds: int) -> None:
    """Both resample at random: an end may fall on the next of the few medians that there are."""
    from scipy.stats import bootstrap

    own = np.random.default_rng(rounds).lognormal(0, 0.3, rounds)

    found = ratio(own, np.ones(rounds))

    theirs = bootstrap((own,), np.median, method="percentile", rng=np.random.default_rng(1)).confidence_interval
    assert found.low == pytest.approx(theirs.low, abs=0.03)
    assert found.high == pytest.approx(theirs.high, abs=0.03)


def test_the_same_figures_give_the_same_interval() -> None:
    own, reference = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0], [1.0] * 6

    assert ratio(own, reference) == ratio(own, reference)
    assert ratio(own, reference).value == 6.0


def test_rounds_that_all_say_the_same_have_an_interval_of_no_width() -> None:
    assert ratio([3.0, 6.0, 9.0] * 2, [2.0, 4.0, 6.0] * 2) == Ratio(1.5, 1.5, 1.5)


@pytest.mark.parametrize("rounds", [1, MIN_ROUNDS - 1])
def test_few_rounds_have_no_interval(rounds: int) -> None:
    assert ratio([3.0] * rounds, [2.0] * rounds) == Ratio(1.5, None, None)


def test_nobody_to_compare_with_is_no_ratio() -> None:
    assert ratio([3.0], None) == Ratio(None, None, None)


def test_padding_is_counted_by_the_way_of_batching() -> None:
    tokens = [8, 32] * 32  # two batches of 32

    assert padding_share(tokens, Batching.EQUAL) == 0
    assert padding_share(tokens, Batching.NONE) == 0
    assert padding_share(tokens, Batching.GIVEN) == pytest.approx(1 - 20 / 32)
    assert padding_share(tokens, Batching.SORTED) == pytest.approx(0)
    assert padding_share([5, 9, 9], Batching.SORTED) == pytest.approx(1 - 23 / 27)
