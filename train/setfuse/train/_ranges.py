"""Of each hyperparameter: which values it takes."""

import math
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any

from ._loss_names import DISTANCE_METRICS, LOSSES, full_name


class SamplingStrategy(StrEnum):
    """How many positive and negative pairs there are; the words are SetFit's."""

    OVERSAMPLING = "oversampling"
    UNDERSAMPLING = "undersampling"
    UNIQUE = "unique"


class Interval(StrEnum):
    """When something is done; the words are transformers'."""

    NO = "no"
    STEPS = "steps"
    EPOCH = "epoch"


SCHEDULERS = (
    "linear",
    "cosine",
    "cosine_with_restarts",
    "polynomial",
    "constant",
    "constant_with_warmup",
    "inverse_sqrt",
)
"""transformers' schedules that need nothing else to be said."""

DEVICES = ("cpu", "cuda")

EMBEDDING_LOSS = "embedding_loss"
"""The name under which the contrastive loss is logged, SetFit's."""


def _is(value: object, kind: type) -> bool:
    if isinstance(value, bool):
        return False
    if isinstance(value, int | float) and not math.isfinite(value):
        return False
    return isinstance(value, int | float) if kind is float else isinstance(value, kind)


def _positive(value: object, kind: type = int) -> bool:
    return _is(value, kind) and value > 0  # type: ignore[operator] # a number by then


def _number_or_pair(kind: type) -> Callable[[Any], bool]:
    def holds(value: Any) -> bool:
        if isinstance(value, tuple | list):
            return len(value) == 2 and all(_positive(one, kind) for one in value)  # noqa: PLR2004 - two phases
        return _positive(value, kind)

    return holds


def _minus_one_or_positive(value: Any) -> bool:
    return _positive(value) or (_is(value, int) and value == -1)


def _positive_or_none(value: Any) -> bool:
    return value is None or _positive(value)


def _seed(value: Any) -> bool:
    return _is(value, int) and 0 <= value < 2**32


def _text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _class_weight(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(isinstance(label, str) and _positive(weight, float) for label, weight in value.items())
    return value in {None, "balanced"} if isinstance(value, str | None) else False


def _one_of(choices: Sequence[str]) -> tuple[Callable[[Any], bool], str]:
    return lambda value: isinstance(value, str) and value in choices, f"one of {', '.join(choices)}"


def _name_or(kind: Callable[[Any], bool], named: str, choices: Sequence[str]) -> tuple[Callable[[Any], bool], str]:
    by_name, expected = _one_of(choices)
    return lambda value: kind(value) or by_name(value), f"{expected}, or {named}"


_WHOLE = "a positive whole number"
_WHOLE_PAIR = "a positive whole number or a pair of them"
_NUMBER = "a positive number"
_NUMBER_PAIR = "a positive number or a pair of them"
_STEPS = "-1 or a positive whole number"
_BOOL = (lambda value: isinstance(value, bool), "True or False")
_SEED = "a whole number from 0 to 2^32-1"
_NAME = "a name"

RANGES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "output_dir": (_text, "a folder's name"),
    "batch_size": (_number_or_pair(int), _WHOLE_PAIR),
    "num_epochs": (_number_or_pair(int), _WHOLE_PAIR),
    "max_steps": (_minus_one_or_positive, _STEPS),
    "sampling_strategy": _one_of(list(SamplingStrategy)),
    "num_iterations": (_positive_or_none, _WHOLE),
    "body_learning_rate": (_number_or_pair(float), _NUMBER_PAIR),
    "head_learning_rate": (lambda value: _positive(value, float), _NUMBER),
    "loss": (
        lambda value: callable(value) or (isinstance(value, str) and full_name(value) in LOSSES),
        f"one of {', '.join(LOSSES)}, or a loss class",
    ),
    "loss_kwargs": (
        lambda value: value is None or (isinstance(value, Mapping) and all(isinstance(name, str) for name in value)),
        "arguments by name",
    ),
    "distance_metric": _name_or(callable, "a function", DISTANCE_METRICS),
    "margin": (lambda value: _positive(value, float), _NUMBER),
    "end_to_end": _BOOL,
    "use_amp": _BOOL,
    "warmup_proportion": (lambda value: _is(value, float) and 0 <= value <= 1, "a number from 0 to 1"),
    "l2_weight": (lambda value: value is None or (_is(value, float) and value >= 0), "a number from 0 on, or None"),
    "max_length": (_positive_or_none, _WHOLE),
    "seed": (_seed, _SEED),
    "report_to": (
        lambda value: _text(value) or (isinstance(value, Sequence) and all(_text(name) for name in value)),
        "none, all, or names of integrations",
    ),
    "run_name": (lambda value: value is None or _text(value), _NAME),
    "logging_dir": (lambda value: value is None or _text(value), "a folder's name"),
    "logging_strategy": _one_of(list(Interval)),
    "logging_first_step": _BOOL,
    "logging_steps": (_positive, _WHOLE),
    "eval_strategy": _one_of(list(Interval)),
    "eval_steps": (_positive_or_none, _WHOLE),
    "eval_delay": (lambda value: _is(value, float) and value >= 0, "a number from 0 on"),
    "eval_max_steps": (_minus_one_or_positive, _STEPS),
    "save_strategy": _one_of(list(Interval)),
    "save_steps": (_positive, _WHOLE),
    "save_total_limit": (_positive_or_none, _WHOLE),
    "load_best_model_at_end": _BOOL,
    "metric_for_best_model": (_text, _NAME),
    "greater_is_better": (lambda value: value is None or isinstance(value, bool), "True, False or None"),
    "gradient_accumulation_steps": (_positive, _WHOLE),
    "device": (lambda value: value is None or value in DEVICES, f"one of {', '.join(DEVICES)}, or None"),
    "bf16": _BOOL,
    "lr_scheduler_type": _one_of(SCHEDULERS),
    "class_weight": (_class_weight, 'None, "balanced", or a positive weight by label'),
    "pair_seed": (lambda value: value is None or _seed(value), _SEED),
    "self_pairs": _BOOL,
    "distinct_batches": _BOOL,
}
"""Of each argument: what a value must satisfy, and how that is said."""
