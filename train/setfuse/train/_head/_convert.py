"""Heads that are not linear: skl2onnx writes them as an ONNX graph, which is compared before it is stored."""

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from setfuse.runtime import MissingExtra, Scores, UsageError

if TYPE_CHECKING:
    import onnx

OPSET, ML_OPSET = 20, 3
"""The newest whose operators every runtime has that a bundle may meet."""

_DOUBLE = ("GaussianNB", "KNeighborsClassifier", "QuadraticDiscriminantAnalysis")
"""Squares are summed up or inverted there: float32 is not enough."""

TOLERANCE = 1e-5
"""Of a probability, or of a decision score relative to the largest: float32 sums and exponentials."""


def convert(estimator: Any, probes: npt.NDArray[np.float32]) -> tuple[bytes, dict[str, Any]]:
    """Write an estimator as an ONNX graph.

    Args:
        estimator: Fitted, of scikit-learn's.
        probes: float32 (rows, width): embeddings to compare the answers on, and on points between them.

    Returns:
        The serialized model, of one input (rows, width) and skl2onnx's two outputs, the scores second; and what a
        reader must know besides: `scores`, and `per_output` (whether they are (labels, rows, 2), a binary answer a
        label).

    Raises:
        MissingExtra: skl2onnx or onnxruntime is not installed.
        UsageError: skl2onnx cannot convert it, the graph answers otherwise, or the estimator does not answer at all.
    """
    name = type(estimator).__name__
    scores = Scores.PROBABILITIES if hasattr(estimator, "predict_proba") else Scores.DECISION
    double = name in _DOUBLE
    model = _convert(name, estimator, scores, double=double)
    model.graph.name = "head"  # it gives a new one each time
    # Not half-way: there trees have their thresholds, and float32 may fall to the other side of one.
    between = np.float32(0.3) * probes + np.float32(0.7) * np.roll(probes, 1, axis=0)
    x = np.concatenate([probes, between])
    try:
        expected = _ask(estimator, x, scores)
    except ValueError as error:
        raise UsageError(f"head: expected a {name} that answers, but scikit-learn says: {error!s:.200}") from error
    found = _run(model, x.astype(np.float64) if double else x)
    per_output = found.ndim == 3  # noqa: PLR2004 - labels, rows, no and yes
    if per_output:
        found = found[:, :, 1].T
    bound = TOLERANCE * max(1.0, float(np.abs(expected).max()))
    if found.shape != expected.shape or not (np.abs(found - expected) <= bound).all():
        off = f"by {np.abs(found - expected).max():.2g}" if found.shape == expected.shape else "in its shape"
        raise UsageError(_refusal(name, f"the graph that skl2onnx writes of it differs {off}"))
    return model.SerializeToString(deterministic=True), {
        "scores": str(scores),
        "per_output": per_output,
    }


def _refusal(name: str, reason: str) -> str:
    return (
        f"head: expected one that can be stored without pickle, got a {name}: it is not linear, and {reason}; choose "
        "another, such as LogisticRegression or RandomForestClassifier"
    )


def _convert(name: str, estimator: Any, scores: Scores, *, double: bool) -> "onnx.ModelProto":
    try:
        import onnxruntime  # noqa: F401 - for the comparison
        from skl2onnx import convert_sklearn  # type: ignore[import-untyped] # publishes no types
        from skl2onnx.common.data_types import (  # type: ignore[import-untyped] # as above
            DoubleTensorType,
            FloatTensorType,
        )
    except ImportError as error:
        raise MissingExtra(
            f'the head is a {name}, which skl2onnx writes and onnxruntime checks: pip install "setfuse[export]"'
        ) from error
    tensor = DoubleTensorType if double else FloatTensorType
    options: dict[str, bool] = {"zipmap": False}
    if scores is Scores.DECISION:
        options["raw_scores"] = True
    try:
        with warnings.catch_warnings():  # it reads attributes that scikit-learn deprecates
            warnings.simplefilter("ignore")
            return convert_sklearn(  # type: ignore[no-any-return] # publishes no types
                estimator,
                initial_types=[("embedding", tensor([None, int(estimator.n_features_in_)]))],
                options={id(estimator): options},
                target_opset={"": OPSET, "ai.onnx.ml": ML_OPSET},
            )
    except Exception as error:
        # It raises whatever its converters happen to run into.
        raise UsageError(_refusal(name, f"skl2onnx cannot convert it ({error!s:.200})")) from error


def _ask(estimator: Any, x: npt.NDArray[np.float32], scores: Scores) -> npt.NDArray[np.float64]:
    answers = estimator.predict_proba(x) if scores is Scores.PROBABILITIES else estimator.decision_function(x)
    if isinstance(answers, list):
        answers = np.stack(answers, axis=1)[:, :, 1]
    if answers.ndim == 1:  # one score for two classes
        answers = np.stack([-answers, answers], axis=1)
    return np.asarray(answers, dtype=np.float64)


def _run(model: "onnx.ModelProto", x: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run([model.graph.output[1].name], {"embedding": x})[0], dtype=np.float64)
