"""Check the arrays of an unpickled estimator before scikit-learn's compiled code runs over them unchecked.

Its loops trust an index that a fitted estimator holds. One that was made up would have them read or write memory that
is not theirs, so an estimator out of a pickle is asked nothing before it has passed here.
"""

from typing import Any

import numpy as np

from setfuse.export._errors import CheckpointError, UnsupportedCheckpoint

from ._part import fitted, name_of

METRICS = ("euclidean", "cosine", "manhattan")
"""Distances of KNeighborsClassifier that the graph was seen to answer alike with."""

KERNELS = ("linear", "poly", "rbf", "sigmoid")


def _require(estimator: Any, what: str, *, sound: bool) -> None:
    if not sound:
        raise CheckpointError(f"{name_of(estimator)}: expected {what}, found damage; fit it and save it again")


def check_tree(estimator: Any) -> None:
    """Check a DecisionTreeClassifier or one of a forest.

    Raises:
        CheckpointError: Its tree is none, or one for other features or classes.
    """
    _check_one_tree(estimator, estimator, int(fitted(estimator, "n_features_in_")))


def _check_one_tree(owner: Any, estimator: Any, width: int) -> None:
    from sklearn.tree._tree import Tree

    tree = getattr(estimator, "tree_", None)
    # What a tree holds is checked where it is unpickled.
    _require(owner, f"trees of {width} features", sound=isinstance(tree, Tree) and tree.n_features == width)


def check_forest(estimator: Any) -> None:
    """Check a forest.

    Raises:
        CheckpointError: One of its trees is none, or one for other features.
    """
    width = int(fitted(estimator, "n_features_in_"))
    for tree in fitted(estimator, "estimators_"):
        _check_one_tree(estimator, tree, width)


def check_boosting(estimator: Any) -> None:
    """Check a GradientBoostingClassifier.

    Raises:
        CheckpointError: Its trees are not one a class and step.
    """
    classes = len(fitted(estimator, "classes_"))
    columns = 1 if classes == 2 else classes  # noqa: PLR2004 - scikit-learn's binary case
    trees = fitted(estimator, "estimators_")
    _require(
        estimator,
        f"estimators_ (steps, {columns})",
        sound=isinstance(trees, np.ndarray) and trees.ndim == 2 and trees.shape[1] == columns,  # noqa: PLR2004
    )
    width = int(fitted(estimator, "n_features_in_"))
    for tree in trees.ravel():
        _check_one_tree(estimator, tree, width)
        _require(estimator, "trees of one value a leaf", sound=tree.tree_.value.shape[1:] == (1, 1))


def check_hist_boosting(estimator: Any) -> None:
    """Check a HistGradientBoostingClassifier.

    Raises:
        CheckpointError: A tree leads nowhere, in a circle, or reads a feature that there is not.
        UnsupportedCheckpoint: It was fitted with categorical features.
    """
    if getattr(estimator, "is_categorical_", None) is not None and np.any(estimator.is_categorical_):
        raise UnsupportedCheckpoint("HistGradientBoostingClassifier: categorical features: not supported")
    classes = len(fitted(estimator, "classes_"))
    columns = 1 if classes == 2 else classes  # noqa: PLR2004 - scikit-learn's binary case
    width = int(fitted(estimator, "n_features_in_"))
    for iteration in fitted(estimator, "_predictors"):
        _require(estimator, f"{columns} trees a step", sound=len(iteration) == columns)
        for predictor in iteration:
            nodes = predictor.nodes
            _require(
                estimator, "trees of nodes", sound=isinstance(nodes, np.ndarray) and nodes.ndim == 1 and nodes.size > 0
            )
            inner = nodes[nodes["is_leaf"] == 0]
            here = np.flatnonzero(nodes["is_leaf"] == 0)
            sound = (
                _leads_on(here, inner["left"], len(nodes))
                and _leads_on(here, inner["right"], len(nodes))
                and bool(((inner["feature_idx"] >= 0) & (inner["feature_idx"] < width)).all())
                and not nodes["is_categorical"].any()
            )
            _require(estimator, "trees whose nodes lead on", sound=sound)


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


def check_neighbors(estimator: Any) -> None:
    """Check a KNeighborsClassifier.

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
    sound = (
        isinstance(rows, np.ndarray)
        and rows.ndim == 2  # noqa: PLR2004 - a matrix
        and rows.dtype.kind == "f"
        and rows.shape[1] == fitted(estimator, "n_features_in_")
        and isinstance(labels, np.ndarray)
        and labels.dtype.kind == "i"
        and labels.size == len(rows) * len(outputs)
        and isinstance(estimator.n_neighbors, int | np.integer)
        and 1 <= estimator.n_neighbors <= len(rows) == fitted(estimator, "n_samples_fit_")
    )
    _require(estimator, "a label a row and no more neighbours than rows", sound=sound)
    for column, classes in zip(labels.reshape(len(rows), -1).T, outputs, strict=True):
        inside = bool(((column >= 0) & (column < len(classes))).all())
        _require(estimator, "labels that are classes", sound=inside)


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
    width = int(fitted(estimator, "n_features_in_"))
    pairs = classes * (classes - 1) // 2
    vectors = fitted(estimator, "support_vectors_")
    count = len(vectors)
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
        sound = isinstance(value, np.ndarray) and value.shape == expected and value.dtype.kind == kind
        _require(estimator, f"{name} of the shape {expected}", sound=sound)
    of_classes = estimator._n_support  # noqa: SLF001
    _require(
        estimator, "support vectors of every class", sound=bool((of_classes >= 0).all() and of_classes.sum() == count)
    )
    for name in ("_probA", "_probB"):
        value = fitted(estimator, name)
        sound = isinstance(value, np.ndarray) and value.shape in {(0,), (pairs,)} and value.dtype.kind == "f"
        _require(estimator, f"{name} of the shape ({pairs},)", sound=sound)
