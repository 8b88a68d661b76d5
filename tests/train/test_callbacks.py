"""What goes along with the training: log lines, reports, the caller's callbacks."""

import logging
import os
import re
from pathlib import Path
from typing import Any

import pytest
from sentence_transformers import SentenceTransformer
from transformers import TrainerCallback
from transformers.integrations import integration_utils

from setfuse.runtime import Row, UsageError
from setfuse.train import TrainingArguments, train
from tests.train.recording import Recorder

ROWS = [Row(f"{word} parcel {number}", word) for word in ("late", "refund") for number in range(4)]


def run(base: Path, callbacks: Any = (), *, progress: bool = False, **given: Any) -> None:
    args = TrainingArguments(**{"max_steps": 5, "save_strategy": "no"} | given)
    train(ROWS, base=base, out="out", args=args, callbacks=callbacks, progress=progress)


@pytest.mark.parametrize(
    ("given", "steps"),
    [
        ({}, [1]),
        ({"logging_steps": 2}, [1, 2, 4]),
        ({"logging_steps": 2, "logging_first_step": False}, [2, 4]),
        ({"logging_strategy": "no", "logging_first_step": False}, []),
        ({"logging_strategy": "epoch", "logging_first_step": False, "max_steps": -1}, [3]),
    ],
    ids=str,
)
def test_a_log_line_every_so_many_steps(
    tiny_base: Path, caplog: pytest.LogCaptureFixture, given: dict[str, Any], steps: list[int]
) -> None:
    recorder = Recorder()

    with caplog.at_level(logging.INFO, "setfuse.train"):
        run(tiny_base, [recorder], **given)

    assert [logs["step"] for logs in recorder.logs if "embedding_loss" in logs] == steps
    line = re.compile(r"step (\d+) of \d: loss \d\.\d{4}, gradient norm [\d.e-]+, learning rate [\d.e-]+")
    assert [int(found[1]) for record in caplog.records if (found := line.fullmatch(record.message))] == steps


def test_the_logged_loss_is_the_mean_since_the_last_line(tiny_base: Path) -> None:
    rare, often = Recorder(), Recorder()
    run(tiny_base, [rare], logging_steps=5, logging_first_step=False)
    train(ROWS, base=tiny_base, out="again", args=TrainingArguments(max_steps=5, logging_steps=1), callbacks=[often])

    assert rare.of_steps("embedding_loss") == pytest.approx([sum(often.of_steps("embedding_loss")) / 5])


def test_callbacks_are_called_as_transformers_has_them(tiny_base: Path) -> None:
    events: list[str] = []

    class Everything(TrainerCallback):
        def on_train_begin(self, args: Any, *_: Any, **given: Any) -> None:
            assert isinstance(given["model"], SentenceTransformer)
            assert args.per_device_train_batch_size == 16
            events.append("train begins")

        def on_epoch_begin(self, *_: Any, **__: Any) -> None:
            events.append("epoch")

        def on_step_end(self, *_: Any, **__: Any) -> None:
            events.append("step")

        def on_train_end(self, *_: Any, **__: Any) -> None:
            events.append("train ends")

    run(tiny_base, [Everything()], max_steps=4)

    assert events == ["train begins", "epoch", "step", "step", "step", "epoch", "step", "train ends"]


def test_a_callback_may_stop_the_training(tiny_base: Path) -> None:
    class Stop(TrainerCallback):
        def on_step_end(self, _: Any, state: Any, control: Any, **__: Any) -> None:
            control.should_training_stop = state.global_step == 2

    recorder = Recorder()
    run(tiny_base, [Stop(), recorder], logging_steps=1)

    assert len(recorder.of_steps("embedding_loss")) == 2


class Integration(TrainerCallback):
    """Stands in for a service that runs are reported to."""

    seen: list[tuple[str | None, str | None]] = []  # noqa: RUF012 - transformers makes the instance

    def __init__(self) -> None:
        self.folder = os.environ.get("TENSORBOARD_LOGGING_DIR")

    def on_train_begin(self, args: Any, *_: Any, **__: Any) -> None:
        self.seen.append((args.run_name, self.folder))


def test_a_run_is_reported_under_its_name(tiny_base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(integration_utils.INTEGRATION_TO_CALLBACK, "stand_in", Integration)
    Integration.seen.clear()

    run(tiny_base, report_to="stand_in", run_name="the third", logging_dir="boards")
    assert "TENSORBOARD_LOGGING_DIR" not in os.environ

    assert Integration.seen == [("the third", "boards")]


def test_tensorboards_own_reader_finds_what_was_logged(tiny_base: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    recorder = Recorder()
    given = {"report_to": "tensorboard", "logging_dir": "boards", "logging_steps": 2, "eval_steps": 3}
    args = TrainingArguments(max_steps=5, save_strategy="no", **given)
    train(ROWS, base=tiny_base, out="out", args=args, eval_rows=ROWS, callbacks=[recorder])

    board = EventAccumulator("boards").Reload()
    found = {(tag, event.step): event.value for tag in board.Tags()["scalars"] for event in board.Scalars(tag)}
    logged = {
        (_tag(name), line["step"]): value for line in recorder.logs for name, value in line.items() if name != "step"
    }
    assert found == {key: pytest.approx(value, rel=1e-6) for key, value in logged.items()}  # kept as float32
    assert {step for tag, step in found if tag == "train/embedding_loss"} == {1, 2, 4}
    assert {step for tag, step in found if tag == "eval/accuracy"} == {3, 5}


def _tag(name: str) -> str:
    """Give the name under which transformers writes what is logged: with the phase before it."""
    return f"eval/{name.removeprefix('eval_')}" if name.startswith("eval_") else f"train/{name}"


def test_nothing_is_reported_unless_asked_for(tiny_base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(integration_utils, "INTEGRATION_TO_CALLBACK", {})
    monkeypatch.setattr(integration_utils, "get_available_reporting_integrations", lambda: ["tensorboard"])

    run(tiny_base)


@pytest.mark.parametrize(
    ("report_to", "message"),
    [
        ("the press", r"^report_to: expected none, all, or some of .*tensorboard.*, got 'the press'"),
        (["wandb"], r"^report_to: wandb is not installed; install it, or leave it out"),
        (["none", "wandb"], r"^report_to: expected none alone, got it with others: none, wandb"),
        (["all", "wandb"], r"^report_to: expected all alone, got it with others: all, wandb"),
    ],
)
def test_a_report_that_cannot_be_made_is_refused(
    tiny_base: Path, monkeypatch: pytest.MonkeyPatch, report_to: Any, message: str
) -> None:
    monkeypatch.setattr("transformers.integrations.is_wandb_available", lambda: False)

    with pytest.raises(UsageError, match=message):
        run(tiny_base, report_to=report_to)


@pytest.mark.parametrize("progress", [True, False])
def test_progress_is_a_bar_on_stderr_and_nothing_on_stdout(
    tiny_base: Path, capsys: pytest.CaptureFixture[str], progress: bool
) -> None:
    run(tiny_base, progress=progress, logging_steps=1)

    out, err = capsys.readouterr()
    assert out == ""
    assert ("5/5" in err) is progress
    assert ("Loading weights" in err) is progress
