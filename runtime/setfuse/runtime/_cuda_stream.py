"""One stream of a GPU: a session, its buffers, the runs that were captured, and the thread that makes them."""

import contextlib
import mmap
import queue
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from ._driver import Driver, Gpu
from ._engine import is_own_error
from ._errors import BundleCorrupt, DeviceUnavailable
from ._variant import ATTENTION_MASK, INPUT_IDS, Variant

if TYPE_CHECKING:
    import onnxruntime

_NO_GRAPH = "-1"
"""What onnxruntime takes as `gpu_graph_id` of a run that is neither captured nor replayed."""

Done = TypeVar("Done")


class EngineFailure(Exception):
    """What onnxruntime raised, before it is known what it means to a user."""


@contextlib.contextmanager
def engine_failures() -> Iterator[None]:
    """Tell onnxruntime's errors from all others, as they have no base of their own.

    Raises:
        EngineFailure: In the place of one of onnxruntime's.
    """
    try:
        yield
    except Exception as error:
        if not is_own_error(error, "onnxruntime"):
            raise
        raise EngineFailure(str(error)) from error


class Gate:
    """Lets work on GPUs pass together, and a capture alone: other work of the process meanwhile would break it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._working = 0
        self._capturing = False

    @contextlib.contextmanager
    def work(self) -> Iterator[None]:
        """Wait for the end of a capture."""
        with self._changed:
            self._changed.wait_for(lambda: not self._capturing)
            self._working += 1
        try:
            yield
        finally:
            with self._changed:
                self._working -= 1
                self._changed.notify_all()

    @contextlib.contextmanager
    def capture(self) -> Iterator[None]:
        """Wait for the end of all work, and keep more from beginning."""
        with self._changed:
            self._changed.wait_for(lambda: not self._capturing)
            self._capturing = True
            self._changed.wait_for(lambda: not self._working)
        try:
            yield
        finally:
            with self._changed:
                self._capturing = False
                self._changed.notify_all()


GATE = Gate()
"""Of all classifiers of the process."""


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


class _Worker:
    """A thread that does one job after the other, for whoever holds this object.

    Not an executor of the standard library: those refuse work as soon as the main thread has ended, and they and their
    futures hold locks in the caller's thread, where a signal's handler that calls in its turn would wait for ever.
    """

    def __init__(self) -> None:
        jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._jobs = jobs
        self._busy = threading.Event()
        # A daemon, as nobody tells it of the process's end in time; the finalizer does, once all other threads have
        # ended, and waits for the run that it is in.
        thread = threading.Thread(target=_work, args=(jobs, self._busy), name="setfuse-cuda", daemon=True)
        thread.start()
        weakref.finalize(self, _end, jobs, thread)

    @property
    def waiting(self) -> int:
        """How many jobs are not done."""
        return self._jobs.qsize() + self._busy.is_set()

    def do(self, job: Callable[[], Done]) -> Done:
        """Do something in the thread, and wait for it."""
        answers: list[Done] = []
        errors: list[BaseException] = []
        done = threading.Lock()
        done.acquire()

        def work() -> None:
            try:
                answers.append(job())
            except BaseException as error:  # noqa: BLE001 - whatever it is, the caller must hear of it
                errors.append(error)
            finally:
                done.release()

        self._jobs.put(work)
        done.acquire()  # the job lets it go
        for error in errors:
            raise error
        return answers[0]


def _work(jobs: "queue.SimpleQueue[Callable[[], None] | None]", busy: threading.Event) -> None:
    while (job := jobs.get()) is not None:
        busy.set()
        job()
        del job  # it holds texts and answers
        busy.clear()


def _end(jobs: "queue.SimpleQueue[Callable[[], None] | None]", thread: threading.Thread) -> None:
    jobs.put(None)
    if not threading.main_thread().is_alive():  # at the process's end: the run that it is in must not be cut off
        thread.join()


class Stream:
    """One session with its stream, and the thread that all its runs are made in.

    The thread matters: onnxruntime replays what was captured in the thread that captured it, and in no other.
    """

    def __init__(
        self,
        load: Callable[[], "onnxruntime.InferenceSession"],
        variant: Variant,
        gpu: Gpu,
        tokens: int,
        *,
        captures: bool,
    ) -> None:
        """Load the graph.

        Args:
            load: Makes the session.
            variant: What the manifest says of it.
            gpu: Where it runs.
            tokens: Of the largest run, padding included.
            captures: Whether the session may capture runs.

        Raises:
            BundleCorrupt: The graph takes no mask, so texts could not be padded.
            EngineFailure: onnxruntime fails.
        """
        self._variant = variant
        self._gpu = gpu
        self._captures = captures
        self._bound: dict[Shape, _Bound] = {}
        self._captured: dict[Shape, onnxruntime.RunOptions] = {}
        self._pages, self._staging = _staging(variant, tokens)
        self._worker = _Worker()
        self._session = self._do(load)
        self._uncaptured = self._run_options(_NO_GRAPH)

    @property
    def waiting(self) -> int:
        """How many runs it has still to make."""
        return self._worker.waiting

    def pin(self, driver: Driver) -> None:
        """Lock the memory that texts are copied from, so that the GPU fetches them by itself.

        Raises:
            DeviceUnavailable: The driver refuses.
        """
        address = self._pages.ctypes.data
        self._do(lambda: driver.pin(self._gpu.index, address, self._pages.nbytes))
        weakref.finalize(self, _unpin, driver, self._gpu.index, address, self._pages)

    def run(self, token_ids: Sequence[npt.NDArray[np.int64]], shape: Shape) -> npt.NDArray[np.float32]:
        """Run texts, padded to a shape.

        Args:
            token_ids: At most `shape.rows`, of at most `shape.width` tokens.
            shape: What to run.

        Returns:
            float32 (texts, width of the output).

        Raises:
            EngineFailure: onnxruntime fails.
        """
        return self._do(lambda: self._run(token_ids, shape))

    def capture(self, shapes: Iterable[Shape], fits: Callable[[], bool]) -> int:
        """Capture runs of shapes, one after the other.

        Args:
            shapes: The most useful first.
            fits: Tells, after each, whether there is memory for more.

        Returns:
            How many were captured.

        Raises:
            EngineFailure: onnxruntime fails; what was captured before stays.
        """
        for number, shape in enumerate(shapes, start=1):
            options = self._run_options(str(number))
            self._worker.do(lambda shape=shape, options=options: self._capture(shape, options))  # type: ignore[misc]
            if not fits():
                break
        return len(self._captured)

    def _do(self, job: Callable[[], Done]) -> Done:
        def work() -> Done:
            with GATE.work():
                return job()

        return self._worker.do(work)

    # What follows happens in the thread.

    def _run(self, token_ids: Sequence[npt.NDArray[np.int64]], shape: Shape) -> npt.NDArray[np.float32]:
        bound = self._filled(token_ids, shape)
        with engine_failures():
            self._session.run_with_iobinding(bound.binding, self._captured.get(shape, self._uncaptured))
            answer = bound.answer.numpy()
        return np.array(answer[: len(token_ids)])

    def _capture(self, shape: Shape, options: "onnxruntime.RunOptions") -> None:
        with GATE.capture(), engine_failures():
            bound = self._filled([np.zeros(shape.width, dtype=np.int64)] * shape.rows, shape)
            # onnxruntime makes two ordinary runs before the one that it captures.
            self._session.run_with_iobinding(bound.binding, options)
        self._captured[shape] = options

    def _filled(self, token_ids: Sequence[npt.NDArray[np.int64]], shape: Shape) -> _Bound:
        """Copy texts into a shape's buffers."""
        ids, mask = (self._staging[name][: shape.rows * shape.width] for name in (INPUT_IDS, ATTENTION_MASK))
        ids, mask = ids.reshape(shape.rows, shape.width), mask.reshape(shape.rows, shape.width)
        ids[:] = 0
        mask[:] = 0
        mask[len(token_ids) :, 0] = 1  # attention to nothing at all has no answer
        for row, text in enumerate(token_ids):
            ids[row, : len(text)] = text
            mask[row, : len(text)] = 1
        with engine_failures():
            bound = self._bound.get(shape) or self._bind(shape)
            bound.inputs[INPUT_IDS].update_inplace(ids)
            bound.inputs[ATTENTION_MASK].update_inplace(mask)
        return bound

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

    def _run_options(self, graph: str) -> "onnxruntime.RunOptions | None":
        if not self._captures:
            return None  # empty ones would cost 30 microseconds a run
        import onnxruntime

        options = onnxruntime.RunOptions()
        options.add_run_config_entry("gpu_graph_id", graph)
        return options


