# mypy: disable-error-code="import-not-found"
"""fastembed with our body as a custom model, and the head."""

import json

import numpy as np
import numpy.typing as npt

from ._body import Body
from ._contender import BATCH_SIZE, Models, System
from ._head import Head


class Fastembed(System):
    """Its package as it runs its own models: an optimised ONNX file, batches as they come."""

    def __init__(self, models: Models, threads: int, *, file: str) -> None:
        """Load a file below `traced`."""
        from fastembed import TextEmbedding
        from fastembed.common.model_description import ModelSource, PoolingType

        body = Body.read(models.checkpoint)
        folder = models.artefacts / "traced"
        TextEmbedding.add_custom_model(
            model="checkpoint",
            pooling=PoolingType.CLS if body.pooling == "cls" else PoolingType.MEAN,
            normalization=body.normalize,
            sources=ModelSource(url="file://traced"),  # wanted, never read
            dim=json.loads((folder / "config.json").read_text(encoding="utf-8"))["hidden_size"],
            model_file=file,
        )
        self._embedding = TextEmbedding(
            "checkpoint", threads=threads, specific_model_path=str(folder), providers=["CPUExecutionProvider"]
        )
        self._head = Head.read(models.artefacts)

    def answer(self, texts: list[str]) -> list[str]:
        """Embed, then label."""
        return self._head.labels(self._embed(texts))

    def probabilities(self, texts: list[str]) -> npt.NDArray[np.float64]:
        """Embed, then give the head's probabilities."""
        return self._head.probabilities(self._embed(texts))

    def _embed(self, texts: list[str]) -> npt.NDArray[np.float32]:
        return np.stack(list(self._embedding.embed(texts, batch_size=BATCH_SIZE)))
