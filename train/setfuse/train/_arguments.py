"""The hyperparameters, under SetFit's names and with SetFit's defaults."""

import math
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any

from setfuse.runtime import UsageError


class SamplingStrategy(StrEnum):
    """How many positive and negative pairs there are; the words are SetFit's."""

    OVERSAMPLING = "oversampling"
    UNDERSAMPLING = "undersampling"
    UNIQUE = "unique"


def _help(text: str) -> dict[str, str]:
    return {"help": text}


@dataclass(frozen=True, kw_only=True)
class TrainingArguments:
    """How to train; the field names are on every SetFit model card.

    `batch_size`, `num_epochs` and `body_learning_rate` are a number or, as SetFit has it, a pair: the first for the
    contrastive phase, the second for a differentiable head. The head here is scikit-learn's LogisticRegression, which
    has no use for the second.

    Raises:
        UsageError: A value is out of its range; raised on construction, before anything is loaded.
    """

    batch_size: int | tuple[int, int] = field(default=(16, 2), metadata=_help("pairs a training step"))
    num_epochs: int | tuple[int, int] = field(default=(1, 16), metadata=_help("passes over the pairs"))
    max_steps: int = field(default=-1, metadata=_help("stop after that many steps; -1: num_epochs decides"))
    sampling_strategy: str = field(
        default="oversampling",
        metadata=_help(f"of positive and negative pairs: {', '.join(SamplingStrategy)}"),
    )
    num_iterations: int | None = field(
        default=None, metadata=_help("pairs of each kind a text, instead of a sampling strategy")
    )
    body_learning_rate: float | tuple[float, float] = field(
        default=(2e-5, 1e-5), metadata=_help("highest learning rate of the body")
    )
    warmup_proportion: float = field(default=0.1, metadata=_help("share of the steps in which the rate rises"))
    max_length: int | None = field(default=None, metadata=_help("cut texts at that many tokens; default: the body's"))
    seed: int = field(default=42, metadata=_help("of the batches' order and of dropout"))

    def __post_init__(self) -> None:
        for name in ("batch_size", "num_epochs", "body_learning_rate"):
            kind = float if name == "body_learning_rate" else int
            values = getattr(self, name)
            for value in values if isinstance(values, tuple | list) else (values,):
                _expect(_is(value, kind) and value > 0 and math.isfinite(value), name, "a positive number", values)
            _expect(not isinstance(values, tuple | list) or len(values) == 2, name, "a number or a pair", values)  # noqa: PLR2004
        _expect(
            _is(self.max_steps, int) and (self.max_steps == -1 or self.max_steps > 0),
            "max_steps",
            "-1 or a positive whole number",
            self.max_steps,
        )
        strategies = ", ".join(SamplingStrategy)
        _expect(
            self.sampling_strategy in list(SamplingStrategy),
            "sampling_strategy",
            f"one of {strategies}",
            self.sampling_strategy,
        )
        for name in ("num_iterations", "max_length"):
            value = getattr(self, name)
            _expect(value is None or (_is(value, int) and value > 0), name, "a positive whole number", value)
        _expect(
            _is(self.warmup_proportion, float) and 0 <= self.warmup_proportion <= 1,
            "warmup_proportion",
            "a number from 0 to 1",
            self.warmup_proportion,
        )
        _expect(_is(self.seed, int) and 0 <= self.seed < 2**32, "seed", "a whole number from 0 to 2^32-1", self.seed)

    @property
    def embedding_batch_size(self) -> int:
        """Pairs a step of the contrastive phase."""
        return self.batch_size if isinstance(self.batch_size, int) else self.batch_size[0]

    @property
    def embedding_num_epochs(self) -> int:
        """Passes over the pairs in the contrastive phase."""
        return self.num_epochs if isinstance(self.num_epochs, int) else self.num_epochs[0]

    @property
    def body_embedding_learning_rate(self) -> float:
        """Highest learning rate of the contrastive phase."""
        rate = self.body_learning_rate
        return rate if isinstance(rate, int | float) else rate[0]

    def to_json(self) -> dict[str, Any]:
        """Give the arguments as `json.dump` takes them."""
        return {item.name: getattr(self, item.name) for item in fields(self)}


def _is(value: object, kind: type) -> bool:
    if isinstance(value, bool):
        return False
    return isinstance(value, int | float) if kind is float else isinstance(value, kind)


def _expect(holds: bool, name: str, expected: str, got: object) -> None:
    if not holds:
        raise UsageError(f"{name}: expected {expected}, got {got!r}")
