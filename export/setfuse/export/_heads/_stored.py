"""Read our own head: `head.json` and `head.safetensors`."""

from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from setfuse.export._errors import CheckpointError, UnsupportedCheckpoint
from setfuse.export._json import read_object

from ._estimators import read_estimator
from ._formulas import Array
from ._head import Head

CONFIG = "head.json"
TENSORS = "head.safetensors"
FORMAT_VERSION = 1
INDEPENDENT = ("one-vs-rest", "multi-output")
"""Multi-target strategies that are a LogisticRegression a label."""


def read_stored(folder: Path) -> Head:
    """Read the head that `setfuse train` wrote.

    Raises:
        CheckpointError: A file is missing or damaged, or the weights are not finite.
        UnsupportedCheckpoint: The head is of another kind or format version.
    """
    path = folder / CONFIG
    config = _config(path)
    strategy = config.get("multi_target_strategy")
    if config.get("kind") != "LogisticRegression" or strategy not in (None, *INDEPENDENT):
        raise UnsupportedCheckpoint(
            f"{path}: expected a LogisticRegression and, at most, one of the multi-target strategies "
            f"{', '.join(INDEPENDENT)}; found {config.get('kind')!r} with {strategy!r}: not supported yet"
        )
    try:
        tensors = safetensors.numpy.load_file(folder / TENSORS)
        coef, intercept = (tensors[name].astype(np.float64) for name in ("coef", "intercept"))
        classes = tuple(str(label) for label in config["classes"])
    except (OSError, safetensors.SafetensorError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{folder / TENSORS}: expected coef and intercept, and classes in {CONFIG} ({error!r})"
        ) from error
    rows = 1 if len(classes) == 2 and strategy is None else len(classes)  # noqa: PLR2004 - scikit-learn's binary case
    if len(classes) < 2 or coef.ndim != 2 or coef.shape[0] != rows or intercept.shape != (rows,):  # noqa: PLR2004
        raise CheckpointError(
            f"{folder / TENSORS}: expected coef ({rows}, dim) and intercept ({rows},) for {len(classes)} classes, "
            f"found {coef.shape} and {intercept.shape}"
        )
    if not (np.isfinite(coef).all() and np.isfinite(intercept).all()):
        raise CheckpointError(f"{folder / TENSORS}: expected finite weights, found NaN or infinity")
    if strategy is None:
        return read_estimator(_logistic(coef, intercept, np.asarray(classes)))
    return read_independent(coef, intercept, classes)


def read_independent(coef: Array, intercept: Array, classes: tuple[str, ...]) -> Head:
    """Make a head of a LogisticRegression a label.

    Args:
        coef: float64 (labels, width).
        intercept: float64 (labels,).
        classes: Names of the labels.
    """
    from dataclasses import replace

    from sklearn.linear_model import LogisticRegression
    from sklearn.multioutput import MultiOutputClassifier

    yes_or_no = np.asarray([0, 1])
    estimator = MultiOutputClassifier(LogisticRegression())
    estimator.estimators_ = [
        _logistic(row[None], bias[None], yes_or_no) for row, bias in zip(coef, intercept, strict=True)
    ]
    estimator.classes_ = [yes_or_no] * len(coef)
    estimator.n_features_in_ = coef.shape[1]
    return replace(read_estimator(estimator), classes=classes)


def _logistic(coef: Array, intercept: Array, classes: np.ndarray) -> Any:
    from sklearn.linear_model import LogisticRegression

    estimator = LogisticRegression()
    estimator.coef_, estimator.intercept_, estimator.classes_ = coef, intercept, classes
    estimator.n_features_in_ = coef.shape[1]
    return estimator


def _config(path: Path) -> dict[str, Any]:
    config = read_object(path)
    if config.get("format_version") != FORMAT_VERSION:
        raise UnsupportedCheckpoint(
            f"{path}: expected format_version {FORMAT_VERSION}, found {config.get('format_version')!r}; "
            "upgrade setfuse, or train again"
        )
    return config
