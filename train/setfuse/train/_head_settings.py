"""Which head, with which parameters, and how it is trained."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from setfuse.runtime import UsageError

LOGISTIC = "LogisticRegression"
DIFFERENTIABLE = "differentiable"


class MultiTarget(StrEnum):
    """How a classifier of one label a text becomes one of several; the words are SetFit's."""

    ONE_VS_REST = "one-vs-rest"
    MULTI_OUTPUT = "multi-output"
    CLASSIFIER_CHAIN = "classifier-chain"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HeadSettings:
    """Which head, and with which parameters.

    Attributes:
        head: `LogisticRegression`; `differentiable`, which is SetFit's `use_differentiable_head`; or a classifier of
            scikit-learn's, which is cloned and itself never fitted.
        head_params: Of LogisticRegression, its arguments; of the differentiable head `temperature` (above 0), `bias`
            (whether it has one) and `eps`, which is added to the temperature.
        class_weight: Of LogisticRegression and the differentiable head: `balanced`, or a weight a label, as
            `TrainingArguments` has checked it.
        multi_target_strategy: One of `MultiTarget`, for texts with several labels. The differentiable head needs none,
            and neither does a classifier that takes several labels itself.

    Raises:
        UsageError: A value is unknown, or two contradict each other; raised on construction.
    """

    head: Any = LOGISTIC
    head_params: Mapping[str, Any] = field(default_factory=dict)
    class_weight: str | Mapping[str, float] | None = None
    multi_target_strategy: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.head_params, Mapping):
            raise UsageError(f"head_params: expected arguments by name, got {self.head_params!r:.80}")
        if isinstance(self.head, str) and self.head not in (LOGISTIC, DIFFERENTIABLE):
            raise UsageError(
                f"head: expected {LOGISTIC}, {DIFFERENTIABLE} or a classifier of scikit-learn's, got {self.head!r}"
            )
        strategy = self.multi_target_strategy
        if strategy is not None and strategy not in list(MultiTarget):
            raise UsageError(f"multi_target_strategy: expected one of {', '.join(MultiTarget)}, got {strategy!r}")
        if self.class_weight is not None and not isinstance(self.head, str):
            raise UsageError("class_weight: expected none with a classifier of your own; set it on the classifier")
        if self.class_weight is not None and "class_weight" in self.head_params:
            raise UsageError("class_weight: expected it once, got it in head_params too; leave one out")
        if not isinstance(self.head, str) and self.head_params:
            raise UsageError("head_params: expected none with a classifier of your own; set them on the classifier")
        if self.head == DIFFERENTIABLE:
            self._check_differentiable()

    def _check_differentiable(self) -> None:
        defaults = {"temperature": 1.0, "eps": 1e-5, "bias": True}
        unknown = self.head_params.keys() - defaults.keys()
        if unknown:
            raise UsageError(
                f"head_params: expected {', '.join(defaults)} with the differentiable head, got {min(unknown)!r}"
            )
        if self.multi_target_strategy == MultiTarget.CLASSIFIER_CHAIN:
            raise UsageError(
                "multi_target_strategy: expected one-vs-rest or multi-output with the differentiable head, which give "
                "each label a sigmoid, got classifier-chain"
            )
        for name, lowest in (("temperature", "above 0"), ("eps", "of at least 0")):
            value = self.head_params.get(name, defaults[name])
            is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
            if not is_number or value < 0 or (value == 0 and name == "temperature"):
                raise UsageError(f"head_params: expected {name} to be a number {lowest}, got {value!r}")
        bias = self.head_params.get("bias", True)
        if not isinstance(bias, bool):
            raise UsageError(f"head_params: expected bias to be True or False, got {bias!r}")


class Freeze(StrEnum):
    """What stays as it is; the words are those of SetFit's `freeze`."""

    BODY = "body"
    HEAD = "head"


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadTraining:
    """How the differentiable head is trained; names and defaults are SetFit's for its classifier phase.

    Attributes:
        batch_size: Texts a step.
        num_epochs: Passes over the texts. The learning rates are halved after every fifth.
        body_learning_rate: Of the body, with `end_to_end`.
        head_learning_rate: Of the head.
        l2_weight: Weight decay of AdamW for both. SetFit takes 0 for 0.01.
        end_to_end: Whether the body is trained with the head.
        freeze: With `end_to_end`, `head` trains the body alone, against the head as it starts. `body` says what is so
            without `end_to_end`.

    Raises:
        UsageError: Nothing would be left to train; raised on construction.
    """

    batch_size: int = 2
    num_epochs: int = 16
    body_learning_rate: float = 1e-5
    head_learning_rate: float = 1e-2
    l2_weight: float = 0.01
    end_to_end: bool = False
    freeze: str | None = None

    def __post_init__(self) -> None:
        if self.freeze is not None and self.freeze not in list(Freeze):
            raise UsageError(f"freeze: expected one of {', '.join(Freeze)}, got {self.freeze!r}")
        if self.end_to_end and self.freeze == Freeze.BODY:
            raise UsageError("freeze: expected head or nothing with end_to_end, which trains the body, got body")
        if not self.end_to_end and self.freeze == Freeze.HEAD:
            raise UsageError("freeze: expected head only with end_to_end, or nothing would be trained")
