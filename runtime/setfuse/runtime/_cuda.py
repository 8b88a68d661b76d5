"""A graph as a model runs it on a GPU: in shapes that are known beforehand, on several streams."""

import contextlib
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ._buckets import (
    BATCH_SIZES,
    batch_bucket,
    largest_batch,
    length_bucket,
    length_buckets,
    plan_padded,
    shared_bucket,
)
from ._cuda_options import CudaOptions
from ._cuda_stream import Shape, Stream
from ._driver import Driver, Gpu
from ._engine import is_own_error
from ._errors import BundleCorrupt, DeviceOutOfMemory, DeviceUnavailable, SetfuseError
from ._gpu import check_process, load_problem
from ._log import log
from ._provider import Provider
from ._session import check_interface, create_session, import_onnxruntime, quiet_options
from ._variant import Variant

if TYPE_CHECKING:
    import onnxruntime

CAPTURED_TOKENS = 4096
"""Larger runs are not captured: their kernels take longer than it takes to start them."""

_MEMORY_SIGNS = ("failed to allocate memory", "out of memory", "alloc_failed", "available memory of")
_CPU_SIGN = "assigned to the default CPU EP"
_DEVICE_SIGNS = ("cuda failure", "cublas failure", "cudnn", "cuda error")


class CudaGraph:
    """A graph on a GPU, as a model runs it. Threads may share it: a run goes to the stream with the least to do."""

    def __init__(
        self,
        model: str | bytes,
        variant: Variant,
        provider: Provider,
        *,
        gpu: Gpu,
        options: CudaOptions,
        longest: int,
        max_tokens: int,
        captured_output: str,
        name: str,
    ) -> None:
        """Load the graph, and capture the usual shapes.

        Args:
            model: The ONNX file's name, or its bytes.
            variant: What the manifest says of it.
            provider: Of onnxruntime's, what runs it.
            gpu: Where.
            options: How.
            longest: Tokens of the longest text.
            max_tokens: Upper bound on texts x tokens in one run; a longer text is a run of its own.
            captured_output: Whose runs are worth capturing.
            name: For messages.

        Raises:
            BundleCorrupt: onnxruntime refuses the file, or it is another graph than the manifest says.
            DeviceUnavailable: onnxruntime does not run all of it on the GPU, or this is a forked child.
            DeviceOutOfMemory: It does not fit.
        """
        check_process()
        self._file = variant.file.file
        self._gpu = gpu
        self._provider = provider.name
        self._name = name
        self._longest = longest
        self._most_tokens = max_tokens
        self._lock = threading.RLock()  # a signal's handler may call while its own thread holds it
        tokens = max(max_tokens, length_bucket(longest, longest))

        def load() -> "onnxruntime.InferenceSession":
            session_options = quiet_options(import_onnxruntime())
            session_options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
            session = create_session(model, session_options, provider.chain)
            if session.get_providers()[0] != provider.name:
                raise DeviceUnavailable(
                    f"expected {provider.name} to run {self._file} on {gpu}, but onnxruntime took "
                    f"{session.get_providers()[0]}"
                )
            check_interface(session, variant)
            return session

        self._streams: list[Stream] = []
        for number in range(options.streams):
            try:
                with self._own_errors(None):
                    stream = Stream(load, variant, gpu, tokens, captures=provider.captures)
            except DeviceOutOfMemory as error:
                if not number:
                    raise
                log(f"goes on with {number} of {options.streams} streams: {error}", name, warning=True)
                break
            self._streams.append(stream)
        driver = Driver.load()
        for stream in self._streams:
            self._pin(stream, driver)
            if provider.captures:
                self._capture(stream, driver, captured_output, options.graph_memory_mb * 2**20 // len(self._streams))
        self.workers = len(self._streams)

    def _pin(self, stream: Stream, driver: Driver) -> None:
        try:
            stream.pin(driver)
        except DeviceUnavailable as error:
            log(f"copies texts from memory that is not locked: {error}", self._name)

    def _capture(self, stream: Stream, driver: Driver, output: str, budget: int) -> None:
        widths = length_buckets(self._longest)
        shapes = [
            Shape(output, rows, width)
            for rows in BATCH_SIZES
            for width in widths
            if rows * width <= min(CAPTURED_TOKENS, self._most_tokens)
        ]
        shapes.sort(key=lambda shape: shape.rows * shape.width)
        before = driver.free_memory(self._gpu.index)

        def fits() -> bool:
            return before - driver.free_memory(self._gpu.index) < budget

        try:
            with self._own_errors(None):
                count = stream.do(stream.capture, shapes, fits)
        except (BundleCorrupt, DeviceOutOfMemory, DeviceUnavailable) as error:
            log(f"goes on without capturing more runs: {error}", self._name, warning=True)
        else:
            taken = (before - driver.free_memory(self._gpu.index)) / 2**20
            log(f"captured runs of {count} of {len(shapes)} shapes in {taken:.0f} MiB", self._name)

    def plan(self, lengths: Sequence[int], max_tokens: int) -> list[list[int]]:
        """Group texts into runs.

        Args:
            lengths: Tokens of each.
            max_tokens: Upper bound on texts x padded tokens in one run; a longer text is a run of its own.

        Returns:
            Indices into `lengths`, a list a run, longest texts first.
        """
        return plan_padded(lengths, min(max_tokens, self._most_tokens), self._longest)

    def bucket(self, length: int) -> int:
        """Tell with which others a text may share a run: those within twice its length, as padding is cheap here."""
        return shared_bucket(length, self._longest)

    def most_texts(self, length: int, max_tokens: int) -> int:
        """Tell how many texts of at most so many tokens may share a run of at most `max_tokens`."""
        return largest_batch(min(max_tokens, self._most_tokens) // max(1, length))

    def goes_wide(self, tokens: int) -> bool:  # noqa: ARG002 - as `Graph`
        """No: a run has the GPU."""
        return False

    def run(
        self,
        token_ids: Sequence[npt.NDArray[np.int64]],
        output: str,
        *,
        alone: bool,  # noqa: ARG002 - as `Graph`
    ) -> npt.NDArray[np.float32]:
        """Run one batch of texts, padded to a shape that is known.

        Args:
            token_ids: Of each text, at most as many as the largest batch has.
            output: Which of the scores and `sentence_embedding`.
            alone: Of no importance here.

        Returns:
            float32 (texts, width of the output).

        Raises:
            DeviceOutOfMemory: There is not enough memory for a single text.
            DeviceUnavailable: The GPU fails.
            BundleCorrupt: onnxruntime fails otherwise.
        """
        shape = Shape(output, batch_bucket(len(token_ids)), length_bucket(max(map(len, token_ids)), self._longest))
        try:
            with self._least_busy() as stream, self._own_errors(shape):
                rows: npt.NDArray[np.float32] = stream.do(stream.run, token_ids, shape)
                return rows
        except DeviceOutOfMemory as error:
            if len(token_ids) == 1:
                raise
            self._most_tokens = max(1, min(self._most_tokens, shape.rows * shape.width // 2))
            log(f"goes on with runs of at most {self._most_tokens} tokens: {error}", self._name, warning=True)
        middle = len(token_ids) // 2
        halves = (token_ids[:middle], token_ids[middle:])
        return np.concatenate([self.run(half, output, alone=False) for half in halves])

    @contextlib.contextmanager
    def _least_busy(self) -> Iterator[Stream]:
        with self._lock:
            stream = min(self._streams, key=lambda stream: stream.waiting)
            stream.waiting += 1
        try:
            yield stream
        finally:
            with self._lock:
                stream.waiting -= 1

    @contextlib.contextmanager
    def _own_errors(self, shape: Shape | None) -> Iterator[None]:
        """Say of onnxruntime's errors what they are: `BundleCorrupt`, `DeviceUnavailable` or `DeviceOutOfMemory`."""
        try:
            yield
        except Exception as error:  # onnxruntime's exceptions have no common base but this one
            if not is_own_error(error, "onnxruntime"):
                raise
            what = f"a run of {shape.rows} texts x {shape.width} tokens" if shape else "the graph"
            raise self._told(str(error), what) from error

    def _told(self, error: str, what: str) -> SetfuseError:
        if any(sign in error.lower() for sign in _MEMORY_SIGNS):
            return DeviceOutOfMemory(
                f"{self._file}: expected room for {what} in the memory of {self._gpu}, found too little; free some, or "
                f"load with fewer streams or a lower max_batch_tokens ({error})"
            )
        if _CPU_SIGN in error:
            problem = load_problem(import_onnxruntime(), self._provider)
            if problem:
                return DeviceUnavailable(f"{self._file}: onnxruntime cannot load its {self._provider}: {problem}")
            return DeviceUnavailable(
                f"{self._file}: expected kernels for all of the graph on {self._gpu}, but onnxruntime would run parts "
                f"of it on the CPU; export the bundle again, or use another release of onnxruntime-gpu ({error})"
            )
        if any(sign in error.lower() for sign in _DEVICE_SIGNS):
            return DeviceUnavailable(f"{self._file}: {self._gpu} fails on {what}: {error}")
        return BundleCorrupt(f"{self._file}: onnxruntime fails on {what}: {error}; export the bundle again")
