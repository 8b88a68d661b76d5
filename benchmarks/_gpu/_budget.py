"""Minutes that a run may take, and how much of it can be timed in what is left of them."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ._cases import Job

CALLS = 3
"""Of a turn at least, however long they take."""
WARM_UPS = 3
"""Turns that warm up a contender in a job, at most."""

AMOUNTS = ((10, 0.3), (10, 0.15), (8, 0.08), (6, 0.04), (4, 0.02))
"""Rounds, and seconds of a turn: the first that fits is taken."""

LOADING = 0.5
"""No further contender is started once this share of the minutes is gone."""
RESERVE_S = 10.0
"""Kept for ending processes and writing files."""


class Budget:
    """The time of a run."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin now.

        Args:
            seconds: That the run may take.
            clock: Gives seconds since whenever.
        """
        self._clock = clock
        self._begun = clock()
        self._seconds = seconds

    @property
    def spent(self) -> float:
        """Seconds since the beginning."""
        return self._clock() - self._begun

    @property
    def left(self) -> float:
        """Seconds that may still be spent on measuring."""
        return max(0.0, self._seconds - RESERVE_S - self.spent)

    @property
    def may_load(self) -> bool:
        """Whether a further contender may be started."""
        return self.spent < self._seconds * LOADING


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is timed.

    Attributes:
        jobs: What, in order.
        rounds: How often every contender has a turn at every job.
        seconds: Length of a turn.
        left_out: Jobs that there is no time for.
        cost_s: What it will take, reckoned from one call of each.
    """

    jobs: tuple[Job, ...]
    rounds: int
    seconds: float
    left_out: tuple[Job, ...]
    cost_s: float


def make_plan(costs: Mapping[Job, Mapping[str, float]], available_s: float) -> Plan:
    """Choose the most that fits.

    Args:
        costs: Milliseconds of a call of every contender that is in a job, jobs in the order of their importance.
        available_s: Seconds.

    Returns:
        All jobs with the largest of `AMOUNTS` that fits; where not even the smallest does, the least important jobs
        are left out, one after the other.
    """
    jobs = tuple(costs)
    for rounds, seconds in AMOUNTS:
        cost = sum(_cost_s(costs[job], rounds, seconds) for job in jobs)
        if cost <= available_s:
            return Plan(jobs, rounds, seconds, (), cost)
    rounds, seconds = AMOUNTS[-1]
    kept: list[Job] = []
    left_out: list[Job] = []
    total = 0.0
    for job in jobs:
        cost = _cost_s(costs[job], rounds, seconds)
        if total + cost <= available_s:
            kept.append(job)
            total += cost
        else:
            left_out.append(job)
    return Plan(tuple(kept), rounds, seconds, tuple(left_out), total)


def least_s(calls_ms: Mapping[str, float]) -> float:
    """Reckon the seconds that one job takes with the smallest of `AMOUNTS`.

    Args:
        calls_ms: Milliseconds of a call of every contender.
    """
    return _cost_s(calls_ms, *AMOUNTS[-1])


def _cost_s(calls_ms: Mapping[str, float], rounds: int, seconds: float) -> float:
    """Reckon what one job takes: each turn begins with a call that is not timed."""
    total = 0.0
    for ms in calls_ms.values():
        call = ms / 1e3
        total += rounds * (max(seconds, CALLS * call) + call) + WARM_UPS * (max(seconds / 2, call) + call)
    return total
