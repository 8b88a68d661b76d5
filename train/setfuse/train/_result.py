"""What a training run left behind."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """What a training run left behind, and what was measured.

    Attributes:
        checkpoint: The folder that was written.
        seconds: Wall time of both phases, in seconds; of a resumed run, with those up to the checkpoint.
        steps: Steps of the contrastive phase.
        pairs: Pairs an epoch; texts, for a loss on labels.
        labels: How many training rows each label has.
        losses: The loss of each step.
        metrics: On the held-out rows, by name: `accuracy`, 0 to 1, and the metric that was asked for; empty if there
            were none.
        evaluations: What each evaluation on the way found: `step`, `embedding_loss`, `runtime` in seconds, and the
            metrics.
        best_step: The step whose weights were kept, where the best were asked for; None for the last.
    """

    checkpoint: Path
    seconds: float
    steps: int
    pairs: int
    labels: Mapping[str, int]
    losses: tuple[float, ...]
    metrics: Mapping[str, float]
    evaluations: tuple[Mapping[str, float], ...]
    best_step: int | None

    @property
    def accuracy(self) -> float | None:
        """On the held-out rows, 0 to 1; None if there were none."""
        return self.metrics.get("accuracy")

    def to_json(self) -> dict[str, Any]:
        """Give the result as `json.dump` takes it."""
        return {
            "checkpoint": str(self.checkpoint),
            "seconds": self.seconds,
            "steps": self.steps,
            "pairs": self.pairs,
            "labels": dict(self.labels),
            "losses": list(self.losses),
            "accuracy": self.accuracy,
            "metrics": dict(self.metrics),
            "evaluations": [dict(found) for found in self.evaluations],
            "best_step": self.best_step,
        }
