"""A graph from token ids to probabilities in bare onnxruntime: bound buffers, and CUDA graphs where asked for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from benchmarks._contenders import Device
from setfuse.runtime import Manifest

from ._batches import Batch, make_batches
from ._system import GpuModels, GpuSystem

PROVIDERS = {
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "cpu": "CPUExecutionProvider",
}

LARGEST = "64x512"
"""Rows and tokens of the largest batch that TensorRT prepares itself for."""


@dataclass(frozen=True, slots=True)
class Slot:
    """The buffers of one shape: their addresses never change, as a captured graph wants it.

    Attributes:
        feeds: Input buffers by name.
        output: The probabilities' buffer.
        binding: Both, bound.
        options: Of a run: which captured graph is its own; None where nothing is captured.
    """

    feeds: dict[str, Any]
    output: Any
    binding: Any
    options: Any


class Engine:
    """An onnxruntime session with bound buffers."""

    def __init__(
        self,
        file: Path,
        device: Device,
        *,
        provider: str = "cuda",
        graphs: bool = False,
        threads: int = 1,
        settings: dict[str, str] | None = None,
    ) -> None:
        """Load a graph.

        Args:
            file: It takes `input_ids` and, perhaps, `attention_mask`, and gives `probabilities`.
            device: Where the buffers lie.
            provider: Of `PROVIDERS`; on the CPU, its own in any case.
            graphs: Whether each shape is captured as a CUDA graph.
            threads: Of the CPU.
            settings: More options of the provider.

        Raises:
            RuntimeError: onnxruntime does not take the provider: it would fall back to another one without a word. Or
                TensorRT is asked for on the CPU.
        """
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3  # errors; which nodes it puts where is no news
        if device is Device.CPU:
            if provider == "tensorrt":
                raise RuntimeError("TensorRT runs on a GPU only")
            provider = "cpu"
        if device is Device.CUDA:
            onnxruntime.preload_dlls()
        own = dict(settings or {})
        if provider == "cuda" and graphs:
            own["enable_cuda_graph"] = "1"
        self._session = onnxruntime.InferenceSession(file, options, providers=[(PROVIDERS[provider], own)])
        taken = self._session.get_providers()[0]
        if taken != PROVIDERS[provider]:
            raise RuntimeError(f"expected {PROVIDERS[provider]}, onnxruntime took {taken}")
        self._onnxruntime = onnxruntime
        self._device = str(device)
        self._graphs = graphs
        self._dtypes = {node.name: _dtype(node.type) for node in self._session.get_inputs()}
        outputs = {node.name: node for node in self._session.get_outputs()}
        self._output = outputs["probabilities"]
        self._slots: dict[tuple[tuple[int, ...], ...], Slot] = {}

    def run(self, feeds: dict[str, npt.NDArray[np.int64]], rows: int) -> npt.NDArray[np.float32]:
        """Copy token ids to the device, run, and copy the probabilities back.

        Args:
            feeds: Arrays by the graph's input names; those that it does not take are left out.
            rows: Texts.

        Returns:
            float32 (rows, labels).
        """
        slot = self._slot(feeds, rows)
        for name, buffer in slot.feeds.items():
            buffer.update_inplace(np.ascontiguousarray(feeds[name], dtype=self._dtypes[name]))
        self._session.run_with_iobinding(slot.binding, slot.options)
        return np.array(slot.output.numpy())

    def alone(self, feeds: dict[str, npt.NDArray[np.int64]], rows: int) -> Callable[[], object]:
        """Put token ids on the device, and give a call that runs and waits for the device, and copies nothing."""
        self.run(feeds, rows)
        slot = self._slot(feeds, rows)
        return lambda: self._session.run_with_iobinding(slot.binding, slot.options)

    def _slot(self, feeds: dict[str, npt.NDArray[np.int64]], rows: int) -> Slot:
        shapes = tuple(feeds[name].shape for name in self._dtypes)
        if shapes not in self._slots:
            self._slots[shapes] = self._make_slot(feeds, rows)
        return self._slots[shapes]

    def _make_slot(self, feeds: dict[str, npt.NDArray[np.int64]], rows: int) -> Slot:
        value = self._onnxruntime.OrtValue
        buffers = {
            name: value.ortvalue_from_numpy(np.ascontiguousarray(feeds[name], dtype=dtype), self._device, 0)
            for name, dtype in self._dtypes.items()
        }
        shape = [rows, self._output.shape[-1]]
        output = value.ortvalue_from_shape_and_type(shape, np.float32, self._device, 0)
        binding = self._session.io_binding()
        for name, buffer in buffers.items():
            binding.bind_ortvalue_input(name, buffer)
        binding.bind_ortvalue_output(self._output.name, output)
        options = None  # empty ones cost 30 us a run in onnxruntime 1.32, none cost nothing
        if self._graphs:
            options = self._onnxruntime.RunOptions()
            options.add_run_config_entry("gpu_graph_id", str(len(self._slots) + 1))
        return Slot(buffers, output, binding, options)


def _dtype(kind: str) -> type[np.integer]:
    return np.int32 if kind == "tensor(int32)" else np.int64


class Graph(GpuSystem):
    """Tokenize, sort, pad, run."""

    def __init__(
        self,
        models: GpuModels,
        threads: int,
        device: Device,
        *,
        file: str,
        provider: str = "cuda",
        graphs: str = "no",
    ) -> None:
        """Load a graph: see `Engine`."""
        manifest = Manifest.read(models.bundle)
        self._labels = manifest.labels
        self._prompt = manifest.prompt
        self._max_length = manifest.max_length
        self._tokenizer = Tokenizer.from_file(str(models.find("bundle/tokenizer.json")))
        self._engine = Engine(
            models.find(file),
            device,
            provider=provider,
            graphs=graphs == "yes",
            threads=threads,
            settings=_tensorrt(models.bundle) if provider == "tensorrt" else None,
        )

    def answer(self, texts: list[str]) -> list[str]:
        """Give the most likely label."""
        return [self._labels[place] for place in self.probabilities(texts).argmax(axis=1)]

    def probabilities(self, texts: list[str]) -> npt.NDArray[np.float64]:
        """Run a batch after the other."""
        batches = self._batches(texts)
        found = [self._engine.run(feeds_of(batch), len(batch.ids)) for batch in batches]
        return in_order(batches, found)

    def engine(self, texts: list[str]) -> Callable[[], object]:
        """Run the same batches on what is on the device already."""
        calls = [self._engine.alone(feeds_of(batch), len(batch.ids)) for batch in self._batches(texts)]
        return lambda: [call() for call in calls]

    def _batches(self, texts: Sequence[str]) -> list[Batch]:
        encoded = self._tokenizer.encode_batch_fast([self._prompt + text for text in texts])
        return make_batches([encoding.ids for encoding in encoded], self._max_length)


def feeds_of(batch: Batch) -> dict[str, npt.NDArray[np.int64]]:
    """Give a batch by the input names of our graphs and of traced ones."""
    return {"input_ids": batch.ids, "attention_mask": batch.mask}


def in_order(batches: Sequence[Batch], found: Sequence[npt.NDArray[np.float32]]) -> npt.NDArray[np.float64]:
    """Put the rows of batches back into the order of the texts, without those that only fill a batch."""
    texts = sum(len(batch.places) for batch in batches)
    answers = np.empty((texts, found[0].shape[1]))
    for batch, rows in zip(batches, found, strict=True):
        answers[batch.places] = rows[: len(batch.places)]
    return answers


def _tensorrt(bundle: Path) -> dict[str, str]:
    """Give the provider's options: fp16, engines kept beside the bundle, one profile for all shapes up to `LARGEST`."""
    variant = next(one for one in Manifest.read(bundle).variants if one.file.file == "model.onnx")
    rows, tokens = (int(part) for part in LARGEST.split("x"))
    tokens = min(tokens, Manifest.read(bundle).max_length)
    shapes = {"min": "1x1", "opt": f"{rows // 2}x{min(32, tokens)}", "max": f"{rows}x{tokens}"}
    profiles = {
        f"trt_profile_{which}_shapes": ",".join(f"{tensor.name}:{shape}" for tensor in variant.inputs)
        for which, shape in shapes.items()
    }
    return {"trt_fp16_enable": "1", **profiles}
