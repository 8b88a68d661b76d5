"""Read the estimators that are not linear: skl2onnx writes them, and their nodes are taken over."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx

from setfuse.export._errors import UnsupportedCheckpoint
from setfuse.export._graph import IR_VERSION, OPSET
from setfuse.runtime import MissingExtra, Scores

from ._formulas import Converted
from ._hist_boosting import ML_OPSET, hist_boosting_model
from ._part import Part, classes_of, fitted, is_yes_or_no, name_of, width_of


@dataclass(frozen=True, slots=True)
class _Kind:
    """How an estimator is converted.

    Attributes:
        double: Whether to compute in float64: where squares are summed up or inverted, float32 is not enough.
        has_steps: As `Head.has_steps`.
        written: For tables.
        gives: For tables.
    """

    double: bool = False
    has_steps: bool = False
    written: str = "skl2onnx"
    gives: str = str(Scores.PROBABILITIES)


CONVERTED: dict[str, _Kind] = {
    "RandomForestClassifier": _Kind(has_steps=True),
    "ExtraTreesClassifier": _Kind(has_steps=True),
    "DecisionTreeClassifier": _Kind(has_steps=True),
    "GradientBoostingClassifier": _Kind(has_steps=True),
    "HistGradientBoostingClassifier": _Kind(has_steps=True, written="TreeEnsemble of ai.onnx.ml"),
    "KNeighborsClassifier": _Kind(double=True, has_steps=True),
    "MLPClassifier": _Kind(),
    "SVC": _Kind(gives=f"{Scores.DECISION}, or {Scores.PROBABILITIES} with probability=True"),
    "NuSVC": _Kind(gives=f"{Scores.DECISION}, or {Scores.PROBABILITIES} with probability=True"),
    "GaussianNB": _Kind(double=True),
    "QuadraticDiscriminantAnalysis": _Kind(double=True),
}


def read_converted(estimator: Any) -> Part:
    """Convert an estimator.

    Raises:
        MissingExtra: skl2onnx is not installed.
        UnsupportedCheckpoint: skl2onnx does not know this estimator with these settings.
    """
    name = name_of(estimator)
    kind = CONVERTED[name]
    outputs, classes = _labels(estimator)
    scores = Scores.PROBABILITIES if hasattr(estimator, "predict_proba") else Scores.DECISION
    if name == "HistGradientBoostingClassifier":
        model = hist_boosting_model(estimator)
    else:
        model = _convert(estimator, scores, double=kind.double)
    formula = Converted(model.SerializeToString(deterministic=True), kind.double, per_output=outputs is not None)
    multi_label = outputs is not None or _is_multi_label_network(estimator)
    return Part(name, formula, scores, classes, multi_label=multi_label, has_steps=kind.has_steps)


def _labels(estimator: Any) -> tuple[int | None, tuple[Any, ...]]:
    """Give the number of outputs, None of an estimator of one, and the names of the columns.

    Raises:
        UnsupportedCheckpoint: An output has other classes than 0 and 1.
    """
    classes = fitted(estimator, "classes_")
    if not isinstance(classes, list):
        return None, classes_of(estimator)
    if name_of(estimator) == "DecisionTreeClassifier":  # skl2onnx 1.20 gives other answers than the tree
        raise UnsupportedCheckpoint(
            f"DecisionTreeClassifier: expected one label a text, found {len(classes)} outputs: not supported; a "
            "RandomForestClassifier of several outputs is"
        )
    for i, found in enumerate(classes):
        if not is_yes_or_no(found):
            raise UnsupportedCheckpoint(
                f"{name_of(estimator)}: expected the classes 0 and 1 in each output, found "
                f"{np.asarray(found).tolist()} in output {i}: not supported"
            )
    return len(classes), tuple(range(len(classes)))


def _is_multi_label_network(estimator: Any) -> bool:
    binarizer = getattr(estimator, "_label_binarizer", None)
    return str(getattr(binarizer, "y_type_", "")).startswith("multilabel")


def _convert(estimator: Any, scores: Scores, *, double: bool) -> onnx.ModelProto:
    try:
        from skl2onnx import convert_sklearn  # type: ignore[import-untyped] # publishes no types
        from skl2onnx.common.data_types import (  # type: ignore[import-untyped] # as above
            DoubleTensorType,
            FloatTensorType,
        )
    except ImportError as error:
        raise MissingExtra(
            f'the head is a {name_of(estimator)}, which skl2onnx writes: pip install "setfuse[export]"'
        ) from error
    width = width_of(estimator)
    options: dict[str, bool] = {"zipmap": False}
    if scores is Scores.DECISION:
        options["raw_scores"] = True
    tensor = DoubleTensorType if double else FloatTensorType
    try:
        with warnings.catch_warnings():  # it reads attributes that scikit-learn deprecates
            warnings.simplefilter("ignore")
            model = convert_sklearn(
                estimator,
                initial_types=[("embedding", tensor([None, width]))],
                options={id(estimator): options},
                target_opset={"": OPSET, "ai.onnx.ml": ML_OPSET},
            )
    except (
        AttributeError,
        ImportError,
        LookupError,
        NotImplementedError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        raise UnsupportedCheckpoint(
            f"{name_of(estimator)}: skl2onnx cannot convert it with these settings ({error!s:.200}): not supported"
        ) from error
    return only(model, model.graph.output[1].name)


def only(model: onnx.ModelProto, output: str) -> onnx.ModelProto:
    """Keep what one output needs, and state the opset that was asked for: skl2onnx states the one that it used."""
    needed, nodes = {output}, []
    for node in reversed(model.graph.node):
        if needed & set(node.output):
            needed.update(node.input)
            nodes.append(node)
    kept = onnx.helper.make_graph(
        nodes[::-1],
        "head",
        model.graph.input,
        [value for value in model.graph.output if value.name == output],
        initializer=[constant for constant in model.graph.initializer if constant.name in needed],
    )
    opsets = [onnx.helper.make_opsetid("", OPSET), onnx.helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
    if all(node.domain in {"", "ai.onnx"} for node in nodes):
        opsets.pop()
    return onnx.helper.make_model(kept, opset_imports=opsets, ir_version=IR_VERSION)
