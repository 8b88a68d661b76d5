"""The libraries that can run a graph: one interface, an adapter each."""

import sys
from enum import StrEnum
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ._variant import Variant

BF16 = "bf16"
"""What `precision` may be besides a `Precision`: the fp32 graph, computed by OpenVINO in bfloat16."""


class Engine(StrEnum):
    """Which library runs the graph."""

    ONNXRUNTIME = "onnxruntime"
    OPENVINO = "openvino"
    TENSORRT = "tensorrt"
    """As onnxruntime's provider."""

    @property
    def package(self) -> str:
        """What is imported."""
        return "openvino" if self is Engine.OPENVINO else "onnxruntime"

    @property
    def takes_names(self) -> bool:
        """Whether it reads a graph by the name of its file, which costs it less than bytes."""
        return self is not Engine.OPENVINO


def is_installed(engine: Engine) -> bool:
    """Tell whether an engine can be imported, without importing it."""
    if engine.package in sys.modules:
        return sys.modules[engine.package] is not None  # None forbids the import
    from importlib import util  # often the answer is known

    spec = util.find_spec(engine.package)
    return spec is not None and spec.origin is not None  # a folder of that name is none


def is_own_error(error: Exception, package: str) -> bool:
    """Tell whether an error is a library's own, or what a signal's handler raised while the library was at work.

    Args:
        error: What was raised. Compiled libraries raise builtin errors as well as their own.
        package: The library's.
    """
    kind = type(error)
    return kind.__module__.partition(".")[0] == package or kind in {Exception, RuntimeError, ValueError, TypeError}


class Runs(Protocol):
    """A graph, loaded and ready to run. Threads may share it."""

    def run(self, input_ids: npt.NDArray[np.int64], outputs: tuple[str, ...]) -> list[npt.NDArray[np.float32]]:
        """Run one batch of texts that all have the same number of tokens.

        Args:
            input_ids: int64 (texts, tokens).
            outputs: Which of the scores and `sentence_embedding` to compute.

        Returns:
            float32 arrays (texts, labels) or (texts, dim), in the order of `outputs`.
        """


def load_graph(engine: Engine, model: str | bytes, variant: Variant, *, threads: int | None, bf16: bool) -> Runs:
    """Load a graph into an engine, to run on the CPU.

    Args:
        engine: onnxruntime or OpenVINO.
        model: The ONNX file's bytes, or, for an engine that takes names, its name.
        variant: What the manifest says of them.
        threads: Threads inside one run; None for as many as this process may use.
        bf16: Whether matrix products are computed in bfloat16; OpenVINO's alone.

    Raises:
        MissingExtra: The engine is not installed.
        UsageError: `threads` is out of its range.
        BundleCorrupt: The engine refuses the file, or it is another graph than the manifest says.
        TypeError: A name was given to an engine that takes none.
    """
    if engine is Engine.OPENVINO:
        if isinstance(model, str):
            raise TypeError("model: expected the bytes of a graph for OpenVINO, got a name")
        from ._openvino import OpenvinoGraph  # of the two engines only one is loaded

        return OpenvinoGraph(model, variant, threads=threads, bf16=bf16)
    from ._session import Session

    return Session(model, variant, threads=threads)


def import_engine(engine: Engine) -> None:
    """Import onnxruntime, if that runs the graph, so that it is there when the graph is.

    Raises:
        MissingExtra: It is not installed.
    """
    if engine.package == "onnxruntime":
        from ._session import import_onnxruntime

        import_onnxruntime()
