"""Hyperparameters: SetFit's names and defaults, refused when out of range."""

import dataclasses

import pytest

from setfuse.runtime import UsageError
from setfuse.train import TrainingArguments


def test_defaults_are_setfits() -> None:
    # setfit 1.2.0, training_args.py
    assert TrainingArguments().to_json() == {
        "batch_size": (16, 2),
        "num_epochs": (1, 16),
        "max_steps": -1,
        "sampling_strategy": "oversampling",
        "num_iterations": None,
        "body_learning_rate": (2e-5, 1e-5),
        "warmup_proportion": 0.1,
        "max_length": None,
        "seed": 42,
    }


def test_a_number_and_a_pair_mean_the_same_for_the_contrastive_phase() -> None:
    number = TrainingArguments(batch_size=32, num_epochs=10, body_learning_rate=1e-4)
    pair = TrainingArguments(batch_size=(32, 4), num_epochs=(10, 3), body_learning_rate=(1e-4, 1e-5))

    for args in (number, pair):
        assert (args.embedding_batch_size, args.embedding_num_epochs) == (32, 10)
        assert args.body_embedding_learning_rate == 1e-4


@pytest.mark.parametrize(
    ("name", "value"),
    [
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
        ("warmup_proportion", 1.5),
        ("max_length", 0),
        ("seed", -1),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(UsageError, match=f"^{name}: expected .*, got ") as caught:
        TrainingArguments(**{name: value})  # type: ignore[arg-type]

    assert isinstance(caught.value, ValueError)


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(TypeError, match="samples_per_label"):
        TrainingArguments(samples_per_label=2)  # type: ignore[call-arg]


def test_arguments_do_not_change_under_a_run() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        TrainingArguments().seed = 1  # type: ignore[misc]
