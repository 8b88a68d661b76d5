"""What a training is told, and what it gives. Read in SetFit's environment too: the standard library alone."""

import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

BATCH_SIZE, NUM_EPOCHS = 32, 10
"""The card's arguments; all others are SetFit's defaults, which are ours."""

LOGGED = 50
"""Steps from one log line to the next, SetFit's default.

The card states the loss of step 1, and the mean of the steps from there to this one.
"""

PROBABILITIES = 10
"""Texts whose probabilities are kept."""


class Who(StrEnum):
    """Whose training."""

    SETFUSE = "setfuse"
    SETFIT = "setfit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What to train.

    Attributes:
        train: The card's rows, JSON lines.
        texts: The card's test texts, JSON lines.
        base: The base model's folder.
        out: Where the checkpoint goes; SetFit writes none.
        seed: Of the batches' order and of dropout.
        threads: Of torch.
        each_step: Log each step.
        both_sides: Embed both sides of every pair apart, as SetFit always does.
    """

    train: Path
    texts: Path
    base: Path
    out: Path
    seed: int
    threads: int
    each_step: bool = False
    both_sides: bool = False


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """One training of the card's recipe, and how well the classifier answers.

    Attributes:
        who: `setfuse` or `setfit`.
        seed: Of the batches' order and of dropout.
        threads: That torch was given.
        seconds: Wall time of the training phase: fine-tuning and the head; no import, loading or evaluation.
        peak_mb: Most resident megabytes (10^6) of the process up to the end of fine-tuning; None but on Linux.
        step_1: Loss of the first step.
        mean_2_to_50: Mean loss of the steps 2 to 50; None of a run of fewer.
        right: Texts of the test set that are labelled right.
        texts: That there are.
        steps: What was logged of each step, where that was asked for: lists of `loss`, `grad_norm`, `learning_rate`.
        probabilities: Of the first texts, in the order of the sorted labels.
        versions: Of the libraries.
    """

    who: str
    seed: int
    threads: int
    seconds: float
    peak_mb: float | None
    step_1: float
    mean_2_to_50: float | None
    right: int
    texts: int
    steps: dict[str, list[float]]
    probabilities: list[list[float]]
    versions: dict[str, str]

    @staticmethod
    def read(path: Path) -> "TrainingRun":
        """Read what `write` wrote."""
        return TrainingRun(**json.loads(path.read_text(encoding="utf-8")))

    def write(self, path: Path) -> None:
        """Write it as JSON."""
        path.write_text(json.dumps(self.to_json(), ensure_ascii=False), encoding="utf-8")

    def to_json(self) -> dict[str, Any]:
        """Give it as `json.dump` takes it."""
        return asdict(self)
