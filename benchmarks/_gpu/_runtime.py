"""Our runtime, as the README shows it."""

import importlib
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks._contenders import Device

from ._system import GpuModels, GpuSystem


class Runtime(GpuSystem):
    """`Classifier`."""

    def __init__(self, models: GpuModels, threads: int, device: Device, *, graphs: str) -> None:
        """Load the fp16 graph, and capture what it captures; on the CPU, the fp32 graph."""
        runtime: Any = importlib.import_module("setfuse.runtime")
        if device is Device.CUDA:
            options = {"cuda": runtime.CudaOptions(graphs=graphs == "yes"), "precision": "fp16"}
        else:
            options = {"precision": "fp32", "engine": "onnxruntime"}
        self._classifier = runtime.Classifier.load(models.bundle, device=str(device), threads=threads, **options)
        self._classifier.warmup()

    def answer(self, texts: list[str]) -> list[str]:
        """Label them: a lone text as a service asks for it."""
        if len(texts) == 1:
            return [self._classifier(texts[0]).label]
        labels: list[str] = self._classifier.predict(texts)
        return labels

    def probabilities(self, texts: list[str]) -> npt.NDArray[np.float64]:
        """Give the probabilities."""
        probabilities: npt.NDArray[np.float64] = self._classifier.predict_proba(texts).astype(np.float64)
        return probabilities
