"""Our runtime, as the README shows it."""

from typing import cast

import numpy as np
import numpy.typing as npt

from benchmarks._contenders import Device
from setfuse.runtime import Classifier, CudaOptions

from ._system import GpuModels, GpuSystem


class Runtime(GpuSystem):
    """`Classifier`."""

    def __init__(
        self, models: GpuModels, threads: int, device: Device, *, graphs: str = "no", engine: str = "onnxruntime"
    ) -> None:
        """Load it in fp16, and capture what it captures; on the CPU, in fp32.

        Args:
            models: The bundle is read.
            threads: Of the processor.
            device: Where to.
            graphs: `yes` for CUDA graphs.
            engine: `onnxruntime` or `tensorrt`.
        """
        gpu = device is Device.CUDA
        self._classifier = Classifier.load(
            models.bundle,
            device=str(device),
            precision="fp16" if gpu else "fp32",
            engine=engine,
            threads=threads,
            cuda=CudaOptions(graphs=graphs == "yes") if gpu else None,
        )
        self._classifier.warmup()

    def answer(self, texts: list[str]) -> list[str]:
        """Label them: a lone text as a service asks for it."""
        if len(texts) == 1:
            return [str(self._classifier(texts[0]).label)]
        return cast("list[str]", self._classifier.predict(texts))  # one label a text: contenders know no other models

    def probabilities(self, texts: list[str]) -> npt.NDArray[np.float64]:
        """Give the probabilities."""
        return self._classifier.predict_proba(texts).astype(np.float64)
