"""Runs: saved whole, gone on with as if never stopped, and never mixed up."""

import json
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file
from sentence_transformers import SentenceTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from transformers import TrainerCallback

from setfuse.runtime import OutputExists, Row, UsageError
from setfuse.runtime.__main__ import main
from setfuse.train import (
    BaseModelNotFound,
    RunNotResumable,
    RunNotSaved,
    TrainingArguments,
    TrainingDiverged,
    TrainingResult,
    train,
)
from setfuse.train import _recipe as recipe
from setfuse.train._body import load_body
from setfuse.train._runs import RUN_FILE, make_run
from tests.models import make_body, write_rows
from tests.train.recording import AtStep, Recorder

ROWS = [Row(f"{word} parcel {number}", word) for word in ("late", "refund", "best") for number in range(4)]
"""96 pairs: 6 steps of 16 an epoch."""


def run(base: Path, out: str = "out", callbacks: Any = (), resume: Any = False, **given: Any) -> TrainingResult:
    args = TrainingArguments(
        **{"output_dir": "run", "num_epochs": 2, "save_steps": 4, "save_total_limit": None} | given
    )
    return train(ROWS, base=base, out=out, args=args, callbacks=callbacks, resume=resume)


@pytest.fixture(scope="module")
def saved_run(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that `run` makes, with the checkpoints 4, 8 and 12."""
    folder = tmp_path_factory.mktemp("saved")
    run(tiny_base, out=str(folder / "out"), output_dir=str(folder / "run"))
    return folder / "run"


@pytest.fixture
def saved(saved_run: Path) -> None:
    """The same, in the folder `run` here."""
    shutil.copytree(saved_run, "run")


def steps(folder: str = "run") -> list[str]:
    return sorted(path.name for path in Path(folder).glob("checkpoint-*"))


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return SentenceTransformer(str(folder), device="cpu").state_dict()


def stop_after(step: int) -> AtStep:
    def stop() -> None:
        raise RuntimeError("the machine stopped")

    return AtStep(step, stop)


def test_a_run_is_saved_every_so_many_steps(tiny_base: Path) -> None:
    recorder = Recorder()

    run(tiny_base, callbacks=[recorder], save_steps=5)

    assert recorder.saved == [5, 10]  # not 12, the last: that is the checkpoint itself
    assert steps() == ["checkpoint-10", "checkpoint-5"]


@pytest.mark.parametrize(("limit", "kept"), [(1, ["checkpoint-9"]), (2, ["checkpoint-6", "checkpoint-9"])])
def test_only_the_last_ones_are_kept(tiny_base: Path, limit: int, kept: list[str]) -> None:
    run(tiny_base, save_steps=3, max_steps=10, save_total_limit=limit)

    assert steps() == kept


def test_a_run_is_saved_every_epoch(tiny_base: Path) -> None:
    run(tiny_base, save_strategy="epoch")

    assert steps() == ["checkpoint-12", "checkpoint-6"]


@pytest.mark.parametrize("given", [{"save_strategy": "no"}, {"save_steps": 500}], ids=["no saves", "too few steps"])
def test_a_run_that_saves_nothing_leaves_no_folder(tiny_base: Path, given: dict[str, Any]) -> None:
    run(tiny_base, output_dir="deep/down/run", **given)

    assert [path.name for path in Path().iterdir()] == ["out"]


def test_a_step_is_a_checkpoint_of_its_own_and_holds_no_pickled_objects(tiny_base: Path) -> None:
    run(tiny_base, save_steps=6)
    step = Path("run/checkpoint-6")
    assert set(weights(step)) == set(weights(Path("out")))
    training = json.loads((step / "training.json").read_text(encoding="utf-8"))
    assert training["steps"] == 6
    assert "output_dir" not in training["arguments"]
    names = {path.name for path in step.iterdir()}
    assert names >= {"head.safetensors", "head.json", "training.json", "optimizer.pt", "scheduler.pt", "rng_state.pth"}
    assert not names & {"training_args.bin", "pytorch_model.bin"}
    for name in ("optimizer.pt", "scheduler.pt"):
        torch.load(step / name, weights_only=True)


@pytest.mark.parametrize("stopped_after", [5, 6, 9], ids=["in an epoch", "after an epoch", "in the second epoch"])
def test_a_run_goes_on_as_if_it_had_never_stopped(tiny_base: Path, stopped_after: int) -> None:
    # With dropout, whose masks come from the random state that is saved.
    base = tiny_base
    given: dict[str, Any] = {"save_steps": stopped_after, "body_learning_rate": 1e-3}
    whole = run(base, out="whole", **given | {"save_strategy": "no"})

    with pytest.raises(RuntimeError, match="the machine stopped"):
        run(base, callbacks=[stop_after(stopped_after + 1)], **given)
    assert steps() == [f"checkpoint-{stopped_after}"]
    resumed = run(base, out="resumed", resume=True, **given)

    assert resumed.losses == whole.losses
    assert (Path("resumed/head.safetensors")).read_bytes() == Path("whole/head.safetensors").read_bytes()
    for name, value in weights(Path("whole")).items():
        assert torch.equal(value, weights(Path("resumed"))[name]), name


@pytest.mark.parametrize("end_to_end", [False, True], ids=["head alone", "end to end"])
def test_a_resumed_run_has_the_differentiable_head_and_the_log_of_one_that_never_stopped(
    tiny_base: Path, end_to_end: bool
) -> None:
    def trained(out: str, *callbacks: TrainerCallback, resume: bool = False, **given: Any) -> list[dict[str, Any]]:
        lines = Recorder()
        settings = {"output_dir": "run", "save_steps": 5, "num_epochs": (2, 2), "logging_steps": 4, "eval_steps": 6}
        args = TrainingArguments(**settings | {"end_to_end": end_to_end} | given)
        train(
            ROWS,
            base=tiny_base,
            out=out,
            args=args,
            eval_rows=ROWS,
            head="differentiable",
            callbacks=[lines, *callbacks],
            resume=resume,
        )
        return [
            {name: value for name, value in line.items() if "runtime" not in name and "per_second" not in name}
            for line in lines.logs
        ]

    whole = trained("whole", output_dir="other")
    with pytest.raises(RuntimeError, match="the machine stopped"):
        trained("resumed", stop_after(7))

    # At the steps 6 and 12 it is evaluated, at 8 and 12 logged; the line after the last one is the whole run's.
    assert trained("resumed", resume=True) == [line for line in whole if line["step"] > 5]
    assert [line["step"] for line in whole] == [1, 4, 6, 8, 12, 12, 12]
    for name in ("head.safetensors", "model.safetensors"):
        assert Path("resumed", name).read_bytes() == Path("whole", name).read_bytes()


def test_accumulated_batches_are_resumed_where_they_were(base_without_dropout: Path) -> None:
    given: dict[str, Any] = {"save_steps": 2, "gradient_accumulation_steps": 2, "batch_size": 8}
    whole = run(base_without_dropout, out="whole", **given | {"save_strategy": "no"})

    with pytest.raises(RuntimeError, match="the machine stopped"):
        run(base_without_dropout, callbacks=[stop_after(9)], **given)

    assert run(base_without_dropout, out="resumed", resume="run/checkpoint-8", **given).losses == whole.losses


KILLED = """
import os, signal, sys
from setfuse.train import TrainingArguments, train
from transformers import TrainerCallback

class Kill(TrainerCallback):
    def on_step_begin(self, args, state, control, **given):
        if state.global_step == 5:
            os.kill(os.getpid(), signal.SIGKILL)

args = TrainingArguments(output_dir="run", num_epochs=2, save_steps=2)
train("rows.jsonl", base=sys.argv[1], out="out", args=args, callbacks=[Kill()])
"""


def test_a_killed_process_is_gone_on_with(base_without_dropout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_rows(Path("rows.jsonl"), [(row.text, row.label) for row in ROWS])
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, base_without_dropout], env=environment, capture_output=True, check=False
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert steps() == ["checkpoint-4"]
    Path("run/.checkpoint-6.partial-0123abcd").mkdir()  # as if it had been killed while saving

    options = "train rows.jsonl --output-dir run --num-epochs 2 --save-steps 2 --json --base".split()
    capsys.readouterr()
    assert main([*options, str(base_without_dropout), "--out", "resumed", "--resume"]) == 0

    whole = run(base_without_dropout, out="whole", save_strategy="no")
    assert json.loads(capsys.readouterr().out)["losses"] == list(whole.losses)
    assert len(whole.losses) == 12
    assert steps() == ["checkpoint-12"]


INTERRUPTED = """
import logging, os, signal, sys
from setfuse.train import TrainingArguments, train
from transformers import TrainerCallback

class Press(TrainerCallback):
    def on_step_begin(self, args, state, control, **given):
        if state.global_step == 1:
            os.kill(os.getpid(), signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)  # a child of `nohup` or `&` would ignore it
logging.basicConfig()
args = TrainingArguments(output_dir="run", num_epochs=2, save_steps=500, save_strategy=sys.argv[2])
try:
    train("rows.jsonl", base=sys.argv[1], out="out", args=args, callbacks=[Press()])
except KeyboardInterrupt:
    print("interrupted,", "as before" if signal.getsignal(signal.SIGINT) is signal.default_int_handler else "changed")
"""


def interrupted(base: Path, save_strategy: str) -> str:
    """Press Ctrl-C in the second step of a training in a process of its own, and give what it says."""
    write_rows(Path("rows.jsonl"), [(row.text, row.label) for row in ROWS])
    command = [sys.executable, "-c", INTERRUPTED, str(base), save_strategy]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "interrupted, as before\n"
    assert not Path("out").exists()
    return done.stderr


def test_ctrl_c_saves_the_step_that_was_begun(tiny_base: Path) -> None:
    assert "interrupted: step 2 is saved in" in interrupted(tiny_base, "steps")

    assert steps() == ["checkpoint-2"]
    args = TrainingArguments(output_dir="run", num_epochs=2, save_steps=500)
    assert len(train("rows.jsonl", base=tiny_base, out="out", args=args, resume=True).losses) == 12


def test_ctrl_c_stops_a_run_that_saves_nothing(tiny_base: Path) -> None:
    interrupted(tiny_base, "no")

    assert [path.name for path in Path().iterdir()] == ["rows.jsonl"]


OTHERS: dict[str, tuple[dict[str, Any], str]] = {
    "a number": ({"num_epochs": 3}, "num_epochs 3 instead of 2"),
    "two": ({"seed": 1, "batch_size": (16, 3)}, r"batch_size \[16, 3\] instead of \[16, 2\], seed 1 instead of 42"),
}


@pytest.mark.usefixtures("saved")
@pytest.mark.parametrize(("given", "message"), OTHERS.values(), ids=OTHERS)
def test_a_run_with_other_arguments_is_not_gone_on_with(tiny_base: Path, given: dict[str, Any], message: str) -> None:
    with pytest.raises(RunNotResumable, match=f"expected to go on with the same run, got {message}; give what it had"):
        run(tiny_base, out="other", resume=True, **given)
    assert not Path("other").exists()


@pytest.mark.usefixtures("saved")
def test_a_run_with_other_rows_or_another_base_is_not_gone_on_with(tiny_base: Path, tmp_path: Path) -> None:
    make_body(tmp_path / "other-base", seed=1)
    args = TrainingArguments(output_dir="run", num_epochs=2, save_steps=4, save_total_limit=None)

    with pytest.raises(RunNotResumable, match="got other rows; "):
        train([*ROWS, Row("one more", "best")], base=tiny_base, out="other", args=args, resume=True)
    with pytest.raises(RunNotResumable, match="got other base model; "):
        train(ROWS, base=tmp_path / "other-base" / "body", out="other", args=args, resume=True)


@pytest.mark.usefixtures("saved")
def test_a_run_that_had_ended_makes_its_checkpoint_again(tiny_base: Path, saved_run: Path) -> None:
    resumed = run(tiny_base, out="again", resume=True)

    assert len(resumed.losses) == 12
    assert Path("again/head.safetensors").read_bytes() == (saved_run.parent / "out/head.safetensors").read_bytes()


@pytest.mark.parametrize("steps", [10, 12], ids=["in mid-epoch", "at the end of an epoch"])
@pytest.mark.parametrize("head", [RandomForestClassifier(5), "differentiable"], ids=["forest", "differentiable"])
def test_a_run_that_had_ended_draws_for_its_head_what_it_drew(tiny_base: Path, steps: int, head: Any) -> None:
    args = TrainingArguments(output_dir="run", max_steps=steps, save_steps=steps, lr_scheduler_type="constant")
    whole = train(ROWS, base=tiny_base, out="whole", args=args, head=head)

    again = train(ROWS, base=tiny_base, out="again", args=args, head=head, resume=True)

    assert again.losses == whole.losses
    assert len(again.losses) == steps
    assert again.seconds > json.loads(Path(f"run/checkpoint-{steps}/run.json").read_text(encoding="utf-8"))["seconds"]
    for name in ("head.*", "model.safetensors"):
        (first,), (second,) = (list(Path(out).glob(name.replace("*", "[so]*"))) for out in ("whole", "again"))
        assert first.read_bytes() == second.read_bytes()


@pytest.mark.usefixtures("saved")
def test_where_things_go_may_change_in_a_run(tiny_base: Path) -> None:

    resumed = run(tiny_base, out="other", output_dir="elsewhere", save_total_limit=1, resume="run/checkpoint-4")

    assert len(resumed.losses) == 12
    assert steps("elsewhere") == ["checkpoint-12"]


@pytest.mark.parametrize("resume", [True, "run", "nowhere"])
def test_where_there_is_no_run_nothing_is_gone_on_with(tiny_base: Path, resume: bool | str) -> None:
    Path("run/checkpoint-7").mkdir(parents=True)  # of another program

    with pytest.raises(RunNotResumable, match=r"expected checkpoints of a run .*, found none"):
        run(tiny_base, resume=resume)


@pytest.mark.usefixtures("saved")
@pytest.mark.parametrize(
    ("name", "content"),
    [
        (RUN_FILE, b"{"),
        (RUN_FILE, b'{"format_version": 9}'),
        ("trainer_state.json", b"{"),
        ("optimizer.pt", b"not a tensor in sight"),
        ("scheduler.pt", b""),
        ("model.safetensors", b"1234"),
    ],
)
def test_a_broken_checkpoint_of_a_run_is_named(tiny_base: Path, name: str, content: bytes) -> None:
    (Path("run/checkpoint-4") / name).write_bytes(content)

    with pytest.raises(RunNotResumable, match=r"^(/.*)?run/checkpoint-4.*: expected "):
        run(tiny_base, out="other", resume="run/checkpoint-4")
    assert not Path("other").exists()


class Hostile:
    """Writes a file when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("executed"),)


