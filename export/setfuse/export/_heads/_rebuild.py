"""Make scikit-learn's estimators out of stored numbers: as fitted ones are, as far as answering goes."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from setfuse.export._errors import CheckpointError, UnsupportedCheckpoint
from setfuse.runtime import Scores

from ._formulas import Array
from ._stored_graph import load_stored_graph
from ._torch_head import NAME as DIFFERENTIABLE
from ._torch_head import DifferentiableHead

LINEAR: dict[str, str] = {
    "LogisticRegression": "sklearn.linear_model",
    "LogisticRegressionCV": "sklearn.linear_model",
    "LinearDiscriminantAnalysis": "sklearn.discriminant_analysis",
    "LinearSVC": "sklearn.svm",
    "RidgeClassifier": "sklearn.linear_model",
    "RidgeClassifierCV": "sklearn.linear_model",
    "SGDClassifier": "sklearn.linear_model",
    "Perceptron": "sklearn.linear_model",
    "PassiveAggressiveClassifier": "sklearn.linear_model",
}
"""Where each class is imported from; no other is, whatever the file says."""

_PARAMETERS = {"loss": str, "multi_class": str, "solver": str}
"""What the answers of some of them depend on besides their numbers."""

_SEVERAL = ("OneVsRestClassifier", "MultiOutputClassifier", "ClassifierChain")


@dataclass(frozen=True, slots=True, eq=False)
class Files:
    """What `head.json` speaks of.

    Attributes:
        tensors: Of `head.safetensors`.
        graph: `head.onnx`; None if there is none.
    """

    tensors: Mapping[str, Array]
    graph: bytes | None

    def tensor(self, name: str) -> Array:
        """Give a tensor, float64.

        Raises:
            CheckpointError: There is none of that name, or it holds NaN or infinity.
        """
        if name not in self.tensors:
            found = ", ".join(sorted(self.tensors)) or "none"
            raise CheckpointError(f"expected the tensor {name} in head.safetensors, found {found}")
        values = self.tensors[name].astype(np.float64)
        if not np.isfinite(values).all():
            raise CheckpointError(f"expected finite weights, found NaN or infinity in {name}")
        return values


def rebuild(spec: Mapping[str, Any], files: Files, prefix: str = "") -> Any:
    """Make an estimator, or one inside another.

    Args:
        spec: Its JSON.
        files: Its numbers.
        prefix: Of the names of its tensors.

    Returns:
        An estimator of scikit-learn's; or a `DifferentiableHead` or a `StoredGraph`, which answer like one.

    Raises:
        CheckpointError: Numbers are missing, or the graph is.
        UnsupportedCheckpoint: It is of a kind that is not supported.
    """
    kind = spec["kind"]
    if "graph" in spec:
        return _graph(spec, files)
    if kind == DIFFERENTIABLE:
        return _differentiable(spec, files, prefix)
    if kind in LINEAR:
        return _linear(spec, files, prefix)
    if kind in _SEVERAL:
        return _several(spec, files, prefix)
    if kind == "Pipeline":
        from sklearn.pipeline import Pipeline

        *scalers, last = spec["steps"]
        steps = [_scaler(step, files, f"{prefix}steps.{number}.") for number, step in enumerate(scalers)]
        last = rebuild(last, files, f"{prefix}steps.{len(steps)}.")
        return Pipeline([(str(number), step) for number, step in enumerate([*steps, last])])
    raise UnsupportedCheckpoint(
        f"expected one of {', '.join([*LINEAR, *_SEVERAL, 'Pipeline', DIFFERENTIABLE])}, found {kind!r}: not supported"
    )


def _graph(spec: Mapping[str, Any], files: Files) -> Any:
    if files.graph is None:
        raise CheckpointError(f"expected the graph of the {spec['kind']} in {spec['graph']}, found no such file")
    return load_stored_graph(
        files.graph,
        kind=str(spec["kind"]),
        classes_=tuple(spec["classes"]),
        multi_label=bool(spec.get("multi_label", False)),
        scores=Scores(spec["scores"]),
        per_output=bool(spec["per_output"]),
    )


def _differentiable(spec: Mapping[str, Any], files: Files, prefix: str) -> DifferentiableHead:
    weight = files.tensor(f"{prefix}weight")
    bias = files.tensor(f"{prefix}bias") if f"{prefix}bias" in files.tensors else np.zeros(len(weight))
    divisor = float(spec["temperature"]) + float(spec["eps"])
    return DifferentiableHead(weight, bias, divisor, bool(spec.get("multi_label", False)))


def _linear(spec: Mapping[str, Any], files: Files, prefix: str) -> Any:
    from importlib import import_module

    kind = spec["kind"]
    with warnings.catch_warnings():  # some are deprecated
        warnings.simplefilter("ignore")
        estimator = getattr(import_module(LINEAR[kind]), kind)()
    for name, type_ in _PARAMETERS.items():
        if name in spec:
            setattr(estimator, name, type_(spec[name]))
    estimator.coef_, estimator.intercept_ = files.tensor(f"{prefix}coef"), files.tensor(f"{prefix}intercept")
    estimator.n_features_in_ = estimator.coef_.shape[-1]
    if kind.startswith("Ridge"):
        estimator._label_binarizer = _binarizer(spec)  # noqa: SLF001 - as `fit` leaves it
    _set_classes(estimator, np.asarray(spec["classes"]))
    return estimator


def _set_classes(estimator: Any, classes: Any) -> None:
    if not hasattr(estimator, "classes_"):  # a property in some versions: the binarizer's
        estimator.classes_ = classes


def _binarizer(spec: Mapping[str, Any]) -> Any:
    from sklearn.preprocessing import LabelBinarizer

    binarizer = LabelBinarizer()
    binarizer.classes_ = np.asarray(spec["classes"])
    if spec.get("multi_label", False):
        binarizer.y_type_ = "multilabel-indicator"
    else:
        binarizer.y_type_ = "binary" if len(binarizer.classes_) == 2 else "multiclass"  # noqa: PLR2004
    return binarizer


def _scaler(spec: Mapping[str, Any], files: Files, prefix: str) -> Any:
    from sklearn.preprocessing import StandardScaler

    if spec["kind"] != "StandardScaler":
        raise UnsupportedCheckpoint(
            f"expected StandardScaler before the classifier, found {spec['kind']!r}: not supported"
        )
    with_mean, with_std = (f"{prefix}{name}" in files.tensors for name in ("mean", "scale"))
    scaler = StandardScaler(with_mean=with_mean, with_std=with_std)
    scaler.n_features_in_ = int(spec["width"])
    scaler.mean_ = files.tensor(f"{prefix}mean") if with_mean else None
    scaler.scale_ = files.tensor(f"{prefix}scale") if with_std else None
    return scaler


def _several(spec: Mapping[str, Any], files: Files, prefix: str) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.multioutput import ClassifierChain, MultiOutputClassifier

    inside = [rebuild(part, files, f"{prefix}estimators.{number}.") for number, part in enumerate(spec["estimators"])]
    classes = {"OneVsRestClassifier": OneVsRestClassifier, "MultiOutputClassifier": MultiOutputClassifier}
    estimator = classes.get(spec["kind"], ClassifierChain)(LogisticRegression())
    estimator.estimators_ = inside
    estimator.n_features_in_ = inside[0].n_features_in_
    if spec["kind"] == "OneVsRestClassifier":
        estimator.label_binarizer_ = _binarizer(spec)
        _set_classes(estimator, np.asarray(spec["classes"]))
    else:
        estimator.classes_ = [part.classes_ for part in inside]
    if spec["kind"] == "ClassifierChain":
        estimator.order_ = [int(label) for label in spec["order"]]
        estimator.chain_method_ = str(spec["chain_method"])
    return estimator
