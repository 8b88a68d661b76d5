"""What a contender on the GPU is: how it is described, what it reads, and what it must be able to do."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks._contenders import BaseContender, Device, System
from benchmarks._errors import BenchmarkError

ROWS = 64
"""Texts that whoever batches by hand puts into one run of its engine: sorted by length, 256 texts as short as SST-2's
need 1.4 times their tokens in four runs, and 2.8 times in a single one."""

CHECKPOINT = "checkpoint"
"""Below the inputs: the checkpoint's folder without its weights."""
HEAD = "head.npz"
"""Below the inputs: the head."""


@dataclass(frozen=True, slots=True)
class GpuModels:
    """The same model in the forms that the contenders read.

    Attributes:
        bundle: What `setfuse export` wrote, with an fp16 graph.
        inputs: What `benchmarks.gpu_inputs` wrote; None without.
        checkpoint: The checkpoint with its weights; None without.
    """

    bundle: Path
    inputs: Path | None
    checkpoint: Path | None

    def find(self, name: str) -> Path:
        """Give what a contender reads.

        Args:
            name: `bundle/FILE`, `inputs/FILE` or `checkpoint`.

        Raises:
            BenchmarkError: It is not there.
        """
        place, _, file = name.partition("/")
        roots = {"bundle": self.bundle, "inputs": self.inputs, "checkpoint": self.checkpoint}
        root = roots[place]
        if root is None:
            raise BenchmarkError(f"needs --{place}")
        if not (root / file).exists():
            maker = "setfuse export" if place == "bundle" else "benchmarks.gpu_inputs"
            raise BenchmarkError(f"needs {file} in {root}, which {maker} writes where it can")
        return root / file


class GpuSystem(System):
    """A contender at work: made once in its process, used from one thread."""

    @abstractmethod
    def __init__(self, models: GpuModels, threads: int, device: Device, **options: str) -> None:
        """Load everything, so that the first answer pays for nothing that a later one does not."""

    @abstractmethod
    def probabilities(self, texts: list[str]) -> npt.NDArray[np.float64]:
        """Give the probability of each label (texts, labels), columns in the order of the bundle's labels."""

    def engine(self, texts: list[str]) -> Callable[[], object]:
        """Give a call that runs the engine alone on these texts and ends when it is done.

        Token ids are on the device before it, and the probabilities stay there: neither tokenizing nor copies count.

        Raises:
            NotImplementedError: Its engine is not told apart.
        """
        raise NotImplementedError(f"{type(self).__name__} has no engine of its own for {len(texts)} texts")


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuContender(BaseContender):
    """One system under test: a line of the registry.

    Attributes:
        reads: What must be there, as `GpuModels.find` takes it.
        ours: Whether it is setfuse's.
        engine: Whether its engine is timed alone, too.
    """

    reads: tuple[str, ...]
    ours: bool = False
    engine: bool = True
