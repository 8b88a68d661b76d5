"""Our runtime."""

from typing import cast

import numpy as np
import numpy.typing as npt

from ._contender import Models, System


class Setfuse(System):
    """`Classifier`, as the README shows it."""

    def __init__(
        self, models: Models, threads: int, *, precision: str, device: str = "cpu", engine: str = "onnxruntime"
    ) -> None:
        """Load one variant of the bundle."""
        from setfuse.runtime import Classifier

        self._classifier = Classifier.load(
            models.bundle, device=device, precision=precision, engine=engine, threads=threads
        )

    def answer(self, texts: list[str]) -> list[str]:
        """Label them."""
        return cast("list[str]", self._classifier.predict(texts))  # one label a text: contenders know no other models

    def probabilities(self, texts: list[str]) -> npt.NDArray[np.float64]:
        """Give the probabilities, in the order of the bundle's labels, which is the head's."""
        return self._classifier.predict_proba(texts).astype(np.float64)
