"""Time contenders side by side, turn by turn, so that drift hits all alike; one that fails leaves the others at it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar

import numpy as np

from ._cases import Case, Corpus, Kind
from ._errors import ContenderFailed
from ._results import LatencyRow, ThroughputRow
from ._statistics import ratio

STABLE = 0.05
"""A contender is warm when two turns in a row have medians within this share of each other."""
LOAD = 0.5
"""Texts arrive, where they arrive by themselves, at this share of the rate that the contender can answer them at."""

Turn = TypeVar("Turn")


class Roster:
    """Who is still in the run, and why the others are not."""

    def __init__(self, contenders: Sequence[str]) -> None:
        """Begin with everyone."""
        self.running = list(contenders)
        self.failed: dict[str, str] = {}

    def fail(self, contender: str, reason: str) -> None:
        """Take a contender out of the run."""
        if contender in self.running:
            self.running.remove(contender)
            self.failed[contender] = reason


class Repeats(Protocol):
    """What can be asked for the same again."""

    def repeat(self, texts: Sequence[str], seconds: float, calls: int) -> list[float]:
        """Repeat a call for some seconds, and so often at least; give each one's wall time in milliseconds."""


class Timed(Repeats, Protocol):
    """What can be timed: a contender's process, or a stand-in for one."""

    def each(self, texts: Sequence[str]) -> list[float]:
        """Label the texts one after the other; give each one's wall time in milliseconds."""

    def arrivals(self, texts: Sequence[str], at_s: Sequence[float]) -> list[float]:
        """Have texts arrive at given seconds; give the milliseconds from the arrival of each to its answer."""


def interleave(
    roster: Roster, rounds: int, turn: Callable[[str, int], Turn], tick: Callable[[], object]
) -> dict[str, list[Turn]]:
    """Give every contender a turn a round; who begins rotates.

    Args:
        roster: Whose turn it is; one that fails is taken out of it, and of what is returned.
        rounds: How many.
        turn: Gives what is measured of a contender in a round.
        tick: Called after every turn.
    """
    taken: dict[str, list[Turn]] = {name: [] for name in roster.running}
    for number in range(rounds):
        order = list(roster.running)
        first = number % max(len(order), 1)
        for name in (*order[first:], *order[:first]):
            try:
                taken[name].append(turn(name, number))
            except ContenderFailed as error:
                roster.fail(name, str(error))
            tick()
    return {name: turns for name, turns in taken.items() if name in roster.running}


def warm_up(subject: Repeats, texts: Sequence[str], seconds: float, turns: int) -> None:
    """Repeat a call until its time is stable, or so many turns are over."""
    before = np.inf
    for _ in range(turns):
        now = float(np.median(subject.repeat(texts, seconds, 1)))
        if abs(now - before) <= STABLE * now:
            return
        before = now


def time_case(
    case: Case,
    roster: Roster,
    subject: Callable[[str], Timed],
    *,
    rounds: int,
    seconds: float,
    calls: int,
    warm_ups: int,
    closed_ms: Mapping[str, float],
    tick: Callable[[], object],
) -> dict[str, list[list[float]]]:
    """Time every contender in one case.

    Args:
        case: The work.
        roster: Who takes part.
        subject: Gives a contender, ready to answer.
        rounds: How often everybody has a turn, after one that warms up.
        seconds: Length of a turn where a call is repeated; real texts take as long as they take.
        calls: Of such a turn at least.
        warm_ups: Turns that warm up, at most.
        closed_ms: Mean time that each contender takes for a text one after the other: sets the rate at which texts
            arrive. Read for open cases only.
        tick: Called after every turn, the warm-up included.

    Returns:
        Milliseconds of each call, a list a round, of each contender that did not fail.
    """
    if case.kind in (Kind.CLOSED, Kind.OPEN):
        rounds = min(rounds, len(case.texts))  # each has a text
    slices = [range(number, len(case.texts), rounds) for number in range(rounds)]

    one_a_length = list(dict(zip(case.tokens, case.texts, strict=True)).values())

    def warm(name: str, _: int) -> None:
        warm_up(subject(name), case.texts if case.kind is Kind.BATCH else case.texts[:1], seconds / 2, warm_ups)
        if case.kind in (Kind.CLOSED, Kind.OPEN):  # some engines prepare themselves for every new length
            subject(name).each(one_a_length)

    def turn(name: str, number: int) -> list[float]:
        if case.kind in (Kind.LENGTH, Kind.BATCH):
            return subject(name).repeat(case.texts, seconds, calls)
        texts = [case.texts[index] for index in slices[number]]
        if case.kind is Kind.CLOSED:
            return subject(name).each(texts)
        return subject(name).arrivals(texts, arrivals(len(texts), closed_ms[name], seed=number))

    interleave(roster, 1, warm, tick)
    return interleave(roster, rounds, turn, tick)


