"""`setfuse train`: a flag for every argument, and what it prints where."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from setfuse.runtime.__main__ import main
from setfuse.train import TrainingArguments, TrainingResult, cli
from tests.models import write_rows

DATA = [(f"{word} parcel {number}", word) for word in ("late", "refund") for number in range(4)]
RESULT = TrainingResult(Path("out"), 1.0, 2, 3, {"a": 2, "b": 2}, (0.5, 0.25), {"accuracy": 0.75, "f1": 0.5}, (), 2)

Given = Callable[..., dict[str, Any]]


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> Given:
    """What `train` is called with, by a command line of these options."""

    def call(*options: str) -> dict[str, Any]:
        calls: list[dict[str, Any]] = []

        def train(data: str, **arguments: Any) -> TrainingResult:
            calls.append({"data": data, **arguments})
            return RESULT

        monkeypatch.setattr(cli, "train", train)
        assert main(["train", "rows.jsonl", "--base", "b", "--out", "out", *options]) == 0
        return calls[0]

    return call


FLAGS: dict[str, tuple[str, Any]] = {
    "output_dir": ("runs/a", "runs/a"),
    "batch_size": ("32,4", (32, 4)),
    "num_epochs": ("10", 10),
    "max_steps": ("7", 7),
    "sampling_strategy": ("unique", "unique"),
    "num_iterations": ("5", 5),
    "body_learning_rate": ("1e-4,2e-5", (1e-4, 2e-5)),
    "head_learning_rate": ("0.1", 0.1),
    "loss": ("BatchAllTripletLoss", "BatchAllTripletLoss"),
    "loss_kwargs": ('{"scale": 2}', {"scale": 2}),
    "distance_metric": ("cosine_distance", "cosine_distance"),
    "margin": ("0.25", 0.25),
    "end_to_end": ("", True),
    "use_amp": ("", True),
    "warmup_proportion": ("0.2", 0.2),
    "l2_weight": ("0", 0.0),
    "max_length": ("64", 64),
    "seed": ("1", 1),
    "report_to": ("wandb,mlflow", ["wandb", "mlflow"]),
    "run_name": ("first", "first"),
    "logging_dir": ("boards", "boards"),
    "logging_strategy": ("epoch", "epoch"),
    "logging_first_step": ("no", False),
    "logging_steps": ("10", 10),
    "eval_strategy": ("epoch", "epoch"),
    "eval_steps": ("5", 5),
    "eval_delay": ("2.5", 2.5),
    "eval_max_steps": ("4", 4),
    "save_strategy": ("no", "no"),
    "save_steps": ("50", 50),
    "save_total_limit": ("3", 3),
    "load_best_model_at_end": ("no", False),
    "metric_for_best_model": ("f1", "f1"),
    "greater_is_better": ("", True),
    "gradient_accumulation_steps": ("2", 2),
    "device": ("cpu", "cpu"),
    "bf16": ("", True),
    "lr_scheduler_type": ("cosine", "cosine"),
    "class_weight": ("late=2,a=b=0.5", {"late": 2.0, "a=b": 0.5}),
    "pair_seed": ("3", 3),
    "self_pairs": ("no", False),
    "distinct_batches": ("no", False),
}
"""Of each argument a word on the command line and its value; for those that are true or false, "no" or nothing."""


def test_every_argument_is_tried_here() -> None:
    assert [field.name for field in dataclasses.fields(TrainingArguments)] == list(FLAGS)


@pytest.mark.parametrize(("name", "word", "value"), [(name, *flag) for name, flag in FLAGS.items()], ids=list(FLAGS))
def test_an_argument_is_a_flag(given: Given, name: str, word: str, value: Any) -> None:
    flag = name.replace("_", "-")
    options = [f"--{flag}", word] if not isinstance(value, bool) else [f"--no-{flag}" if word == "no" else f"--{flag}"]

    args = given(*options)["args"]

    assert getattr(args, name) == value
    assert args == TrainingArguments(**{name: value})


@pytest.mark.parametrize("name", ["l2_weight", "save_total_limit", "pair_seed"])
def test_a_word_for_what_has_no_value(given: Given, name: str) -> None:
    assert given(f"--{name.replace('_', '-')}", "none")["args"] == TrainingArguments(**{name: None})


def test_a_loss_may_be_named_without_its_ending(given: Given) -> None:
    assert given("--loss", "AnglE")["args"] == TrainingArguments(loss="AnglELoss")


def test_without_flags_the_defaults_are_the_librarys(given: Given) -> None:
    called = given()

    assert called["args"] == TrainingArguments()
    assert {name: called[name] for name in ("data", "base", "out", "eval_rows", "metric", "resume", "overwrite")} == {
        "data": "rows.jsonl",
        "base": "b",
        "out": "out",
        "eval_rows": None,
        "metric": "accuracy",
        "resume": False,
        "overwrite": False,
    }


@pytest.mark.parametrize(
    ("options", "name", "value"),
    [
        (["--eval", "test.jsonl"], "eval_rows", "test.jsonl"),
        (["--metric", "f1"], "metric", "f1"),
        (["--metric-kwargs", '{"average": "micro"}'], "metric_kwargs", {"average": "micro"}),
        (["--columns", "sentence=text,category=label"], "columns", {"sentence": "text", "category": "label"}),
        (["--label-names", "no,yes"], "label_names", ["no", "yes"]),
        (["--head", "differentiable"], "head", "differentiable"),
        (["--head-params", '{"C": 2}'], "head_params", {"C": 2}),
        (["--multi-target-strategy", "one-vs-rest"], "multi_target_strategy", "one-vs-rest"),
        (["--freeze", "body"], "freeze", "body"),
        (["--resume"], "resume", True),
        (["--resume-from", "run/checkpoint-5"], "resume", "run/checkpoint-5"),
        (["--overwrite"], "overwrite", True),
    ],
    ids=str,
)
def test_what_is_no_hyperparameter_is_passed_on(given: Given, options: list[str], name: str, value: Any) -> None:
    assert given(*options)[name] == value


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--batch-size", "16,2,1"], "batch_size: expected a positive whole number or a pair of them, got (16, 2, 1)"),
        (["--resume", "--resume-from", "x"], "--resume and --resume-from: expected one of them, got both"),
        (["--bf16", "--use-amp"], "bf16 and use_amp: expected one of them, got both"),
    ],
    ids=str,
)
def test_bad_usage_is_one_line(capsys: pytest.CaptureFixture[str], options: list[str], message: str) -> None:
    assert main(["train", "rows.jsonl", "--base", "b", "--out", "out", *options]) == 2

    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--batch-size", "many"], "argument --batch-size: invalid int or pair value: 'many'"),
        (["--class-weight", "a=heavy"], "argument --class-weight: expected a number for each label, got 'a=heavy'"),
        (["--class-weight", "heavy"], "argument --class-weight: expected NAME=VALUE,NAME=VALUE, got 'heavy'"),
        (["--columns", "text"], "argument --columns: expected NAME=VALUE,NAME=VALUE, got 'text'"),
        (["--columns", "sentence=text,="], "argument --columns: expected NAME=VALUE,NAME=VALUE, got 'sentence=text,='"),
        (["--head-params", "[1]"], "argument --head-params: expected a JSON object, as in '{\"name\": 2}', got '[1]'"),
        (["--metric-kwargs", "3"], "argument --metric-kwargs: expected a JSON object"),
        (["--loss-kwargs", "{scale: 2}"], "argument --loss-kwargs: expected a JSON object"),
        (["--loss", "HingeLoss"], "argument --loss: invalid choice"),
    ],
    ids=str,
)
def test_what_argparse_refuses_is_named(capsys: pytest.CaptureFixture[str], options: list[str], message: str) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["train", "rows.jsonl", "--base", "b", "--out", "out", *options])

    assert message in capsys.readouterr().err


def test_distill_passes_everything_on(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def distill(*data: str, **arguments: Any) -> TrainingResult:
        calls.append((data, arguments))
        return RESULT

    monkeypatch.setattr(cli, "distill", distill)
    options = "--eval e --columns a=text,b=label --metric f1 --metric-kwargs {} --resume-from r --overwrite --seed 3"
    options += " --label-names no,yes --head differentiable --head-params {} --freeze body --for-setfit"

    assert main(["distill", "teacher", "texts.csv", "--base", "b", "--out", "o", *options.split()]) == 0

    assert calls == [
        (
            ("teacher", "texts.csv"),
            {
                "base": "b",
                "out": "o",
                "args": TrainingArguments(seed=3),
                "columns": {"a": "text", "b": "label"},
                "eval_rows": "e",
                "metric": "f1",
                "metric_kwargs": {},
                "label_names": ["no", "yes"],
                "head": "differentiable",
                "head_params": {},
                "freeze": "body",
                "resume": "r",
                "for_setfit": True,
                "overwrite": True,
                "progress": False,
            },
        )
    ]
    assert "out: a 2, b 2" in capsys.readouterr().out


def test_a_student_is_distilled(tiny_checkpoint: Path, tiny_base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_rows(Path("texts.jsonl"), DATA)
    options = ["--base", str(tiny_base), "--out", "student", "--max-steps", "1", "--json"]

    assert main(["distill", str(tiny_checkpoint), "texts.jsonl", *options]) == 0

    assert json.loads(capsys.readouterr().out)["checkpoint"] == "student"
    assert Path("student", "head.safetensors").is_file()


def test_the_result_is_told(given: Given, capsys: pytest.CaptureFixture[str]) -> None:
    given()

    out = capsys.readouterr().out
    for line in (
        "out: a 2, b 2",
        "best: step 2",
        "accuracy on the held-out texts 0.7500",
        "f1 on the held-out texts 0.",
    ):
        assert line in out


@pytest.fixture
def training(tiny_base: Path) -> list[str]:
    """A command line that trains two steps on rows with something to warn of."""
    write_rows(Path("rows.jsonl"), [*DATA, ("late parcel 1", "refund")])
    write_rows(Path("test.jsonl"), DATA)
    options = "--eval test.jsonl --metric f1 --eval-steps 2 --max-steps 2 --max-length 4".split()
    return ["train", "rows.jsonl", "--base", str(tiny_base), "--out", "out", *options]


WARNINGS = (
    "1 text has different labels in different rows: rows.jsonl:2 'late'; rows.jsonl:9 'refund'",
    "9 of 9 texts are longer than 4 tokens and are cut, the first at rows.jsonl:1",
)
LINES = ("step 1 of 2: loss 0.", "step 2 of 2: held-out embedding_loss 0.")


def test_log_lines_and_warnings_go_to_stderr(training: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(training) == 0

    out, err = capsys.readouterr()
    for line in (*WARNINGS, *LINES):
        assert line in err
        assert line not in out


def test_beside_a_document_there_are_warnings_only(training: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*training, "--json"]) == 0

    out, err = capsys.readouterr()
    document = json.loads(out)
    assert document["metrics"].keys() == {"accuracy", "f1"}
    assert [found["step"] for found in document["evaluations"]] == [2]
    assert all(line in err for line in WARNINGS)
    assert not any(line in err for line in LINES)