@pytest.mark.usefixtures("saved")
@pytest.mark.parametrize("name", ["optimizer.pt", "scheduler.pt", "rng_state.pth"])
@pytest.mark.parametrize("how", ["pickle", "torch"])
def test_nothing_pickled_is_run(tiny_base: Path, name: str, how: str) -> None:
    path = Path("run/checkpoint-4") / name
    if how == "pickle":
        path.write_bytes(pickle.dumps({"state": Hostile()}, protocol=2))
    else:
        torch.save({"state": Hostile()}, path)

    with pytest.raises(RunNotResumable, match="expected a checkpoint of a run, cannot read it"):
        run(tiny_base, out="other", resume="run/checkpoint-4")
    assert not Path("executed").exists()


@pytest.mark.parametrize(
    ("failing", "error"),
    [
        ("torch.save", OSError(28, "No space left on device")),
        ("torch.save", RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 704 vs 598")),
        ("safetensors.numpy.save_file", SafetensorError("No space left on device")),
        ("sentence_transformers.SentenceTransformer.save", OSError(28, "No space left on device")),
        ("transformers.TrainerState.save_to_json", OSError(28, "No space left on device")),
    ],
    ids=["optimizer", "torch's writer", "head", "body", "state"],
)
def test_a_full_disk_leaves_the_last_whole_checkpoint(
    tiny_base: Path, monkeypatch: pytest.MonkeyPatch, failing: str, error: Exception
) -> None:
    fill = AtStep(5, lambda: monkeypatch.setattr(failing, raising(error)))
    message = rf"checkpoint-8: .*{re.escape(str(error))}; the last whole one is .*checkpoint-4; "
    with pytest.raises(RunNotSaved, match=message):
        run(tiny_base, callbacks=[fill])
    assert steps() == ["checkpoint-4"]
    assert not Path("out").exists()


def raising(error: BaseException) -> Any:
    """A function that fails."""

    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


def test_a_mistake_while_saving_is_not_called_a_full_disk(tiny_base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spoil = AtStep(3, lambda: monkeypatch.setattr(recipe, "fit_head", raising(RuntimeError("a bug"))))

    with pytest.raises(RuntimeError, match=r"^a bug$"):
        run(tiny_base, callbacks=[spoil])


class AtBegin(TrainerCallback):
    """Fails as the training begins."""

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        raise KeyError("the caller's own")


@pytest.mark.usefixtures("saved")
def test_a_callers_mistake_is_not_called_a_broken_checkpoint(tiny_base: Path) -> None:
    with pytest.raises(KeyError, match="the caller's own"):
        run(tiny_base, out="other", callbacks=[AtBegin()], resume=True)


@pytest.mark.parametrize(
    ("failing", "error", "told"),
    [
        ("write_checkpoint", OSError(28, "No space left"), pytest.raises(RunNotSaved, match=r"^out: .*No space left")),
        ("fit_head", UsageError("head: of no use"), pytest.raises(UsageError, match=r"^head: of no use$")),
        ("encode", KeyboardInterrupt(), pytest.raises(KeyboardInterrupt)),
    ],
    ids=["a full disk", "the head", "Ctrl-C"],
)
def test_what_fails_after_the_last_step_costs_no_training(
    tiny_base: Path, monkeypatch: pytest.MonkeyPatch, failing: str, error: BaseException, told: Any
) -> None:
    given: dict[str, Any] = {"save_steps": 500}
    whole = run(tiny_base, out="whole", **given)

    with monkeypatch.context() as broken, told:
        broken.setattr(recipe, failing, raising(error))
        run(tiny_base, **given)
    assert steps() == ["checkpoint-12"]
    assert not Path("out").exists()

    assert run(tiny_base, resume=True, **given).losses == whole.losses
    assert Path("out/head.safetensors").read_bytes() == Path("whole/head.safetensors").read_bytes()


def test_somebody_else_at_the_same_place_costs_no_training(tiny_base: Path) -> None:
    whole = run(tiny_base, out="whole", save_steps=500)

    with pytest.raises(OutputExists, match="the folder exists"):
        run(tiny_base, save_steps=500, callbacks=[AtStep(3, Path("out").mkdir)])

    assert steps() == ["checkpoint-12"]
    assert run(tiny_base, out="other", save_steps=500, resume=True).losses == whole.losses


def test_what_is_kept_is_as_it_was_before_the_head(tiny_base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    args = TrainingArguments(output_dir="run", max_steps=4, end_to_end=True, num_epochs=(1, 2))
    train(ROWS, base=tiny_base, out="whole", args=args, head="differentiable")

    with monkeypatch.context() as broken:
        broken.setattr(recipe, "write_checkpoint", raising(OSError(28, "No space left")))
        with pytest.raises(RunNotSaved):
            train(ROWS, base=tiny_base, out="out", args=args, head="differentiable")
    train(ROWS, base=tiny_base, out="out", args=args, head="differentiable", resume=True)

    for name in ("head.safetensors", "model.safetensors"):
        assert Path("out", name).read_bytes() == Path("whole", name).read_bytes()


def test_a_whole_checkpoint_is_not_replaced_by_one_without_a_head(tiny_base: Path) -> None:
    def measured(predicted: Any, given: Any) -> float:
        del predicted, given
        if Path("run/checkpoint-12").exists():
            raise RuntimeError("the measuring failed")
        return 1.0

    args = TrainingArguments(output_dir="run", num_epochs=2, save_steps=4)
    with pytest.raises(RuntimeError, match="the measuring failed"):
        train(ROWS, base=tiny_base, out="out", args=args, eval_rows=ROWS, metric=measured)

    assert Path("run/checkpoint-12/head.safetensors").exists()


def test_ctrl_c_while_the_last_step_is_measured_saves_it(tiny_base: Path) -> None:
    class Press(TrainerCallback):
        def on_evaluate(self, *_: Any, **__: Any) -> None:
            signal.getsignal(signal.SIGINT)(signal.SIGINT, None)  # type: ignore[operator,misc] # the training's own

    args = TrainingArguments(output_dir="run", max_steps=4, save_steps=500, eval_steps=4)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a child of `nohup` or `&` would ignore it
    try:
        with pytest.raises(KeyboardInterrupt):
            train(ROWS, base=tiny_base, out="out", args=args, eval_rows=ROWS, callbacks=[Press()])
    finally:
        signal.signal(signal.SIGINT, before)

    assert steps() == ["checkpoint-4"]
    assert Path("run/checkpoint-4/head.safetensors").exists()
    assert len(train(ROWS, base=tiny_base, out="out", args=args, eval_rows=ROWS, resume=True).losses) == 4


def test_a_place_that_cannot_be_written_to_is_told_before_the_training(tiny_base: Path) -> None:
    Path("run").write_text("a file", encoding="utf-8")

    with pytest.raises(RunNotSaved, match=r"run: expected a folder to save checkpoints in, cannot write there: .*File"):
        run(tiny_base)
    assert Path("run").read_text(encoding="utf-8") == "a file"


def test_a_log_line_after_a_resume_is_the_mean_since_the_one_before(tiny_base: Path) -> None:
    def logged(out: str, **given: Any) -> list[float]:
        lines = Recorder()
        run(tiny_base, out=out, callbacks=[lines, *given.pop("callbacks", [])], logging_steps=6, **given)
        return [line["embedding_loss"] for line in lines.logs if "embedding_loss" in line]

    whole = logged("whole", output_dir="other")
    with pytest.raises(RuntimeError, match="the machine stopped"):
        logged("out", callbacks=[stop_after(5)])

    assert logged("out", resume=True) == whole[1:]


def test_a_head_on_the_way_is_fitted_in_the_arithmetic_that_it_is_used_in(tiny_base: Path) -> None:
    run(tiny_base, bf16=True, max_steps=4, save_steps=2, body_learning_rate=1e-3)

    step = Path("run/checkpoint-2")
    embeddings = SentenceTransformer(str(step), device="cpu").encode([row.text for row in ROWS])
    expected = LogisticRegression().fit(embeddings, [row.label for row in ROWS])
    np.testing.assert_allclose(load_file(step / "head.safetensors")["coef"], expected.coef_, rtol=1e-5, atol=1e-7)


def test_what_cannot_be_kept_either_is_told(
    tiny_base: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("sentence_transformers.SentenceTransformer.save", raising(OSError(28, "No space left")))

    with pytest.raises(RunNotSaved, match=r"^out: "):
        run(tiny_base, save_steps=500)
    assert "the training cannot be kept: " in caplog.text
    assert not list(Path().iterdir())


class Spoil(AtStep):
    """Makes a weight NaN."""

    def on_step_end(self, _: Any, state: Any, *__: Any, **given: Any) -> None:
        if state.global_step == self.step:
            with torch.no_grad():
                next(given["model"].parameters()).fill_(float("nan"))


def test_a_loss_that_is_no_number_names_the_last_good_checkpoint(tiny_base: Path) -> None:
    with pytest.raises(TrainingDiverged, match=r"step 6 of 12: .*; the last good checkpoint is .*run/checkpoint-4$"):
        run(tiny_base, callbacks=[Spoil(5, lambda: None)])
    assert steps() == ["checkpoint-4"]


class SpoilGradient(AtStep):
    """Makes a gradient NaN; the loss is a number all the same."""

    def on_step_begin(self, _: Any, state: Any, *__: Any, **given: Any) -> None:
        if state.global_step + 1 == self.step:
            next(given["model"].parameters()).register_hook(lambda gradient: gradient * float("nan"))


@pytest.mark.parametrize("step", [8, 9, 12], ids=["a saved step", "another", "the last"])
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (SpoilGradient, "^step {} of 12: expected finite gradients, found a norm of nan; lower body_learning_rate"),
        (Spoil, "^(after step {0} of 12: expected finite weights, found NaN|step 10 of 12: expected a finite loss)"),
    ],
    ids=["gradient", "weight"],
)
def test_nothing_is_made_of_weights_that_are_no_numbers(
    tiny_base: Path, step: int, spoil: type[AtStep], message: str
) -> None:
    with pytest.raises(
        TrainingDiverged, match=message.format(step) + r".*the last good checkpoint is .*checkpoint-\d$"
    ):
        run(tiny_base, callbacks=[spoil(step, lambda: None)], save_total_limit=1)
    assert steps() == ["checkpoint-4" if step == 8 else "checkpoint-8"]
    assert not Path("out").exists()


def test_checkpoints_of_another_program_are_neither_removed_nor_counted(tiny_base: Path) -> None:
    Path("run/checkpoint-7").mkdir(parents=True)

    for overwrite in (False, True):
        with pytest.raises(OutputExists, match=r"run/checkpoint-7: expected only checkpoints of setfuse there"):
            train(ROWS, base=tiny_base, out="out", args=TrainingArguments(output_dir="run"), overwrite=overwrite)
    assert steps() == ["checkpoint-7"]


def test_two_runs_at_once_do_not_share_a_folder(tiny_base: Path) -> None:
    def another() -> None:
        with pytest.raises(OutputExists, match=r"run: expected no other run to save there, but another process does"):
            run(tiny_base, out="other")

    run(tiny_base, callbacks=[AtStep(2, another)])

    assert sorted(path.name for path in Path("run").iterdir()) == ["checkpoint-12", "checkpoint-4", "checkpoint-8"]


def test_a_run_that_came_in_the_meantime_is_not_replaced(
    tiny_base: Path, saved_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(*given: Any) -> SentenceTransformer:
        shutil.copytree(saved_run, "run", dirs_exist_ok=True)
        return load_body(*given)

    monkeypatch.setattr(recipe, "load_body", load)
    with pytest.raises(OutputExists, match=r"run/checkpoint-12: a run is there already"):
        run(tiny_base)
    assert len(steps()) == 3


class NoModule:
    """A loss that is none."""

    def __init__(self, model: object) -> None:
        del model


@pytest.mark.usefixtures("saved")
@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"use_amp": True}, "^use_amp: expected a GPU"),
        ({"device": "cuda"}, "^device: torch finds no GPU here"),
        ({"loss": NoModule}, "^loss: expected NoModule to make a torch"),
    ],
    ids=["use_amp", "device", "loss"],
)
def test_what_is_refused_late_costs_no_earlier_run(
    tiny_base: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], message: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match=message):
        train(ROWS, base=tiny_base, out="other", args=TrainingArguments(output_dir="run", **given), overwrite=True)
    assert len(steps()) == 3


