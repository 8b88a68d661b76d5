"""The head: a LogisticRegression on the body's embeddings, stored without pickle."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import safetensors.numpy
import sklearn
from sklearn.linear_model import LogisticRegression

HEAD_FORMAT_VERSION = 1


def fit_head(
    embeddings: npt.NDArray[np.float32],
    labels: Sequence[str],
    class_weight: str | Mapping[str, float] | None = None,
) -> LogisticRegression:
    """Fit scikit-learn's LogisticRegression with its defaults, as SetFit does.

    Args:
        embeddings: float32 (rows, dim).
        labels: The label of each row.
        class_weight: As scikit-learn has it.
    """
    return LogisticRegression(class_weight=class_weight).fit(embeddings, np.asarray(labels))


def save_head(head: LogisticRegression, folder: Path) -> None:
    """Write `head.safetensors` and `head.json`."""
    tensors = {"coef": np.ascontiguousarray(head.coef_), "intercept": np.ascontiguousarray(head.intercept_)}
    safetensors.numpy.save_file(tensors, folder / "head.safetensors")
    config = {
        "format_version": HEAD_FORMAT_VERSION,
        "kind": "LogisticRegression",
        "classes": [str(label) for label in head.classes_],
        "multi_target_strategy": None,
        "versions": {"numpy": np.__version__, "scikit-learn": sklearn.__version__},
    }
    text = json.dumps(config, ensure_ascii=False, indent=2) + "\n"
    (folder / "head.json").write_text(text, encoding="utf-8")
