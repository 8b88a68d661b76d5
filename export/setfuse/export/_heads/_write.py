"""The head's part of the graph: an embedding to a score a label, in plain operators."""

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto

from setfuse.export._graph import FLOAT, GraphBuilder

from ._formulas import (
    Calibrated,
    Chain,
    Columns,
    Converted,
    Feedback,
    Formula,
    Linear,
    Link,
    Mean,
    Platt,
    Standardized,
    Steps,
)
from ._head import Head

DOUBLE = TensorProto.DOUBLE


def add_head(graph: GraphBuilder, head: Head, embedding: str, output: str) -> None:
    """Add a head, as scikit-learn computes it.

    Args:
        graph: Where to add it.
        head: What to add.
        embedding: float32 (batch, width).
        output: Name of the result, float32 (batch, labels): probabilities, or decision scores where `head.scores` says
            so.
    """
    _add(graph, head.formula, embedding, "head", output)


def _add(graph: GraphBuilder, formula: Formula, x: str, name: str, output: str) -> str:  # noqa: PLR0911 - one a kind
    """Add a formula; what is inside is called `name`.something, so that no two pieces meet."""
    match formula:
        case Linear():
            return _add_linear(graph, formula, x, name, output)
        case Columns():
            return _add_columns(graph, formula, x, name, output)
        case Mean():
            # The standard's own Mean has no CUDA kernel.
            total = graph.node("Sum", _add_parts(graph, formula.parts, x, name), f"{name}.sum")
            return graph.node("Div", [total, graph.constant(f"{name}.parts", len(formula.parts))], output)
        case Calibrated():
            return _add_calibrated(graph, formula, x, name, output)
        case Chain():
            return _add_chain(graph, formula, x, name, output)
        case Standardized():
            return _add_standardized(graph, formula, x, name, output)
        case Converted():
            return _add_converted(graph, formula, x, name, output)


def _add_parts(graph: GraphBuilder, parts: tuple[Formula, ...], x: str, name: str) -> list[str]:
    return [_add(graph, part, x, f"{name}.{i}", f"{name}.{i}.answer") for i, part in enumerate(parts)]


def _add_linear(graph: GraphBuilder, formula: Linear, x: str, name: str, output: str) -> str:
    if formula.link is Link.IDENTITY:
        return _add_logits(graph, formula, x, name, output)
    if formula.link is Link.CLIP and formula.normalized:
        # In float64: where all answers are nearly 0, dividing by their sum would make float32's rounding large.
        scores = Linear(formula.coef, formula.intercept, Link.IDENTITY)
        wide = _add_float64(graph, scores, x, f"{name}.logits")
        clipped = _add_clip(graph, wide, name, f"{name}.clipped", np.float64)
        otherwise = 1 / len(formula.intercept) if formula.even else 0.0
        answers = _add_normalized(graph, clipped, name, f"{name}.normalized", otherwise=otherwise, dtype=np.float64)
        return graph.node("Cast", [answers], output, to=FLOAT)
    logits = _add_logits(graph, formula, x, name, f"{name}.logits")
    if formula.link is Link.SIGMOID and formula.normalized:
        # Sigmoids divided by their sum, from their logarithms: far from the boundary the sigmoids themselves are all 0
        # in float32, and there is nothing left to divide.
        negated = graph.node("Neg", [logits], f"{name}.negated")
        softplus = graph.node("Softplus", [negated], f"{name}.softplus")
        logarithms = graph.node("Neg", [softplus], f"{name}.logarithms")
        return graph.node("Softmax", [logarithms], output, axis=-1)
    return _add_link(graph, formula.link, logits, name, output)


def _add_logits(graph: GraphBuilder, formula: Linear | Chain, x: str, name: str, output: str) -> str:
    constants = [graph.constant(f"{name}.coef", formula.coef.T), graph.constant(f"{name}.intercept", formula.intercept)]
    return graph.node("Gemm", [x, *constants], output)


def _add_link(graph: GraphBuilder, link: Link, logits: str, name: str, output: str) -> str:
    match link:
        case Link.IDENTITY:
            return graph.node("Identity", [logits], output)
        case Link.SOFTMAX:
            return graph.node("Softmax", [logits], output, axis=-1)
        case Link.SIGMOID:
            return graph.node("Sigmoid", [logits], output)
        case Link.CLIP:
            return _add_clip(graph, logits, name, output, np.float32)


