"""The order of the turns, the warm-up, and what becomes of the times."""

from collections.abc import Sequence

import numpy as np
import pytest

from benchmarks._cases import Case, Kind
from benchmarks._errors import ContenderFailed
from benchmarks._runner import LOAD, Roster, arrivals, interleave, latency_row, time_case, warm_up

LENGTH = Case("1 x 3", Kind.LENGTH, ("a b c",), (3,))
BATCH = Case("2 x 2", Kind.BATCH, ("late is", "it not"), (2, 4))
CLOSED = Case("real texts", Kind.CLOSED, ("a", "b", "c", "d", "e"), (3, 4, 5, 6, 7))
OPEN = Case("real texts, open loop", Kind.OPEN, ("a", "b", "c", "d"), (3, 4, 5, 6))


class Machine:
    """A clock for all stand-ins; it slows down as it goes."""

    def __init__(self, drift: float = 0.0) -> None:
        self.turns = 0
        self._drift = drift

    def slowness(self) -> float:
        self.turns += 1
        return 1 + self._drift * self.turns


class StandIn:
    """Takes a known time on a machine, and writes its turns into a diary that all share."""

    def __init__(
        self, name: str, diary: list[tuple[str, ...]], ms: float = 1.0, machine: Machine | None = None
    ) -> None:
        self._name = name
        self._diary = diary
        self._ms = ms
        self._machine = machine or Machine()

    def repeat(self, texts: Sequence[str], seconds: float, calls: int) -> list[float]:
        self._diary.append((self._name, "repeat", f"{seconds:g}", *texts))
        return [self._ms * self._machine.slowness()] * calls

    def each(self, texts: Sequence[str]) -> list[float]:
        self._diary.append((self._name, "each", *texts))
        return [self._ms * self._machine.slowness()] * len(texts)

    def arrivals(self, texts: Sequence[str], at_s: Sequence[float]) -> list[float]:
        self._diary.append((self._name, "arrivals", *texts, f"{at_s[-1]:.9f}"))
        return [self._ms] * len(texts)


def timed(
    case: Case, subjects: dict[str, StandIn], rounds: int, closed_ms: dict[str, float] | None = None
) -> dict[str, list[list[float]]]:
    return time_case(
        case,
        Roster(list(subjects)),
        subjects.__getitem__,
        rounds=rounds,
        seconds=0.5,
        calls=3,
        warm_ups=8,
        closed_ms=closed_ms or {},
        tick=lambda: None,
    )


def test_everybody_has_a_turn_a_round_and_who_begins_rotates() -> None:
    order: list[str] = []
    ticks: list[None] = []

    taken = interleave(
        Roster(["a", "b", "c"]), 4, lambda name, number: order.append(name) or number, lambda: ticks.append(None)
    )

    assert "".join(order) == "abcbcacababc"
    assert taken == {name: [0, 1, 2, 3] for name in "abc"}
    assert len(ticks) == 12


def test_who_fails_is_out_with_the_reason_and_the_others_go_on() -> None:
    roster = Roster(["a", "b", "c"])
    turns: list[tuple[str, int]] = []

    def turn(name: str, number: int) -> int:
        turns.append((name, number))
        if (name, number) == ("b", 1):
            raise ContenderFailed("no answer")
        return number

    taken = interleave(roster, 3, turn, lambda: None)

    assert taken == {"a": [0, 1, 2], "c": [0, 1, 2]}
    assert roster.running == ["a", "c"]
    assert roster.failed == {"b": "no answer"}
    assert ("b", 2) not in turns


def test_nobody_left_is_no_error() -> None:
    def turn(name: str, number: int) -> int:
        raise ContenderFailed(f"{name} {number}")

    assert interleave(Roster(["a"]), 3, turn, lambda: None) == {}
    assert interleave(Roster([]), 3, turn, lambda: None) == {}


@pytest.mark.parametrize(
    ("medians", "expected"),
    [
        ([10.0, 10.2], 2),
        ([90.0, 50.0, 30.0, 12.0, 11.9], 5),
        ([2.0**-number for number in range(20)], 8),
        ([1.0, 1.06, 1.12, 1.13], 4),
    ],
    ids=["at once", "compiles", "never", "creeps"],
)
def test_a_contender_is_warm_when_two_turns_agree(medians: list[float], expected: int) -> None:
    turns: list[float] = []

    class Warming(StandIn):
        def repeat(self, texts: Sequence[str], seconds: float, calls: int) -> list[float]:
            turns.append(seconds * len(texts) * calls)
            return [medians[len(turns) - 1]]

    warm_up(Warming("a", []), ["x"], 0.1, 8)

    assert len(turns) == expected


def test_nothing_of_the_warm_up_is_counted() -> None:
    diary: list[tuple[str, ...]] = []
    subjects = {name: StandIn(name, diary, ms) for name, ms in (("a", 1.0), ("b", 2.0))}

    taken = timed(LENGTH, subjects, rounds=2)

    assert taken == {"a": [[1.0] * 3] * 2, "b": [[2.0] * 3] * 2}
    warm = [entry for entry in diary if entry[2] == "0.25"]
    assert diary[: len(warm)] == warm, "the warm-up comes first"
    assert [entry[0] for entry in diary[len(warm) :]] == ["a", "b", "b", "a"]


