"""A graph from token ids to probabilities in bare onnxruntime: bound buffers, and CUDA graphs where asked for."""

from collections.abc import Callable, Mapping, Sequence
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

OUTPUT = "probabilities"
PROVIDERS = {Device.CUDA: "CUDAExecutionProvider", Device.CPU: "CPUExecutionProvider"}


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
        graphs: bool = False,
        threads: int = 1,
        settings: dict[str, str] | None = None,
    ) -> None:
        """Load a graph.

        Args:
            file: It gives `probabilities`.
            device: Where it runs, and where the buffers lie.
            graphs: Whether each shape is captured as a CUDA graph; the CPU, as a stand-in, captures nothing.
            threads: Of the CPU.
            settings: More options of the provider.

        Raises:
            RuntimeError: onnxruntime does not take the provider: it would fall back to another one without a word.
        """
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3  # errors; which nodes it puts where is no news
        provider, own = PROVIDERS[device], dict(settings or {})
        if device is Device.CUDA:
            onnxruntime.preload_dlls()
            own["enable_cuda_graph"] = str(int(graphs))
        self._session = onnxruntime.InferenceSession(file, options, providers=[(provider, own)])
        taken = self._session.get_providers()[0]
        if taken != provider:
            raise RuntimeError(f"expected {provider}, onnxruntime took {taken}")
        self._onnxruntime = onnxruntime
        self._device = str(device)
        self._graphs = graphs
        self._dtypes = {node.name: _dtype(node.type) for node in self._session.get_inputs()}
        self._output = next(node for node in self._session.get_outputs() if node.name == OUTPUT)
        self._slots: dict[tuple[tuple[int, ...], ...], Slot] = {}

    @property
    def metadata(self) -> dict[str, str]:
        """What the graph says of itself."""
        found: dict[str, str] = self._session.get_modelmeta().custom_metadata_map
        return found

    def run(self, feeds: Mapping[str, npt.NDArray[np.integer]], rows: int) -> npt.NDArray[np.float32]:
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

    def alone(self, feeds: Mapping[str, npt.NDArray[np.integer]], rows: int) -> Callable[[], object]:
        """Put token ids on the device, and give a call that runs and waits for the device, and copies nothing."""
        self.run(feeds, rows)
        slot = self._slot(feeds, rows)
        return lambda: self._session.run_with_iobinding(slot.binding, slot.options)

    def _slot(self, feeds: Mapping[str, npt.NDArray[np.integer]], rows: int) -> Slot:
        shapes = tuple(feeds[name].shape for name in self._dtypes)
        if shapes not in self._slots:
            self._slots[shapes] = self._make_slot(feeds, rows)
        return self._slots[shapes]

    def _make_slot(self, feeds: Mapping[str, npt.NDArray[np.integer]], rows: int) -> Slot:
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


class Reader:
    """A bundle's tokenizer and labels."""

    def __init__(self, models: GpuModels) -> None:
        """Read them."""
        manifest = Manifest.read(models.bundle)
        self.max_length = manifest.max_length
        self._prompt = manifest.prompt
        self._labels = manifest.labels
        self._tokenizer = Tokenizer.from_file(str(models.find("bundle/tokenizer.json")))

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """Give the token ids of each text, cut to the model's length."""
        encoded = self._tokenizer.encode_batch_fast([self._prompt + text for text in texts])
        return [encoding.ids for encoding in encoded]

    def labels(self, probabilities: npt.NDArray[np.float64]) -> list[str]:
        """Give the most likely label of each row (texts, labels)."""
        return [self._labels[place] for place in probabilities.argmax(axis=1)]


class Graph(GpuSystem):
    """Tokenize, sort, pad, run."""

    def __init__(
        self,
        models: GpuModels,
        threads: int,
        device: Device,
        *,
        file: str,
        graphs: str = "no",
    ) -> None:
        """Load a graph: see `Engine`."""
        self._text = Reader(models)
        self._engine = Engine(models.find(file), device, graphs=graphs == "yes", threads=threads)

    def answer(self, texts: list[str]) -> list[str]:
        """Give the most likely label."""
        return self._text.labels(self.probabilities(texts))

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
        return make_batches(self._text.tokens(texts), self._text.max_length)


def feeds_of(batch: Batch) -> dict[str, npt.NDArray[np.integer]]:
    """Give a batch by the input names of our graphs and of traced ones."""
    return {"input_ids": batch.ids, "attention_mask": batch.mask}


def in_order(batches: Sequence[Batch], found: Sequence[npt.NDArray[np.float32]]) -> npt.NDArray[np.float64]:
    """Put the rows of batches back into the order of the texts, without those that only fill a batch."""
    texts = sum(len(batch.places) for batch in batches)
    answers = np.empty((texts, found[0].shape[1]))
    for batch, rows in zip(batches, found, strict=True):
        answers[batch.places] = rows[: len(batch.places)]
    return answers