def _add_clip(graph: GraphBuilder, logits: str, name: str, output: str, dtype: npt.DTypeLike) -> str:
    half = graph.constant(f"{name}.half", 0.5, dtype)
    halved = graph.node("Mul", [logits, half], f"{name}.halved")
    shifted = graph.node("Add", [halved, half], f"{name}.shifted")
    bounds = [graph.constant(f"{name}.lowest", 0.0, dtype), graph.constant(f"{name}.highest", 1.0, dtype)]
    return graph.node("Clip", [shifted, *bounds], output)


def _add_normalized(
    graph: GraphBuilder, answers: str, name: str, output: str, *, otherwise: float, dtype: npt.DTypeLike
) -> str:
    """Divide each text's answers by their sum; where that is 0, each label gets `otherwise`."""
    axis = graph.constant(f"{name}.sum.axis", [-1], np.int64)
    total = graph.node("ReduceSum", [answers, axis], f"{name}.sum", keepdims=1)
    is_zero = graph.node("Equal", [total, graph.constant(f"{name}.sum.zero", 0.0, dtype)], f"{name}.sum.is_zero")
    divisor = graph.node("Where", [is_zero, graph.constant(f"{name}.sum.one", 1.0, dtype), total], f"{name}.divisor")
    divided = graph.node("Div", [answers, divisor], f"{name}.divided")
    return graph.node("Where", [is_zero, graph.constant(f"{name}.otherwise", otherwise, dtype), divided], output)


def _add_columns(graph: GraphBuilder, formula: Columns, x: str, name: str, output: str) -> str:
    second = graph.constant(f"{name}.second", [1], np.int64)
    columns = [
        graph.node("Gather", [part, second], f"{part}.second", axis=1)
        for part in _add_parts(graph, formula.parts, x, name)
    ]
    if not formula.normalized:
        return graph.node("Concat", columns, output, axis=1)
    answers = graph.node("Concat", columns, f"{name}.columns", axis=1)
    return _add_normalized(graph, answers, name, output, otherwise=0.0, dtype=np.float32)


def _add_calibrated(graph: GraphBuilder, formula: Calibrated, x: str, name: str, output: str) -> str:
    # In float64: between two thresholds of an isotonic calibration the probability can rise as steeply as it likes, and
    # the rounding of a float32 score would rise with it.
    scores = _add_float64(graph, formula.scores, x, f"{name}.scores")
    if formula.labels == 2:  # noqa: PLR2004 - scikit-learn's binary case: one score, and its complement
        scores = graph.node(
            "Gather", [scores, graph.constant(f"{name}.second", [1], np.int64)], f"{name}.score", axis=1
        )
    add = _add_platt if isinstance(formula.calibration, Platt) else _add_steps
    calibrated = add(graph, formula.calibration, scores, name)  # type: ignore[arg-type] # as the line above chose
    if formula.labels == 2:  # noqa: PLR2004
        one = graph.constant(f"{name}.one", 1.0, np.float64)
        complement = graph.node("Sub", [one, calibrated], f"{name}.complement")
        answers = graph.node("Concat", [complement, calibrated], f"{name}.both", axis=1)
    else:
        answers = _add_normalized(
            graph, calibrated, name, f"{name}.normalized", otherwise=1 / formula.labels, dtype=np.float64
        )
    return graph.node("Cast", [answers], output, to=FLOAT)


def _add_float64(graph: GraphBuilder, formula: Formula, x: str, name: str) -> str:
    if not (isinstance(formula, Linear) and formula.link is Link.IDENTITY):
        answers = _add(graph, formula, x, name, f"{name}.answers")
        return graph.node("Cast", [answers], name, to=DOUBLE)
    embedding = graph.node("Cast", [x], f"{name}.embedding", to=DOUBLE)
    coef = graph.constant(f"{name}.coef", formula.coef.T, np.float64)
    product = graph.node("MatMul", [embedding, coef], f"{name}.product")
    return graph.node("Add", [product, graph.constant(f"{name}.intercept", formula.intercept, np.float64)], name)


