"""Run one fused graph in OpenVINO."""

import io
import queue
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ._cpus import available_cpus, check_threads
from ._errors import BundleCorrupt, MissingExtra, UsageError
from ._variant import ATTENTION_MASK, INPUT_IDS, Target, Variant

if TYPE_CHECKING:
    import openvino


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
            UsageError: `threads` is out of its range, or the graph is not for the CPU.
            BundleCorrupt: OpenVINO refuses the file, or it is another graph than the manifest says.
        """
        check_threads(threads)
        if variant.target is not Target.CPU:
            raise UsageError(
                f"engine: expected onnxruntime for the {variant} graph, got openvino, which runs cpu graphs"
            )
        try:
            import openvino
        except ImportError as error:
            raise MissingExtra(
                'engine="openvino" needs openvino: pip install "setfuse[openvino]"; or leave the engine out'
            ) from error
        hints = {
            "INFERENCE_NUM_THREADS": threads or available_cpus(),
            "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32",
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
        }
        try:
            core = openvino.Core()
            self._compiled = core.compile_model(core.read_model(io.BytesIO(model)), "CPU", hints)
        except Exception as error:  # OpenVINO raises RuntimeError for whatever it is
            raise BundleCorrupt(f"{variant.file.file}: OpenVINO refuses the graph: {error}") from error
        self._file = variant.file.file
        self._dtypes = {tensor.name: np.dtype(tensor.dtype) for tensor in variant.inputs}
        self._places = _places(self._compiled, variant)
        self._idle: queue.SimpleQueue[openvino.InferRequest] = queue.SimpleQueue()

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
        try:
            request = self._idle.get_nowait()
        except queue.Empty:
            request = self._compiled.create_infer_request()
        try:
            request.infer(feeds)
            # Copies: the next run of the request writes into the same memory.
            return [request.get_output_tensor(self._places[name]).data.copy() for name in outputs]
        except Exception as error:  # as above
            raise BundleCorrupt(
                f"{self._file}: OpenVINO fails on token ids of the shape {input_ids.shape}: {error}; "
                "export the bundle again"
            ) from error
        finally:
            self._idle.put(request)


def _places(compiled: "openvino.CompiledModel", variant: Variant) -> dict[str, int]:
    """Find the outputs by name.

    Raises:
        BundleCorrupt: The graph is another than the manifest describes.
    """
    inputs = {name for port in compiled.inputs for name in port.names}
    places = {name: place for place, port in enumerate(compiled.outputs) for name in port.names}
    wanted = {tensor.name for tensor in variant.inputs}
    given = {tensor.name for tensor in variant.outputs}
    if not wanted <= inputs or len(compiled.inputs) != len(wanted) or not given <= set(places):
        raise BundleCorrupt(
            f"{variant.file.file}: expected inputs {sorted(wanted)} and outputs {sorted(given)} as bundle.json says, "
            f"found {sorted(inputs)} and {sorted(places)}"
        )
    return places
