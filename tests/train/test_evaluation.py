"""Evaluation while training: by the classifier's own metric, on a head fitted for it; best model and early stopping."""

import itertools
import json
import logging
import shutil
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.losses import (
    BatchAllTripletLoss,
    BatchHardTripletLossDistanceFunction,
    CosineSimilarityLoss,
)
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, matthews_corrcoef, precision_score, recall_score
from transformers import EarlyStoppingCallback

from setfuse.runtime import DatasetError, Row, UsageError
from setfuse.train import TrainingArguments, TrainingResult, sample_dataset, train
from setfuse.train import _recipe as recipe
from setfuse.train._drawing import draw_held_out_pairs
from setfuse.train._label_batches import make_label_batches
from setfuse.train._metrics import make_metric
from setfuse.train._pairs import make_pairs
from tests.models import TEXTS
from tests.train.recording import AtStep, Recorder

ROWS = [Row(f"{word} parcel {number}", word) for word in ("late", "refund", "best") for number in range(4)]
HELD_OUT = [
    Row(text, label)
    for text, label in zip([text for text in TEXTS if text], ["late", "refund", "best"] * 4, strict=False)
]


def run(
    base: Path,
    out: str = "out",
    *,
    metric: Any = "accuracy",
    callbacks: Any = (),
    rows: Any = HELD_OUT,
    resume: bool = False,
    **given: Any,
) -> TrainingResult:
    args = TrainingArguments(
        **{"output_dir": "run", "num_epochs": 2, "eval_steps": 4, "save_steps": 4, "body_learning_rate": 1e-3} | given
    )
    return train(ROWS, base=base, out=out, args=args, eval_rows=rows, metric=metric, callbacks=callbacks, resume=resume)


@pytest.mark.parametrize(
    ("given", "steps"),
    [
        ({}, [4, 8, 12]),
        ({"eval_steps": 5}, [5, 10, 12]),  # transformers evaluates the last step, too
        ({"eval_steps": None, "eval_strategy": "epoch"}, [6, 12]),
        ({"eval_delay": 6}, [8, 12]),
        ({"eval_steps": None}, []),
        ({"eval_steps": None, "eval_strategy": "steps", "logging_steps": 3}, [3, 6, 9, 12]),
    ],
    ids=str,
)
def test_when_it_is_evaluated(tiny_base: Path, given: dict[str, Any], steps: list[int]) -> None:
    recorder = Recorder()

    result = run(tiny_base, callbacks=[recorder], save_strategy="no", **given)

    assert recorder.evaluated == steps
    assert [found["step"] for found in result.evaluations] == steps


def test_what_is_measured_is_what_the_saved_step_would_answer(base_without_dropout: Path) -> None:
    result = run(base_without_dropout, metric="f1", max_steps=4, save_total_limit=None)

    found = result.evaluations[0]
    body = SentenceTransformer("run/checkpoint-4", device="cpu")
    head = LogisticRegression().fit(body.encode([row.text for row in ROWS]), [row.label for row in ROWS])
    texts, labels = [row.text for row in HELD_OUT], [row.label for row in HELD_OUT]
    answers = head.predict(body.encode(texts))
    assert found["f1"] == f1_score(labels, answers, average="macro")
    assert found["accuracy"] == np.mean(answers == labels)
    assert result.metrics == {"accuracy": found["accuracy"], "f1": found["f1"]}

    assert found["embedding_loss"] == pytest.approx(held_out_loss(body), rel=1e-5)


