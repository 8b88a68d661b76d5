"""Training with every kind of head and of data, from rows to checkpoint."""

import json
import logging
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import f1_score
from sklearn.svm import LinearSVC

from setfuse.export import read_checkpoint
from setfuse.runtime import DatasetError, MultiLabelRow, Row, UsageError
from setfuse.train import OutOfMemory, TrainingArguments, TrainingResult, train
from setfuse.train import _recipe as recipe
from tests.train.recording import AtStep

ROWS = [Row(f"{word} parcel {number}", word) for word in ("late", "refund", "best") for number in range(4)]
SEVERAL = [
    MultiLabelRow(f"{' '.join(words)} parcel {number}", words)
    for words in (("late",), ("refund",), ("late", "refund"), ("best",), ())
    for number in range(3)
]
QUICK: dict[str, Any] = {
    "max_steps": 3,
    "save_strategy": "no",
    "body_learning_rate": (1e-3, 1e-3),
    "num_epochs": (1, 2),
}


def run(base: Path, out: str = "out", rows: Any = ROWS, **given: Any) -> TrainingResult:
    names = {"eval_rows", "head", "head_params", "multi_target_strategy", "freeze", "metric", "callbacks", "resume"}
    rest = {name: given.pop(name) for name in names & given.keys()}
    return train(rows, base=base, out=out, args=TrainingArguments(**QUICK | given), **rest)


def weights(folder: str | Path) -> dict[str, torch.Tensor]:
    return SentenceTransformer(str(folder), device="cpu").state_dict()


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(first[name], second[name]) for name in first)


def head_kind(folder: str) -> str:
    return str(json.loads(Path(folder, "head.json").read_text(encoding="utf-8"))["kind"])


@pytest.mark.parametrize("strategy", ["one-vs-rest", "multi-output", "classifier-chain"])
def test_texts_with_several_labels(tiny_base: Path, strategy: str) -> None:
    result = run(tiny_base, rows=SEVERAL, eval_rows=SEVERAL, eval_steps=3, metric="f1", multi_target_strategy=strategy)

    texts = [row.text for row in SEVERAL]
    given = np.array([[name in row.labels for name in ("best", "late", "refund")] for row in SEVERAL])
    checkpoint = read_checkpoint("out")
    assert list(checkpoint.head.classes) == ["best", "late", "refund"]
    applies = checkpoint.head.answer(SentenceTransformer("out", device="cpu").encode(texts)) > 0.5
    assert result.accuracy == np.mean((applies == given).all(axis=1))
    assert result.metrics["f1"] == pytest.approx(f1_score(given, applies, average="macro", zero_division=0.0))
    assert result.labels == {"best": 3, "late": 6, "refund": 6}


def test_a_metric_that_is_not_for_several_labels_is_refused(tiny_base: Path) -> None:
    with pytest.raises(UsageError, match=r"^metric: expected one that can be taken of several labels a text"):
        run(
            tiny_base,
            rows=SEVERAL,
            eval_rows=SEVERAL,
            metric="matthews_correlation",
            multi_target_strategy="one-vs-rest",
        )


def test_held_out_rows_of_another_kind_are_refused(tiny_base: Path) -> None:
    with pytest.raises(DatasetError, match=r"row 1: expected held-out rows with labels like those of row 1"):
        run(tiny_base, rows=SEVERAL, eval_rows=ROWS, multi_target_strategy="one-vs-rest")


def test_a_differentiable_head_leaves_the_body_alone_unless_trained_end_to_end(tiny_base: Path) -> None:
    run(tiny_base, "plain")
    run(tiny_base, "apart", head="differentiable")
    run(tiny_base, "together", head="differentiable", end_to_end=True)

    assert head_kind("apart") == head_kind("together") != head_kind("plain")
    assert same(weights("plain"), weights("apart"))
    assert not same(weights("plain"), weights("together"))


@pytest.mark.parametrize(
    "given",
    [
        {"head_learning_rate": 0.5},
        {"batch_size": (16, 5)},
        {"num_epochs": (1, 4)},
        {"l2_weight": 100.0},
        {"head_params": {"temperature": 3.0}},
    ],
    ids=str,
)
def test_arguments_of_the_differentiable_head_take_effect(base_without_dropout: Path, given: dict[str, Any]) -> None:
    run(base_without_dropout, "plain", head="differentiable")
    run(base_without_dropout, "other", head="differentiable", **given)

    answers = [read_checkpoint(folder).head.answer(np.eye(3, 32, dtype=np.float32)) for folder in ("plain", "other")]
    assert not np.allclose(*answers, atol=1e-4)


def test_the_second_learning_rate_of_the_body_is_for_the_head(base_without_dropout: Path) -> None:
    bodies = []
    for rate in (1e-3, 1e-2):
        run(base_without_dropout, str(rate), head="differentiable", end_to_end=True, body_learning_rate=(1e-3, rate))
        bodies.append(weights(str(rate)))

    assert not same(*bodies)


