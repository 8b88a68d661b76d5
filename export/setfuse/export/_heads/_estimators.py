"""Read an estimator of scikit-learn as a formula, whatever it is put together from."""

from collections.abc import Callable
from typing import Any

from setfuse.export._errors import CheckpointError, UnsupportedCheckpoint
from setfuse.runtime import Scores

from ._composed import read_calibrated, read_chain, read_frozen, read_multi_output, read_one_vs_rest, read_pipeline
from ._converted import CONVERTED, read_converted
from ._head import Head
from ._linear import read_decision, read_discriminant, read_logistic, read_ridge, read_sgd
from ._part import Part, name_of, width_of
from ._stored_graph import StoredGraph, read_stored_graph

Reader = Callable[[Any], Part]

LINEAR: dict[str, Reader] = {
    "LogisticRegression": read_logistic,
    "LogisticRegressionCV": read_logistic,
    "LinearDiscriminantAnalysis": read_discriminant,
    "LinearSVC": read_decision,
    "RidgeClassifier": read_ridge,
    "RidgeClassifierCV": read_ridge,
    "SGDClassifier": read_sgd,
    "Perceptron": read_decision,
    "PassiveAggressiveClassifier": read_decision,
}
COMPOSED: dict[str, Callable[[Any, Reader], Part]] = {
    "OneVsRestClassifier": read_one_vs_rest,
    "MultiOutputClassifier": read_multi_output,
    "ClassifierChain": read_chain,
    "CalibratedClassifierCV": read_calibrated,
    "Pipeline": read_pipeline,
    "FrozenEstimator": read_frozen,
}
"""Each of those around any of the others; a Pipeline is of StandardScalers before one."""


def read_estimator(estimator: Any) -> Head:
    """Read a fitted estimator.

    Raises:
        CheckpointError: It is not fitted, has fewer than two labels, or weights that are not finite.
        UnsupportedCheckpoint: It, or one inside it, is of a kind or a setting that is not supported.
    """
    part = read_part(estimator)
    if len(part.classes) < 2:  # noqa: PLR2004 - one label is no choice
        raise CheckpointError(f"{part.kind}: expected two labels or more, found {len(part.classes)}")
    classes = tuple(str(label) for label in part.classes)
    if any("\ud800" <= letter <= "\udfff" for label in classes for letter in label):
        raise CheckpointError(f"{part.kind}: expected classes of Unicode text, found {classes!r:.80}")
    if len(set(classes)) != len(classes):
        raise CheckpointError(f"{part.kind}: expected classes of different names, found {', '.join(classes)}")
    return Head(
        kind=part.kind,
        classes=classes,
        numbers=None if str in map(type, part.classes) else tuple(int(label) for label in part.classes),
        width=width_of(estimator),
        multi_label=part.multi_label,
        scores=part.scores,
        has_steps=part.has_steps,
        formula=part.formula,
        estimator=estimator,
    )


def read_part(estimator: Any) -> Part:
    """Read an estimator, or one inside another.

    Raises:
        UnsupportedCheckpoint: It is of a kind that is not supported.
    """
    if isinstance(estimator, StoredGraph):
        return read_stored_graph(estimator)
    name = name_of(estimator)
    if name in LINEAR:
        return LINEAR[name](estimator)
    if name in COMPOSED:
        return COMPOSED[name](estimator, read_part)
    if name in CONVERTED:
        return read_converted(estimator)
    raise UnsupportedCheckpoint(f"the head is a {name}: not supported; {supported_sentence()}")


def supported_sentence() -> str:
    """List what is supported, for errors."""
    return f"supported are {', '.join([*LINEAR, 'SetFitHead', *CONVERTED])}, and {', '.join(COMPOSED)} of these"


def supported_heads() -> list[tuple[str, str, str]]:
    """List what is supported, for tables.

    Returns:
        Rows of estimator, how it is written (plain operators or skl2onnx), and what it gives.
    """
    probabilities, decision = str(Scores.PROBABILITIES), str(Scores.DECISION)
    either = f"{probabilities}, or {decision} where an estimator inside has no predict_proba"
    scores = {
        "LogisticRegression": probabilities,
        "LogisticRegressionCV": probabilities,
        "LinearDiscriminantAnalysis": probabilities,
        "SGDClassifier": f"{probabilities} with the losses log_loss and modified_huber, else {decision}",
    }
    inside = "as the estimators inside"
    return [
        *((name, "plain operators", scores.get(name, decision)) for name in LINEAR),
        ("SetFitHead", "plain operators", probabilities),
        ("OneVsRestClassifier", inside, either),
        ("MultiOutputClassifier", inside, either),
        ("ClassifierChain of linear estimators", "plain operators", either),
        ("CalibratedClassifierCV (sigmoid, isotonic; temperature of linear estimators)", inside, probabilities),
        ("Pipeline of StandardScaler and one of these", inside, "as the estimator's"),
        *((name, kind.written, kind.gives) for name, kind in CONVERTED.items()),
    ]
