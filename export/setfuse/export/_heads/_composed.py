"""Read the estimators that are made of others."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from setfuse.export._errors import CheckpointError, UnsupportedCheckpoint
from setfuse.runtime import Scores

from ._formulas import (
    Array,
    Calibrated,
    Chain,
    Columns,
    Feedback,
    Formula,
    Linear,
    Link,
    Mean,
    Platt,
    Standardized,
    Steps,
)
from ._linear import scaler
from ._part import Part, both_sides, classes_of, fitted, is_yes_or_no, name_of, numbers, width_of

Read = Callable[[Any], Part]
"""Reads the estimators inside."""


MOST_SEGMENTS = 1 << 22
"""Of all isotonic calibrators of a fold: each is padded to as many as the longest has."""


def read_one_vs_rest(estimator: Any, read: Read) -> Part:
    """Read a OneVsRestClassifier: a binary estimator a class or, multi-label, a label.

    Raises:
        CheckpointError: All texts had the same labels when it was fitted.
    """
    estimators = fitted(estimator, "estimators_")
    classes = classes_of(estimator)
    multi_label = str(fitted(estimator, "label_binarizer_").y_type_).startswith("multilabel")
    inside = [None if name_of(part) == "_ConstantPredictor" else read(part) for part in estimators]
    known = [part for part in inside if part is not None]
    if not known:
        raise CheckpointError(
            "OneVsRestClassifier: expected a label that some texts have and others do not, found none"
        )
    first = known[0]
    kind = f"OneVsRestClassifier({first.kind})"
    steps = any(part.has_steps for part in known)
    if len(inside) == 1:  # two classes
        return Part(kind, first.formula, first.scores, classes, has_steps=steps)
    width = width_of(estimators[inside.index(first)])
    formulas = [
        part.formula if part else _constant(constant, width, first.scores)
        for part, constant in zip(inside, estimators, strict=True)
    ]
    formula = _one_a_label(formulas, normalized=not multi_label and first.scores is Scores.PROBABILITIES)
    return Part(kind, formula, first.scores, classes, multi_label=multi_label, has_steps=steps)


def _constant(estimator: Any, width: int, scores: Scores) -> Linear:
    """Write a label that all texts had, or none, when it was fitted."""
    value = float(numbers(estimator, "y_").ravel()[0])
    if scores is Scores.DECISION:
        return both_sides(np.zeros((1, width)), np.asarray([value]), Link.IDENTITY)
    # The sigmoid is 0 or 1 there, exactly.
    return both_sides(np.zeros((1, width)), np.asarray([1e4 if value > 0 else -1e4]), Link.SIGMOID)


def _one_a_label(formulas: list[Formula], *, normalized: bool) -> Formula:
    """Put binary formulas side by side: in one product where all are linear with the same link."""
    linears = [part for part in formulas if isinstance(part, Linear)]
    links = {part.link for part in linears}
    if len(linears) == len(formulas) and len(links) == 1 and Link.SOFTMAX not in links:
        coef = np.stack([part.coef[1] for part in linears])
        intercept = np.stack([part.intercept[1] for part in linears])
        return Linear(coef, intercept, links.pop(), normalized=normalized, even=False)
    return Columns(tuple(formulas), normalized=normalized)


def read_multi_output(estimator: Any, read: Read) -> Part:
    """Read a MultiOutputClassifier whose outputs are labels that apply or do not.

    Raises:
        UnsupportedCheckpoint: An output has other classes than 0 and 1.
    """
    inside = [read(part) for part in fitted(estimator, "estimators_")]
    for i, part in enumerate(inside):
        if not is_yes_or_no(part.classes):
            raise UnsupportedCheckpoint(
                f"MultiOutputClassifier: expected the classes 0 and 1 in each output, found {list(part.classes)} in "
                f"output {i}: not supported"
            )
    first = inside[0]
    return Part(
        f"MultiOutputClassifier({first.kind})",
        _one_a_label([part.formula for part in inside], normalized=False),
        first.scores,
        tuple(range(len(inside))),
        multi_label=True,
        has_steps=any(part.has_steps for part in inside),
    )


def read_chain(estimator: Any, read: Read) -> Part:
    """Read a ClassifierChain of linear estimators.

    Raises:
        CheckpointError: Its estimators and their order do not fit together.
        UnsupportedCheckpoint: One of them is not linear.
    """
    inside = [read(part) for part in fitted(estimator, "estimators_")]
    linears = [part.formula for part in inside if isinstance(part.formula, Linear) and is_yes_or_no(part.classes)]
    if len(linears) != len(inside) or len({part.link for part in linears}) != 1:
        kinds = ", ".join(dict.fromkeys(part.kind for part in inside))
        raise UnsupportedCheckpoint(
            f"ClassifierChain: expected linear estimators of 0 and 1, found {kinds}: not supported"
        )
    labels = len(linears)
    width = linears[0].coef.shape[1]
    order = tuple(int(label) for label in fitted(estimator, "order_"))
    if sorted(order) != list(range(labels)) or any(part.coef.shape[1] != width + i for i, part in enumerate(linears)):
        raise CheckpointError(
            f"ClassifierChain: expected estimators of {width}, {width + 1} and so on inputs and an order of them, "
            f"found {[part.coef.shape[1] for part in linears]} and {list(order)}"
        )
    weights = np.zeros((labels, labels))
    for i, part in enumerate(linears):
        weights[i, :i] = part.coef[1, width:]
    link, feedback = linears[0].link, _feedback(estimator)
    return Part(
        f"ClassifierChain({inside[0].kind})",
        Chain(
            coef=np.stack([part.coef[1, :width] for part in linears]),
            intercept=np.stack([part.intercept[1] for part in linears]),
            weights=weights,
            order=order,
            link=link,
            feedback=feedback,
        ),
        inside[0].scores,
        tuple(range(labels)),
        multi_label=True,
        has_steps=feedback is Feedback.HARD,
    )


def _feedback(estimator: Any) -> Feedback:
    # Versions before 1.6 have no chain_method: their chains hand on hard answers.
    method = str(getattr(estimator, "chain_method_", "predict"))
    known = {
        "predict": Feedback.HARD,
        "predict_proba": Feedback.ANSWER,
        "decision_function": Feedback.SCORE,
    }
    if method not in known:
        raise UnsupportedCheckpoint(
            f"ClassifierChain: expected the chain_method to be one of {', '.join(known)}, found {method}: not supported"
        )
    return known[method]


def read_calibrated(estimator: Any, read: Read) -> Part:
    """Read a CalibratedClassifierCV: the mean over its folds.

    Raises:
        UnsupportedCheckpoint: A fold has not seen all classes, or its estimator is calibrated in a way that is not
            supported.
    """
    classes = classes_of(estimator)
    kinds, formulas, has_steps = [], [], False
    for fold in fitted(estimator, "calibrated_classifiers_"):
        inside = read(fitted(fold, "estimator"))
        # With the method temperature, the folds are fitted to the classes' numbers.
        if inside.classes not in (classes, tuple(range(len(classes)))):
            raise UnsupportedCheckpoint(
                f"CalibratedClassifierCV: expected every fold to know the classes {list(classes)}, found one with "
                f"{list(inside.classes)}: not supported; fit it with fewer folds"
            )
        kinds.append(inside.kind)
        formulas.append(_calibrated(fold, inside, len(classes)))
        has_steps = has_steps or inside.has_steps or fold.method == "isotonic"
    formula = formulas[0] if len(formulas) == 1 else Mean(tuple(formulas))
    return Part(f"CalibratedClassifierCV({kinds[0]})", formula, Scores.PROBABILITIES, classes, has_steps=has_steps)


def _calibrated(fold: Any, inside: Part, labels: int) -> Formula:
    # Decision scores are what is calibrated wherever an estimator has them: of a linear one, its logits.
    scores = inside.formula
    if isinstance(scores, Linear):
        scores = Linear(scores.coef, scores.intercept, Link.IDENTITY)
    elif inside.scores is Scores.PROBABILITIES and hasattr(fold.estimator, "decision_function"):
        raise UnsupportedCheckpoint(
            f"CalibratedClassifierCV({inside.kind}): calibrated decision scores of an estimator that is not linear: "
            "not supported"
        )
    rows = 1 if labels == 2 else labels  # noqa: PLR2004 - scikit-learn's binary case
    if fold.method == "temperature":
        return _temperature(fold, inside, scores)
    calibrators = fitted(fold, "calibrators")
    if len(calibrators) != rows or fold.method not in {"sigmoid", "isotonic"}:
        raise CheckpointError(
            f"CalibratedClassifierCV: expected {rows} calibrators of the method sigmoid, isotonic or temperature, "
            f"found {len(calibrators)} of {fold.method!r}"
        )
    if fold.method == "isotonic":
        return Calibrated(scores, labels, _steps(calibrators))
    slopes = np.asarray([numbers(calibrator, "a_").item() for calibrator in calibrators])
    offsets = np.asarray([numbers(calibrator, "b_").item() for calibrator in calibrators])
    if not isinstance(scores, Linear):
        return Calibrated(scores, labels, Platt(slopes, offsets))
    coef = -slopes[:, None] * scores.coef[-rows:]
    intercept = -slopes * scores.intercept[-rows:] - offsets
    if rows == 1:
        return both_sides(coef, intercept, Link.SIGMOID)
    return Linear(coef, intercept, Link.SIGMOID, normalized=True)


def _temperature(fold: Any, inside: Part, scores: Formula) -> Linear:
    if not isinstance(scores, Linear):
        raise UnsupportedCheckpoint(
            f"CalibratedClassifierCV({inside.kind}): the method temperature for an estimator that is not linear: "
            "not supported"
        )
    beta = numbers(fitted(fold, "calibrators")[0], "beta_").item()
    return Linear(beta * scores.coef, beta * scores.intercept, Link.SOFTMAX)


def _steps(calibrators: list[Any]) -> Steps:
    thresholds = []
    for calibrator in calibrators:
        x, y = numbers(calibrator, "X_thresholds_"), numbers(calibrator, "y_thresholds_")
        if calibrator.out_of_bounds != "clip" or x.ndim != 1 or x.shape != y.shape or not x.size:
            raise UnsupportedCheckpoint(
                "CalibratedClassifierCV: expected isotonic calibrators with thresholds that clip beyond the last, "
                f"found shapes {x.shape} and {y.shape} and out_of_bounds {calibrator.out_of_bounds!r}: not supported"
            )
        if not (np.diff(x) > 0).all():
            raise CheckpointError("CalibratedClassifierCV: expected rising thresholds of the isotonic calibration")
        thresholds.append((x, y))
    segments = max(1, *(len(x) - 1 for x, _ in thresholds)) if thresholds else 1
    if segments * len(thresholds) > MOST_SEGMENTS:
        raise UnsupportedCheckpoint(
            f"CalibratedClassifierCV: expected at most {MOST_SEGMENTS} thresholds of the isotonic calibration, found "
            f"{len(thresholds)} times {segments}: not supported"
        )

    def padded(rows: list[Array], filler: float) -> Array:
        return np.stack([np.pad(row, (0, segments - len(row)), constant_values=filler) for row in rows])

    return Steps(
        starts=padded([x[:-1] for x, _ in thresholds], 0.0),
        widths=padded([np.diff(x) for x, _ in thresholds], 1.0),
        rises=padded([np.diff(y) for _, y in thresholds], 0.0),
        lowest=np.asarray([y[0] for _, y in thresholds]),
    )


def read_frozen(estimator: Any, read: Read) -> Part:
    """Read a FrozenEstimator: what is inside."""
    return read(fitted(estimator, "estimator"))


def read_pipeline(estimator: Any, read: Read) -> Part:
    """Read a Pipeline of StandardScalers and a classifier: the scaling is folded into the weights of a linear one.

    Raises:
        UnsupportedCheckpoint: There is another step.
    """
    steps = [step for _, step in fitted(estimator, "steps") if step is not None and step != "passthrough"]
    *before, last = steps or [None]
    for step in before:
        if name_of(step) != "StandardScaler":
            raise UnsupportedCheckpoint(
                f"Pipeline: expected StandardScaler before the classifier, found {name_of(step)}: not supported"
            )
    part = read(last)
    formula = part.formula
    for step in reversed(before):
        mean, scale = scaler(step, width_of(step))
        formula = _scaled(formula, mean, scale)
    kind = ", ".join([*(name_of(step) for step in before), part.kind])
    return Part(kind, formula, part.scores, part.classes, multi_label=part.multi_label, has_steps=part.has_steps)


def _scaled(formula: Formula, mean: Array, scale: Array) -> Formula:
    match formula:
        case Linear() | Chain():
            coef = formula.coef / scale
            return replace(formula, coef=coef, intercept=formula.intercept - coef @ mean)
        case Mean():
            return Mean(tuple(_scaled(part, mean, scale) for part in formula.parts))
        case _:
            return Standardized(mean, scale, formula)
