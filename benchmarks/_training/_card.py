"""Read what a published card states, and what SetFit logged without dropout."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks._errors import BenchmarkError
from benchmarks._files import read_json


@dataclass(frozen=True, slots=True)
class CardFigures:
    """What the card says of its training.

    Attributes:
        step_1: Loss of the first step.
        mean_2_to_50: Mean loss of the steps 2 to 50.
        accuracy: On the test texts, 0 to 1.
        texts: How many these are.
    """

    step_1: float
    mean_2_to_50: float
    accuracy: float
    texts: int


@dataclass(frozen=True, slots=True)
class StepwiseFigures:
    """What SetFit gives with no dropout, where nothing is random.

    Attributes:
        steps: Lists of `loss`, `grad_norm` and `learning_rate`, one number a step.
        probabilities: Of the first test texts.
        right: Test texts that are labelled right.
        texts: How many these are.
    """

    steps: dict[str, list[float]]
    probabilities: list[list[float]]
    right: int
    texts: int


@dataclass(frozen=True, slots=True)
class Card:
    """A card's folder: `train.jsonl`, `golden.json` and, for some, `golden_no_dropout.json`."""

    folder: Path

    @property
    def train(self) -> Path:
        """The labelled rows, JSON lines."""
        return self.folder / "train.jsonl"

    def figures(self) -> CardFigures:
        """Read what the card states.

        Raises:
            BenchmarkError: `golden.json` cannot be read.
        """
        path = self.folder / "golden.json"
        names = ("loss_step_1", "loss_mean_steps_2_to_50", "test_accuracy", "test_rows")
        step_1, mean, accuracy, texts = _values(path, names)
        return CardFigures(step_1, mean, accuracy, int(texts))

    def without_dropout(self) -> StepwiseFigures:
        """Read what SetFit logged.

        Raises:
            BenchmarkError: `golden_no_dropout.json` cannot be read.
        """
        path = self.folder / "golden_no_dropout.json"
        names = ("loss", "grad_norm", "learning_rate")
        of_texts = ("sst2_test_first_ten_probabilities", "sst2_test_correct", "sst2_test_total")
        loss, norm, rate, probabilities, right, texts = _values(path, (*names, *of_texts))
        return StepwiseFigures({"loss": loss, "grad_norm": norm, "learning_rate": rate}, probabilities, right, texts)


def read_card(folder: Path) -> Card:
    """Find a card.

    Raises:
        BenchmarkError: There is no `train.jsonl` in the folder.
    """
    card = Card(folder)
    if not card.train.is_file():
        raise BenchmarkError(
            f"{card.train}: expected the card's labelled rows, found no such file; pass --card, or set SETFUSE_SHARED"
        )
    return card


def _values(path: Path, names: tuple[str, ...]) -> list[Any]:
    try:
        content = read_json(path)
        return [content[name] for name in names]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BenchmarkError(f"{path}: expected JSON with the card's {', '.join(names)}: {error!r}") from error