def held_out_loss(body: SentenceTransformer, most: int | None = None) -> float:
    """Take the loss of the held-out pairs as sentence-transformers does: over batches of them, each side embedded.

    Args:
        body: Embeds.
        most: How many pairs to take, from the first on; None for all.
    """
    texts, labels = [row.text for row in HELD_OUT], [row.label for row in HELD_OUT]
    pairs = make_pairs(labels, "oversampling")
    total, number = 0.0, len(pairs) if most is None else most
    assert number <= len(pairs)
    for start in range(0, number, 16):
        rows, same = pairs.rows_of(np.arange(start, min(start + 16, number)))
        sides = [body.preprocess([texts[row] for row in rows[:, side]]) for side in (0, 1)]
        with torch.no_grad():
            total += len(rows) * CosineSimilarityLoss(body)(sides, torch.from_numpy(same)).item()
    return total / number


@pytest.mark.parametrize("batches", [1, 2])
def test_the_contrastive_loss_may_be_taken_over_the_first_batches_only(
    base_without_dropout: Path, batches: int
) -> None:
    result = run(base_without_dropout, max_steps=4, eval_max_steps=batches)

    body = SentenceTransformer("run/checkpoint-4", device="cpu")
    expected = held_out_loss(body, 16 * batches)
    assert result.evaluations[0]["embedding_loss"] == pytest.approx(expected, rel=1e-5)
    assert expected != pytest.approx(held_out_loss(body), rel=1e-3)


def test_a_loss_on_labels_may_be_taken_over_the_first_batch_only(base_without_dropout: Path) -> None:
    given: dict[str, Any] = {"loss": "BatchAllTripletLoss", "batch_size": 4}
    result = run(base_without_dropout, max_steps=4, eval_max_steps=1, **given)

    body = SentenceTransformer("run/checkpoint-4", device="cpu")
    labels = torch.tensor([sorted({row.label for row in HELD_OUT}).index(row.label) for row in HELD_OUT])
    margin = TrainingArguments().margin
    loss = BatchAllTripletLoss(body, BatchHardTripletLossDistanceFunction.cosine_distance, margin)
    values = []
    for batch in make_label_batches(labels.tolist(), 4, seed=42):
        with torch.no_grad():
            values.append(loss([body.preprocess([HELD_OUT[row].text for row in batch])], labels[batch]).item())
    assert len(values) == 2
    assert result.evaluations[0]["embedding_loss"] == pytest.approx(values[0], rel=1e-5)
    assert values[0] != pytest.approx(np.mean(values), rel=1e-3)


def test_held_out_rows_of_one_label_have_a_loss_of_their_own(tiny_base: Path) -> None:
    result = run(tiny_base, rows=HELD_OUT[:1], max_steps=4)

    assert result.evaluations[0]["embedding_loss"] == pytest.approx(0, abs=1e-6)  # the text with itself


def fixed_metric(values: list[float]) -> Any:
    """A metric that gives these values, one an evaluation, and the last one ever after."""
    given = iter([0.0, *values])  # it is tried before the training

    def metric(predicted: Any, labels: Any) -> dict[str, float]:
        del predicted, labels
        return {"planned": next(given, values[-1])}

    return metric


@pytest.mark.parametrize(
    ("given", "best"),
    [
        ({}, 8),
        ({"greater_is_better": False}, 12),
        ({"metric_for_best_model": "eval_planned"}, 8),
        ({"save_strategy": "epoch", "eval_strategy": "epoch", "eval_steps": None}, 12),
    ],
    ids=str,
)
def test_the_best_checkpoint_by_the_classifiers_metric_is_kept(
    tiny_base: Path, given: dict[str, Any], best: int
) -> None:
    result = run(
        tiny_base,
        metric=fixed_metric([0.5, 0.9, 0.3]),
        **{"load_best_model_at_end": True, "metric_for_best_model": "planned", "save_total_limit": None} | given,
    )

    assert result.best_step == best
    ours, theirs = (
        SentenceTransformer(folder, device="cpu").state_dict() for folder in ("out", f"run/checkpoint-{best}")
    )
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    training = json.loads(Path("out/training.json").read_text(encoding="utf-8"))
    assert training["best_step"] == best
    assert [found["step"] for found in training["evaluations"]] == [found["step"] for found in result.evaluations]


