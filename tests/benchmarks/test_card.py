"""`python -m benchmarks.card`: the way from a card's rows to its figures, on a small model and with stand-ins."""

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest

import benchmarks.card
from benchmarks._environments import ENVIRONMENTS
from benchmarks._errors import BenchmarkError
from benchmarks._files import ROOT
from benchmarks._training import Order, TrainingRun, Who, _processes, losses_table, run_training, training_table
from benchmarks.card import main
from setfuse.export import read_checkpoint
from tests.models import make_body

ROWS = [
    {"text": text, "label": label}
    for label, texts in {"late": ["it is late", "so late"], "lost": ["it is lost", "all lost"]}.items()
    for text in texts
]
STATED = {"loss_step_1": 0.2, "loss_mean_steps_2_to_50": 0.1, "test_accuracy": 0.75, "test_rows": 4}
LOGGED = {
    "loss": [0.5, 0.25],
    "grad_norm": [1.0, 2.0],
    "learning_rate": [0.0, 2e-5],
    "sst2_test_first_ten_probabilities": [[0.9, 0.1], [0.2, 0.8]],
    "sst2_test_correct": 3,
    "sst2_test_total": 4,
}
RUN = TrainingRun(
    who="setfuse",
    seed=42,
    threads=1,
    seconds=10.0,
    peak_mb=500.0,
    step_1=0.21,
    mean_2_to_50=0.09,
    right=3,
    texts=4,
    steps={name: list(LOGGED[name]) for name in ("loss", "grad_norm", "learning_rate")},  # type: ignore[call-overload]
    probabilities=[[0.9, 0.1], [0.2, 0.8]],
    versions={"torch": "2"},
)


@pytest.fixture
def card(tmp_path: Path) -> Path:
    folder = tmp_path / "card"
    folder.mkdir()
    lines = "".join(json.dumps(row) + "\n" for row in ROWS)
    (folder / "train.jsonl").write_text(lines, encoding="utf-8")
    (folder / "golden.json").write_text(json.dumps(STATED), encoding="utf-8")
    (folder / "golden_no_dropout.json").write_text(json.dumps(LOGGED), encoding="utf-8")
    return folder


def arguments(card: Path, base: Path, out: Path, *more: str) -> list[str]:
    paths = {"--card": card, "--base": base, "--texts": card / "train.jsonl", "--out": out}
    return [*(str(part) for pair in paths.items() for part in pair), "--threads", "1", *more]


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[tuple[Who, Order]]]:
    """Trainings that give what they are told at once; gives what was asked of them."""

    def put(answer: Callable[[Who, Order], TrainingRun]) -> list[tuple[Who, Order]]:
        asked: list[tuple[Who, Order]] = []

        def run(who: Who, order: Order) -> TrainingRun:
            asked.append((who, order))
            return answer(who, order)

        monkeypatch.setattr(benchmarks.card, "run_training", run)
        monkeypatch.setattr(benchmarks.card, "python_for", lambda _: Path(sys.executable))
        monkeypatch.setattr(benchmarks.card, "export_all", lambda *_: {"checkpoint": 0.5, "fp32": 0.5, "fp16": None})
        return asked

    return put


