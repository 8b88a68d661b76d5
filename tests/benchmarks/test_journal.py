"""What is kept of a run that is interrupted."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks._journal import Journal
from benchmarks._runner import Roster

RUN = {"threads": 1, "lengths": [8, 16]}


def never() -> Any:
    pytest.fail("measured again")


def value(data: object) -> Callable[[], Any]:
    return lambda: data


def test_a_finished_step_is_not_measured_again(tmp_path: Path) -> None:
    path = tmp_path / "new" / "journal.jsonl"
    assert Journal(path, RUN, fresh=False).step("a", Roster([]), value({"x": [1.5, None]})) == {"x": [1.5, None]}

    again = Journal(path, RUN, fresh=False)

    assert again.finished == 1
    assert again.step("a", Roster([]), never) == {"x": [1.5, None]}
    assert again.step("b", Roster([]), value(2)) == 2
    assert Journal(path, RUN, fresh=False).finished == 2


def test_who_had_failed_by_then_is_out_again(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    roster = Roster(["a", "b", "c"])

    def measure() -> int:
        roster.fail("b", "no answer")
        return 1

    Journal(path, RUN, fresh=False).step("step", roster, measure)
    again = Roster(["a", "b", "c"])
    Journal(path, RUN, fresh=False).step("step", again, never)

    assert again.running == ["a", "c"]
    assert again.failed == {"b": "no answer"}


@pytest.mark.parametrize("run", [{"threads": 2, "lengths": [8, 16]}, {}])
def test_the_journal_of_another_run_is_started_over(run: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    Journal(path, RUN, fresh=False).step("a", Roster([]), value(1))

    assert Journal(path, run, fresh=False).finished == 0
    assert Journal(path, RUN, fresh=False).finished == 0


def test_a_fresh_run_forgets(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    Journal(path, RUN, fresh=False).step("a", Roster([]), value(1))

    assert Journal(path, RUN, fresh=True).step("a", Roster([]), value(2)) == 2


def test_a_step_that_was_cut_short_is_measured_again(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path, RUN, fresh=False)
    journal.step("a", Roster([]), value(1))
    journal.step("b", Roster([]), value(2))
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])

    again = Journal(path, RUN, fresh=False)

    assert again.step("a", Roster([]), never) == 1
    assert again.step("b", Roster([]), value(3)) == 3
    assert Journal(path, RUN, fresh=False).finished == 2, "what was cut short must not spoil what follows"


def test_a_complete_run_leaves_no_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path, RUN, fresh=False)
    journal.step("a", Roster([]), value(1))

    journal.close()
    journal.close()

    assert list(tmp_path.iterdir()) == []
