"""Check the parts of an estimator out of a pickle before scikit-learn's compiled code runs over them unchecked.

Its loops trust an index that a fitted estimator holds. One that was made up would have them read or write memory that
is not theirs, so no estimator is made of a pickle that has not passed here. What follows from the parts is added, not
read.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from setfuse.export._errors import CheckpointError, UnsupportedCheckpoint

from ._part import WIDEST, fitted, name_of, width_of
from ._record import Damaged

METRICS = ("euclidean", "cosine", "manhattan")
"""Distances of KNeighborsClassifier that the graph was seen to answer alike with."""

MOST_CLASSES = 1 << 20

KERNELS = ("linear", "poly", "rbf", "sigmoid")


def _require(estimator: Any, what: str, *, sound: bool) -> None:
    if not sound:
        raise CheckpointError(f"{name_of(estimator)}: expected {what}, found damage; fit it and save it again")


def check_tree_parts(features: Any, classes: Any, outputs: Any, state: Mapping[str, Any]) -> None:
    """Check what scikit-learn's `Tree` is made of: its constructor and its `__setstate__` trust it.

    Raises:
        Damaged: The numbers of classes are not one an output; a node leads nowhere, in a circle, or reads a feature
            that there is not.
    """
    counted = (
        type(features) is int
        and type(outputs) is int
        and classes.dtype == np.intp
        and classes.shape == (outputs,)
        and bool(((classes > 0) & (classes < MOST_CLASSES)).all())
    )
    if not counted or not outputs or not 0 < features <= WIDEST:
        raise Damaged("a tree without features or classes")
    nodes = state["nodes"]
    if nodes.ndim != 1 or not nodes.size or state["node_count"] != len(nodes):
        raise Damaged("a tree without nodes")
    if nodes.dtype.names is None or not {"left_child", "right_child", "feature"} <= set(nodes.dtype.names):
        raise Damaged("a tree with other nodes")
    if not check_nodes(nodes, features):
        raise Damaged("a tree whose nodes lead nowhere")


def finish_tree(estimator: Any) -> None:
    """Check a DecisionTreeClassifier or an ExtraTreeClassifier, and count its outputs and classes.

    Raises:
        CheckpointError: Its tree is none, or one for other features or classes.
    """
    _count_outputs(estimator)
    _check_one_tree(estimator, estimator, width_of(estimator))
    counts = np.atleast_1d(estimator.n_classes_)
    tree = estimator.tree_
    sound = tree.n_outputs == len(counts) and (np.asarray(tree.n_classes) == counts).all()
    _require(estimator, "a tree of as many outputs and classes", sound=bool(sound))


def _count_outputs(estimator: Any) -> None:
    classes = fitted(estimator, "classes_")
    several = isinstance(classes, list)
    estimator.n_outputs_ = len(classes) if several else 1
    estimator.n_classes_ = [len(found) for found in classes] if several else len(classes)


def _check_one_tree(owner: Any, estimator: Any, width: int) -> None:
    tree = getattr(estimator, "tree_", None)
    # What a tree holds was checked when it was made.
    _require(owner, f"trees of {width} features", sound=tree is not None and tree.n_features == width)


def finish_forest(estimator: Any) -> None:
    """Check a forest, and count its outputs, classes and trees.

    Raises:
        CheckpointError: One of its trees is none, or one for other features or classes.
    """
    _count_outputs(estimator)
    trees = fitted(estimator, "estimators_")
    estimator.n_estimators = len(trees)
    _require(estimator, "trees", sound=bool(trees))
    width = width_of(estimator)
    for tree in trees:
        _check_one_tree(estimator, tree, width)
        _require(estimator, "trees of its classes", sound=tree.n_classes_ == estimator.n_classes_)


def finish_boosting(estimator: Any) -> None:
    """Check a GradientBoostingClassifier, and add its loss and its counts.

    Raises:
        CheckpointError: Its trees are not one a class and step, or it starts from other classes.
        UnsupportedCheckpoint: It was fitted with another loss than log_loss.
    """
    if estimator.loss != "log_loss":
        raise UnsupportedCheckpoint(
            f"GradientBoostingClassifier: expected the loss log_loss, found {estimator.loss}: not supported"
        )
    classes = _add_loss(estimator)
    columns = estimator.n_trees_per_iteration_
    trees = fitted(estimator, "estimators_")
    _require(
        estimator,
        f"estimators_ (steps, {columns})",
        sound=trees.ndim == 2 and trees.shape[1] == columns and len(trees) > 0,  # noqa: PLR2004 - a matrix
    )
    estimator.n_estimators = estimator.n_estimators_ = len(trees)
    width = width_of(estimator)
    for tree in trees.ravel():
        _check_one_tree(estimator, tree, width)
        _require(estimator, "trees of one value a leaf", sound=tree.tree_.value.shape[1:] == (1, 1))
    start = fitted(estimator, "init_")
    if start == "zero":
        estimator.init = start
        return
    _require(estimator, "a start of its classes", sound=fitted(start, "class_prior_").shape == (classes,))
    start.classes_, start.n_classes_, start.n_outputs_ = np.arange(classes), classes, 1
    start._strategy = start.strategy  # noqa: SLF001 - as `fit` leaves it


def _add_loss(estimator: Any) -> int:
    """Give a boosting its loss and its columns, which follow from its classes."""
    from sklearn._loss.loss import HalfBinomialLoss, HalfMultinomialLoss

    classes = len(fitted(estimator, "classes_"))
    _require(estimator, "two classes or more", sound=classes >= 2)  # noqa: PLR2004 - one label is no choice
    binary = classes == 2  # noqa: PLR2004 - scikit-learn's binary case
    estimator.n_classes_ = classes
    estimator.n_trees_per_iteration_ = 1 if binary else classes
    estimator._loss = HalfBinomialLoss() if binary else HalfMultinomialLoss(n_classes=classes)  # noqa: SLF001
    return classes


def finish_predictor(predictor: Any) -> None:
    """Give a tree of a HistGradientBoostingClassifier the type of nodes that its loop reads.

    Raises:
        CheckpointError: Its nodes are others.
    """
    from sklearn.ensemble._hist_gradient_boosting.common import PREDICTOR_RECORD_DTYPE

    nodes = fitted(predictor, "nodes")
    sound = nodes.ndim == 1 and nodes.size > 0 and nodes.dtype.names == PREDICTOR_RECORD_DTYPE.names
    _require(predictor, "nodes", sound=sound)
    predictor.nodes = nodes.astype(PREDICTOR_RECORD_DTYPE)
    predictor.raw_left_cat_bitsets = np.zeros((0, 8), dtype=np.uint32)


def finish_hist_boosting(estimator: Any) -> None:
    """Check a HistGradientBoostingClassifier, and add its loss, its counts and bins without categories.

    Raises:
        CheckpointError: A tree leads nowhere, in a circle, or reads a feature that there is not.
        UnsupportedCheckpoint: It was fitted with categorical features.
    """
    from sklearn.ensemble._hist_gradient_boosting.binning import _BinMapper

    if getattr(estimator, "is_categorical_", None) is not None and np.any(estimator.is_categorical_):
        raise UnsupportedCheckpoint("HistGradientBoostingClassifier: categorical features: not supported")
    _add_loss(estimator)
    columns, width = estimator.n_trees_per_iteration_, width_of(estimator)
    for iteration in fitted(estimator, "_predictors"):
        _require(estimator, f"{columns} trees a step", sound=len(iteration) == columns)
        for predictor in iteration:
            nodes = predictor.nodes
            inner = nodes[nodes["is_leaf"] == 0]
            here = np.flatnonzero(nodes["is_leaf"] == 0)
            sound = (
                _leads_on(here, inner["left"], len(nodes))
                and _leads_on(here, inner["right"], len(nodes))
                and bool(((inner["feature_idx"] >= 0) & (inner["feature_idx"] < width)).all())
                and not nodes["is_categorical"].any()
            )
            _require(estimator, "trees whose nodes lead on", sound=sound)
    estimator._preprocessor, estimator._n_features = None, width  # noqa: SLF001 - as `fit` leaves them
    estimator._bin_mapper = _BinMapper()  # noqa: SLF001
    estimator._bin_mapper.is_categorical_ = np.zeros(width, dtype=np.uint8)  # noqa: SLF001
    estimator._bin_mapper.bin_thresholds_ = []  # noqa: SLF001
    estimator._bin_mapper.missing_values_bin_idx_ = 255  # noqa: SLF001


def finish_ridge(estimator: Any) -> None:
    """Give a RidgeClassifier the classes of its binarizer."""
    _set_classes(estimator, fitted(estimator, "_label_binarizer"))


def finish_one_vs_rest(estimator: Any) -> None:
    """Give a OneVsRestClassifier the classes of its binarizer, and its first estimator.

    Raises:
        CheckpointError: It has none.
    """
    _set_classes(estimator, fitted(estimator, "label_binarizer_"))
    finish_several(estimator)


def _set_classes(estimator: Any, binarizer: Any) -> None:
    if not hasattr(estimator, "classes_"):  # a property in some versions
        estimator.classes_ = fitted(binarizer, "classes_")


def finish_several(estimator: Any) -> None:
    """Give one that is made of others, one a label, an estimator to tell what it can do by: the first.

    Raises:
        CheckpointError: There is none.
    """
    inside = fitted(estimator, "estimators_")
    _require(estimator, "estimators", sound=bool(inside))
    estimator.estimator = next((part for part in inside if name_of(part) != "_ConstantPredictor"), inside[0])


def finish_isotonic(estimator: Any) -> None:
    """Check an isotonic calibrator, and have scikit-learn build its function.

    Raises:
        CheckpointError: Its thresholds do not fit together.
    """
    x, y = fitted(estimator, "X_thresholds_"), fitted(estimator, "y_thresholds_")
    _require(estimator, "as many x as y", sound=x.ndim == 1 and x.shape == y.shape and x.size > 0)
    estimator._build_f(x, y)  # noqa: SLF001 - as its `__setstate__` does


def check_nodes(nodes: np.ndarray, features: int) -> bool:
    """Tell whether every inner node of a `Tree` reads a feature that there is and leads on to later nodes."""
    is_leaf = nodes["left_child"] == -1
    inner, here = nodes[~is_leaf], np.flatnonzero(~is_leaf)
    return (
        _leads_on(here, inner["left_child"], len(nodes))
        and _leads_on(here, inner["right_child"], len(nodes))
        and bool(((inner["feature"] >= 0) & (inner["feature"] < features)).all())
    )


def _leads_on(here: np.ndarray, there: np.ndarray, nodes: int) -> bool:
    # A child stands behind its parent, however the tree was grown: so there is no circle either.
    there = there.astype(np.int64)
    return bool(((there > here) & (there < nodes)).all())


def finish_neighbors(estimator: Any) -> None:
    """Check a KNeighborsClassifier, and add what a search without a tree leaves open.

    Raises:
        CheckpointError: Its rows and labels do not fit together.
        UnsupportedCheckpoint: It uses a metric, weights or a search that is not supported.
    """
    metric = str(fitted(estimator, "effective_metric_"))
    method = str(fitted(estimator, "_fit_method"))
    if metric not in METRICS or estimator.weights != "uniform" or method != "brute":
        raise UnsupportedCheckpoint(
            f"KNeighborsClassifier: expected a metric of {', '.join(METRICS)}, weights 'uniform' and the search "
            f"'brute' (scikit-learn's choice for more than 15 features), found {metric}, {estimator.weights!r} and "
            f"{method!r}: not supported"
        )
    rows, labels = fitted(estimator, "_fit_X"), fitted(estimator, "_y")
    outputs = estimator.classes_ if isinstance(fitted(estimator, "classes_"), list) else [estimator.classes_]
    several = isinstance(estimator.classes_, list)
    sound = (
        rows.ndim == 2  # noqa: PLR2004 - a matrix
        and rows.dtype.kind == "f"
        and rows.shape[1] == width_of(estimator)
        and labels.dtype.kind == "i"
        and labels.shape == ((len(rows), len(outputs)) if several else (len(rows),))
        and isinstance(estimator.n_neighbors, int)
        and 1 <= estimator.n_neighbors <= len(rows) == fitted(estimator, "n_samples_fit_")
    )
    _require(estimator, "a label a row and no more neighbours than rows", sound=sound)
    for column, classes in zip(labels.reshape(len(rows), -1).T, outputs, strict=True):
        inside = bool(((column >= 0) & (column < len(classes))).all())
        _require(estimator, "labels that are classes", sound=inside)
    estimator.outputs_2d_, estimator.effective_metric_params_, estimator._tree = several, {}, None  # noqa: SLF001


def check_support(estimator: Any) -> None:
    """Check an SVC or NuSVC.

    Raises:
        CheckpointError: Its support vectors and coefficients do not fit together.
        UnsupportedCheckpoint: It uses a kernel or a shape of decisions that is not supported.
    """
    classes = len(fitted(estimator, "classes_"))
    shape = estimator.decision_function_shape
    if estimator.kernel not in KERNELS or (shape != "ovr" and classes > 2) or estimator._sparse:  # noqa: PLR2004, SLF001
        raise UnsupportedCheckpoint(
            f"{name_of(estimator)}: expected a kernel of {', '.join(KERNELS)} on dense rows and "
            f"decision_function_shape 'ovr', found {estimator.kernel!r} and {shape!r}: not supported"
        )
    width = width_of(estimator)
    pairs = classes * (classes - 1) // 2
    count = len(fitted(estimator, "support_vectors_"))
    shapes = {
        "support_vectors_": ((count, width), "f"),
        "support_": ((count,), "i"),
        "_n_support": ((classes,), "i"),
        "dual_coef_": ((classes - 1, count), "f"),
        "_dual_coef_": ((classes - 1, count), "f"),
        "intercept_": ((pairs,), "f"),
        "_intercept_": ((pairs,), "f"),
    }
    for name, (expected, kind) in shapes.items():
        value = fitted(estimator, name)
        sound = value.shape == expected and value.dtype.kind == kind
        _require(estimator, f"{name} of the shape {expected}", sound=sound)
    of_classes = estimator._n_support  # noqa: SLF001
    _require(
        estimator, "support vectors of every class", sound=bool((of_classes >= 0).all() and of_classes.sum() == count)
    )
    for name in ("_probA", "_probB"):
        value = fitted(estimator, name)
        sound = value.shape in {(0,), (pairs,)} and value.dtype.kind == "f"
        _require(estimator, f"{name} of the shape ({pairs},)", sound=sound)
