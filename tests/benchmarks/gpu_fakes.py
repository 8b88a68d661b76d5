"""Contenders on a GPU of known behaviour, each in a process: `python -m tests.benchmarks.gpu_fakes KIND`."""

import sys
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from benchmarks._gpu._system import GpuSystem
from benchmarks._gpu._worker import serve_gpu

LABELS = ("late", "lost", "refund")
TEXT_S = 2e-5
"""That a text takes."""
ENGINE_S = 1e-5
"""That it takes in the engine alone."""


class Right(GpuSystem):
    """Labels a text by its length."""

    def __init__(self) -> None:
        """Load nothing."""

    def answer(self, texts: list[str]) -> list[str]:
        time.sleep(TEXT_S * len(texts))
        return [LABELS[place] for place in self.probabilities(texts).argmax(axis=1)]

    def probabilities(self, texts: list[str]) -> npt.NDArray[np.float64]:
        return 0.7 * np.eye(3)[[len(text) % 3 for text in texts]] + 0.1

    def engine(self, texts: list[str]) -> Callable[[], object]:
        return lambda: time.sleep(ENGINE_S * len(texts))


class Wrong(Right):
    """Gives another label for every fourth text."""

    def answer(self, texts: list[str]) -> list[str]:
        return ["lost" if number % 4 == 0 else label for number, label in enumerate(super().answer(texts))]


class Greedy(Right):
    """Runs out of memory at more than 280 texts."""

    def answer(self, texts: list[str]) -> list[str]:
        if len(texts) > 280:
            raise RuntimeError("\n  CUDA out of memory. Tried to allocate 2.00 GiB\nmore words")
        return super().answer(texts)


class NoEngine(Right):
    """Fails whenever its engine is run alone."""

    def engine(self, texts: list[str]) -> Callable[[], object]:  # noqa: ARG002 - as all of them
        raise ValueError


class NeverLoads(Right):
    """Lacks a package."""

    def __init__(self) -> None:
        raise ModuleNotFoundError("No module named 'no_such_package'")


KINDS = (Right, Wrong, Greedy, NoEngine, NeverLoads)


def command(kind: str) -> list[str]:
    """Give what starts one."""
    return [sys.executable, "-m", "tests.benchmarks.gpu_fakes", kind]


if __name__ == "__main__":
    serve_gpu({kind.__name__: kind for kind in KINDS}[sys.argv[1]], threads=1)