def test_the_best_step_is_saved_whether_or_not_a_save_is_due(tiny_base: Path) -> None:
    result = run(
        tiny_base,
        metric=fixed_metric([0.5, 0.9, 0.3, 0.2]),
        eval_steps=3,
        save_steps=6,
        load_best_model_at_end=True,
        metric_for_best_model="planned",
        save_total_limit=None,
    )

    assert sorted(path.name for path in Path("run").iterdir()) == ["checkpoint-12", "checkpoint-3", "checkpoint-6"]
    assert result.best_step == 6

    result = run(
        tiny_base,
        out="again",
        output_dir="again-run",
        metric=fixed_metric([0.5, 0.6, 0.9, 0.2]),
        eval_steps=3,
        save_steps=6,
        load_best_model_at_end=True,
        metric_for_best_model="planned",
    )
    assert result.best_step == 9


def test_a_lost_best_checkpoint_is_told(tiny_base: Path, caplog: pytest.LogCaptureFixture) -> None:
    lose = AtStep(6, lambda: shutil.rmtree("run/checkpoint-4"))

    with pytest.raises(RuntimeError, match="stopped"):
        run(tiny_base, metric=fixed_metric([0.9, 0.1]), callbacks=[lose, AtStep(9, _stop)], **BEST)
    result = run(tiny_base, metric=fixed_metric([0.1]), resume=True, **BEST)

    assert result.best_step is None
    assert "the last step is kept" in caplog.text


BEST: dict[str, Any] = {
    "load_best_model_at_end": True,
    "metric_for_best_model": "planned",
    "save_total_limit": None,
}


def _stop() -> None:
    raise RuntimeError("the machine stopped")


def test_the_best_checkpoint_outlives_the_limit(tiny_base: Path) -> None:
    run(
        tiny_base,
        metric=fixed_metric([0.9, 0.5, 0.3]),
        load_best_model_at_end=True,
        metric_for_best_model="planned",
        save_total_limit=1,
    )

    assert [path.name for path in Path("run").iterdir()] == ["checkpoint-4"]


def test_without_asking_the_last_step_is_kept(tiny_base: Path) -> None:
    assert run(tiny_base, metric=fixed_metric([0.9, 0.1])).best_step is None


def test_training_stops_early_when_the_metric_gets_no_better(tiny_base: Path) -> None:
    result = run(
        tiny_base,
        metric=fixed_metric([0.9, 0.5, 0.95]),
        callbacks=[EarlyStoppingCallback(early_stopping_patience=1)],
        eval_steps=2,
        save_steps=2,
        load_best_model_at_end=True,
        metric_for_best_model="planned",
    )

    assert result.steps == 4
    assert result.best_step == 2


def test_the_patience_of_early_stopping_survives_a_stop(tiny_base: Path) -> None:
    def stop() -> None:
        raise RuntimeError("the machine stopped")

    def early(resume: bool, *more: Any) -> TrainingResult:
        args = TrainingArguments(
            output_dir="run",
            num_epochs=2,
            eval_steps=2,
            save_steps=2,
            load_best_model_at_end=True,
            metric_for_best_model="planned",
        )
        patience = EarlyStoppingCallback(early_stopping_patience=4)
        metric = fixed_metric([0.4] if resume else [0.9, 0.5])
        callbacks = [patience, *more]
        return train(
            ROWS,
            base=tiny_base,
            out="out",
            args=args,
            eval_rows=HELD_OUT,
            metric=metric,
            callbacks=callbacks,
            resume=resume,
        )

    with pytest.raises(RuntimeError, match="the machine stopped"):
        early(False, AtStep(7, stop))
    resumed = early(True)

    assert resumed.steps == 10  # worse at 4 and 6, before it stopped, and at 8 and 10
    assert resumed.best_step == 2