def test_a_run_with_other_held_out_rows_or_another_metric_is_not_gone_on_with(tiny_base: Path) -> None:
    def evaluated(rows: Any = ROWS, **given: Any) -> TrainingResult:
        args = TrainingArguments(output_dir="run", max_steps=4, save_steps=2, eval_steps=2)
        return train(ROWS, base=tiny_base, out="out", args=args, eval_rows=rows, **given)

    evaluated(metric=length)

    for given, message in (
        ({"rows": ROWS[1:], "metric": length}, "got other held-out rows; "),
        ({"metric": "f1"}, "metric 'f1' instead of 'tests.train.test_runs.length'; "),
        ({"metric": length, "metric_kwargs": {"factor": 2}}, "metric_kwargs {'factor': 2} instead of {}; "),
    ):
        with pytest.raises(RunNotResumable, match=message):
            evaluated(resume=True, overwrite=True, **given)
    assert evaluated(resume=True, overwrite=True, metric=length).steps == 4


def test_a_run_with_its_labels_in_another_order_is_not_gone_on_with(tiny_base: Path) -> None:
    names = sorted({row.label for row in ROWS})
    run(tiny_base, max_steps=4, save_steps=2)

    with pytest.raises(RunNotResumable, match=r"labels \{.*\} instead of \{.*\}"):
        train(
            ROWS,
            base=tiny_base,
            out="other",
            args=TrainingArguments(output_dir="run", max_steps=4, save_steps=2),
            label_names=names[::-1],
            resume=True,
        )


