"""A callback that sees what both trainings log. Read in SetFit's environment too."""

from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from ._run import LOGGED


class Watch(TrainerCallback):
    """Keeps the training's log lines, and the memory at the end of fine-tuning.

    Attributes:
        logs: What was logged of the training, a line each.
        peak_mb: Most resident megabytes (10^6) of this process until fine-tuning ended; None but on Linux.
    """

    def __init__(self) -> None:
        self.logs: list[dict[str, float]] = []
        self.peak_mb: float | None = None

    def on_log(
        self,
        args: Any,  # noqa: ARG002 - transformers' signature
        state: Any,
        control: Any,  # noqa: ARG002
        **given: Any,
    ) -> None:
        """Keep a line on the training; the last line of a run, and evaluations, have no loss."""
        if "embedding_loss" in given["logs"]:
            self.logs.append({"step": state.global_step, **given["logs"]})

    def on_train_end(self, *_: Any, **__: Any) -> None:
        """Read the peak before anything is evaluated."""
        status = Path("/proc/self/status")
        if status.is_file():
            lines = dict(line.split(":", 1) for line in status.read_text(encoding="utf-8").splitlines())
            self.peak_mb = int(lines["VmHWM"].split()[0]) * 1024 / 1e6

    def losses(self) -> tuple[float, float | None]:
        """Give the loss of step 1, and the mean of the steps 2 to `LOGGED`; None where there are fewer."""
        until = [line["embedding_loss"] for line in self.logs if 1 < line["step"] <= LOGGED]
        reached = any(line["step"] == LOGGED for line in self.logs)
        return self.logs[0]["embedding_loss"], sum(until) / len(until) if reached else None

    def steps(self) -> dict[str, list[float]]:
        """Give what was logged, as lists; of use where every step was."""
        names = {"loss": "embedding_loss", "grad_norm": "grad_norm", "learning_rate": "learning_rate"}
        return {name: [float(line[logged]) for line in self.logs] for name, logged in names.items()}
