"""Start one training in a process of its own, and read what it gives."""

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from benchmarks._environments import ENVIRONMENTS, last_reason, python_for
from benchmarks._errors import BenchmarkError
from benchmarks._files import ROOT
from benchmarks._process import thread_settings

from ._run import TrainingRun

LIMIT_S = 3600
"""Seconds after which a training will not end any more."""


class Who(StrEnum):
    """Whose training."""

    SETFUSE = "setfuse"
    SETFIT = "setfit"


_MODULES = {Who.SETFUSE: "benchmarks._training._ours", Who.SETFIT: "benchmarks._training._setfit"}


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


def run_training(who: Who, order: Order) -> TrainingRun:
    """Train, and wait for the end.

    Args:
        who: Whose code. SetFit's runs in its environment, which `python -m benchmarks.setup --only setfit` builds.
        order: What to train.

    Raises:
        BenchmarkError: SetFit's environment is not built, or the training failed; in its own last words.
    """
    python = sys.executable if who is Who.SETFUSE else str(python_for(ENVIRONMENTS["setfit"]))
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        paths = {"train": order.train, "texts": order.texts, "base": order.base, "out": order.out, "result": result}
        numbers = {"seed": order.seed, "threads": order.threads}
        command = [python, "-m", _MODULES[who]]
        command += [word for name, path in paths.items() for word in (f"--{name}", str(path.absolute()))]
        command += [word for name, number in numbers.items() for word in (f"--{name}", str(number))]
        command += ["--each-step"] * order.each_step + ["--both-sides"] * order.both_sides
        done = subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, **thread_settings(order.threads), "HF_HUB_OFFLINE": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=LIMIT_S,
        )
        if done.returncode:
            raise BenchmarkError(f"the training of {who}, seed {order.seed}, failed: {last_reason(done.stderr)}")
        return TrainingRun.read(result)
