"""A contender's process: what it answers, how it dies, that it rests between calls, and that none is left behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import _process
from benchmarks._errors import ContenderFailed
from benchmarks._process import CHUNK, Limits, Worker, start

from .fakes import LABELS, command

TEXTS = ["late", "réfund\n中 \ud800"]
RIGHT = [LABELS[len(text) % 3] for text in TEXTS]
LIMITS = Limits(load_s=60, call_s=60)


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


def loaded(kind: str, limits: Limits = LIMITS) -> "Loaded":
    return Loaded(command(kind), limits)


class Loaded:
    """A process that is waited for, ended at the end of the block."""

    def __init__(self, command: Sequence[str], limits: Limits) -> None:
        self._context = start(command, 1, limits)

    def __enter__(self) -> Worker:
        worker = self._context.__enter__()
        try:
            worker.wait()
        except BaseException as error:
            self._context.__exit__(type(error), error, error.__traceback__)
            raise
        return worker

    def __exit__(self, *error: object) -> None:
        self._context.__exit__(*error)


def test_a_process_answers_labels_and_probabilities(started: list[int]) -> None:
    with loaded("Likely") as worker:
        assert worker.labels(TEXTS) == RIGHT
        assert worker.labels([]) == []
        probabilities = worker.probabilities(TEXTS)
        assert probabilities is not None
        assert [LABELS[index] for index in probabilities.argmax(axis=1)] == RIGHT
        assert is_there(started[0])

    assert len(started) == 1
    assert not is_there(started[0])


def test_a_contender_without_probabilities_says_so() -> None:
    with loaded("Right") as worker:
        assert worker.probabilities(TEXTS) is None


def test_many_texts_are_asked_for_in_pieces() -> None:
    texts = ["x" * (number % 7) for number in range(2 * CHUNK + 3)]

    with loaded("Likely") as worker:
        probabilities = worker.probabilities(texts)

        assert worker.labels(texts) == [LABELS[len(text) % 3] for text in texts]
    assert probabilities is not None
    assert probabilities.shape == (len(texts), 3)


def test_times_are_milliseconds_of_the_calls() -> None:
    with loaded("Slow") as worker:
        assert len(worker.repeat(TEXTS, 0.0, 3)) == 3
        begun = time.perf_counter()
        repeated = worker.repeat(TEXTS, 0.05, 1)
        elapsed_ms = (time.perf_counter() - begun) * 1e3
        each = worker.each([*TEXTS, "third"])
        seconds, cpu_seconds = worker.once(TEXTS)

    assert min(repeated) >= 5
    assert sum(repeated) < elapsed_ms
    assert len(each) == 3
    assert min(each) >= 5
    assert seconds >= 0.005
    assert 0 <= cpu_seconds < seconds, "a contender that sleeps burns nothing"


def test_texts_that_arrive_before_the_last_is_answered_wait() -> None:
    with loaded("Slow") as worker:
        waited = worker.arrivals(["a"] * 4, [0.0, 0.0, 0.0, 0.2])

    assert waited[0] >= 5
    assert waited[1] >= waited[0] + 5
    assert waited[2] >= waited[1] + 5
    assert waited[3] < waited[2], "it came when nobody was waiting"


def test_memory_is_that_of_the_process_and_not_of_who_started_it() -> None:
    ballast = np.ones(300_000_000 // 8)  # this process is now larger than the contender will ever be

    with loaded("Right") as worker:
        rss, peak = worker.memory()

    assert ballast.nbytes / 1e6 == 300
    assert 10 < rss <= peak < 200


def test_what_a_contender_prints_neither_blocks_it_nor_gets_into_the_answers() -> None:
    with loaded("Chatty") as worker:
        assert worker.labels(TEXTS) == RIGHT
        assert len(worker.repeat(TEXTS, 0.0, 3)) == 3
        assert worker.labels(TEXTS) == RIGHT


def test_between_two_requests_nothing_of_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither its threads nor the processes that it started: they would take time from whose turn it is."""
    monkeypatch.setenv("FAKE_CHILD", str(tmp_path / "child"))

    def cpu_of(process_id: int) -> int:
        fields = Path(f"/proc/{process_id}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])

    with loaded("Restless") as worker:
        worker.labels(TEXTS)
        child = int((tmp_path / "child").read_text(encoding="ascii"))
        processes = [worker._process.pid, child]
        time.sleep(0.1)  # a signal takes a moment
        before = [cpu_of(process) for process in processes]
        time.sleep(0.3)
        assert [cpu_of(process) for process in processes] == before
        assert worker.labels(TEXTS) == RIGHT, "it must go on when it is asked again"

    time.sleep(0.1)
    assert not is_there(child) or Path(f"/proc/{child}/stat").read_text(encoding="utf-8").split()[2] == "Z"


def test_a_process_that_dies_while_it_loads_is_told_with_its_last_line(started: list[int]) -> None:
    expected = r"^its process ended with status 1: ModuleNotFoundError: No module named 'no_such_package'$"

    with pytest.raises(ContenderFailed, match=expected), loaded("NeverLoads"):
        pytest.fail("a contender that never loaded was handed out")

    assert not any(map(is_there, started))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("Fails", r"^its process ended with status 1: ValueError: cannot answer this$"),
        ("Killed", r"^its process ended with status -9: it said nothing$"),
    ],
)
def test_a_process_that_dies_at_work_is_told_with_its_last_line(kind: str, expected: str) -> None:
    with loaded(kind) as worker:
        asks: list[Callable[[], object]] = [lambda: worker.repeat(TEXTS, 0.1, 1), lambda: worker.labels(["still?"])]
        for ask in asks:
            with pytest.raises(ContenderFailed, match=expected):
                ask()