def test_a_batch_is_one_call_and_real_texts_are_dealt_out_to_the_rounds() -> None:
    diary: list[tuple[str, ...]] = []

    timed(BATCH, {"a": StandIn("a", diary)}, rounds=1)
    closed = timed(CLOSED, {"a": StandIn("a", diary)}, rounds=2)

    assert ("a", "repeat", "0.5", "late is", "it not") in diary
    warm, *turns = [entry[2:] for entry in diary if entry[1] == "each"]
    assert warm == CLOSED.texts, "a text of every length first"
    assert turns == [("a", "c", "e"), ("b", "d")]
    assert [len(times) for times in closed["a"]] == [3, 2]


def test_texts_arrive_at_half_of_what_each_can_answer() -> None:
    diary: list[tuple[str, ...]] = []
    subjects = {name: StandIn(name, diary) for name in "ab"}

    timed(OPEN, subjects, rounds=1, closed_ms={"a": 1.0, "b": 10.0})

    last = {entry[0]: float(entry[-1]) for entry in diary if entry[1] == "arrivals"}
    assert last["b"] == pytest.approx(10 * last["a"]), "the same arrivals, stretched to what it can answer"
    many = arrivals(20_000, 4.0, seed=3)
    assert many == sorted(many)
    assert many[-1] / len(many) == pytest.approx(4e-3 / LOAD, rel=0.03)
    assert many == arrivals(20_000, 4.0, seed=3)


@pytest.mark.parametrize("drift", [0.0, 0.05])
def test_drift_is_in_the_milliseconds_and_not_in_the_ratio(drift: float) -> None:
    machine = Machine(drift)
    diary: list[tuple[str, ...]] = []
    subjects = {name: StandIn(name, diary, ms, machine) for name, ms in (("ours", 2.0), ("theirs", 5.0))}

    taken = timed(LENGTH, subjects, rounds=20)

    row = latency_row("theirs", LENGTH, taken["theirs"], taken["ours"], agreement=1.0, roof_ms=None)
    assert row.ratio is not None
    assert row.ratio_low is not None
    assert row.ratio_high is not None
    assert row.ratio == pytest.approx(2.5, rel=0.02)
    assert row.ratio_low <= row.ratio <= row.ratio_high
    assert max(row.round_p50_ms) / min(row.round_p50_ms) == pytest.approx(1 + 0.05 * 38 / 1.1 if drift else 1, rel=0.2)


def test_a_row_has_numpys_percentiles_over_all_calls_of_all_rounds() -> None:
    rng = np.random.default_rng(0)
    rounds = [rng.gamma(2.0, size=size).tolist() for size in (40, 7, 101)]

    row = latency_row("x", BATCH, rounds, rounds, agreement=0.75, roof_ms=0.5)

    every = [ms for calls in rounds for ms in calls]
    assert [row.p50_ms, row.p90_ms, row.p99_ms] == pytest.approx(np.percentile(every, [50, 90, 99]).tolist())
    assert row.max_ms == max(every)
    assert row.round_p50_ms == tuple(float(np.median(calls)) for calls in rounds)
    assert (row.contender, row.case, row.kind, row.texts, row.tokens) == ("x", "2 x 2", "batch", 2, 6)
    assert (row.samples, row.ratio, row.label_agreement) == (148, 1.0, 0.75)
    assert row.roof_share == pytest.approx(0.5 / row.p50_ms)
    assert row.percentiles_ms == ()


def test_real_texts_have_all_percentiles_and_the_mean_of_their_tokens() -> None:
    row = latency_row("x", CLOSED, [[3.0, 1.0], [2.0]], None, agreement=1.0, roof_ms=None)

    assert (row.texts, row.tokens) == (1, 5)
    assert (row.ratio, row.ratio_low, row.ratio_high, row.roof_share) == (None, None, None, None)
    assert row.percentiles_ms == pytest.approx(np.percentile([1, 2, 3], np.arange(101)).tolist())


def test_the_ratio_is_the_median_over_the_rounds_of_the_ratios_within_a_round() -> None:
    reference = [[1.0, 1.0, 9.0], [2.0, 2.0], [4.0]]
    own = [[2.0, 2.0, 2.0], [10.0, 10.0], [12.0, 12.0, 50.0]]  # 2, 5 and 3 times as long

    row = latency_row("x", LENGTH, own * 2, reference * 2, agreement=1.0, roof_ms=None)

    assert row.ratio == 3.0
    assert row.ratio_low is not None
    assert row.ratio_high is not None
    assert 2.0 <= row.ratio_low < 3.0 < row.ratio_high <= 5.0


def test_real_texts_that_are_fewer_than_the_rounds_are_a_round_each() -> None:
    diary: list[tuple[str, ...]] = []

    closed = timed(CLOSED, {"a": StandIn("a", diary)}, rounds=10)
    opened = timed(OPEN, {"a": StandIn("a", diary)}, rounds=10, closed_ms={"a": 1.0})

    assert [len(times) for times in closed["a"]] == [1] * 5
    assert [len(times) for times in opened["a"]] == [1] * 4
