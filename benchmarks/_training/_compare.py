"""Compare trainings: time and memory of two that took turns, and two that should be the same step by step."""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks._errors import BenchmarkError

from ._card import StepwiseFigures
from ._run import TrainingRun


@dataclass(frozen=True, slots=True)
class Against:
    """SetFit's training over ours, round by round.

    Attributes:
        times: How many times as long SetFit took, of each round.
        memory: How many times as much resident memory it had at most, of each round; none but on Linux.
    """

    times: tuple[float, ...]
    memory: tuple[float, ...]

    @property
    def time(self) -> float:
        """Median over the rounds."""
        return statistics.median(self.times)

    def to_json(self) -> dict[str, Any]:
        """Give it as `json.dump` takes it, with the median and the spread of each."""
        named = {"time": self.times, "memory": self.memory}
        return {
            name: {
                "rounds": list(ratios),
                "median": statistics.median(ratios),
                "least": min(ratios),
                "most": max(ratios),
            }
            for name, ratios in named.items()
            if ratios
        }


def compare_runs(ours: Sequence[TrainingRun], theirs: Sequence[TrainingRun]) -> Against:
    """Compare runs that took turns: what slows a round down slows both, and leaves the ratio as it was.

    Args:
        ours: One a round.
        theirs: As many.

    Raises:
        BenchmarkError: They ran in different versions of torch.
    """
    versions = {run.versions["torch"] for run in (*ours, *theirs)}
    if len(versions) > 1:
        raise BenchmarkError(
            f"expected one version of torch, got {' and '.join(sorted(versions))}: the ratio would be torch's as well; "
            "install here the one that benchmarks/_environments.py pins"
        )
    rounds = list(zip(ours, theirs, strict=True))
    return Against(
        tuple(their.seconds / our.seconds for our, their in rounds),
        tuple(their.peak_mb / our.peak_mb for our, their in rounds if their.peak_mb and our.peak_mb),
    )


@dataclass(frozen=True, slots=True)
class Stepwise:
    """How far a run is from SetFit's, at most.

    Attributes:
        loss: Relative, over the steps.
        loss_step: Where that is.
        grad_norm: Relative.
        learning_rate: Relative; absolute where SetFit's is 0.
        probability: Absolute, over the first test texts.
        right: Test texts labelled right more than by SetFit.
    """

    loss: float
    loss_step: int
    grad_norm: float
    learning_rate: float
    probability: float
    right: int

    def to_json(self) -> dict[str, Any]:
        """Give it as `json.dump` takes it."""
        return asdict(self)


def compare_steps(run: TrainingRun, golden: StepwiseFigures) -> Stepwise:
    """Compare a run without dropout with SetFit's, step by step.

    Args:
        run: One that logged each step.
        golden: What SetFit logged.

    Raises:
        BenchmarkError: They have not the same steps.
    """
    taken, expected = len(run.steps["loss"]), len(golden.steps["loss"])
    if taken != expected:
        raise BenchmarkError(f"expected the {expected} steps of SetFit's log, got {taken}; pass the card's own rows")
    off = {name: _off(run.steps[name], golden.steps[name]) for name in ("loss", "grad_norm", "learning_rate")}
    probabilities = zip(run.probabilities, golden.probabilities, strict=True)
    return Stepwise(
        loss=max(off["loss"]),
        loss_step=1 + off["loss"].index(max(off["loss"])),
        grad_norm=max(off["grad_norm"]),
        learning_rate=max(off["learning_rate"]),
        probability=max(abs(a - b) for ours, theirs in probabilities for a, b in zip(ours, theirs, strict=True)),
        right=run.right - golden.right,
    )


def _off(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    return [abs(a - b) / (abs(b) or 1.0) for a, b in zip(ours, theirs, strict=True)]
