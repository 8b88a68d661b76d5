"""What a contender is: how it is described, and what it must be able to do."""

import importlib
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

BATCH_SIZE = 32
"""Texts that peers put into one call of their engine, as sentence-transformers has it."""


class Quality(StrEnum):
    """What its maker promises of the answers, and so how many of torch's labels it must give."""

    SAME = "same"
    """The same model in floating point: the labels are torch's."""
    ROUNDED = "rounded"
    """The same model in 8-bit integers: nearly all labels are torch's."""
    OTHER = "other"
    """Another model, made from this one: judged by its accuracy."""


class Batching(StrEnum):
    """How it puts texts of different lengths into one call of its engine, `BATCH_SIZE` at a time."""

    EQUAL = "equal lengths"
    SORTED = "sorted, padded"
    GIVEN = "as given, padded"
    NONE = "no batches"


class Device(StrEnum):
    """Where it runs."""

    CPU = "cpu"
    CUDA = "cuda"


@dataclass(frozen=True, slots=True)
class Models:
    """The same model in the forms that the contenders read.

    Attributes:
        bundle: What `setfuse export` wrote.
        checkpoint: What it was exported from: a sentence-transformers folder.
        artefacts: A folder a preparation, such as `traced`; and `head.npz`: `coef` (classes or 1, dim), `intercept`
            and `labels`, as scikit-learn's LogisticRegression has them.
        train: Labelled texts (JSONL), for what must fit a head of its own; None without.
    """

    bundle: Path
    checkpoint: Path
    artefacts: Path
    train: Path | None = None


class System(ABC):
    """A contender at work: made once in its process, from the models and a number of threads, used from one thread."""

    @abstractmethod
    def __init__(self, models: Models, threads: int, **options: str) -> None:
        """Load everything, so that the first answer pays for nothing that a later one does not."""

    @abstractmethod
    def answer(self, texts: list[str]) -> list[str]:
        """Give the label of each text: everything from text to label, nothing cached."""

    def probabilities(self, texts: list[str]) -> npt.NDArray[np.float64] | None:  # noqa: ARG002  not all have any
        """Give the probability of each label (texts, labels), columns as in `head.npz`; None where there are none."""
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseContender:
    """What is said of every system under test, wherever it runs.

    Attributes:
        name: What tables and files call it.
        description: What it is and how it is run, in one line.
        system: Its class, as `module:Class` in its registry's package; imported in the contender's own process only.
        arithmetic: What its matrix products are computed in: fp32, bf16, fp16 or int8; empty where there are none.
        options: Keyword arguments of the class.
    """

    name: str
    description: str
    system: str
    arithmetic: str
    options: dict[str, str] = field(default_factory=dict)

    def load(self, package: str, *given: Any) -> Any:
        """Import the class and make one.

        Args:
            package: The registry's, by its full name.
            given: Positional arguments of the class, before `options`.
        """
        module, name = self.system.split(":")
        return getattr(importlib.import_module(f"{package}.{module}"), name)(*given, **self.options)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender(BaseContender):
    """One system under test: a line of the registry.

    Attributes:
        environment: Which of `ENVIRONMENTS` it runs in.
        quality: What its answers are held to.
        batching: How it is given texts of different lengths.
        preparations: Which of `PREPARATIONS` must have been made.
        loads: What it reads at load, as globs below `bundle`, `checkpoint` or `artefacts`.
        device: Where it runs.
        cpu_flags: What the processor must have, as /proc/cpuinfo names it; any one of them will do.
    """

    environment: str
    quality: Quality
    batching: Batching
    loads: tuple[str, ...]
    preparations: tuple[str, ...] = ()
    device: Device = Device.CPU
    cpu_flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Preparation:
    """A form of the model that must be made before a contender can load it.

    Attributes:
        name: Its folder below `Models.artefacts`.
        environment: Which of `ENVIRONMENTS` it is made in.
        function: What makes it, as `module:function` within this package: called with the models and an empty folder.
        needs: The preparations that it reads.
    """

    name: str
    environment: str
    function: str
    needs: tuple[str, ...] = ()
