"""What is kept of a run that is interrupted."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks._errors import BenchmarkError
from benchmarks._journal import Journal
from benchmarks._runner import Roster

RUN = {"threads": 1, "lengths": [8, 16]}


def never() -> Any:
    pytest.fail("measured again")


def value(data: object) -> Callable[[], Any]:
    return lambda: data


def record(path: Path, steps: dict[str, object], run: dict[str, Any] = RUN) -> None:
    with Journal(path, run, fresh=False) as journal:
        for name, data in steps.items():
            journal.step(name, Roster([]), value(data))


def finished(path: Path, run: dict[str, Any] = RUN) -> int:
    with Journal(path, run, fresh=False) as journal:
        return journal.finished


def test_a_finished_step_is_not_measured_again(tmp_path: Path) -> None:
    path = tmp_path / "new" / "journal.jsonl"
    record(path, {"a": {"x": [1.5, None]}})

    with Journal(path, RUN, fresh=False) as again:
        assert again.finished == 1
        assert again.step("a", Roster([]), never) == {"x": [1.5, None]}
        assert again.step("b", Roster([]), value(2)) == 2

    assert finished(path) == 2


def test_who_had_failed_by_then_is_out_again(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    roster = Roster(["a", "b", "c"])

    def measure() -> int:
        roster.fail("b", "no answer")
        return 1

    with Journal(path, RUN, fresh=False) as journal:
        journal.step("step", roster, measure)
    again = Roster(["a", "b", "c"])
    with Journal(path, RUN, fresh=False) as journal:
        journal.step("step", again, never)

    assert again.running == ["a", "c"]
    assert again.failed == {"b": "no answer"}


@pytest.mark.parametrize("run", [{"threads": 2, "lengths": [8, 16]}, {}])
def test_the_journal_of_another_run_is_started_over_and_that_is_told(run: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    record(path, {"a": 1})

    with Journal(path, run, fresh=False) as other:
        assert (other.finished, other.dropped) == (0, 1)
    assert finished(path) == 0


def test_a_fresh_run_forgets(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    record(path, {"a": 1})

    with Journal(path, RUN, fresh=True) as fresh:
        assert fresh.step("a", Roster([]), value(2)) == 2


def test_a_step_that_was_cut_short_is_measured_again(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    record(path, {"a": 1, "b": 2})
    path.write_bytes(path.read_bytes()[:-5])

    with Journal(path, RUN, fresh=False) as again:
        assert again.step("a", Roster([]), never) == 1
        assert again.step("b", Roster([]), value(3)) == 3

    assert finished(path) == 2, "what was cut short must not spoil what follows"


@pytest.mark.parametrize("damaged", ["no json", "[]", '{"step": "b"}', "\x00"])
def test_what_follows_a_damaged_line_is_measured_again(damaged: str, tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    record(path, {"a": 1})
    with path.open("a", encoding="utf-8") as file:
        file.write(f'{damaged}\n{{"step": "c", "failed": {{}}, "data": 3}}\n')

    with Journal(path, RUN, fresh=False) as again:
        assert (again.finished, again.dropped) == (1, 2)


def test_two_runs_cannot_write_into_one_folder(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"

    with (
        Journal(path, RUN, fresh=False),
        pytest.raises(BenchmarkError, match="another run writes its results here; choose another --out"),
    ):
        Journal(path, RUN, fresh=False)

    assert finished(path) == 0


def test_a_complete_run_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"

    with Journal(path, RUN, fresh=False) as journal:
        journal.step("a", Roster([]), value(1))
        journal.complete()

    assert list(tmp_path.iterdir()) == []
