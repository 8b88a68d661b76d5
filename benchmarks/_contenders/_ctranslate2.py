# mypy: disable-error-code="import-not-found"
"""CTranslate2, int8."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ._body import Body
from ._contender import Models
from ._padded import Batch, Padded


class Ctranslate2(Padded):
    """Its encoder."""

    def __init__(self, models: Models, threads: int) -> None:
        """Load what `convert` made."""
        import ctranslate2

        super().__init__(models)
        self._view = ctranslate2.StorageView.from_array
        folder = str(models.artefacts / "ctranslate2")
        self._encoder = ctranslate2.Encoder(folder, compute_type="int8", inter_threads=1, intra_threads=threads)

    def run(self, batches: list[Batch]) -> Iterator[npt.NDArray[np.float32]]:
        """One after the other."""
        for batch in batches:
            ids = self._view(batch.ids.astype(np.int32))
            lengths = self._view(batch.mask.sum(axis=1).astype(np.int32))
            yield np.asarray(self._encoder.forward_batch(ids, lengths).last_hidden_state)


def convert(models: Models, folder: Path) -> None:
    """Convert the checkpoint's transformer."""
    from ctranslate2.converters import TransformersConverter

    transformer = Body.read(models.checkpoint).transformer
    with tempfile.TemporaryDirectory() as copy:
        for file in transformer.iterdir():
            (Path(copy) / file.name).symlink_to(file.resolve())
        config = json.loads((transformer / "config.json").read_text(encoding="utf-8"))
        config.setdefault("position_embedding_type", "absolute")  # asked for, and since transformers 5 left out
        (Path(copy) / "config.json").unlink()
        (Path(copy) / "config.json").write_text(json.dumps(config), encoding="utf-8")
        TransformersConverter(copy).convert(str(folder), quantization="int8", force=True)