def test_a_card_is_trained_exported_and_compared(
    card: Path, tiny_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"

    assert main(arguments(card, tiny_base, out)) == 0

    found = json.loads((out / "training.json").read_text(encoding="utf-8"))
    assert list(found["accuracy"]) == ["card", "checkpoint", "fp32", "int8", "fp16"]
    assert found["accuracy"]["card"] == 0.75
    assert found["accuracy"]["fp32"] == found["accuracy"]["checkpoint"]
    (run,) = found["runs"]
    assert run["right"] == found["accuracy"]["checkpoint"] * len(ROWS)
    assert run["seconds"] > 0
    assert run["peak_mb"] > 100
    assert len(run["probabilities"]) == len(ROWS)
    training = read_checkpoint(out / "checkpoint").training
    assert (training["arguments"]["batch_size"], training["arguments"]["num_epochs"]) == (32, 10)  # type: ignore[index]
    assert training["steps"] == 10
    assert found["setfit_on_a_cpu"] is None, "other rows than those of its figures"
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == "the card, on a GPU 0.2000 0.1000 3 - -".split()
    assert lines[2].split()[:6] == ["setfuse,", "seed", "42", f"{run['step_1']:.4f}", "-", f"{run['right']}"]


def test_setfit_takes_turns_with_ours(
    card: Path,
    tiny_base: Path,
    tmp_path: Path,
    stand_in: Callable[..., list[tuple[Who, Order]]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    seconds = {(Who.SETFUSE, 42): 10.0, (Who.SETFIT, 42): 30.0, (Who.SETFUSE, 1): 20.0, (Who.SETFIT, 1): 80.0}
    memory = {Who.SETFUSE: 500.0, Who.SETFIT: 750.0}
    asked = stand_in(
        lambda who, order: replace(
            RUN, who=str(who), seed=order.seed, seconds=seconds[who, order.seed], peak_mb=memory[who]
        )
    )

    assert main(arguments(card, tiny_base, tmp_path / "out", "--against-setfit", "--seeds", "42", "1")) == 0

    turns = [(who, order.seed, order.out.name) for who, order in asked]
    assert turns == [
        (Who.SETFUSE, 42, "checkpoint"),
        (Who.SETFIT, 42, "setfit"),
        (Who.SETFIT, 1, "setfit"),
        (Who.SETFUSE, 1, "checkpoint-1"),
    ]
    assert all(order.threads == 1 and not order.each_step for _, order in asked)
    found = json.loads((tmp_path / "out" / "training.json").read_text(encoding="utf-8"))
    assert found["against_setfit"] == {
        "time": {"rounds": [3.0, 4.0], "median": 3.5, "least": 3.0, "most": 4.0},
        "memory": {"rounds": [1.5, 1.5], "median": 1.5, "least": 1.5, "most": 1.5},
    }
    assert "SetFit's time over setfuse's: 3.50 (round by round: 3.00, 4.00)." in capsys.readouterr().out


def test_runs_with_different_versions_of_torch_are_refused_after_one_round(
    card: Path,
    tiny_base: Path,
    tmp_path: Path,
    stand_in: Callable[..., list[tuple[Who, Order]]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = stand_in(lambda who, _: replace(RUN, versions={"torch": "2" if who is Who.SETFUSE else "3"}))

    assert main(arguments(card, tiny_base, tmp_path / "out", "--against-setfit", "--seeds", "42", "1")) == 1

    assert "expected one version of torch, got 2 and 3: " in capsys.readouterr().err
    assert len(asked) == 2


@pytest.mark.parametrize("more", [(), ("--no-dropout",)])
def test_right_answers_are_counted_on_as_many_texts_as_the_card_has(
    more: tuple[str, ...],
    card: Path,
    tmp_path: Path,
    stand_in: Callable[..., list[tuple[Who, Order]]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = stand_in(lambda *_: RUN)
    texts = tmp_path / "texts.jsonl"
    texts.write_text(json.dumps(ROWS[0]) + "\n", encoding="utf-8")

    assert main(arguments(card, card, tmp_path / "out", "--texts", str(texts), *more)) == 1

    assert "texts.jsonl: expected the card's 4 test texts, got 1; " in capsys.readouterr().err
    assert not asked


def test_what_setfit_scored_is_shown_of_its_own_rows_texts_and_base_only(
    card: Path, tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = Order(
        train=card / "train.jsonl", texts=card / "golden.json", base=tiny_base, out=tmp_path, seed=1, threads=1
    )
    files = {"train": order.train, "texts": order.texts, "base": tiny_base / "model.safetensors"}
    own = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}

    assert benchmarks.card.setfit_on_a_cpu(order) is None
    monkeypatch.setattr(benchmarks.card, "TRAINED_ON", own)
    assert benchmarks.card.setfit_on_a_cpu(order) == benchmarks.card.SETFIT_ON_A_CPU
    for name in own:
        monkeypatch.setattr(benchmarks.card, "TRAINED_ON", own | {name: "another"})
        assert benchmarks.card.setfit_on_a_cpu(order) is None
    assert benchmarks.card.setfit_on_a_cpu(replace(order, base=tmp_path)) is None, "no weights"


def test_the_files_of_what_setfit_scored_are_the_published_cards(shared: Path, tmp_path: Path) -> None:
    order = Order(
        train=shared / "card" / "train.jsonl",
        texts=shared / "data" / "sst2" / "test.jsonl",
        base=shared / "models" / "bge-small-en-v1.5",
        out=tmp_path,
        seed=42,
        threads=1,
    )

    assert benchmarks.card.setfit_on_a_cpu(order) == benchmarks.card.SETFIT_ON_A_CPU


def test_the_table_of_the_readme_shows_every_run_the_ratio_and_what_to_doubt() -> None:
    theirs = replace(RUN, who="setfit", seconds=30.0, peak_mb=None, versions={"setfit": "1", "torch": "2"})
    found = {
        "card": {"step_1": 0.2, "mean_2_to_50": 0.1, "accuracy": 0.75, "texts": 4},
        "setfit_on_a_cpu": {"step_1": 0.2059, "mean_2_to_50": 0.0902, "accuracy": 0.5, "texts": 4},
        "runs": [RUN.to_json(), theirs.to_json()],
        "against_setfit": {"time": {"rounds": [3.0, 2.0], "median": 2.5, "least": 2.0, "most": 3.0}},
        "environment": {"cpu": "a | cpu", "time": "2026-01-02T03:04:05", "load_1min": 1.5, "cores_usable": 2},
        "noise": {"others_share": 0.25, "stolen_share": 0.125},
    }

    assert training_table(found).splitlines() == [
        "|  | loss, step 1 | mean loss, steps 2 to 50 | right of 4 | seconds | peak MB |",
        "| --- | --- | --- | --- | --- | --- |",
        "| the card, on a GPU | 0.2000 | 0.1000 | 3 | - | - |",
        "| SetFit 1.2.0, on a CPU | 0.2059 | 0.0902 | 2 | - | - |",
        "| setfit, seed 42 | 0.2100 | 0.0900 | 3 | 30.0 | - |",
        "| setfuse, seed 42 | 0.2100 | 0.0900 | 3 | 10.0 | 500 |",
        "",
        "SetFit's time over setfuse's: 2.50 (round by round: 3.00, 2.00).",
        "",
        "a \\| cpu, 1 thread, 2026-01-02. Installed: torch 2; setfit 1, torch 2.",
        "",
        "Warning: the machine was busy before the run: a load of 1.5.",
        "",
        "Warning: others used 25% of the processors during the run.",
        "",
        "Warning: the host took 12% of the processors away during the run.",
    ]
    terminal = losses_table({**found, "setfit_on_a_cpu": None}).splitlines()
    assert [line.split()[:2] for line in terminal[:4]] == [
        ["loss,", "step"],
        ["the", "card,"],
        ["setfit,", "seed"],
        ["setfuse,", "seed"],
    ]
    assert len({len(line) for line in terminal[:4]}) == 1, "columns that line up"
    assert terminal[4:] == [line for line in training_table(found).splitlines()[7:] if line and "Installed" not in line]


def test_setfit_that_is_not_installed_is_told_before_any_work(
    card: Path, tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("benchmarks._environments.FOLDER", tmp_path / "none")

    assert main(arguments(card, tiny_base, tmp_path / "out", "--against-setfit")) == 1

    assert "environment setfit is not built; run python -m benchmarks.setup --only setfit" in capsys.readouterr().err


def test_without_dropout_every_step_stands_beside_setfits(
    card: Path,
    tiny_base: Path,
    tmp_path: Path,
    stand_in: Callable[..., list[tuple[Who, Order]]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    near = {"loss": [0.5, 0.2501], "grad_norm": [1.0, 2.002], "learning_rate": [0.0, 2e-5]}
    asked = stand_in(
        lambda _, order: (
            RUN if order.both_sides else replace(RUN, steps=near, probabilities=[[0.9, 0.1], [0.3, 0.7]], right=2)
        )
    )

    assert main(arguments(card, tiny_base, tmp_path / "out", "--no-dropout")) == 0

    assert [(order.both_sides, order.each_step) for _, order in asked] == [(False, True), (True, True)]
    config = json.loads((asked[0][1].base / "config.json").read_text(encoding="utf-8"))
    assert (config["hidden_dropout_prob"], config["attention_probs_dropout_prob"]) == (0.0, 0.0)
    apart = json.loads((tmp_path / "out" / "no-dropout.json").read_text(encoding="utf-8"))["apart"]
    assert apart["distinct texts"] == {
        "loss": pytest.approx(4e-4),
        "loss_step": 2,
        "grad_norm": pytest.approx(1e-3),
        "learning_rate": 0.0,
        "probability": pytest.approx(0.1),
        "right": -1,
    }
    assert apart["both sides of every pair"]["loss"] == 0.0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].split() == ["2", "0.250000", "0.250100", "0.250000"]
    assert lines[3].startswith("distinct texts: losses up to 4.0e-04 apart (step 2), ")


def test_steps_that_were_not_all_trained_are_no_comparison(
    card: Path,
    tiny_base: Path,
    tmp_path: Path,
    stand_in: Callable[..., list[tuple[Who, Order]]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    short = {name: values[:1] for name, values in RUN.steps.items()}
    stand_in(lambda *_: replace(RUN, steps=short))

    assert main(arguments(card, tiny_base, tmp_path / "out", "--no-dropout")) == 1

    assert "expected the 2 steps of SetFit's log, got 1; " in capsys.readouterr().err


@pytest.mark.parametrize("golden", [None, "[]", "{}", "no json"])
def test_a_card_without_its_figures_is_told_before_any_work(
    golden: str | None, card: Path, tiny_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (card / "golden.json").unlink()
    if golden is not None:
        (card / "golden.json").write_text(golden, encoding="utf-8")

    assert main(arguments(card, tiny_base, tmp_path / "out")) == 1

    assert "golden.json: expected JSON with the card's loss_step_1" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_card_without_rows_and_a_base_without_dropout_are_told(
    card: Path, tiny_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = tmp_path / "base"
    base.mkdir()
    (base / "config.json").write_text("{}", encoding="utf-8")
    assert main(arguments(card, base, tmp_path / "out", "--no-dropout")) == 1
    assert "expected hidden_dropout_prob and attention_probs_dropout_prob" in capsys.readouterr().err

    (card / "train.jsonl").unlink()
    assert main(arguments(card, tiny_base, tmp_path / "out")) == 1
    assert "train.jsonl: expected the card's labelled rows" in capsys.readouterr().err


def test_a_training_that_fails_is_told_in_its_own_words(
    card: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "nothing").mkdir()

    assert main(arguments(card, tmp_path / "nothing", tmp_path / "out")) == 1

    said = capsys.readouterr().err
    assert said.startswith("benchmarks.card: the training of setfuse, seed 42, failed: ")
    assert "BaseModelNotFound" in said


@pytest.fixture
def order(card: Path, tiny_base: Path, tmp_path: Path) -> Order:
    rows = card / "train.jsonl"
    return Order(train=rows, texts=rows, base=tiny_base, out=tmp_path / "out", seed=42, threads=1)


def test_a_training_that_does_not_end_is_told(order: Order, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_processes, "LIMIT_S", 0.05)

    with pytest.raises(BenchmarkError, match=r"setfuse, seed 42: expected it to end within 0\.05 s, it did not"):
        run_training(Who.SETFUSE, order)


@pytest.mark.parametrize("who", Who)
def test_both_train_on_the_processor_where_there_is_a_gpu(
    who: Who, order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[dict[str, str]] = []

    def run(*_: object, env: dict[str, str], **__: object) -> subprocess.CompletedProcess[str]:
        told.append(env)
        return subprocess.CompletedProcess([], 1, "", "enough seen")

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setattr(_processes, "python_for", lambda _: Path(sys.executable))
    monkeypatch.setattr(subprocess, "run", run)

    with pytest.raises(BenchmarkError, match="enough seen"):
        run_training(who, order)

    assert [environment["CUDA_VISIBLE_DEVICES"] for environment in told] == [""]


def test_the_memory_of_a_training_has_nothing_of_the_export_in_it() -> None:
    program = "import sys, benchmarks._training._ours; print(sorted({'onnx', 'onnxruntime'} & sys.modules.keys()))"

    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["[]"]


@pytest.mark.skipif(sys.platform != "linux", reason="the end of orphaned processes is left to Linux's kernel")
def test_no_training_outlives_a_program_that_is_killed(order: Order) -> None:
    paths = {name: str(getattr(order, name)) for name in ("train", "texts", "base", "out")}
    program = (
        "from pathlib import Path\n"
        "from benchmarks._training import Order, Who, run_training\n"
        f"paths = {{name: Path(path) for name, path in {paths!r}.items()}}\n"
        "run_training(Who.SETFUSE, Order(**paths, seed=42, threads=1))\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT) as parent:
        training = _wait_for(lambda: _child_with_torch(parent.pid))
        os.kill(training, signal.SIGSTOP)  # it cannot end by itself
        parent.kill()

    try:
        _wait_for(lambda: not _is_alive(training) or None)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(training, signal.SIGKILL)


Found = TypeVar("Found")


def _wait_for(find: Callable[[], Found | None]) -> Found:
    for _ in range(600):
        found = find()
        if found is not None:
            return found
        time.sleep(0.05)
    pytest.fail("waited in vain")


def _child_with_torch(parent: int) -> int | None:
    """Give the child that has begun to load its libraries, which comes after it has bound itself to its parent."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text(encoding="ascii").split()
    with contextlib.suppress(OSError):
        return next((int(child) for child in children if "torch" in Path(f"/proc/{child}/maps").read_text()), None)
    return None


def _is_alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text(encoding="utf-8").split()[2] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--against-setfit", "--no-dropout"], "expected one of them, got both"),
        (["--no-dropout", "--seeds", "42", "1"], "--no-dropout: expected one seed, that of SetFit's log, got 42 1"),
        (["--seeds", "1", "1"], "expected each once, got 1 1"),
        (["--threads", "0"], "--threads: expected 1 or more, got 0"),
    ],
)
def test_bad_usage(given: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(given)

    assert caught.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_setfit_itself_trains_the_same_rows(card: Path, tmp_path: Path) -> None:
    if reason := ENVIRONMENTS["setfit"].reason:
        pytest.skip(reason)
    make_body(tmp_path, dropout=0.0)
    order = Order(
        train=card / "train.jsonl",
        texts=card / "train.jsonl",
        base=tmp_path / "body",
        out=tmp_path / "out",
        seed=42,
        threads=1,
        each_step=True,
    )

    ours, theirs = (run_training(who, order) for who in Who)

    assert (ours.who, theirs.who) == ("setfuse", "setfit")
    assert ours.steps["loss"] == pytest.approx(theirs.steps["loss"], rel=1e-4)
    assert ours.steps["learning_rate"] == pytest.approx(theirs.steps["learning_rate"], rel=1e-9)
    assert np.asarray(ours.probabilities) == pytest.approx(np.asarray(theirs.probabilities), abs=1e-4)
    assert ours.right == theirs.right


@pytest.mark.slow
def test_the_cards_figures_are_reproduced(shared: Path, tmp_path: Path) -> None:
    run = run_training(
        Who.SETFUSE,
        Order(
            train=shared / "card" / "train.jsonl",
            texts=shared / "data" / "sst2" / "test.jsonl",
            base=shared / "models" / "bge-small-en-v1.5",
            out=tmp_path / "checkpoint",
            seed=42,
            threads=2,
        ),
    )

    assert 0.19 < run.step_1 < 0.23
    assert run.mean_2_to_50 is not None
    assert 0.080 < run.mean_2_to_50 < 0.105
    assert run.right >= 1570
