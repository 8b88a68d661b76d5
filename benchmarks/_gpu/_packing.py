"""The padding-free graph in bare onnxruntime: the tokens of many texts in one row."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from benchmarks._contenders import Device
from benchmarks._packed import Feeds, pack

from ._session import Engine, Reader
from ._system import GpuModels, GpuSystem

ROWS = 256
"""Texts a run: without padding nothing is gained from smaller ones."""
PADDING_ID = "setfuse.padding_id"
"""In the graph's metadata, where positions are counted without this token."""


class Packed(GpuSystem):
    """Tokenize, put one text behind the other, run."""

    def __init__(self, models: GpuModels, threads: int, device: Device, *, file: str) -> None:
        """Load the graph; attention over packed texts has no kernel on the CPU."""
        self._text = Reader(models)
        self._engine = Engine(models.find(file), device, threads=threads)
        padding = self._engine.metadata.get(PADDING_ID)
        self._padding_id = None if padding is None else int(padding)

    def answer(self, texts: list[str]) -> list[str]:
        """Give the most likely label."""
        return self._text.labels(self.probabilities(texts))

    def probabilities(self, texts: list[str]) -> npt.NDArray[np.float64]:
        """Run some hundred texts at once."""
        found = [self._engine.run(self._feeds(part), len(part)) for part in self._parts(texts)]
        return np.concatenate(found).astype(np.float64)

    def engine(self, texts: list[str]) -> Callable[[], object]:
        """Run the same on what is on the device already."""
        calls = [self._engine.alone(self._feeds(part), len(part)) for part in self._parts(texts)]
        return lambda: [call() for call in calls]

    def _parts(self, texts: list[str]) -> list[list[list[int]]]:
        tokens = self._text.tokens(texts)
        return [tokens[start : start + ROWS] for start in range(0, len(tokens), ROWS)]

    def _feeds(self, tokens: Sequence[Sequence[int]]) -> Feeds:
        return pack(tokens, self._padding_id)
