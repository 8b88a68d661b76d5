"""One stream of a GPU: a session, its buffers, and the runs that were captured."""

import contextlib
import mmap
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ._driver import Driver, Gpu
from ._errors import DeviceUnavailable
from ._variant import ATTENTION_MASK, INPUT_IDS, Variant

if TYPE_CHECKING:
    import onnxruntime

_NO_GRAPH = "-1"
"""What onnxruntime takes as `gpu_graph_id` of a run that is neither captured nor replayed."""


class _Gate:
    """Lets runs pass together, and a capture alone: whatever else the process does on the GPU meanwhile breaks it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._running = 0
        self._capturing = False

    @contextlib.contextmanager
    def run(self) -> Iterator[None]:
        """Wait for the end of a capture."""
        with self._changed:
            self._changed.wait_for(lambda: not self._capturing)
            self._running += 1
        try:
            yield
        finally:
            with self._changed:
                self._running -= 1
                self._changed.notify_all()

    @contextlib.contextmanager
    def capture(self) -> Iterator[None]:
        """Wait for the end of all runs, and keep others from beginning."""
        with self._changed:
            self._changed.wait_for(lambda: not self._capturing)
            self._capturing = True
            self._changed.wait_for(lambda: not self._running)
        try:
            yield
        finally:
            with self._changed:
                self._capturing = False
                self._changed.notify_all()


_GATE = _Gate()


@dataclass(frozen=True, slots=True)
class Shape:
    """What is run: each has buffers of its own, and may have been captured.

    Attributes:
        output: Which of the graph's outputs.
        rows: Texts.
        width: Tokens of each.
    """

    output: str
    rows: int
    width: int


@dataclass(frozen=True, slots=True)
class _Bound:
    """A shape's buffers on the GPU, bound to the graph.

    Attributes:
        inputs: By name.
        answer: (rows, width of the output).
        binding: Of these to the session.
    """

    inputs: dict[str, "onnxruntime.OrtValue"]
    answer: "onnxruntime.OrtValue"
    binding: "onnxruntime.IOBinding"


class Stream:
    """One session with its stream, and the thread that all its runs are made in.

    The thread matters: onnxruntime replays what was captured in the thread that captured it, and in no other.
    """

    def __init__(self, load: Callable[[], Any], variant: Variant, gpu: Gpu, tokens: int, *, captures: bool) -> None:
        """Load the graph.

        Args:
            load: Makes the session.
            variant: What the manifest says of it.
            gpu: Where it runs.
            tokens: Of the largest run, padding included.
            captures: Whether the session may capture runs.
        """
        self.waiting = 0
        self._variant = variant
        self._gpu = gpu
        self._captures = captures
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="setfuse-cuda")
        weakref.finalize(self, self._thread.shutdown, wait=False)
        self._bound: dict[Shape, _Bound] = {}
        self._captured: dict[Shape, Any] = {}
        self._staging = _staging(variant, tokens)
        self._session = self.do(load)
        self._uncaptured = self._run_options(_NO_GRAPH)

    def do(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """Do something in the stream's thread, and wait for it."""
        return self._thread.submit(work, *arguments).result()

    def pin(self, driver: Driver) -> None:
        """Lock the memory that texts are copied from, so that the GPU fetches them by itself."""
        buffer = next(iter(self._staging.values()))
        whole = buffer if buffer.base is None else buffer.base
        address = buffer.ctypes.data
        driver.pin(self._gpu.index, address, len(self._staging) * buffer.nbytes)
        weakref.finalize(self, _unpin, driver, self._gpu.index, address, whole)

    def run(self, token_ids: Sequence[npt.NDArray[np.int64]], shape: Shape) -> npt.NDArray[np.float32]:
        """Run texts, padded to a shape.

        Args:
            token_ids: At most `shape.rows`, of at most `shape.width` tokens.
            shape: What to run.

        Returns:
            float32 (texts, width of the output).
        """
        bound = self._bound.get(shape) or self._bind(shape)
        self._fill(token_ids, shape)
        for name, value in bound.inputs.items():
            value.update_inplace(self._view(name, shape))
        with _GATE.run():
            self._session.run_with_iobinding(bound.binding, self._captured.get(shape, self._uncaptured))
        answer = bound.answer.numpy()
        return np.array(answer[: len(token_ids)])

    def capture(self, shapes: Iterable[Shape], fits: Callable[[], bool]) -> int:
        """Capture runs of shapes, one after the other.

        Args:
            shapes: The most useful first.
            fits: Tells, after each, whether there is memory for more.

        Returns:
            How many were captured.
        """
        for number, shape in enumerate(shapes, start=1):
            options = self._run_options(str(number))
            bound = self._bind(shape)
            self._fill([np.zeros(shape.width, dtype=np.int64)] * shape.rows, shape)
            for name, value in bound.inputs.items():
                value.update_inplace(self._view(name, shape))
            with _GATE.capture():
                # onnxruntime makes two ordinary runs before the one that it captures.
                self._session.run_with_iobinding(bound.binding, options)
            self._captured[shape] = options
            if not fits():
                break
        return len(self._captured)

    def _run_options(self, graph: str) -> "onnxruntime.RunOptions":
        import onnxruntime

        options = onnxruntime.RunOptions()
        if self._captures:
            options.add_run_config_entry("gpu_graph_id", graph)
        return options

    def _bind(self, shape: Shape) -> _Bound:
        import onnxruntime

        def buffer(width: int | str, dtype: npt.DTypeLike) -> "onnxruntime.OrtValue":
            size = [shape.rows, int(width)]
            return onnxruntime.OrtValue.ortvalue_from_shape_and_type(size, np.dtype(dtype), "cuda", self._gpu.index)

        inputs = {name: buffer(shape.width, array.dtype) for name, array in self._staging.items()}
        answer = buffer(self._variant.widths[shape.output], np.float32)
        binding = self._session.io_binding()
        for name, value in inputs.items():
            binding.bind_ortvalue_input(name, value)
        binding.bind_ortvalue_output(shape.output, answer)
        return self._bound.setdefault(shape, _Bound(inputs, answer, binding))

    def _fill(self, token_ids: Sequence[npt.NDArray[np.int64]], shape: Shape) -> None:
        ids, mask = self._view(INPUT_IDS, shape), self._view(ATTENTION_MASK, shape)
        ids[:] = 0
        mask[:] = 0
        mask[len(token_ids) :, 0] = 1  # attention to nothing at all has no answer
        for row, text in enumerate(token_ids):
            ids[row, : len(text)] = text
            mask[row, : len(text)] = 1

    def _view(self, name: str, shape: Shape) -> npt.NDArray[Any]:
        return self._staging[name][: shape.rows * shape.width].reshape(shape.rows, shape.width)


def _staging(variant: Variant, tokens: int) -> dict[str, npt.NDArray[Any]]:
    """Make the memory that inputs are copied from: whole pages that nothing else shares, so that they can be locked."""
    dtypes = {tensor.name: np.dtype(tensor.dtype) for tensor in variant.inputs}
    size = max(dtype.itemsize for dtype in dtypes.values()) * tokens
    pages = np.frombuffer(mmap.mmap(-1, size * len(dtypes)), dtype=np.uint8)
    return {
        name: pages[number * size : (number + 1) * size].view(dtype)[:tokens]
        for number, (name, dtype) in enumerate(dtypes.items())
    }


def _unpin(driver: Driver, index: int, address: int, kept: object) -> None:  # noqa: ARG001 - it keeps the memory there
    with contextlib.suppress(DeviceUnavailable):  # at the end of the process the driver may be gone
        driver.unpin(index, address)
