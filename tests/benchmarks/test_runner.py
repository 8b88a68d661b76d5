"""Agreement of the labels, the order of the turns, and what becomes of the times."""

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from benchmarks._errors import BenchmarkError
from benchmarks._runner import Case, agreement, measure, summarize

CASES = (Case("1 x 3", ("a b c",), 3), Case("2 x 2", ("late is", "it not"), 4))


class StandIn:
    """Answers as it is told to, and writes its turns into a diary that all share."""

    def __init__(
        self,
        contender: str,
        diary: list[tuple[str, str]],
        *,
        label: Callable[[str], str] = str.upper,
        turns: Sequence[Sequence[float]] = ((1.0, 2.0, 3.0),),
    ) -> None:
        self.contender = contender
        self._diary = diary
        self._label = label
        self._turns = itertools.cycle(turns)

    def labels(self, texts: Sequence[str]) -> list[str]:
        self._diary.append((self.contender, "labels"))
        return [self._label(text) for text in texts]

    def times(self, texts: Sequence[str], seconds: float) -> list[float]:
        assert seconds == 0.5
        self._diary.append((self.contender, " | ".join(texts)))
        return list(next(self._turns))


class NeverTimed(StandIn):
    def times(self, texts: Sequence[str], seconds: float) -> list[float]:
        raise AssertionError(f"timed {texts} for {seconds} s before the labels were compared")


def test_percentiles_are_numpys_over_all_calls_of_all_rounds() -> None:
    rng = np.random.default_rng(0)
    rounds = [rng.gamma(2.0, size=size).tolist() for size in (40, 7, 101)]

    row = summarize("x", CASES[1], rounds, rounds, 0.75)

    every = [ms for calls in rounds for ms in calls]
    assert [row.p50_ms, row.p90_ms, row.p99_ms] == pytest.approx(np.percentile(every, [50, 90, 99]).tolist())
    assert (row.contender, row.case, row.texts, row.tokens) == ("x", "2 x 2", 2, 4)
    assert (row.samples, row.ratio, row.label_agreement) == (148, 1.0, 0.75)


def test_the_ratio_is_the_median_over_the_rounds_of_the_ratios_within_a_round() -> None:
    reference = [[1.0, 1.0, 9.0], [2.0, 2.0], [4.0]]
    own = [[2.0, 2.0, 2.0], [10.0, 10.0], [12.0, 12.0, 50.0]]  # 2, 5 and 3 times as long

    assert summarize("x", CASES[0], own, reference, 1.0).ratio == 3.0


def test_a_drift_that_hits_all_alike_cancels_in_the_ratio() -> None:
    drift = [1.0, 2.0, 3.0, 4.0, 5.0]  # the machine gets hotter
    # In a turn of 60 ms the fast one gets in fewer and fewer calls, the slow one its three: pooled, they weigh the
    # rounds differently.
    reference = [[2.0 * factor] * round(60 / (2 * factor)) for factor in drift]
    own = [[6.0 * factor] * 3 for factor in drift]

    row = summarize("own", CASES[0], own, reference, 1.0)

    assert row.ratio == pytest.approx(3.0)
    pooled = summarize("reference", CASES[0], reference, reference, 1.0)
    assert row.p50_ms / pooled.p50_ms == pytest.approx(4.5), "without the rounds, drift would pass for slowness"


def test_turns_are_interleaved_and_rotate() -> None:
    diary: list[tuple[str, str]] = []
    subjects = [StandIn(name, diary) for name in "ABC"]

    measure(subjects, CASES, rounds=3, seconds=0.5)

    assert diary[:3] == [("A", "labels"), ("B", "labels"), ("C", "labels")]
    turns = diary[3:]
    assert [text for _, text in turns] == ["a b c"] * 12 + ["late is | it not"] * 12
    # the first three of a case warm up
    assert "".join(name for name, _ in turns) == 2 * ("ABC" + "BCA" + "CAB" + "ABC")


def test_the_first_turn_of_a_case_is_not_counted() -> None:
    diary: list[tuple[str, str]] = []
    fast = StandIn("fast", diary, turns=[[99.0], [1.0, 1.0], [3.0]])
    slow = StandIn("slow", diary, turns=[[9999.0], [2.0], [6.0, 6.0]])

    rows = measure([fast, slow], CASES, rounds=2, seconds=0.5)

    assert [(row.case, row.contender) for row in rows] == [
        ("1 x 3", "fast"),
        ("1 x 3", "slow"),
        ("2 x 2", "fast"),
        ("2 x 2", "slow"),
    ]
    assert [row.samples for row in rows] == [3] * 4
    assert [row.p50_ms for row in rows] == [1.0, 6.0, 1.0, 6.0]
    assert [row.ratio for row in rows] == [1.0, 2.0, 1.0, 2.0]
    assert {row.label_agreement for row in rows} == {1.0}


def test_labels_are_compared_before_anything_is_timed() -> None:
    diary: list[tuple[str, str]] = []
    subjects = [
        NeverTimed("ours", diary),
        NeverTimed("theirs", diary, label=lambda text: "REFUND" if "not" in text else text.upper()),
    ]

    with pytest.raises(BenchmarkError) as error:
        measure(subjects, CASES, rounds=2, seconds=0.5)

    message = str(error.value)
    assert "theirs says 'REFUND' where ours says 'IT NOT'" in message
    assert "'it not'" in message
    assert "1 of 3 texts" in message
    assert "\n" not in message


def test_labels_of_all_cases_are_compared() -> None:
    diary: list[tuple[str, str]] = []

    assert agreement([StandIn(name, diary) for name in "AB"], CASES) == {"A": 1.0, "B": 1.0}


def test_a_contender_that_gives_too_few_labels_is_refused() -> None:
    class Lazy(StandIn):
        def labels(self, texts: Sequence[str]) -> list[str]:
            return super().labels(texts)[1:]

    with pytest.raises(BenchmarkError, match="lazy: expected 3 labels, one a text, got 2"):
        agreement([StandIn("ours", []), Lazy("lazy", [])], CASES)
