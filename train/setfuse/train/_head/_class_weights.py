"""Weights of labels: refused where the rows have no such label, and as the differentiable head's loss takes them."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from sklearn.utils.class_weight import compute_class_weight

from setfuse.runtime import UsageError
from setfuse.train._head_settings import DIFFERENTIABLE, HeadSettings

from ._targets import Targets


def check_class_weight(settings: HeadSettings, targets: Targets) -> None:
    """Refuse weights that the labels of the training rows have no use for.

    Args:
        settings: The head's.
        targets: Those labels.

    Raises:
        UsageError: A label has a weight and no row, or scikit-learn's heads would need a weight for having a label and
            one for not having it.
    """
    weight = settings.class_weight
    if not isinstance(weight, Mapping):
        return
    if targets.multi_label and settings.head != DIFFERENTIABLE:
        raise UsageError(
            "class_weight: expected 'balanced' for rows with lists of labels, got a weight a label; say balanced, or "
            f"take head={DIFFERENTIABLE!r}"
        )
    unknown = weight.keys() - set(targets.names)
    if unknown:
        raise UsageError(
            f"class_weight: expected labels of the training rows ({', '.join(targets.names)}), got {min(unknown)!r}"
        )


def label_weights(class_weight: str | Mapping[str, float] | None, targets: Targets) -> npt.NDArray[np.float32] | None:
    """Give the weights by which each text's loss is multiplied, by scikit-learn's `compute_class_weight`.

    Args:
        class_weight: `balanced`: of one label a text, rows / (labels * rows of the label); of several, for each label
            by itself, rows / (2 * rows with it) and rows / (2 * rows without it), as LogisticRegression has it in
            one-vs-rest. Or a weight by label, where a label without one has 1; of several labels a text, it is for the
            rows with the label, and 1 for those without, torch's `pos_weight`. Or None.
        targets: The labels of the training rows; each column of several has both 0 and 1.

    Returns:
        float32 (labels,); multi-label (2, labels), for the texts without the label and those with it. None for None.
    """
    if class_weight is None:
        return None
    if not targets.multi_label:
        given = dict(class_weight) if isinstance(class_weight, Mapping) else class_weight
        names = np.asarray(targets.names)
        return _floats(compute_class_weight(given, classes=names, y=names[targets.values]))
    if isinstance(class_weight, Mapping):
        with_it = [class_weight.get(name, 1.0) for name in targets.names]
        return _floats([[1.0] * len(with_it), with_it])
    either = np.arange(2)
    by_label = [_floats(compute_class_weight(class_weight, classes=either, y=column)) for column in targets.values.T]
    return np.stack(by_label, axis=1)


def _floats(weights: npt.ArrayLike) -> npt.NDArray[np.float32]:
    return np.asarray(weights, dtype=np.float32)
