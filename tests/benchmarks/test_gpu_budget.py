"""A run on a GPU keeps to its minutes: what is timed is planned by what one call of each takes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks._cases import Case, Kind
from benchmarks._gpu._budget import AMOUNTS, RESERVE_S, Budget, least_s, make_plan
from benchmarks._gpu._cases import Job, What

JOBS = tuple(Job(Case(f"case {number}", Kind.LENGTH, ("a",), (3,)), What.TEXT) for number in range(6))


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_what_is_left_is_what_was_given_less_what_was_spent_and_the_reserve() -> None:
    clock = Clock()
    budget = Budget(100, clock)

    assert (budget.spent, budget.left, budget.may_load) == (0, 100 - RESERVE_S, True)
    clock.now += 49
    assert (budget.left, budget.may_load) == (51 - RESERVE_S, True)
    clock.now += 1
    assert not budget.may_load, "half of the time is gone"
    clock.now += 49
    assert budget.left == 0, "not below: what is left is slept on nowhere"


def test_plenty_of_time_takes_the_largest_amount() -> None:
    plan = make_plan({job: {"a": 1.0, "b": 2.0} for job in JOBS}, 1e6)

    assert (plan.rounds, plan.seconds) == AMOUNTS[0]
    assert plan.jobs == JOBS
    assert not plan.left_out


def test_a_call_that_is_longer_than_a_turn_counts_in_full() -> None:
    """4 turns of 4 calls and 3 warm-ups of 2 calls, of a second each."""
    assert least_s({"slow": 1000.0}) == pytest.approx(4 * 4 + 3 * 2)
    assert least_s({"slow": 1000.0, "slower": 2000.0}) == pytest.approx(3 * 22)


def test_what_does_not_fit_is_left_out_from_the_least_important_on() -> None:
    costs = {job: {"a": 1000.0} for job in JOBS}

    plan = make_plan(costs, 3.5 * least_s({"a": 1000.0}))

    assert plan.jobs == JOBS[:3]
    assert plan.left_out == JOBS[3:]
    assert (plan.rounds, plan.seconds) == AMOUNTS[-1]


def test_a_job_that_is_too_long_leaves_room_for_a_shorter_one_after_it() -> None:
    plan = make_plan({JOBS[0]: {"a": 1e6}, JOBS[1]: {"a": 0.1}}, 60)

    assert plan.jobs == (JOBS[1],)
    assert plan.left_out == (JOBS[0],)


@given(
    st.lists(st.dictionaries(st.sampled_from("abc"), st.floats(1e-3, 1e5), min_size=1), min_size=1, max_size=6),
    st.floats(0, 600),
)
def test_no_plan_costs_more_than_there_is(calls: list[dict[str, float]], available: float) -> None:
    costs = dict(zip(JOBS, calls, strict=False))

    plan = make_plan(costs, available)

    assert plan.cost_s <= available
    assert sorted(plan.jobs + plan.left_out, key=JOBS.index) == list(costs), "each job is planned or left out, once"
