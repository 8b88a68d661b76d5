"""A graph as a model runs it on a GPU: in shapes that are known beforehand, on several streams."""

import os
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ._buckets import (
    BATCH_SIZES,
    FREE_TOKENS,
    batch_bucket,
    largest_batch,
    length_bucket,
    length_buckets,
    plan_padded,
    shared_bucket,
)
from ._cuda_options import CudaOptions
from ._cuda_stream import EngineFailure, Shape, Stream, engine_failures
from ._driver import Driver, Gpu
from ._errors import BundleCorrupt, DeviceOutOfMemory, DeviceUnavailable, SetfuseError
from ._gpu import check_process, install_cudnn, load_problem
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
_DEVICE_SIGNS = ("cuda failure", "cublas failure", "cuda error", "no kernel image", "tensorrt")


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
        self._process = os.getpid()
        self._file = variant.file.file
        self._gpu = gpu
        self._provider = provider.name
        self._name = name
        self._longest = longest
        self._run_tokens = max_tokens
        self._lock = threading.RLock()  # a signal's handler may call while its own thread holds it
        self._streams = self._load_streams(model, variant, provider, options.streams)
        self.workers = len(self._streams)
        driver = Driver.load()
        for stream in self._streams:
            # A GPU that runs nothing must not pass for one that merely captures nothing.
            self._run(stream, [np.zeros(1, dtype=np.int64)], Shape(captured_output, 1, length_bucket(1, longest)))
            self._pin(stream, driver)
            if provider.captures:
                self._capture(stream, driver, captured_output, options.graph_memory_mb * 2**20 // self.workers)

    def _load_streams(self, model: str | bytes, variant: Variant, provider: Provider, count: int) -> list[Stream]:
        def load() -> "onnxruntime.InferenceSession":
            session_options = quiet_options(import_onnxruntime())
            session_options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
            with engine_failures():
                session = create_session(model, session_options, provider.chain)
            if session.get_providers()[0] != provider.name:
                raise DeviceUnavailable(
                    f"expected {provider.name} to run {self._file} on {self._gpu}, but onnxruntime took "
                    f"{session.get_providers()[0]}"
                )
            check_interface(session, variant)
            return session

        tokens = max(self._run_tokens, length_bucket(self._longest, self._longest))
        streams: list[Stream] = []
        while len(streams) < count:
            try:
                streams.append(Stream(load, variant, self._gpu, tokens, captures=provider.captures))
            except EngineFailure as failure:
                error = self._meaning(str(failure), "the graph")
                if not streams or not isinstance(error, DeviceOutOfMemory):
                    raise error from failure
                log(f"goes on with {len(streams)} of {count} streams: {error}", self._name, warning=True)
                break
        return streams

    def _pin(self, stream: Stream, driver: Driver) -> None:
        try:
            stream.pin(driver)
        except DeviceUnavailable as error:
            log(f"copies texts from memory that is not locked: {error}", self._name)

    def _capture(self, stream: Stream, driver: Driver, output: str, budget: int) -> None:
        shapes = [
            Shape(output, rows, width)
            for rows in BATCH_SIZES
            for width in length_buckets(self._longest)
            if rows == 1 or rows * width <= min(CAPTURED_TOKENS, self._run_tokens)
        ]
        shapes.sort(key=lambda shape: shape.rows * shape.width)
        before = driver.free_memory(self._gpu.index)

        def fits() -> bool:
            return before - driver.free_memory(self._gpu.index) < budget

        try:
            count = stream.capture(shapes, fits)
        except EngineFailure as failure:
            error = self._meaning(str(failure), "a run that is captured")
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
        return plan_padded(lengths, min(max_tokens, self._run_tokens), self._longest)

    def bucket(self, length: int) -> int:
        """Tell with which others a text may share a run: those within twice its length, as padding is cheap here."""
        return shared_bucket(length, self._longest)

    def take(self, bucket: int, waiting: int, max_tokens: int) -> int:
        """Tell how many of the texts of a bucket that wait are best run together: no row of a large run is padding."""
        most = largest_batch(min(max_tokens, self._run_tokens) // max(1, bucket))
        texts = min(waiting, most)
        return texts if batch_bucket(texts) * bucket <= FREE_TOKENS else largest_batch(texts)

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
        if os.getpid() != self._process:
            check_process()  # which says why not
        shape = Shape(output, batch_bucket(len(token_ids)), length_bucket(max(map(len, token_ids)), self._longest))
        stream = min(self._streams, key=lambda stream: stream.waiting)
        try:
            return self._run(stream, token_ids, shape)
        except DeviceOutOfMemory as error:
            if len(token_ids) == 1:
                raise
            self._learn(shape, error)
        middle = len(token_ids) // 2
        halves = (token_ids[:middle], token_ids[middle:])
        return np.concatenate([self.run(half, output, alone=False) for half in halves])

    def _run(self, stream: Stream, token_ids: Sequence[npt.NDArray[np.int64]], shape: Shape) -> npt.NDArray[np.float32]:
        try:
            return stream.run(token_ids, shape)
        except EngineFailure as failure:
            what = f"a run of {shape.rows} texts x {shape.width} tokens"
            raise self._meaning(str(failure), what) from failure

    def _learn(self, shape: Shape, error: DeviceOutOfMemory) -> None:
        """Let later runs be no larger than half of one that did not fit, but not so small for ever that it hurts."""
        with self._lock:
            before = self._run_tokens
            self._run_tokens = min(before, max(FREE_TOKENS, shape.rows * shape.width // 2))
            news = self._run_tokens < before
        log(f"goes on with runs of at most {self._run_tokens} tokens: {error}", self._name, warning=news)

    def _meaning(self, error: str, what: str) -> SetfuseError:
        """Say of an error of onnxruntime's what it is to a user."""
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
                f"{self._file}: expected kernels for all of the graph on {self._gpu}, but {self._provider} would leave "
                f"parts of it to the CPU; use another release of onnxruntime-gpu, or export the bundle again ({error})"
            )
        if "cudnn" in error.lower():
            return DeviceUnavailable(
                f"{self._file}: {self._gpu} fails on {what} for want of a cuDNN that works ({error}); "
                f"{install_cudnn(import_onnxruntime())}"
            )
        if any(sign in error.lower() for sign in _DEVICE_SIGNS):
            return DeviceUnavailable(f"{self._file}: {self._gpu} fails on {what}: {error}")
        return BundleCorrupt(f"{self._file}: onnxruntime fails on {what}: {error}; export the bundle again")
