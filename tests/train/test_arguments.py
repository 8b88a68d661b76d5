"""Hyperparameters: SetFit's names and defaults, refused when out of range."""

import dataclasses
import json
from functools import partial
from typing import Any

import pytest
from sentence_transformers.sentence_transformer import losses
from transformers import SchedulerType

from setfuse.runtime import UsageError
from setfuse.train import TrainingArguments
from setfuse.train._losses import SupConLoss
from setfuse.train._ranges import RANGES, SCHEDULERS

OURS = {
    "loss_kwargs": None,
    "gradient_accumulation_steps": 1,
    "device": None,
    "bf16": False,
    "lr_scheduler_type": "linear",
    "class_weight": None,
    "pair_seed": 42,
    "self_pairs": True,
    "distinct_batches": True,
}
"""What SetFit has no arguments for; the defaults are what it does."""


def test_names_and_defaults_are_setfits() -> None:
    # setfit 1.2.0, training_args.py, without samples_per_label and evaluation_strategy, which are deprecated there, and
    # show_progress_bar, which is train's `progress`. There, report_to is "all" and greater_is_better is False.
    assert TrainingArguments().to_json() == OURS | {
        "output_dir": "checkpoints",
        "batch_size": [16, 2],
        "num_epochs": [1, 16],
        "max_steps": -1,
        "sampling_strategy": "oversampling",
        "num_iterations": None,
        "body_learning_rate": [2e-5, 1e-5],
        "head_learning_rate": 1e-2,
        "loss": "CosineSimilarityLoss",
        "distance_metric": "cosine_distance",
        "margin": 0.25,
        "end_to_end": False,
        "use_amp": False,
        "warmup_proportion": 0.1,
        "l2_weight": 0.01,
        "max_length": None,
        "seed": 42,
        "report_to": "none",
        "run_name": None,
        "logging_dir": None,
        "logging_strategy": "steps",
        "logging_first_step": True,
        "logging_steps": 50,
        "eval_strategy": "no",
        "eval_steps": None,
        "eval_delay": 0,
        "eval_max_steps": -1,
        "save_strategy": "steps",
        "save_steps": 500,
        "save_total_limit": 1,
        "load_best_model_at_end": False,
        "metric_for_best_model": "embedding_loss",
        "greater_is_better": None,
    }


def test_every_argument_has_a_range_and_a_line_of_help() -> None:
    fields = dataclasses.fields(TrainingArguments)

    assert {field.name for field in fields} == set(RANGES)
    assert all(field.metadata["help"] for field in fields)


def test_the_schedules_are_transformers() -> None:
    assert set(SCHEDULERS) <= {str(name.value) for name in SchedulerType}


