"""onnxruntime by hand, on the traced graph."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from ._contender import Models
from ._padded import Batch, Padded


class Onnxruntime(Padded):
    """A session, and nothing else."""

    def __init__(self, models: Models, threads: int, *, file: str, provider: str = "CPUExecutionProvider") -> None:
        """Load a file below the artefacts."""
        import onnxruntime

        super().__init__(models)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        if provider == "CUDAExecutionProvider":
            onnxruntime.preload_dlls()
        self._session = onnxruntime.InferenceSession(models.artefacts / file, options, providers=[provider])
        if self._session.get_providers()[0] != provider:  # it falls back to the CPU without a word
            raise RuntimeError(f"expected {provider}, onnxruntime took {self._session.get_providers()[0]}")
        self._inputs = [node.name for node in self._session.get_inputs()]

    def run(self, batches: list[Batch]) -> Iterator[npt.NDArray[np.float32]]:
        """One after the other."""
        for batch in batches:
            yield self._session.run(None, batch.feed(self._inputs))[0]