def _staging(variant: Variant, tokens: int) -> tuple[npt.NDArray[np.uint8], dict[str, npt.NDArray[Any]]]:
    """Make the memory that inputs are copied from: whole pages that nothing else shares, so that they can be locked.

    Returns:
        All of it, and each input's part by name.

    Raises:
        BundleCorrupt: The graph has other inputs than ids and mask.
    """
    dtypes = {tensor.name: np.dtype(tensor.dtype) for tensor in variant.inputs}
    if dtypes.keys() != {INPUT_IDS, ATTENTION_MASK}:
        raise BundleCorrupt(
            f"{variant.file.file}: expected {INPUT_IDS} and {ATTENTION_MASK} as inputs of a graph for GPUs, found "
            f"{', '.join(dtypes)}; export the bundle again"
        )
    size = max(dtype.itemsize for dtype in dtypes.values()) * tokens
    pages = np.frombuffer(mmap.mmap(-1, size * len(dtypes)), dtype=np.uint8)
    parts = {
        name: pages[number * size : (number + 1) * size].view(dtype)[:tokens]
        for number, (name, dtype) in enumerate(dtypes.items())
    }
    return pages, parts


def _unpin(driver: Driver, index: int, address: int, kept: object) -> None:  # noqa: ARG001 - it keeps the memory there
    with contextlib.suppress(DeviceUnavailable):  # at the end of the process the driver may be gone
        driver.unpin(index, address)
