"""Read the head of a checkpoint folder, whoever wrote it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from setfuse.export._errors import CheckpointError, ExportError

from ._estimators import read_estimator, supported_sentence
from ._head import Head
from ._stored import CONFIG, read_stored
from ._torch_head import DifferentiableHead, differentiable_head
from ._unpickle import DAMAGE, unpickle

PICKLE = "model_head.pkl"


def read_head(folder: Path) -> Head:
    """Read the head beside a body: ours, else SetFit's or any of scikit-learn's that is supported.

    Args:
        folder: With `head.json` and `head.safetensors`, or with `model_head.pkl` from joblib or pickle. The pickle is
            read by a list of admitted names, and nothing of it is run.

    Raises:
        CheckpointError: There is no head, or it is damaged, not fitted, or of fewer than two labels.
        UnsupportedCheckpoint: It is of a kind or a setting that is not supported; the message lists what is.
        MissingExtra: It needs skl2onnx, which is not installed.
    """
    if (folder / CONFIG).is_file():
        path = folder / CONFIG
        estimator, classes = read_stored(folder)
    elif (folder / PICKLE).is_file():
        path = folder / PICKLE
        estimator, classes = unpickle(path, supported_sentence()), None
    else:
        raise CheckpointError(
            f"{folder}: expected the head in {CONFIG} and head.safetensors, or in {PICKLE}, found none: "
            "a body without a head is trained first, with setfuse train"
        )
    try:
        with np.errstate(all="ignore"):  # what is no number, or too large, is refused by name
            head = _head(estimator)
            answers = head.answer(np.full((1, head.width), head.width**-0.5))
    except ExportError as error:
        raise type(error)(f"{path}: {error}") from error
    except DAMAGE as error:  # attributes of other types than scikit-learn ever gave them
        raise CheckpointError(f"{path}: expected a fitted estimator, found damage ({error!r:.200})") from error
    if classes is not None:
        unnamed = all(label.isdecimal() for label in classes)
        head = replace(head, classes=classes, numbers=tuple(range(len(classes))) if unnamed else None)
    if answers.shape != (1, len(head.classes)):
        raise CheckpointError(
            f"{path}: expected an estimator that gives {len(head.classes)} scores, found {answers.shape[1:]}"
        )
    return head


def _head(estimator: Any) -> Head:
    if isinstance(estimator, DifferentiableHead):
        return differentiable_head(estimator)
    return read_estimator(estimator)