def test_a_process_that_does_not_answer_in_time_is_killed(started: list[int]) -> None:
    with loaded("Hangs", Limits(load_s=60, call_s=0.2)) as worker:
        assert worker.labels(["first"]) == [LABELS[5 % 3]]
        with pytest.raises(ContenderFailed, match=r"^no answer within 0.2 s: killed$"):
            worker.labels(["second"])
        with pytest.raises(ContenderFailed, match="ended with status -9"):
            worker.labels(["third"])

    assert not any(map(is_there, started))


def test_a_process_that_does_not_load_in_time_is_killed(started: list[int]) -> None:
    sleeper = [sys.executable, "-c", "import time; time.sleep(3600)"]

    with pytest.raises(ContenderFailed, match=r"no answer within 0\.5 s: killed"), Loaded(sleeper, Limits(0.5, 60)):
        pytest.fail("a contender that never loaded was handed out")

    assert not any(map(is_there, started))


def test_a_contender_that_leaves_a_label_out_has_failed() -> None:
    with loaded("Short") as worker, pytest.raises(ContenderFailed, match=r"expected 2 labels, one a text, got \['"):
        worker.labels(TEXTS)


def test_an_answer_cut_short_counts_as_death() -> None:
    program = "print('{}'); input(); print('{\"labels\": [\"A', end='')"

    with (
        Loaded([sys.executable, "-c", program], LIMITS) as worker,
        pytest.raises(ContenderFailed, match=r"^its process ended with status 0: it said nothing$"),
    ):
        worker.labels(["a"])


@pytest.mark.parametrize("answer", ["no json", "[1]"])
def test_what_is_no_answer_is_told(answer: str) -> None:
    program = f"print('{{}}', flush=True); input(); print({answer!r}, flush=True); input()"

    with (
        Loaded([sys.executable, "-c", program], LIMITS) as worker,
        pytest.raises(ContenderFailed, match="expected an ans"),
    ):
        worker.labels(["a"])


def test_a_process_that_hangs_at_its_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_process, "END_S", 0.2)
    program = "import os, time; print('{}', flush=True); input(); os.close(1); time.sleep(3600)"

    with (
        Loaded([sys.executable, "-c", program], LIMITS) as worker,
        pytest.raises(ContenderFailed, match="its process ended with status -9"),
    ):
        worker.labels(["a"])


def test_no_process_is_left_when_the_user_interrupts(started: list[int]) -> None:
    with pytest.raises(KeyboardInterrupt), loaded("Right"), loaded("Right"):
        raise KeyboardInterrupt

    assert len(started) == 2
    assert not any(map(is_there, started))


def test_no_process_outlives_a_suite_that_is_killed(tmp_path: Path) -> None:
    """Not even one that is stopped, and so cannot see that nobody is there any more."""
    program = (
        "import os, pathlib, sys, time\n"
        "from benchmarks._process import Limits, start\n"
        "from tests.benchmarks.fakes import command\n"
        "with start(command('Right'), 1, Limits()) as worker:\n"
        "    worker.wait()\n"
        "    worker.pause()\n"
        f"    pathlib.Path({str(tmp_path / 'id')!r}).write_text(str(worker._process.pid))\n"
        "    os.kill(os.getpid(), 9)\n"
    )

    done = subprocess.run([sys.executable, "-c", program], cwd=_process.ROOT, check=False, capture_output=True)

    assert done.returncode == -9, done.stderr
    process = int((tmp_path / "id").read_text(encoding="ascii"))
    for _ in range(100):
        if not is_there(process) or Path(f"/proc/{process}/stat").read_text(encoding="utf-8").split()[2] == "Z":
            break
        time.sleep(0.05)
    else:
        pytest.fail("the contender is still there")


def test_libraries_that_read_the_environment_are_told_the_threads() -> None:
    program = (
        "import os; print('{}'); input(); print('{\"labels\": [\"%s %s\"]}' % "
        "(os.environ['OMP_NUM_THREADS'], os.environ['RAYON_NUM_THREADS']))"
    )

    with start([sys.executable, "-c", program], 3, LIMITS) as worker:
        worker.wait()
        assert worker.labels(["a"]) == ["3 3"]
