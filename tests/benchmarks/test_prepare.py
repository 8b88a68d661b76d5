"""Preparations: made once, whole or not at all, in order; failures are reasons."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from benchmarks import _prepare
from benchmarks._contenders import Models
from benchmarks._errors import BenchmarkError

from .fake_registry import __name__ as registry


@pytest.fixture
def models(tmp_path: Path) -> Models:
    return Models(tmp_path / "bundle", tmp_path / "checkpoint", tmp_path / "artefacts of one")


@pytest.fixture(autouse=True)
def _this_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make in this interpreter what the registry of the test names no environment for."""
    monkeypatch.setattr(_prepare, "ENVIRONMENTS", {"": None})
    monkeypatch.setattr(_prepare, "python_for", lambda _: Path(sys.executable))


def prepare(*names: str, models: Models, limit_s: float = 60) -> Mapping[str, str]:
    return _prepare.prepare(names, models, limit_s=limit_s, registry=registry)


def left(models: Models) -> list[str]:
    return sorted(path.name for path in models.artefacts.iterdir())


def is_there(process_id: int) -> bool:
    """Tell whether a process runs; one that ended and that nobody has asked about does not."""
    try:
        state = Path(f"/proc/{process_id}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_until(there: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not there():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_what_is_needed_is_made_first_and_once(models: Models) -> None:
    assert prepare("reader", "good", models=models) == {"good": "", "reader": ""}
    assert (models.artefacts / "reader" / "made").read_text() == "whole again"

    assert prepare("good", "reader", models=models) == {"good": "", "reader": ""}
    assert (models.artefacts / "calls").read_text() == "x"
    assert left(models) == ["calls", "good", "good.log", "reader", "reader.log"]


def test_a_failure_is_a_reason_and_leaves_nothing_but_its_log(models: Models) -> None:
    reasons = prepare("bad", "good", models=models)

    assert reasons == {"bad": "preparation bad: ValueError: cannot be made from checkpoint", "good": ""}
    assert left(models) == ["bad.log", "calls", "good", "good.log"]
    assert "Traceback" in (models.artefacts / "bad.log").read_text()


def test_what_needs_a_failure_fails_with_its_reason_and_is_not_tried(models: Models) -> None:
    reasons = prepare("unlucky", models=models)

    assert reasons["unlucky"] == reasons["bad"] == "preparation bad: ValueError: cannot be made from checkpoint"
    assert left(models) == ["bad.log"]


def test_one_that_hangs_is_ended_with_all_that_it_started(models: Models) -> None:
    reasons = prepare("endless", models=models, limit_s=2)

    expected = "preparation endless was not done after 2 s and was ended; it said: working on it"
    assert reasons == {"endless": expected}
    child = int((models.artefacts / "child").read_text())
    wait_until(lambda: not is_there(child))
    assert left(models) == ["child", "endless.log"]


def test_an_interrupt_leaves_neither_processes_nor_half_a_folder(models: Models) -> None:
    file = models.artefacts / "child"

    def interrupt() -> None:
        wait_until(lambda: file.exists() and bool(file.read_text()))
        os.kill(os.getpid(), 2)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    try:
        interrupter = threading.Thread(target=interrupt)
        interrupter.start()
        with pytest.raises(KeyboardInterrupt):
            prepare("endless", models=models)
        interrupter.join()
    finally:
        signal.signal(signal.SIGINT, before)
    wait_until(lambda: not is_there(int(file.read_text())))
    assert left(models) == ["child", "endless.log"]


def test_half_of_an_earlier_run_is_not_taken_for_the_whole(models: Models) -> None:
    half = models.artefacts / ".good.partial"
    half.mkdir(parents=True)
    (half / "half").write_text("half")

    assert prepare("good", models=models) == {"good": ""}
    assert [path.name for path in (models.artefacts / "good").iterdir()] == ["made"]


@pytest.mark.parametrize("train", ["text é", None])
def test_labelled_texts_are_handed_on_where_there_are_some(train: str | None, models: Models, tmp_path: Path) -> None:
    file = tmp_path / "train.jsonl"
    file.write_text(train or "", encoding="utf-8")
    given = Models(models.bundle, models.checkpoint, models.artefacts, file if train else None)

    reasons = prepare("trainer", models=given)

    assert reasons == {"trainer": "" if train else "preparation trainer: ValueError: no labelled texts"}


def test_an_environment_that_is_not_there_is_the_reason(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    def python_for(_: object) -> Path:
        raise BenchmarkError("environment x is not built")

    monkeypatch.setattr(_prepare, "python_for", python_for)

    assert prepare("good", models=models) == {"good": "preparation good: environment x is not built"}