def arrivals(count: int, service_ms: float, *, seed: int) -> list[float]:
    """Give the seconds at which texts arrive: at random and independently, at `LOAD` of what can be answered.

    Args:
        count: How many.
        service_ms: Mean time of an answer.
        seed: The same one gives the same arrivals, stretched to the service time.
    """
    gaps = np.random.default_rng(seed).exponential(service_ms / 1e3 / LOAD, size=count)
    return [float(second) for second in np.cumsum(gaps)]


def latency_row(
    contender: str,
    case: Case,
    rounds: Sequence[Sequence[float]],
    reference: Sequence[Sequence[float]] | None,
    *,
    agreement: float,
    roof_ms: float | None,
) -> LatencyRow:
    """Turn the times of one contender in one case into a row.

    Args:
        contender: Its name.
        case: What was timed.
        rounds: Milliseconds of each call, a list a round.
        reference: The same of the contender that it is compared with, in the same rounds.
        agreement: Its label agreement.
        roof_ms: How long the model's multiplications of a call take at the machine's peak.
    """
    times = np.concatenate(rounds)
    p50, p90, p99 = np.percentile(times, [50, 90, 99])
    medians = [float(np.median(own)) for own in rounds]
    compared = ratio(medians, None if reference is None else [float(np.median(theirs)) for theirs in reference])
    real = case.kind in (Kind.CLOSED, Kind.OPEN)
    return LatencyRow(
        contender=contender,
        case=case.name,
        kind=str(case.kind),
        texts=case.per_call,
        tokens=sum(case.tokens) / len(case.tokens) * case.per_call,
        samples=len(times),
        p50_ms=float(p50),
        p90_ms=float(p90),
        p99_ms=float(p99),
        max_ms=float(times.max()),
        ratio=compared.value,
        ratio_low=compared.low,
        ratio_high=compared.high,
        label_agreement=agreement,
        roof_share=None if roof_ms is None else roof_ms / float(p50),
        round_p50_ms=tuple(medians),
        percentiles_ms=tuple(np.percentile(times, np.arange(101)).tolist()) if real else (),
    )


def throughput_row(
    contender: str,
    corpus: Corpus,
    rounds: Sequence[tuple[float, float]],
    reference: Sequence[tuple[float, float]] | None,
    *,
    threads: int,
    agreement: float,
    padding: float,
    roof_s: float | None,
) -> ThroughputRow:
    """Turn what one contender needed for texts of mixed lengths into a row.

    Args:
        contender: Its name.
        corpus: The texts of a call.
        rounds: Wall seconds and CPU-seconds of the call, a pair a round.
        reference: The same of the contender that it is compared with, in the same rounds.
        threads: It was told to use.
        agreement: Its label agreement.
        padding: Share of what it computes that is padding.
        roof_s: How long the model's multiplications of a call take at the machine's peak.
    """
    count = len(corpus.texts)
    speeds = [count / wall for wall, _ in rounds]
    compared = ratio(speeds, None if reference is None else [count / wall for wall, _ in reference])
    wall, cpu = (float(np.median(seconds)) for seconds in zip(*rounds, strict=True))
    return ThroughputRow(
        contender=contender,
        threads=threads,
        texts=count,
        tokens=sum(corpus.tokens),
        texts_per_s=count / wall,
        ratio=compared.value,
        ratio_low=compared.low,
        ratio_high=compared.high,
        label_agreement=agreement,
        padding_share=padding,
        cpu_s_per_1000=cpu / count * 1000,
        roof_share=None if roof_s is None else roof_s / wall,
        round_texts_per_s=tuple(speeds),
    )
