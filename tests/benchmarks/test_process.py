"""A contender's process: what it answers, how it dies, and that none is left behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from benchmarks._errors import BenchmarkError
from benchmarks._process import Worker, workers
from benchmarks._worker import MIN_CALLS

TEXTS = ["late", "réfund\n中 \ud800"]


def fake(name: str) -> list[str]:
    return [sys.executable, "-m", "tests.benchmarks.fakes", name]


@pytest.fixture(autouse=True)
def _never_for_ever() -> Iterator[None]:
    """End a test whose process stands still: that is what these tests are about."""

    def give_up(*_: object) -> None:
        raise TimeoutError("a process did not answer within a minute")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The ids of all processes that the test starts."""
    ids: list[int] = []
    popen = subprocess.Popen

    def recorded(command: Sequence[str], **options: Any) -> object:
        process = popen(command, **options)
        ids.append(process.pid)
        return process

    monkeypatch.setattr(subprocess, "Popen", recorded)
    return ids


def is_there(process_id: int) -> bool:
    """Tell whether a process runs, or is a zombie."""
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_process_answers_labels_and_times(started: list[int]) -> None:
    with workers({"fake": fake("Upper")}, threads=1) as (worker,):
        assert isinstance(worker, Worker)
        assert worker.contender == "fake"
        assert worker.labels(TEXTS) == [text.upper() for text in TEXTS]
        assert len(worker.times(TEXTS, 0.0)) == MIN_CALLS
        start = time.perf_counter()
        times = worker.times(TEXTS, 0.05)
        elapsed_ms = (time.perf_counter() - start) * 1e3
        assert len(times) > MIN_CALLS
        assert min(times) > 0
        assert 1 < sum(times) < elapsed_ms, "expected milliseconds"
        assert is_there(started[0])

    assert len(started) == 1
    assert not is_there(started[0])


def test_what_a_contender_prints_neither_blocks_it_nor_gets_into_the_answers() -> None:
    with workers({"chatty": fake("Chatty")}, threads=1) as (worker,):
        assert worker.labels(TEXTS) == [text.upper() for text in TEXTS]
        assert len(worker.times(TEXTS, 0.0)) == MIN_CALLS
        assert worker.labels(["again"]) == ["AGAIN"]


def test_a_process_that_dies_while_it_loads_is_told_with_its_last_line(started: list[int]) -> None:
    commands = {"good": fake("Upper"), "bad": fake("NeverLoads"), "unasked": fake("Upper")}
    expected = "^bad: its process ended with status 1: ModuleNotFoundError: No module named 'no_such_package'$"

    with pytest.raises(BenchmarkError, match=expected), workers(commands, threads=1):
        pytest.fail("a contender that never loaded was handed out")

    assert len(started) == 3
    assert not any(map(is_there, started))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Fails", "^bad: its process ended with status 1: ValueError: cannot answer this$"),
        ("Killed", "^bad: its process ended with status -9: it said nothing$"),
    ],
)
def test_a_process_that_dies_at_work_is_told_with_its_last_line(name: str, expected: str, started: list[int]) -> None:
    with workers({"good": fake("Upper"), "bad": fake(name)}, threads=1) as (good, bad):
        for ask in (lambda: bad.times(["poison"], 0.1), lambda: bad.labels(["still?"])):
            with pytest.raises(BenchmarkError, match=expected):
                ask()
        assert good.labels(["a"]) == ["A"]

    assert len(started) == 2
    assert not any(map(is_there, started))


def test_an_answer_cut_short_counts_as_death() -> None:
    program = "print('{}'); input(); print('{\"labels\": [\"A', end='')"

    with (
        workers({"bad": [sys.executable, "-c", program]}, threads=1) as (worker,),
        pytest.raises(BenchmarkError, match=r"^bad: its process ended with status 0: it said nothing$"),
    ):
        worker.labels(["a"])


def test_no_process_is_left_when_the_user_interrupts(started: list[int]) -> None:
    with pytest.raises(KeyboardInterrupt), workers({name: fake("Upper") for name in "AB"}, threads=1):
        raise KeyboardInterrupt

    assert len(started) == 2
    assert not any(map(is_there, started))


def test_libraries_that_read_the_environment_are_told_the_threads() -> None:
    program = (
        "import os; print('{}'); input(); print('{\"labels\": [\"%s %s\"]}' % "
        "(os.environ['OMP_NUM_THREADS'], os.environ['RAYON_NUM_THREADS']))"
    )

    with workers({"fake": [sys.executable, "-c", program]}, threads=3) as (worker,):
        assert worker.labels(["a"]) == ["3 3"]