def length(predicted: Any, given: Any, factor: int = 1) -> int:
    """A metric of the caller's."""
    return factor * len([*predicted, *given])


@pytest.mark.usefixtures("saved")
def test_a_run_goes_on_from_an_earlier_step_and_replaces_the_later_ones(tiny_base: Path, saved_run: Path) -> None:
    before = {step: Path("run", step, "trainer_state.json").stat().st_mtime_ns for step in steps()}

    run(tiny_base, out="other", resume="run/checkpoint-4")

    after = {step: Path("run", step, "trainer_state.json").stat().st_mtime_ns for step in steps()}
    assert {step for step in after if after[step] != before[step]} == {"checkpoint-8", "checkpoint-12"}
    for name, value in weights(saved_run / "checkpoint-8").items():
        assert torch.equal(value, weights(Path("run/checkpoint-8"))[name]), name


def test_a_run_knows_its_head_whatever_its_repr_leaves_out(tiny_base: Path) -> None:
    def described(last: int, function: Any = np.tanh) -> Any:
        weight = {f"a label with quite a long name {n}": n for n in range(40)} | {"last": last}
        inner = RandomForestClassifier(class_weight=weight, random_state=np.random.RandomState(0))
        head = make_pipeline(FunctionTransformer(function), OneVsRestClassifier(inner))
        return make_run(TrainingArguments(), {"head": head}, ROWS, tiny_base)

    assert described(1) == described(1)
    assert described(1) != described(2)
    assert described(1, length) == described(1, length) != described(1, raising)
    assert " at 0x" not in json.dumps(described(1, length).arguments)


