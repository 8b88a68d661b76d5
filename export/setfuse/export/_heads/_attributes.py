"""What is taken over from a pickled estimator: attributes that its answers depend on, each of the type it must have.

No attribute can stand where scikit-learn has none, or be of a class that does not belong there. What only fitting needs
is left out.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import _sound
from ._arrays import array_of, numbers_of, plain
from ._converted import CONVERTED
from ._estimators import COMPOSED, LINEAR
from ._record import Damaged, described, is_a

if TYPE_CHECKING:
    from ._make import Maker

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
class Kind:
    """What an estimator is made of.

    Attributes:
        attributes: Each with what makes its value. One that the pickle does not have stays away.
        finish: Checks that the attributes fit together, and adds what follows from them.
    """

    attributes: Mapping[str, Read]
    finish: Callable[[Any], None] = _nothing


_WIDTH: dict[str, Read] = {"n_features_in_": _plain}
_LINEAR: dict[str, Read] = {**_WIDTH, "classes_": _classes, "coef_": _numbers, "intercept_": _numbers}
_BINARY_TREE = Kind({**_WIDTH, "classes_": _classes, "tree_": _tree}, _sound.finish_tree)
_SUPPORT = Kind(
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

HEADS = (*LINEAR, *COMPOSED, *CONVERTED)
"""What may stand alone, or inside another."""

KINDS: dict[str, Kind] = {
    **dict.fromkeys(
        ("LogisticRegression", "LogisticRegressionCV"), Kind({**_LINEAR, "multi_class": _plain, "solver": _plain})
    ),
    **dict.fromkeys(
        ("LinearDiscriminantAnalysis", "LinearSVC", "Perceptron", "PassiveAggressiveClassifier"), Kind(_LINEAR)
    ),
    **dict.fromkeys(
        ("RidgeClassifier", "RidgeClassifierCV"),
        Kind(
            {**_WIDTH, "coef_": _numbers, "intercept_": _numbers, "_label_binarizer": _one("LabelBinarizer")},
            _sound.finish_ridge,
        ),
    ),
    "SGDClassifier": Kind({**_LINEAR, "loss": _plain}),
    "LabelBinarizer": Kind({"classes_": _classes, "y_type_": _plain}),
    "StandardScaler": Kind({**_WIDTH, "with_mean": _plain, "with_std": _plain, "mean_": _array, "scale_": _array}),
    "OneVsRestClassifier": Kind(
        {**_WIDTH, "estimators_": _several("_ConstantPredictor", *HEADS), "label_binarizer_": _one("LabelBinarizer")},
        _sound.finish_one_vs_rest,
    ),
    "_ConstantPredictor": Kind({"y_": _array}),
    "MultiOutputClassifier": Kind(
        {**_WIDTH, "classes_": _classes, "estimators_": _several(*HEADS)}, _sound.finish_several
    ),
    "ClassifierChain": Kind(
        {**_WIDTH, "classes_": _classes, "estimators_": _several(*HEADS), "order_": _order, "chain_method_": _plain},
        _sound.finish_several,
    ),
    "CalibratedClassifierCV": Kind(
        {**_WIDTH, "classes_": _classes, "calibrated_classifiers_": _several("_CalibratedClassifier")}
    ),
    "_CalibratedClassifier": Kind(
        {"classes": _classes, "method": _plain, "estimator": _one(*HEADS), "calibrators": _several(*_CALIBRATORS)}
    ),
    "_SigmoidCalibration": Kind({"a_": _numbers, "b_": _numbers}),
    "_TemperatureScaling": Kind({"beta_": _numbers}),
    "IsotonicRegression": Kind(
        {
            **dict.fromkeys(("X_thresholds_", "y_thresholds_"), _array),
            **dict.fromkeys(("X_min_", "X_max_"), _numbers),
            "out_of_bounds": _plain,
        },
        _sound.finish_isotonic,
    ),
    "Pipeline": Kind({"steps": _steps}),
    "FrozenEstimator": Kind({"estimator": _one(*HEADS)}),
    "RandomForestClassifier": Kind(
        {**_FOREST, "estimators_": _several("DecisionTreeClassifier")}, _sound.finish_forest
    ),
    "ExtraTreesClassifier": Kind({**_FOREST, "estimators_": _several("ExtraTreeClassifier")}, _sound.finish_forest),
    "DecisionTreeClassifier": _BINARY_TREE,
    "ExtraTreeClassifier": _BINARY_TREE,
    "DecisionTreeRegressor": Kind({**_WIDTH, "tree_": _tree}),
    "DummyClassifier": Kind({"class_prior_": _array}),
    "GradientBoostingClassifier": Kind(
        {**_FOREST, "estimators_": _trees, "init_": _start, "loss": _plain, "learning_rate": _plain},
        _sound.finish_boosting,
    ),
    "HistGradientBoostingClassifier": Kind(
        {
            **_FOREST,
            "_predictors": _predictors,
            "_baseline_prediction": _numbers,
            "is_categorical_": _array,
        },
        _sound.finish_hist_boosting,
    ),
    "TreePredictor": Kind({"nodes": _nodes}, _sound.finish_predictor),
    "KNeighborsClassifier": Kind(
        {
            **_WIDTH,
            "classes_": _classes,
            **dict.fromkeys(("n_neighbors", "metric", "p", "weights"), _plain),
            **dict.fromkeys(("effective_metric_", "_fit_method", "n_samples_fit_"), _plain),
            **dict.fromkeys(("_fit_X", "_y"), _array),
        },
        _sound.finish_neighbors,
    ),
    "MLPClassifier": Kind(
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
    "GaussianNB": Kind({**_WIDTH, "classes_": _classes, **dict.fromkeys(("theta_", "var_", "class_prior_"), _array)}),
    "QuadraticDiscriminantAnalysis": Kind(
        {
            **_WIDTH,
            "classes_": _classes,
            **dict.fromkeys(("means_", "priors_"), _array),
            **dict.fromkeys(("rotations_", "scalings_"), _arrays),
        }
    ),
}
