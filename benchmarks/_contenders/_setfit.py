# mypy: disable-error-code="import-not-found"
"""SetFit itself, and its own ONNX export."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ._contender import BATCH_SIZE, Models, System
from ._head import Head


class SetFit(System):
    """`SetFitModel`, as its README shows it."""

    def __init__(self, models: Models, threads: int) -> None:
        """Load what `add_head` made."""
        import torch
        from setfit import SetFitModel

        torch.set_num_threads(threads)
        self._model: Any = SetFitModel.from_pretrained(str(models.artefacts / "setfit"), device="cpu")

    def answer(self, texts: list[str]) -> list[str]:
        """Label them."""
        return [str(label) for label in self._model.predict(texts, show_progress_bar=False)]

    def probabilities(self, texts: list[str]) -> npt.NDArray[np.float64]:
        """Give the probabilities, in the order of the head's classes."""
        found = self._model.predict_proba(texts, as_numpy=True, show_progress_bar=False)
        return np.asarray(found, dtype=np.float64)


class SetFitOnnx(System):
    """SetFit's ONNX export, run as its notebook runs it."""

    def __init__(self, models: Models, threads: int) -> None:
        """Load what `export` made."""
        import onnxruntime
        from transformers import AutoTokenizer

        folder = models.artefacts / "setfit-onnx"
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self._tokenizer: Any = AutoTokenizer.from_pretrained(folder)
        self._session = onnxruntime.InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])

    def answer(self, texts: list[str]) -> list[str]:
        """Label them."""
        return [str(label) for batch in self._run(texts) for label in batch[0]]

    def probabilities(self, texts: list[str]) -> npt.NDArray[np.float64]:
        """Give the probabilities."""
        return np.concatenate([batch[1] for batch in self._run(texts)]).astype(np.float64)

    def _run(self, texts: list[str]) -> list[Any]:
        found = []
        for start in range(0, len(texts), BATCH_SIZE):
            inputs = self._tokenizer(
                texts[start : start + BATCH_SIZE],
                padding=True,
                truncation=True,
                return_attention_mask=True,
                return_token_type_ids=True,
                return_tensors="np",
            )
            found.append(self._session.run(None, dict(inputs)))
        return found


def add_head(models: Models, folder: Path) -> None:
    """Write the checkpoint as SetFit wants it: the body as it is, and the head in scikit-learn's pickle."""
    import joblib
    from sklearn.linear_model import LogisticRegression

    head = Head.read(models.artefacts)
    fitted = LogisticRegression()
    fitted.classes_ = np.array(head.names)
    fitted.coef_, fitted.intercept_ = head.coef, head.intercept
    fitted.n_features_in_ = head.coef.shape[1]
    shutil.copytree(models.checkpoint, folder, dirs_exist_ok=True)
    joblib.dump(fitted, folder / "model_head.pkl")


def export(models: Models, folder: Path) -> None:
    """Export with `setfit.exporters.onnx`: `model.onnx`, and the tokenizer."""
    from setfit import SetFitModel
    from setfit.exporters.onnx import export_onnx

    model: Any = SetFitModel.from_pretrained(str(models.artefacts / "setfit"), device="cpu")
    model.model_body.tokenizer.save_pretrained(folder)
    export_onnx(model.model_body, model.model_head, opset=17, output_path=str(folder / "model.onnx"))