def test_what_is_not_loaded_of_a_base_may_change(tiny_base: Path) -> None:
    shutil.copytree(tiny_base, "base")
    run(Path("base"), output_dir="base/run", max_steps=4, save_steps=2)
    Path("base/onnx").mkdir()
    Path("base/onnx/model.onnx").write_bytes(b"another form of it")

    assert run(Path("base"), out="other", output_dir="base/run", max_steps=4, save_steps=2, resume=True).steps == 4

    Path("base/config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(RunNotResumable, match="got other base model; "):
        run(Path("base"), out="third", output_dir="base/run", max_steps=4, save_steps=2, resume=True)


def test_a_saved_step_says_how_it_was_made(tiny_base: Path) -> None:
    args = TrainingArguments(output_dir="run", max_steps=4, save_steps=4, eval_steps=2)
    result = train(ROWS, base=tiny_base, out="out", args=args, eval_rows=ROWS)

    training = json.loads(Path("run/checkpoint-4/training.json").read_text(encoding="utf-8"))
    assert training["evaluations"] == [dict(found) for found in result.evaluations]
    assert 0 < training["seconds"] < result.seconds
    assert training["metrics"] == {"accuracy": result.evaluations[-1]["accuracy"]}


@pytest.mark.usefixtures("saved")
def test_another_run_is_not_mixed_with_the_one_that_is_there(tiny_base: Path) -> None:
    with pytest.raises(OutputExists, match=r"run/checkpoint-12: a run is there already; go on with it by resume"):
        run(tiny_base, out="other", seed=1)
    assert steps() == ["checkpoint-12", "checkpoint-4", "checkpoint-8"]

    train(
        ROWS,
        base=tiny_base,
        out="other",
        args=TrainingArguments(output_dir="run", max_steps=2, save_steps=2, seed=1),
        overwrite=True,
    )
    assert steps() == ["checkpoint-2"]


@pytest.mark.usefixtures("saved")
def test_a_run_is_replaced_only_when_the_other_can_begin() -> None:
    Path("base").mkdir()
    Path("base/config.json").write_text("{", encoding="utf-8")

    with pytest.raises(BaseModelNotFound):
        train(ROWS, base="base", out="other", args=TrainingArguments(output_dir="run"), overwrite=True)
    assert len(steps()) == 3


@pytest.mark.usefixtures("saved")
def test_a_run_that_is_gone_on_with_elsewhere_is_not_mixed_with_another(tiny_base: Path) -> None:
    Path("other/checkpoint-7").mkdir(parents=True)

    with pytest.raises(OutputExists, match=r"other/checkpoint-7: expected only checkpoints of setfuse there"):
        run(tiny_base, output_dir="other", resume="run/checkpoint-4")


def test_a_run_below_the_checkpoint_that_it_ends_in_is_refused(tiny_base: Path) -> None:
    with pytest.raises(UsageError, match="output_dir: expected a folder outside out, got out/run"):
        run(tiny_base, output_dir="out/run")


@pytest.mark.usefixtures("saved")
def test_a_run_that_would_remove_what_it_reads_is_refused() -> None:
    with pytest.raises(UsageError, match=re.escape("output_dir: saving to run would remove run/checkpoint-4")):
        run(Path("run/checkpoint-4"), out="other")