def test_a_frozen_head_is_not_trained(base_without_dropout: Path) -> None:
    untrained = []
    for epochs in (1, 3):
        run(
            base_without_dropout,
            str(epochs),
            head="differentiable",
            freeze="head",
            end_to_end=True,
            num_epochs=(1, epochs),
        )
        untrained.append(Path(str(epochs), "head.safetensors").read_bytes())

    assert untrained[0] == untrained[1]


@pytest.mark.parametrize(
    "head",
    ["LogisticRegression", "differentiable", RandomForestClassifier(n_estimators=3)],
    ids=["fitted", "differentiable", "of random trees"],
)
def test_looking_at_the_run_does_not_change_it(tiny_base: Path, head: Any) -> None:
    alone = run(tiny_base, "alone", head=head, max_steps=4)
    looked_at = run(
        tiny_base,
        "looked-at",
        head=head,
        max_steps=4,
        eval_rows=ROWS,
        eval_steps=1,
        save_strategy="steps",
        save_steps=2,
        output_dir="run",
    )

    assert looked_at.losses == alone.losses
    assert same(weights("alone"), weights("looked-at"))
    for name in ("head.json", "head.onnx" if Path("alone/head.onnx").exists() else "head.safetensors"):
        heads = {Path(folder, name).read_bytes() for folder in ("alone", "looked-at", "run/checkpoint-4")}
        assert len(heads) == 1


def test_a_classifier_of_the_callers_own(base_without_dropout: Path) -> None:
    forest = RandomForestClassifier(n_estimators=5, random_state=0)

    result = run(base_without_dropout, head=forest, eval_rows=ROWS)

    assert not hasattr(forest, "estimators_")
    assert result.accuracy is not None
    assert Path("out/head.onnx").exists()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"end_to_end": True}, r"^end_to_end: expected with head='differentiable', got it with another head"),
        ({"freeze": "body"}, r"^freeze: expected with head='differentiable'"),
        ({"freeze": "tail", "head": "differentiable"}, r"^freeze: expected one of body, head, got 'tail'"),
        ({"head": "svm"}, r"^head: expected LogisticRegression, differentiable or a classifier"),
        ({"class_weight": "balanced", "head": LinearSVC()}, r"^class_weight: expected none with a classifier of your"),
    ],
    ids=str,
)
def test_what_is_for_another_head_is_refused_before_anything_is_loaded(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        run(Path("no-base-is-looked-for"), **given)


def test_a_run_with_another_head_is_another_run(tiny_base: Path) -> None:
    from setfuse.train import RunNotResumable

    given: dict[str, Any] = {"save_strategy": "steps", "save_steps": 2, "output_dir": "run"}
    run(tiny_base, **given)

    with pytest.raises(RunNotResumable, match="got head 'differentiable' instead of 'LogisticRegression'; "):
        run(tiny_base, "other", head="differentiable", resume=True, **given)


def test_rows_come_from_any_table_with_names_for_their_labels(tiny_base: Path) -> None:
    lines = [f"{row.text},{['late', 'refund', 'best'].index(row.label)}" for row in ROWS]
    Path("rows.csv").write_text("\n".join(["sentence,category", *lines]) + "\n", encoding="utf-8")

    result = train(
        "rows.csv",
        base=tiny_base,
        out="out",
        args=TrainingArguments(**QUICK),
        columns={"sentence": "text", "category": "label"},
        label_names=["late", "refund", "best"],
    )

    assert result.labels == {"best": 4, "late": 4, "refund": 4}
    assert result.losses == run(tiny_base, "rows").losses


def test_no_random_state_of_the_caller_is_touched(tiny_base: Path) -> None:
    def drawn() -> tuple[float, float, float]:
        return random.random(), np.random.random(), torch.rand(1).item()  # noqa: NPY002, S311 - the caller's

    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    torch.manual_seed(1)
    expected = drawn()
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    torch.manual_seed(1)

    run(tiny_base)

    assert drawn() == expected


def test_long_texts_are_counted(tiny_base: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = [*ROWS, Row("parcel " * 60, "late", "rows.jsonl:13"), Row("parcel " * 70, "late", "rows.jsonl:14")]

    with caplog.at_level(logging.WARNING, "setfuse.train"):
        run(tiny_base, rows=rows)

    assert "2 of 14 texts are longer than 48 tokens and are cut, the first at rows.jsonl:13" in caplog.text


def test_importing_the_stage_imports_no_torch() -> None:
    program = "import setfuse.train, sys; print([n for n in ('torch', 'transformers', 'datasets') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_an_error_in_a_callback_is_the_callers(tiny_base: Path) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(tiny_base, callbacks=[AtStep(1, fail)])
    assert not Path("out").exists()


def test_a_head_without_room_names_its_own_batch_size(tiny_base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def too_much(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")

    monkeypatch.setattr(recipe, "train_head", too_much)
    with pytest.raises(OutOfMemory, match=r"^the head: expected room for a batch_size of 5, ran out of memory; lower"):
        run(tiny_base, head="differentiable", batch_size=(16, 5))
