"""Fit a classifier of scikit-learn's to embeddings."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from setfuse.runtime import DatasetError, UsageError
from setfuse.train._head_settings import DIFFERENTIABLE, LOGISTIC, HeadSettings, MultiTarget

from ._class_weights import check_class_weight
from ._fitted import FittedHead
from ._store import content_of
from ._targets import Labels, Targets, make_targets

PROBES = 256
"""Rows that `FittedHead.probes` keeps at most."""

_REHEARSED = 200
"""Rows of each label that `check_head` fits to."""

_NARROW, _WIDE = 16, 1024
"""Columns of the embeddings that it fits to: few, for they take time; else as many as large bodies have."""

_DEFAULT = HeadSettings()


def fit_head(
    embeddings: npt.NDArray[np.float32],
    labels: Labels,
    settings: HeadSettings = _DEFAULT,
    order: Sequence[str] | None = None,
) -> FittedHead:
    """Fit a head, by default scikit-learn's LogisticRegression with its defaults, as SetFit does.

    Args:
        embeddings: float32 (rows, dim).
        labels: Of each row.
        settings: Any but those of the differentiable head, for which there is `train_head`.
        order: Of the labels, and so of the head's columns, as in `make_targets`.

    Raises:
        DatasetError: The labels are not those that a head can be fitted to.
        UsageError: The settings do not go with the labels, or scikit-learn refuses them.
    """
    targets = make_targets(labels, order)
    estimator = _make_estimator(settings, targets)
    y = _as_array(targets.names)[targets.values] if _fits_names(targets) else targets.values
    try:
        estimator.fit(embeddings, y)
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"head: expected parameters and rows that {type(estimator).__name__} can be fitted with, but it says: "
            f"{error!s:.300}"
        ) from error
    step = -(-len(embeddings) // PROBES)
    return FittedHead(
        estimator, targets.names, targets.multi_label, settings.multi_target_strategy, np.array(embeddings[::step])
    )


def _as_array(names: tuple[str, ...]) -> npt.NDArray[np.str_]:
    """Make an array of names, which are the estimator's classes.

    Raises:
        DatasetError: numpy cuts a NUL off the end of a name, so that two names could become one class.
    """
    array = np.asarray(names)
    for name, kept in zip(names, array.tolist(), strict=True):
        if name != kept:
            raise DatasetError(f"label: expected names that do not end in a NUL, got {name!r:.80}; rename it")
    return array


def check_head(settings: HeadSettings, labels: Labels, order: Sequence[str] | None = None) -> None:
    """Refuse, before any training, a head that could not be fitted to such labels or not be stored.

    A head of scikit-learn's is fitted to random embeddings of some rows of each label, and written to memory.

    Args:
        settings: Any.
        labels: Of each training row.
        order: As in `fit_head`.

    Raises:
        DatasetError: As `fit_head`.
        UsageError: As `fit_head`; or the head can be stored in no way.
        MissingExtra: It would be stored by skl2onnx, which is not installed.
    """
    targets = make_targets(labels, order)
    if settings.head == DIFFERENTIABLE:
        _check_strategy(settings, targets)
        check_class_weight(settings, targets)
        return
    columns = targets.values if targets.multi_label else targets.values[:, None]
    some = [np.flatnonzero(column == value)[:_REHEARSED] for column in columns.T for value in np.unique(column)]
    rows = np.unique(np.concatenate(some))
    few: Any = [labels[row] for row in rows]
    try:
        _rehearse(settings, few, targets.names, _NARROW)
    except UsageError:  # a step before the classifier may want more columns than that, PCA for one
        _rehearse(settings, few, targets.names, _WIDE)


def _rehearse(settings: HeadSettings, labels: Labels, order: Sequence[str], width: int) -> None:
    embeddings = np.random.default_rng(0).normal(size=(len(labels), width)).astype(np.float32)
    with warnings.catch_warnings():  # random embeddings may not converge
        warnings.simplefilter("ignore")
        content_of(fit_head(embeddings, labels, settings, order))


def _fits_names(targets: Targets) -> bool:
    # SetFit's way with labels that are texts. scikit-learn sorts classes, so names in another order, which SetFit
    # knows as numbers only, are fitted as those: columns then stand in the labels' order.
    return not targets.multi_label and list(targets.names) == sorted(targets.names)


def _make_estimator(settings: HeadSettings, targets: Targets) -> Any:
    from sklearn.base import clone, is_classifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.multioutput import ClassifierChain, MultiOutputClassifier

    _check_strategy(settings, targets)
    if settings.head == DIFFERENTIABLE:
        raise UsageError("head: expected one of scikit-learn's here, got differentiable, which is trained otherwise")
    if isinstance(settings.head, str):
        check_class_weight(settings, targets)
        weight = settings.class_weight
        params = {**settings.head_params, **({} if weight is None else {"class_weight": weight})}
        try:
            estimator = LogisticRegression(**params)
        except TypeError as error:
            raise UsageError(f"head_params: expected arguments of LogisticRegression, but it says: {error}") from error
    else:
        try:
            estimator = clone(settings.head)
        except TypeError as error:
            raise UsageError(f"head: expected a classifier of scikit-learn's, got {settings.head!r:.80}") from error
        if not is_classifier(estimator) or not any(
            hasattr(estimator, name) for name in ("predict_proba", "decision_function")
        ):
            raise UsageError(
                f"head: expected a classifier with predict_proba, or at least decision_function, got "
                f"{settings.head!r:.80}"
            )
    if not targets.multi_label and not _fits_names(targets):
        _number_class_weights(estimator, targets)
    match settings.multi_target_strategy:
        case MultiTarget.ONE_VS_REST:
            return OneVsRestClassifier(estimator)
        case MultiTarget.MULTI_OUTPUT:
            return MultiOutputClassifier(estimator)
        case MultiTarget.CLASSIFIER_CHAIN:
            return ClassifierChain(estimator)
        case _:
            return estimator


def _number_class_weights(estimator: Any, targets: Targets) -> None:
    """Let weights by label be weights by number, wherever an estimator has them."""
    numbers = {name: number for number, name in enumerate(targets.names)}
    for name, weights in estimator.get_params().items():
        if name.split("__")[-1] == "class_weight" and isinstance(weights, Mapping):
            estimator.set_params(**{name: {numbers.get(label, label): weight for label, weight in weights.items()}})


def _check_strategy(settings: HeadSettings, targets: Targets) -> None:
    strategy = settings.multi_target_strategy
    if strategy is not None and not targets.multi_label:
        raise DatasetError(
            f"multi_target_strategy: expected rows with lists of labels for {strategy}, found one label a row; leave "
            "it out"
        )
    if strategy is None and targets.multi_label and settings.head == LOGISTIC:
        raise UsageError(
            f"multi_target_strategy: expected one of {', '.join(MultiTarget)} for rows with lists of labels, got none"
        )