@pytest.mark.parametrize(
    ("given", "metric", "rows", "message"),
    [
        ({}, "accuracy", None, r"^eval_strategy: expected rows to evaluate on \(eval_rows, --eval\), got 'steps'"),
        ({}, "bleu", HELD_OUT, r"^metric: expected one of accuracy, f1, .*, got 'bleu'"),
        (
            {"load_best_model_at_end": True, "metric_for_best_model": "f1"},
            "accuracy",
            HELD_OUT,
            r"^metric_for_best_model: expected one of embedding_loss, accuracy, which are measured, got 'f1'; pass",
        ),
    ],
    ids=["no rows", "no such metric", "a metric that is not measured"],
)
def test_an_evaluation_that_cannot_be_made_is_refused_before_anything_is_loaded(
    given: dict[str, Any], metric: str, rows: Any, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        run(Path("no-such-base-is-looked-for"), metric=metric, rows=rows, **given)


def test_a_best_model_by_what_a_function_does_not_measure_is_refused(
    tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("setfuse.train._recipe.load_body", None)  # before the body is loaded

    message = r"^metric_for_best_model: expected one of embedding_loss, accuracy, planned, which are measured, got 'oth"
    with pytest.raises(UsageError, match=message):
        run(tiny_base, metric=fixed_metric([1.0]), metric_for_best_model="other")


def test_a_head_is_fitted_once_for_what_a_step_measures_and_saves(
    tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted = []
    fit = recipe.fit_head

    def counted(*given: Any) -> Any:
        fitted.append(given)
        return fit(*given)

    monkeypatch.setattr(recipe, "fit_head", counted)
    run(tiny_base, eval_steps=2, save_steps=2, max_steps=4, save_strategy="steps")

    assert len(fitted) == 3  # of the steps 2 and 4, and of the checkpoint at the end


@pytest.mark.parametrize(
    ("metric", "oracle"),
    [
        ("f1", f1_score),
        ("precision", precision_score),
        ("recall", recall_score),
        ("matthews_correlation", matthews_corrcoef),
    ],
)
def test_metrics_are_scikit_learns(metric: str, oracle: Any) -> None:
    given = ["no", "yes", "yes", "no", "yes", "no", "no"]
    predicted = ["no", "yes", "no", "yes", "yes", "no", "no"]
    numbers = [[int(label == "yes") for label in labels] for labels in (given, predicted)]

    found = make_metric(metric, {"no": 0, "yes": 1}, {})(predicted, given)

    assert found == {"accuracy": 5 / 7, metric: oracle(*numbers)}  # of 0 and 1, scikit-learn takes 1


@pytest.mark.parametrize("metric", ["f1", "precision", "recall"])
@pytest.mark.parametrize("numbers", [{"not_equivalent": 0, "equivalent": 1}, {"not_equivalent": 0, "equivalent": 7}])
def test_of_two_labels_the_second_counts_whatever_its_name(metric: str, numbers: dict[str, int]) -> None:
    given = ["equivalent", "not_equivalent", "equivalent", "equivalent"]
    predicted = ["equivalent", "equivalent", "not_equivalent", "equivalent"]
    oracle = {"f1": f1_score, "precision": precision_score, "recall": recall_score}[metric]

    found = make_metric(metric, {**numbers, "unseen": 9}, {}, known=list(numbers))(predicted, given)

    assert found[metric] == oracle(given, predicted, pos_label="equivalent")


def test_the_mean_over_labels_leaves_out_those_that_are_not_known() -> None:
    numbers, known = {"c": 0, "unseen": 1, "a": 2}, ["c", "a"]

    found = make_metric("f1", numbers, {}, known=known, multi_label=True)([("a",), ("c",)], [("a",), ("a", "c")])

    assert found["f1"] == f1_score([[0, 1], [1, 1]], [[0, 1], [1, 0]], average="macro")


@pytest.mark.parametrize(
    ("numbers", "predicted", "given", "handed"),
    [
        ({"c": 0, "unseen": 1, "a": 2}, ["a", "c", "a"], ["c", "c", "a"], ([2, 0, 2], [0, 0, 2])),
        ({"1": 1, "5": 5}, ["5", "1"], ["1", "1"], ([5, 1], [1, 1])),
        (
            {"c": 0, "unseen": 1, "a": 2},
            [("a", "c"), ()],
            [("c",), ("a",)],
            ([[1, 0, 1], [0, 0, 0]], [[1, 0, 0], [0, 0, 1]]),
        ),
    ],
    ids=["names", "whole numbers", "several labels"],
)
def test_a_function_is_handed_what_setfit_hands_it(
    numbers: dict[str, int], predicted: Any, given: Any, handed: tuple[list[Any], list[Any]]
) -> None:
    seen: list[Any] = []

    def metric(*arrays: Any, average: str) -> float:
        seen.extend(arrays)
        return float(f1_score(arrays[1], arrays[0], average=average, zero_division=0.0))

    several = isinstance(given[0], tuple)
    found = make_metric(metric, numbers, {"average": "macro"}, known=list(numbers)[::2], multi_label=several)(
        predicted, given
    )

    assert [array.tolist() for array in seen] == list(handed)
    assert {array.dtype for array in seen} == {np.dtype(np.int64)}
    assert found["metric"] == f1_score(handed[1], handed[0], average="macro", zero_division=0.0)


@pytest.mark.parametrize("way", ["label_names", "ClassLabel", "few of a ClassLabel"])
def test_training_measures_by_the_order_of_the_names(way: str, tiny_base: Path) -> None:
    names = ["not_equivalent", "equivalent"]
    content = {"text": [row.text for row in ROWS], "label": [number % 2 for number in range(len(ROWS))]}
    feature = datasets.Value("int64") if way == "label_names" else datasets.ClassLabel(names=names)
    features = datasets.Features({"text": datasets.Value("string"), "label": feature})
    data: Any = datasets.Dataset.from_dict(content, features=features)
    if way == "few of a ClassLabel":
        data = sample_dataset(data, num_samples=6)
    seen: list[Any] = []

    def metric(predicted: Any, given: Any) -> dict[str, float]:
        seen.append((predicted, given))
        return {"own": float(f1_score(given, predicted))}

    result, by_name = (
        train(
            data,
            base=tiny_base,
            out="out",
            args=TrainingArguments(max_steps=2, save_strategy="no"),
            eval_rows=[{"text": text, "label": number % 2} for number, text in enumerate(content["text"])],
            label_names=names,
            metric=taken,
            overwrite=True,
        )
        for taken in (metric, "f1")
    )

    given = np.arange(len(ROWS)) % 2
    np.testing.assert_array_equal(seen[0], [given, given])  # the rehearsal
    np.testing.assert_array_equal(seen[1][1], given)
    assert result.metrics["own"] == by_name.metrics["f1"] != f1_score(given, seen[1][0], pos_label=0)
    assert list(result.labels) == names
    for file, key in (("head.json", "classes"), ("config_setfit.json", "labels")):
        assert json.loads(Path("out", file).read_text(encoding="utf-8"))[key] == names


@pytest.mark.parametrize("average", ["macro", "micro", "weighted"])
def test_a_metrics_own_settings_reach_it(average: str) -> None:
    given, predicted = ["a", "b", "c", "a"], ["a", "c", "c", "b"]

    for labels in (["a", "b", "c"], ["a", "b"]):
        found = make_metric("f1", {"a": 0, "b": 1, "c": 2}, {"average": average}, known=labels)(predicted, given)
        assert found["f1"] == f1_score(given, predicted, average=average)


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        (lambda predicted, given: (predicted == given).sum(), {"metric": 2.0}),
        (
            lambda predicted, given: {"first": given[0] == 0, "n": np.float32(len(predicted))},
            {"first": 1.0, "n": 3.0},
        ),
    ],
    ids=["a number", "numbers by name"],
)
def test_a_function_may_measure(metric: Any, expected: dict[str, float]) -> None:
    assert make_metric(metric, {"a": 0, "b": 1}, {})(["a", "b", "a"], ["a", "b", "b"]) == {"accuracy": 2 / 3} | expected


def test_a_function_that_gives_no_number_is_told() -> None:
    with pytest.raises(UsageError, match=r"^metric: expected a number, or numbers by name, got 'good' from it"):
        make_metric(lambda *_: "good", {"a": 0, "b": 1}, {})(["a"], ["a"])


def test_a_metric_that_is_taken_of_nothing_is_told(tiny_base: Path, caplog: pytest.LogCaptureFixture) -> None:
    args = TrainingArguments(max_steps=1)
    train(ROWS, base=tiny_base, out="out", args=args, metric="f1")

    assert "metric: 'f1' has no effect without rows to measure on" in caplog.text


def test_an_evaluation_is_logged(tiny_base: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "setfuse.train"):
        run(tiny_base, max_steps=4)

    assert "step 4 of 4: held-out embedding_loss 0." in caplog.text


@pytest.mark.parametrize(
    ("labels", "given"),
    [
        (["late", "refund", "best"], {"self_pairs": False}),
        (["late", "late"], {"num_iterations": 2}),
        ([("late",), ("late", "best")], {}),
    ],
    ids=["every label once", "one label", "one in common"],
)
def test_held_out_pairs_of_one_kind_are_each_taken_once(labels: Any, given: dict[str, Any]) -> None:
    pairs = draw_held_out_pairs(labels, TrainingArguments(**given))

    every = itertools.combinations if given.get("self_pairs") is False else itertools.combinations_with_replacement
    drawn = pairs.rows_of(np.arange(len(pairs)))[0].tolist()
    assert sorted(map(tuple, drawn)) == list(every(range(len(labels)), 2))


@pytest.mark.parametrize(
    ("args", "given", "message"),
    [
        ({"self_pairs": False}, {"eval_rows": HELD_OUT[:1]}, r"^eval_rows: expected rows that make pairs, .* found 1 "),
        (
            {"loss": "BatchAllTripletLoss"},
            {"eval_rows": HELD_OUT[:4]},
            r"^eval_rows: expected two labels or more with two rows or more of each, .*, found 1; ",
        ),
        (
            {"eval_steps": None},
            {"metric": "f1", "metric_kwargs": {"avrage": "micro"}},
            r"^metric: expected one that can be taken .*TypeError: .*avrage",
        ),
        ({}, {"metric": lambda *_: 1 / 0}, r"^metric: expected one that can be taken .*ZeroDivisionError: division"),
    ],
    ids=["no pairs", "a loss on labels", "metric_kwargs", "a function that fails"],
)
def test_an_evaluation_that_would_fail_is_refused_before_the_base_is_loaded(
    tiny_base: Path, monkeypatch: pytest.MonkeyPatch, args: dict[str, Any], given: dict[str, Any], message: str
) -> None:
    monkeypatch.setattr(recipe, "load_body", None)

    with pytest.raises((DatasetError, UsageError), match=message):
        train(
            ROWS,
            base=tiny_base,
            out="out",
            args=TrainingArguments(**{"output_dir": "run", "eval_steps": 4} | args),
            **{"eval_rows": HELD_OUT} | given,
        )
    assert not list(Path().iterdir())


def test_what_is_no_number_is_never_the_best(tiny_base: Path) -> None:
    result = run(tiny_base, metric=fixed_metric([np.nan, 0.5, np.nan]), save_steps=12, save_strategy="steps", **BEST)

    assert result.best_step == 8
    assert sorted(path.name for path in Path("run").iterdir()) == ["checkpoint-12", "checkpoint-8"]
