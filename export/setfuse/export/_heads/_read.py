"""Read the head of a checkpoint folder, whoever wrote it."""

from pathlib import Path

import numpy as np

from setfuse.export._errors import CheckpointError, ExportError

from ._estimators import read_estimator, supported_sentence
from ._head import Head
from ._stored import CONFIG, read_stored
from ._torch_head import Module, read_differentiable
from ._unpickle import DAMAGE, unpickle

PICKLE = "model_head.pkl"


def read_head(folder: Path) -> Head:
    """Read the head beside a body: ours, else SetFit's or any of scikit-learn's that is supported.

    Args:
        folder: With `head.json` and `head.safetensors`, or with `model_head.pkl` from joblib or pickle. The pickle is
            read by a list of admitted names: it can run nothing.

    Raises:
        CheckpointError: There is no head, or it is damaged, not fitted, or of fewer than two labels.
        UnsupportedCheckpoint: It is of a kind or a setting that is not supported; the message lists what is.
        MissingExtra: It needs skl2onnx, which is not installed.
    """
    if (folder / CONFIG).is_file():
        return read_stored(folder)
    path = folder / PICKLE
    if not path.is_file():
        raise CheckpointError(
            f"{folder}: expected the head in {CONFIG} and head.safetensors, or in {PICKLE}, found none: "
            "a body without a head is trained first, with setfuse train"
        )
    estimator = unpickle(path, supported_sentence())
    try:
        with np.errstate(all="ignore"):  # what is no number, or too large, is refused by name
            head = read_differentiable(estimator) if isinstance(estimator, Module) else read_estimator(estimator)
            answers = head.answer(np.full((1, head.width), head.width**-0.5))
    except ExportError as error:
        raise type(error)(f"{path}: {error}") from error
    except DAMAGE as error:  # attributes of other types than scikit-learn ever gave them
        raise CheckpointError(f"{path}: expected a fitted estimator, found damage ({error!r:.200})") from error
    if answers.shape != (1, len(head.classes)):
        raise CheckpointError(
            f"{path}: expected an estimator that gives {len(head.classes)} scores, found {answers.shape[1:]}"
        )
    return head
