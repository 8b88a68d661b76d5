"""Run one fused graph in OpenVINO."""

import io
import os
from collections import deque
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ._alongside import Alongside
from ._cpus import available_cpus, check_threads
from ._engine import is_own_error
from ._errors import BundleCorrupt, MissingExtra, UsageError
from ._variant import ATTENTION_MASK, INPUT_IDS, Variant

if TYPE_CHECKING:
    from collections.abc import Iterable

    import openvino

_TYPES = {"i64": "int64", "i32": "int32", "f32": "float"}
"""OpenVINO's names of the element types that a manifest knows."""

Interface = dict[str, tuple[str, list[int | None]]]
"""Element type and shape of each input or output; None for an axis that varies."""


class _Fork:
    """What a forked child must know of its parent: OpenVINO's threads and locks are the whole process's.

    Attributes:
        running: One entry for each thread that is inside OpenVINO.
        cut: Whether this process was forked while there was any: its locks may be held for ever.
    """

    def __init__(self) -> None:
        self.running: set[object] = set()
        self.cut = False

    def after_in_child(self) -> None:
        self.cut = self.cut or bool(self.running)
        self.running = set()


_FORK = _Fork()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_FORK.after_in_child)


class OpenvinoGraph:
    """A graph, compiled for the processor. A request runs one batch at a time, so each thread takes one of its own."""

    def __init__(self, model: bytes, variant: Variant, *, threads: int | None, bf16: bool) -> None:
        """Compile the graph.

        Args:
            model: The ONNX file's bytes.
            variant: What the manifest says of them.
            threads: Threads inside one run; None for as many as this process may use.
            bf16: Whether to compute in bfloat16 what is float32 in the file. OpenVINO would do so by itself wherever
                the processor can; here the caller decides.

        Raises:
            MissingExtra: OpenVINO is not installed.
            UsageError: `threads` is out of its range, or this process was forked while OpenVINO was at work.
            BundleCorrupt: OpenVINO refuses the file, or it is another graph than the manifest says.
        """
        check_threads(threads)
        if _FORK.cut:
            raise UsageError(
                "engine: expected a process that was not forked while OpenVINO was at work: here it would hang; fork "
                'before or between the calls, start processes with "spawn", or take onnxruntime'
            )
        try:
            import openvino
        except ImportError as error:
            raise MissingExtra(
                'engine="openvino" needs openvino: pip install "setfuse[openvino]"; or leave the engine out'
            ) from error
        hints: dict[str, object] = {
            "ENABLE_CPU_PINNING": False,  # the threads that call are not ours to pin
            "INFERENCE_NUM_THREADS": threads or available_cpus(),
            "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32",
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
        }
        # OpenVINO sets a stack for signals' handlers in the thread that compiles, and frees its memory with the graph.
        # That thread would still have it if another one frees the graph, or get it back when a graph is freed that was
        # loaded later: the next Ctrl-C would be a segmentation fault. A thread that ends takes the setting with it.
        with Alongside(lambda: _compile(openvino, model, hints)) as compiling:
            try:
                graph, self._compiled = compiling.result()
            except Exception as error:  # OpenVINO raises RuntimeError for whatever it is
                if not is_own_error(error, "openvino"):
                    raise
                raise BundleCorrupt(f"{variant.file.file}: OpenVINO refuses the graph: {error}") from error
        _check(graph, variant)
        self._file = variant.file.file
        self._dtypes = {tensor.name: np.dtype(tensor.dtype) for tensor in variant.inputs}
        self._places = {name: place for place, port in enumerate(self._compiled.outputs) for name in port.names}
        # The one that ran last goes first: its memory is in the processor's caches.
        self._idle: deque[openvino.InferRequest] = deque()

    def run(self, input_ids: npt.NDArray[np.int64], outputs: tuple[str, ...]) -> list[npt.NDArray[np.float32]]:
        """Run one batch of texts that all have the same number of tokens.

        Args:
            input_ids: int64 (texts, tokens).
            outputs: Which of the scores and `sentence_embedding` to give; all are computed.

        Returns:
            float32 arrays (texts, labels) or (texts, dim), in the order of `outputs`.

        Raises:
            BundleCorrupt: OpenVINO fails.
        """
        feeds = {INPUT_IDS: input_ids.astype(self._dtypes[INPUT_IDS], copy=False)}
        if ATTENTION_MASK in self._dtypes:
            feeds[ATTENTION_MASK] = np.ones_like(input_ids, dtype=self._dtypes[ATTENTION_MASK])
        mark = object()
        _FORK.running.add(mark)
        try:
            request = self._request()
            try:
                request.infer(feeds, share_outputs=True)
                # Copies: the next run of the request writes into the same memory.
                return [request.get_output_tensor(self._places[name]).data.copy() for name in outputs]
            finally:
                self._idle.append(request)
        except Exception as error:  # as above
            if not is_own_error(error, "openvino"):
                raise
            raise BundleCorrupt(
                f"{self._file}: OpenVINO fails on token ids of the shape {input_ids.shape}: {error}; "
                "export the bundle again"
            ) from error
        finally:
            _FORK.running.discard(mark)

    def _request(self) -> "openvino.InferRequest":
        try:
            return self._idle.pop()
        except IndexError:
            return self._compiled.create_infer_request()


def _compile(
    openvino: "openvino", model: bytes, hints: dict[str, object]
) -> "tuple[openvino.Model, openvino.CompiledModel]":
    """Give the graph as it is in the file, and as the processor runs it."""
    mark = object()
    _FORK.running.add(mark)
    try:
        core = openvino.Core()
        graph = core.read_model(io.BytesIO(model))
        return graph, core.compile_model(graph, "CPU", hints)
    finally:
        _FORK.running.discard(mark)


def _check(graph: "openvino.Model", variant: Variant) -> None:
    """Compare the graph's inputs and outputs with the manifest's.

    Raises:
        BundleCorrupt: The graph is another than the manifest describes.
    """
    for promised, found in ((variant.inputs, graph.inputs), (variant.outputs, graph.outputs)):
        expected: Interface = {
            tensor.name: (tensor.dtype, [size if isinstance(size, int) else None for size in tensor.shape])
            for tensor in promised
        }
        got = _interface(found)
        if len(found) != len(expected) or any(got.get(name) != tensor for name, tensor in expected.items()):
            raise BundleCorrupt(f"{variant.file.file}: expected {expected} as bundle.json says, found {got}")


def _interface(ports: "Iterable[openvino.Output]") -> Interface:
    """Describe inputs or outputs; one that has several names is there under each."""
    found: Interface = {}
    for port in ports:
        kind = port.get_element_type().get_type_name()
        shape = [None if axis.is_dynamic else axis.get_length() for axis in port.partial_shape]
        found |= dict.fromkeys(port.names, (_TYPES.get(kind, kind), shape))
    return found