def test_a_number_is_for_both_phases_and_a_pair_has_one_for_each() -> None:
    number = TrainingArguments(batch_size=32, num_epochs=10, body_learning_rate=1e-4)
    pair = TrainingArguments(batch_size=(32, 4), num_epochs=(10, 3), body_learning_rate=(1e-4, 1e-5))

    for args in (number, pair):
        assert (args.embedding_batch_size, args.embedding_num_epochs) == (32, 10)
        assert args.body_embedding_learning_rate == 1e-4
    assert (number.classifier_batch_size, number.classifier_num_epochs) == (32, 10)
    assert (pair.classifier_batch_size, pair.classifier_num_epochs) == (4, 3)
    assert (number.body_classifier_learning_rate, pair.body_classifier_learning_rate) == (1e-4, 1e-5)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("output_dir", ""),
        ("batch_size", 0),
        ("batch_size", 2.5),
        ("batch_size", (16, 2, 1)),
        ("batch_size", (16, 0)),
        ("batch_size", True),
        ("num_epochs", -1),
        ("max_steps", 0),
        ("max_steps", -2),
        ("sampling_strategy", "sometimes"),
        ("num_iterations", 0),
        ("body_learning_rate", 0.0),
        ("body_learning_rate", float("nan")),
        ("body_learning_rate", "fast"),
        ("head_learning_rate", float("inf")),
        ("loss", "HingeLoss"),
        ("loss", 3),
        ("loss_kwargs", [1]),
        ("distance_metric", "far"),
        ("margin", 0),
        ("end_to_end", 1),
        ("use_amp", "yes"),
        ("warmup_proportion", 1.5),
        ("l2_weight", -0.1),
        ("max_length", 0),
        ("seed", -1),
        ("report_to", 5),
        ("report_to", ["wandb", ""]),
        ("run_name", ""),
        ("logging_dir", 3),
        ("logging_strategy", "hourly"),
        ("logging_first_step", None),
        ("logging_steps", 0),
        ("eval_strategy", "best"),
        ("eval_steps", 0),
        ("eval_delay", -1),
        ("eval_max_steps", 0),
        ("save_strategy", "best"),
        ("save_steps", 0.5),
        ("save_total_limit", 0),
        ("load_best_model_at_end", "yes"),
        ("metric_for_best_model", ""),
        ("greater_is_better", "yes"),
        ("gradient_accumulation_steps", 0),
        ("device", "gpu"),
        ("bf16", 1),
        ("lr_scheduler_type", "steep"),
        ("class_weight", "fair"),
        ("class_weight", {"a": 0.0}),
        ("class_weight", {"a": True}),
        ("class_weight", {1: 2.0}),
        ("class_weight", 2),
        ("pair_seed", -1),
        ("self_pairs", None),
        ("distinct_batches", 0),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(UsageError, match=f"^{name}: expected .*, got ") as caught:
        TrainingArguments(**{name: value})  # type: ignore[arg-type]

    assert isinstance(caught.value, ValueError)


BEST: dict[str, Any] = {"load_best_model_at_end": True}


class OnLabels(losses.BatchHardTripletLoss):
    """A loss of a user's on texts and their labels."""


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"bf16": True, "use_amp": True}, "^bf16 and use_amp: expected one of them"),
        ({"device": "cpu", "use_amp": True}, "^use_amp: expected a GPU for float16 arithmetic, got device"),
        ({"margin": 0.5}, "^margin: expected it only with BatchAllTripletLoss.*, got it with CosineSimilarityLoss"),
        ({"margin": 0.5, "loss": losses.ContrastiveLoss}, "^margin: .*got it with ContrastiveLoss; .*loss_kwargs"),
        ({"margin": 0.5, "loss": dict}, "^margin: .*got it with dict"),
        ({"loss": "BatchAllTriplet", "loss_kwargs": {"margin": 1}}, "other than margin, which has its own field"),
        ({"loss": dict, "distinct_batches": False}, "^distinct_batches: expected True with dict, which embeds by it"),
        ({"margin": 0.5, "loss": "SupCon"}, "^margin: "),
        ({"margin": 0.5, "loss": "BatchHardSoftMarginTripletLoss"}, "^margin: "),
        ({"distance_metric": "euclidean_distance"}, "^distance_metric: expected it only with"),
        ({"distance_metric": max}, "^distance_metric: expected it only with"),
        ({"sampling_strategy": "unique", "loss": "SupConLoss"}, "^sampling_strategy: expected with a loss on pairs"),
        ({"num_iterations": 2, "loss": "SupCon"}, "^num_iterations: expected with a loss on pairs, got it with SupCon"),
        ({"num_iterations": 2, "loss": losses.BatchAllTripletLoss}, "^num_iterations: .*, got it with BatchAllTriplet"),
        (
            {"num_iterations": 2, "loss": OnLabels},
            "^num_iterations: expected with a loss on pairs, got it with OnLabel",
        ),
        ({"num_iterations": 2, "loss": partial(OnLabels, margin=1)}, "^num_iterations: .*, got it with OnLabels"),
        ({"pair_seed": None, "loss": "BatchAllTripletLoss"}, "^pair_seed: expected with a loss on pairs"),
        ({"self_pairs": False, "loss": "BatchAllTripletLoss"}, "^self_pairs: expected with a loss on pairs"),
        ({"distinct_batches": False, "loss": "BatchAllTripletLoss"}, "^distinct_batches: expected with a loss on pair"),
        (BEST, "^load_best_model_at_end: expected with an evaluation"),
        (BEST | {"eval_strategy": "epoch"}, "^load_best_model_at_end: expected save_strategy to be eval_strategy"),
        (BEST | {"eval_steps": 20, "save_steps": 50}, "^load_best_model_at_end: expected save_steps to be a multiple"),
        (BEST | {"eval_strategy": "steps", "save_steps": 70}, "got 70 and 50"),
    ],
)
def test_arguments_that_contradict_each_other_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        TrainingArguments(**given)


