"""Start one training in a process of its own, and read what it gives."""

import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks._environments import ENVIRONMENTS, last_reason, python_for
from benchmarks._errors import BenchmarkError
from benchmarks._files import ROOT
from benchmarks._process import child_environment

from ._run import Order, TrainingRun, Who

LIMIT_S = 3600
"""Seconds after which a training will not end any more."""

_NO_GPU = {"CUDA_VISIBLE_DEVICES": ""}
"""Both would take one by themselves; what is compared is the processor's."""


def run_training(who: Who, order: Order) -> TrainingRun:
    """Train on the processor, and wait for the end. Its process ends with this one.

    Args:
        who: Whose code. SetFit's runs in its environment, which `python -m benchmarks.setup --only setfit` builds.
        order: What to train.

    Raises:
        BenchmarkError: SetFit's environment is not built, or the training failed, in its own last words, or did not
            end in `LIMIT_S` seconds.
    """
    python = sys.executable if who is Who.SETFUSE else str(python_for(ENVIRONMENTS["setfit"]))
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        paths = {"train": order.train, "texts": order.texts, "base": order.base, "out": order.out, "result": result}
        numbers = {"seed": order.seed, "threads": order.threads}
        command = [python, "-m", "benchmarks._training._child", who]
        command += [word for name, path in paths.items() for word in (f"--{name}", str(path.absolute()))]
        command += [word for name, number in numbers.items() for word in (f"--{name}", str(number))]
        command += ["--each-step"] * order.each_step + ["--both-sides"] * order.both_sides
        try:
            done = subprocess.run(
                command,
                cwd=ROOT,
                env=child_environment(order.threads) | _NO_GPU,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                timeout=LIMIT_S,
            )
        except subprocess.TimeoutExpired as error:
            raise BenchmarkError(
                f"the training of {who}, seed {order.seed}: expected it to end within {LIMIT_S} s, it did not and was "
                "killed; give it more --threads, or fewer rows"
            ) from error
        if done.returncode:
            raise BenchmarkError(f"the training of {who}, seed {order.seed}, failed: {last_reason(done.stderr)}")
        return TrainingRun.read(result)
