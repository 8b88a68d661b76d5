"""Make scikit-learn's estimators of what a pickle says of them.

Each is a new one with scikit-learn's defaults, given the attributes of the table below and nothing else: what its
answers depend on, each of the type that it must have. No attribute can stand where scikit-learn has none, or be of a
class that does not belong there. What only fitting needs is left out. No estimator is made that has not been checked.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from . import _sound
from ._arrays import array_of, numbers_of, plain
from ._record import Damaged, described, is_a

ESTIMATOR_BYTES = 4096
"""What an estimator takes up, about."""

Read = Callable[["Maker", Any], Any]


def _plain(_: "Maker", value: Any) -> Any:
    return plain(value)


def _array(maker: "Maker", value: Any) -> Any:
    return maker.spent(numbers_of(value))


def _numbers(maker: "Maker", value: Any) -> Any:
    return plain(value) if type(value) in {int, float} or is_a(value, "scalar") else _array(maker, value)


def _arrays(maker: "Maker", value: Any) -> list[Any]:
    return [_array(maker, item) for item in _list(value)]


def _classes(maker: "Maker", value: Any) -> Any:
    """Make the classes, or those of each output."""
    if type(value) is list:
        return [maker.spent(array_of(item)) for item in value]
    return maker.spent(array_of(value))


def _order(maker: "Maker", value: Any) -> list[int]:
    """Make the order of a ClassifierChain."""
    return list(map(int, map(plain, value))) if type(value) is list else list(map(int, _array(maker, value)))


def _list(value: Any) -> list[Any]:
    if type(value) is not list:
        raise Damaged(f"{described(value)} where a list stands")
    return value


def _one(*names: str) -> Read:
    return lambda maker, value: maker.estimator(value, *names)


def _several(*names: str) -> Read:
    return lambda maker, value: [maker.estimator(item, *names) for item in _list(value)]


def _trees(maker: "Maker", value: Any) -> Any:
    """Make the array of trees of a GradientBoostingClassifier."""
    return array_of(value, lambda item: maker.estimator(item, "DecisionTreeRegressor"))


def _predictors(maker: "Maker", value: Any) -> list[list[Any]]:
    """Make the lists of trees of a HistGradientBoostingClassifier."""
    return [[maker.estimator(item, "TreePredictor") for item in _list(step)] for step in _list(value)]


def _tree(maker: "Maker", value: Any) -> Any:
    """Make scikit-learn's `Tree`, which trusts what it is made of.

    Raises:
        Damaged: It is none, or would lead its loops astray.
    """
    from sklearn.tree._tree import Tree

    if not is_a(value, "Tree") or len(value.arguments) != 3 or not isinstance(value.state, dict):  # noqa: PLR2004
        raise Damaged(f"{described(value)} where a Tree stands")
    features, classes, outputs = value.arguments[0], _array(maker, value.arguments[1]), value.arguments[2]
    state = {
        "max_depth": plain(value.state.get("max_depth")),
        "node_count": plain(value.state.get("node_count")),
        "nodes": _nodes(maker, value.state.get("nodes")),
        "values": _array(maker, value.state.get("values")),
    }
    _sound.check_tree_parts(features, classes, outputs, state)
    tree = Tree(features, classes, outputs)
    tree.__setstate__(state)
    return tree


def _nodes(maker: "Maker", value: Any) -> Any:
    return maker.spent(array_of(value))


def _steps(maker: "Maker", value: Any) -> list[tuple[str, Any]]:
    """Make the steps of a Pipeline: StandardScalers, nothing, and a classifier.

    Raises:
        Damaged: They are others.
    """
    made = []
    for step in _list(value):
        if not isinstance(step, tuple) or len(step) != 2:  # noqa: PLR2004 - name and estimator
            raise Damaged("a Pipeline of other steps than scikit-learn's")
        name, inside = step
        idle = inside is None or inside == "passthrough"
        made.append((str(plain(name)), "passthrough" if idle else maker.estimator(inside, "StandardScaler", *HEADS)))
    return made


def _start(maker: "Maker", value: Any) -> Any:
    """Make what a GradientBoostingClassifier starts from."""
    return "zero" if value == "zero" else maker.estimator(value, "DummyClassifier")


def _nothing(_: Any) -> None:
    """Nothing has to be checked, nothing follows."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """What an estimator is made of.

    Attributes:
        attributes: Each with what makes its value. One that the pickle does not have stays away.
        finish: Checks that the attributes fit together, and adds what follows from them.
    """

    attributes: Mapping[str, Read]
    finish: Callable[[Any], None] = _nothing


_WIDTH: dict[str, Read] = {"n_features_in_": _plain}
_LINEAR: dict[str, Read] = {**_WIDTH, "classes_": _classes, "coef_": _numbers, "intercept_": _numbers}
_BINARY_TREE = _Kind({**_WIDTH, "classes_": _classes, "tree_": _tree}, _sound.finish_tree)
_SUPPORT = _Kind(
    {
        **_WIDTH,
        "classes_": _classes,
        **dict.fromkeys(("kernel", "degree", "gamma", "_gamma", "coef0", "probability", "_sparse"), _plain),
        **dict.fromkeys(("decision_function_shape", "break_ties"), _plain),
        **dict.fromkeys(("support_", "support_vectors_", "_n_support", "_probA", "_probB"), _array),
        **dict.fromkeys(("dual_coef_", "_dual_coef_", "intercept_", "_intercept_"), _array),
    },
    _sound.check_support,
)
_CALIBRATORS = ("_SigmoidCalibration", "IsotonicRegression", "_TemperatureScaling")
_FOREST = {**_WIDTH, "classes_": _classes}

HEADS = (
    "LogisticRegression",
    "LogisticRegressionCV",
    "LinearDiscriminantAnalysis",
    "LinearSVC",
    "RidgeClassifier",
    "RidgeClassifierCV",
    "SGDClassifier",
    "Perceptron",
    "PassiveAggressiveClassifier",
    "OneVsRestClassifier",
    "MultiOutputClassifier",
    "ClassifierChain",
    "CalibratedClassifierCV",
    "Pipeline",
    "FrozenEstimator",
    "RandomForestClassifier",
    "ExtraTreesClassifier",
    "DecisionTreeClassifier",
    "GradientBoostingClassifier",
    "HistGradientBoostingClassifier",
    "KNeighborsClassifier",
    "MLPClassifier",
    "SVC",
    "NuSVC",
    "GaussianNB",
    "QuadraticDiscriminantAnalysis",
)
"""What may stand alone, or inside another."""

_KINDS: dict[str, _Kind] = {
    **dict.fromkeys(
        ("LogisticRegression", "LogisticRegressionCV"), _Kind({**_LINEAR, "multi_class": _plain, "solver": _plain})
    ),
    **dict.fromkeys(
        ("LinearDiscriminantAnalysis", "LinearSVC", "Perceptron", "PassiveAggressiveClassifier"), _Kind(_LINEAR)
    ),
    **dict.fromkeys(
        ("RidgeClassifier", "RidgeClassifierCV"),
        _Kind(
            {**_WIDTH, "coef_": _numbers, "intercept_": _numbers, "_label_binarizer": _one("LabelBinarizer")},
            _sound.finish_ridge,
        ),
    ),
    "SGDClassifier": _Kind({**_LINEAR, "loss": _plain}),
    "LabelBinarizer": _Kind({"classes_": _classes, "y_type_": _plain}),
    "StandardScaler": _Kind({**_WIDTH, "with_mean": _plain, "with_std": _plain, "mean_": _array, "scale_": _array}),
    "OneVsRestClassifier": _Kind(
        {**_WIDTH, "estimators_": _several("_ConstantPredictor", *HEADS), "label_binarizer_": _one("LabelBinarizer")},
        _sound.finish_one_vs_rest,
    ),
    "_ConstantPredictor": _Kind({"y_": _array}),
    "MultiOutputClassifier": _Kind(
        {**_WIDTH, "classes_": _classes, "estimators_": _several(*HEADS)}, _sound.finish_several
    ),
    "ClassifierChain": _Kind(
        {**_WIDTH, "classes_": _classes, "estimators_": _several(*HEADS), "order_": _order, "chain_method_": _plain},
        _sound.finish_several,
    ),
    "CalibratedClassifierCV": _Kind(
        {**_WIDTH, "classes_": _classes, "calibrated_classifiers_": _several("_CalibratedClassifier")}
    ),
    "_CalibratedClassifier": _Kind(
        {"classes": _classes, "method": _plain, "estimator": _one(*HEADS), "calibrators": _several(*_CALIBRATORS)}
    ),
    "_SigmoidCalibration": _Kind({"a_": _numbers, "b_": _numbers}),
    "_TemperatureScaling": _Kind({"beta_": _numbers}),
    "IsotonicRegression": _Kind(
        {
            **dict.fromkeys(("X_thresholds_", "y_thresholds_"), _array),
            **dict.fromkeys(("X_min_", "X_max_"), _numbers),
            "out_of_bounds": _plain,
        },
        _sound.finish_isotonic,
    ),
    "Pipeline": _Kind({"steps": _steps}),
    "FrozenEstimator": _Kind({"estimator": _one(*HEADS)}),
    "RandomForestClassifier": _Kind(
        {**_FOREST, "estimators_": _several("DecisionTreeClassifier")}, _sound.finish_forest
    ),
    "ExtraTreesClassifier": _Kind({**_FOREST, "estimators_": _several("ExtraTreeClassifier")}, _sound.finish_forest),
    "DecisionTreeClassifier": _BINARY_TREE,
    "ExtraTreeClassifier": _BINARY_TREE,
    "DecisionTreeRegressor": _Kind({**_WIDTH, "tree_": _tree}),
    "DummyClassifier": _Kind({"class_prior_": _array}),
    "GradientBoostingClassifier": _Kind(
        {**_FOREST, "estimators_": _trees, "init_": _start, "loss": _plain, "learning_rate": _plain},
        _sound.finish_boosting,
    ),
    "HistGradientBoostingClassifier": _Kind(
        {
            **_FOREST,
            "_predictors": _predictors,
            "_baseline_prediction": _numbers,
            "is_categorical_": _array,
        },
        _sound.finish_hist_boosting,
    ),
    "TreePredictor": _Kind({"nodes": _nodes}, _sound.finish_predictor),
    "KNeighborsClassifier": _Kind(
        {
            **_WIDTH,
            "classes_": _classes,
            **dict.fromkeys(("n_neighbors", "metric", "p", "weights"), _plain),
            **dict.fromkeys(("effective_metric_", "_fit_method", "n_samples_fit_"), _plain),
            **dict.fromkeys(("_fit_X", "_y"), _array),
        },
        _sound.finish_neighbors,
    ),
    "MLPClassifier": _Kind(
        {
            **_WIDTH,
            "classes_": _classes,
            **dict.fromkeys(("activation", "out_activation_", "n_layers_", "n_outputs_"), _plain),
            **dict.fromkeys(("coefs_", "intercepts_"), _arrays),
            "_label_binarizer": _one("LabelBinarizer"),
        }
    ),
    "SVC": _SUPPORT,
    "NuSVC": _SUPPORT,
    "GaussianNB": _Kind({**_WIDTH, "classes_": _classes, **dict.fromkeys(("theta_", "var_", "class_prior_"), _array)}),
    "QuadraticDiscriminantAnalysis": _Kind(
        {
            **_WIDTH,
            "classes_": _classes,
            **dict.fromkeys(("means_", "priors_"), _array),
            **dict.fromkeys(("rotations_", "scalings_"), _arrays),
        }
    ),
}


class Maker:
    """Makes the estimators of one pickle.

    A pickle may use what stands in it once as often as it likes. What is made of it is counted each time, so that a
    small file takes no gigabytes.
    """

    def __init__(self, limit: int) -> None:
        self._left = limit

    def spent(self, array: Any) -> Any:
        """Give back an array, counted.

        Raises:
            Damaged: Now it is too much.
        """
        self._spend(array.nbytes)
        return array

    def _spend(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise Damaged("more numbers than a file of its size may ask for")

    def estimator(self, value: Any, *names: str) -> Any:
        """Make an estimator.

        Args:
            value: Its record.
            *names: The classes that may stand here.

        Raises:
            Damaged: It is of another class, or an attribute is of another type than scikit-learn gives it.
            CheckpointError: Its attributes do not fit together.
            UnsupportedCheckpoint: It has a setting that is not supported.
        """
        if not is_a(value, *names):
            raise Damaged(f"{described(value)} where one of {', '.join(names)} stands")
        if not isinstance(value.state, dict):
            raise Damaged(f"{described(value)} of another state than a dict")
        self._spend(ESTIMATOR_BYTES)
        name = value.name.name
        made = _new(getattr(import_module(value.name.module), name))
        for attribute, read in _KINDS[name].attributes.items():
            if value.state.get(attribute) is not None:
                try:
                    setattr(made, attribute, read(self, value.state[attribute]))
                except Damaged as error:
                    raise Damaged(f"{error}, in {name}.{attribute}") from error
        _KINDS[name].finish(made)
        return made


def _new(cls: type) -> Any:
    """Make an estimator with its defaults, None where there is none."""
    required = [
        parameter.name
        for parameter in inspect.signature(cls).parameters.values()
        if parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD
    ]
    return cls(**dict.fromkeys(required))
