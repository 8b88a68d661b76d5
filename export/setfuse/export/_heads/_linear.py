"""Read the estimators that are linear: each is coefficients and a link."""

from typing import Any

import numpy as np

from setfuse.export._errors import UnsupportedCheckpoint
from setfuse.runtime import Scores

from ._ask import is_one_vs_rest
from ._formulas import Link
from ._part import Part, classes_of, fitted, linear, name_of, numbers, rows_of


def read_logistic(estimator: Any) -> Part:
    """Read a LogisticRegression: the sigmoid of one row for two classes, the softmax over more.

    Raises:
        UnsupportedCheckpoint: It is of a scikit-learn that took the softmax over two classes' one row.
    """
    classes = classes_of(estimator)
    if getattr(estimator, "multi_class", None) == "multinomial" and len(classes) == 2:  # noqa: PLR2004
        raise UnsupportedCheckpoint(
            "LogisticRegression: multi_class='multinomial' for two classes, of scikit-learn before 1.8, is not "
            "supported; fit it again without multi_class"
        )
    rows = rows_of(classes)
    separate = is_one_vs_rest(estimator)
    link = Link.SIGMOID if rows == 1 or separate else Link.SOFTMAX
    return Part(name_of(estimator), linear(estimator, rows, link, normalized=separate), Scores.PROBABILITIES, classes)


def read_discriminant(estimator: Any) -> Part:
    """Read a LinearDiscriminantAnalysis: the link is as LogisticRegression's."""
    classes = classes_of(estimator)
    rows = rows_of(classes)
    link = Link.SIGMOID if rows == 1 else Link.SOFTMAX
    return Part(name_of(estimator), linear(estimator, rows, link), Scores.PROBABILITIES, classes)


def read_decision(estimator: Any) -> Part:
    """Read a linear estimator that has decision scores only."""
    classes = classes_of(estimator)
    formula = linear(estimator, rows_of(classes), Link.IDENTITY)
    return Part(name_of(estimator), formula, Scores.DECISION, classes)


def read_ridge(estimator: Any) -> Part:
    """Read a RidgeClassifier: decision scores, also multi-label."""
    kind = str(getattr(fitted(estimator, "_label_binarizer"), "y_type_", ""))
    if not kind.startswith("multilabel"):
        return read_decision(estimator)
    classes = classes_of(estimator)
    formula = linear(estimator, len(classes), Link.IDENTITY)
    return Part(name_of(estimator), formula, Scores.DECISION, classes, multi_label=True)


def read_sgd(estimator: Any) -> Part:
    """Read an SGDClassifier: with probabilities where its loss gives them."""
    links = {"log_loss": Link.SIGMOID, "log": Link.SIGMOID, "modified_huber": Link.CLIP}
    link = links.get(str(estimator.loss))
    if link is None:
        return read_decision(estimator)
    classes = classes_of(estimator)
    rows = rows_of(classes)
    formula = linear(estimator, rows, link, normalized=rows > 1)
    return Part(name_of(estimator), formula, Scores.PROBABILITIES, classes)


def scaler(estimator: Any, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Read a StandardScaler as what it subtracts and what it divides by, float64 (width,) each."""
    mean = numbers(estimator, "mean_") if estimator.with_mean else np.zeros(width)
    scale = numbers(estimator, "scale_") if estimator.with_std else np.ones(width)
    return mean, scale