def _add_platt(graph: GraphBuilder, calibration: Platt, scores: str, name: str) -> str:
    slopes = graph.constant(f"{name}.slopes", -calibration.slopes, np.float64)
    scaled = graph.node("Mul", [scores, slopes], f"{name}.scaled")
    offsets = graph.constant(f"{name}.offsets", -calibration.offsets, np.float64)
    return graph.node("Sigmoid", [graph.node("Add", [scaled, offsets], f"{name}.logits")], f"{name}.calibrated")


def _add_steps(graph: GraphBuilder, calibration: Steps, scores: str, name: str) -> str:
    """Add up how much of each segment lies below the score: no term is negative, so nothing cancels."""

    def constant(part: str, value: npt.ArrayLike) -> str:
        return graph.constant(f"{name}.{part}", value, np.float64)

    last = graph.constant(f"{name}.last", [-1], np.int64)
    column = graph.node("Unsqueeze", [scores, last], f"{name}.column")
    beyond = graph.node("Sub", [column, constant("starts", calibration.starts)], f"{name}.beyond")
    share = graph.node("Div", [beyond, constant("widths", calibration.widths)], f"{name}.share")
    inside = graph.node(
        "Clip", [share, constant("share.lowest", 0.0), constant("share.highest", 1.0)], f"{name}.inside"
    )
    risen = graph.node("Mul", [inside, constant("rises", calibration.rises)], f"{name}.risen")
    total = graph.node("ReduceSum", [risen, last], f"{name}.risen.sum", keepdims=0)
    return graph.node("Add", [total, constant("lowest", calibration.lowest)], f"{name}.calibrated")


def _add_chain(graph: GraphBuilder, formula: Chain, x: str, name: str, output: str) -> str:
    labels = len(formula.order)
    logits = _add_logits(graph, formula, x, name, f"{name}.logits")
    sizes = graph.constant(f"{name}.sizes", [1] * labels, np.int64)
    own = graph.node_with_outputs("Split", [logits, sizes], [f"{name}.own.{i}" for i in range(labels)], axis=1)
    said: list[str] = []
    answers = [""] * labels
    for i, label in enumerate(formula.order):
        at = f"{name}.{i}"
        logit = own[i]
        if said:
            before = graph.node("Concat", said, f"{at}.before", axis=1)
            weights = graph.constant(f"{at}.weights", formula.weights[i, :i, None])
            heard = graph.node("MatMul", [before, weights], f"{at}.heard")
            logit = graph.node("Add", [logit, heard], f"{at}.logit")
        answers[label] = _add_link(graph, formula.link, logit, at, f"{at}.answer")
        if formula.feedback is Feedback.HARD:
            positive = graph.node("Greater", [logit, graph.constant(f"{at}.zero", 0.0)], f"{at}.positive")
            said.append(graph.node("Cast", [positive], f"{at}.said", to=FLOAT))
        else:
            said.append(answers[label] if formula.feedback is Feedback.ANSWER else logit)
    return graph.node("Concat", answers, output, axis=1)


def _add_standardized(graph: GraphBuilder, formula: Standardized, x: str, name: str, output: str) -> str:
    # In float64, and rounded once, as the estimator behind it gets it: a tree compares it with its thresholds.
    wide = graph.node("Cast", [x], f"{name}.wide", to=DOUBLE)
    centred = graph.node("Sub", [wide, graph.constant(f"{name}.mean", formula.mean, np.float64)], f"{name}.centred")
    scaled = graph.node("Div", [centred, graph.constant(f"{name}.scale", formula.scale, np.float64)], f"{name}.scaled")
    embedding = graph.node("Cast", [scaled], f"{name}.embedding", to=FLOAT)
    return _add(graph, formula.inner, embedding, f"{name}.inner", output)


def _add_converted(graph: GraphBuilder, formula: Converted, x: str, name: str, output: str) -> str:
    model = onnx.load_from_string(formula.model)
    if formula.double:
        x = graph.node("Cast", [x], f"{name}.wide", to=DOUBLE)
    (answers,) = graph.splice(model, {model.graph.input[0].name: x}, f"{name}.").values()
    if formula.per_output:  # (labels, batch, 2)
        second = graph.constant(f"{name}.second", 1, np.int64)
        columns = graph.node("Gather", [answers, second], f"{name}.per_output", axis=2)
        answers = graph.node("Transpose", [columns], f"{name}.columns", perm=[1, 0])
    return graph.node("Cast", [answers], output, to=FLOAT)