@pytest.mark.parametrize(
    "given",
    [
        {"margin": 0.5, "loss": "BatchAllTripletLoss"},
        {"margin": 0.5, "loss": "BatchHardTriplet"},
        {"distance_metric": "euclidean_distance", "loss": "BatchHardSoftMarginTripletLoss"},
        {"distance_metric": max, "loss": "BatchSemiHardTripletLoss"},
        {"distance_metric": losses.BatchHardTripletLossDistanceFunction.cosine_distance},  # SetFit's default
        {"margin": 0.5, "loss": losses.BatchAllTripletLoss},
        {"loss": dict, "loss_kwargs": {"scale": 20}},
        BEST | {"eval_steps": 20, "save_steps": 60},
        BEST | {"eval_strategy": "epoch", "save_strategy": "epoch"},
    ],
)
def test_arguments_that_agree_are_taken(given: dict[str, Any]) -> None:
    json.dumps(TrainingArguments(**given).to_json())


@pytest.mark.parametrize(
    ("loss", "name"),
    [
        ("CoSENT", "CoSENTLoss"),
        (losses.BatchAllTripletLoss, "BatchAllTripletLoss"),
        (SupConLoss, "SupConLoss"),
        (OnLabels, OnLabels),
        (losses.MultipleNegativesRankingLoss, losses.MultipleNegativesRankingLoss),
    ],
)
def test_a_loss_that_has_a_name_is_called_by_it(loss: Any, name: Any) -> None:
    assert TrainingArguments(loss=loss).loss == name


def test_what_json_does_not_know_is_written_by_its_name() -> None:
    args = TrainingArguments(loss=dict, loss_kwargs={"by": max, "of": [object, {"pair": (1, 2.5)}], "set": {3}})

    written = args.to_json()

    assert written["loss"] == "builtins.dict"
    assert written["loss_kwargs"] == {"by": "builtins.max", "of": ["builtins.object", {"pair": [1, 2.5]}], "set": [3]}
    json.dumps(written)


def test_what_is_written_is_the_same_in_every_process() -> None:
    class Local:
        pass

    args = TrainingArguments(loss=Local, loss_kwargs={"f": partial(max, 3, key=len), "it": Local(), "set": {"b", "a"}})

    assert args.to_json()["loss_kwargs"] == {
        "f": {"partial": "builtins.max", "args": [3], "key": "builtins.len"},
        "it": f"{__name__}.{Local.__qualname__}",
        "set": ["a", "b"],
    }


def test_steps_between_evaluations_alone_ask_for_them() -> None:
    # as SetFit reads it
    assert TrainingArguments(eval_steps=10).eval_strategy == "steps"


@pytest.mark.parametrize(
    ("metric", "said", "expected"),
    [
        ("embedding_loss", None, False),
        ("eval_embedding_loss", None, False),
        ("accuracy", None, True),
        ("accuracy", False, False),
    ],
)
def test_more_is_better_but_of_a_loss(metric: str, said: bool | None, expected: bool) -> None:
    assert TrainingArguments(metric_for_best_model=metric, greater_is_better=said).better_is_greater is expected


@pytest.mark.parametrize("name", ["samples_per_label", "learning_rate"])
def test_an_unknown_name_is_refused(name: str) -> None:
    with pytest.raises(TypeError, match=name):
        TrainingArguments(**{name: 2})  # type: ignore[arg-type]


def test_arguments_do_not_change_under_a_run() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        TrainingArguments().seed = 1  # type: ignore[misc]
