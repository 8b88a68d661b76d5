"""What can have happened between the head's logits and the numbers that a graph puts out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from setfuse.export._heads import Head
from setfuse.runtime import Scores

from ._roles import FloatArray

_SAFE = 1e-4
"""Probabilities nearer than this to 0 or 1 have lost too many digits in float32 to be turned back into logits."""


@dataclass(frozen=True, slots=True)
class ScoreChange:
    """One thing that a graph may do differently with the head's logits.

    Attributes:
        name: For the report's reader that is a program.
        sentence: What a person is told; `{labels}` stands for the order that the columns have.
        residual: From the graph's scores and the checkpoint's, both (texts, labels), to what would be left of the
            difference if this were so; infinite where it cannot be so.
    """

    name: str
    sentence: str
    residual: Callable[[FloatArray, FloatArray], float]


def permutation(found: FloatArray, expected: FloatArray) -> list[int] | None:
    """Find the order of the checkpoint's columns that is nearest to the graph's; None if there is no one order."""
    distances = np.abs(found[:, :, None] - expected[:, None, :]).max(axis=0)
    order = [int(place) for place in distances.argmin(axis=1)]
    return order if sorted(order) == list(range(expected.shape[1])) and order != sorted(order) else None


def in_graphs_order(labels: Sequence[str], found: FloatArray, expected: FloatArray) -> str:
    """Name the labels in the order of the graph's columns."""
    order = permutation(found, expected) or range(len(labels))
    return ", ".join(labels[place] for place in order)


def _softmax(values: FloatArray) -> FloatArray:
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    result: FloatArray = powers / powers.sum(axis=1, keepdims=True)
    return result


def _sigmoid(values: FloatArray) -> FloatArray:
    result: FloatArray = 1 / (1 + np.exp(-np.clip(values, -500, 500)))
    return result


def _worst(difference: FloatArray) -> float:
    return float(np.abs(difference).max()) if difference.size else np.inf


def _are_probabilities(scores: FloatArray) -> bool:
    return bool(((scores >= 0) & (scores <= 1)).all())


def _same(found: FloatArray, expected: FloatArray) -> float:
    return _worst(found - expected)


def _permuted(found: FloatArray, expected: FloatArray) -> float:
    order = permutation(found, expected)
    return _worst(found - expected[:, order]) if order else np.inf


def _softmax_missing(found: FloatArray, expected: FloatArray) -> float:
    return np.inf if _are_probabilities(found) else _worst(_softmax(found) - expected)


def _sigmoid_missing(found: FloatArray, expected: FloatArray) -> float:
    return np.inf if _are_probabilities(found) else _worst(_sigmoid(found) - expected)


def _safe_rows(*scores: FloatArray) -> list[FloatArray]:
    safe = np.all([((s > _SAFE) & (s < 1 - _SAFE)).all(axis=1) for s in scores], axis=0)
    enough = safe.sum() >= max(3, len(safe) // 4)
    return [s[safe] if enough else s[:0] for s in scores]


def _sigmoid_for_softmax(found: FloatArray, expected: FloatArray) -> float:
    scores, wanted = _safe_rows(found, expected)
    return _worst(_softmax(np.log(scores / (1 - scores))) - wanted) if len(scores) else np.inf


def _softmax_for_sigmoid(found: FloatArray, expected: FloatArray) -> float:
    scores, wanted = _safe_rows(found, expected)
    return _worst(_softmax(np.log(wanted / (1 - wanted))) - scores) if len(scores) else np.inf


def _softmax_twice(found: FloatArray, expected: FloatArray) -> float:
    return _worst(_softmax(expected) - found)


UNCHANGED = ScoreChange("unchanged", "", _same)

_PERMUTED = ScoreChange("labels_permuted", "the labels are in another order: the columns are {labels}", _permuted)
_SIGMOID_MISSING = ScoreChange(
    "sigmoid_missing", "the sigmoid is missing: the graph puts out logits, not probabilities", _sigmoid_missing
)
_SOFTMAX_FOR_SIGMOID = ScoreChange(
    "softmax_for_sigmoid", "the graph takes the softmax of the logits, the checkpoint the sigmoid", _softmax_for_sigmoid
)

OF_ONE_LABEL = (
    UNCHANGED,
    _PERMUTED,
    ScoreChange(
        "softmax_missing", "the softmax is missing: the graph puts out logits, not probabilities", _softmax_missing
    ),
    _SIGMOID_MISSING,
    ScoreChange(
        "sigmoid_for_softmax",
        "the graph takes the sigmoid of the logits, the checkpoint the softmax",
        _sigmoid_for_softmax,
    ),
    _SOFTMAX_FOR_SIGMOID,
    ScoreChange("softmax_twice", "the softmax is taken twice", _softmax_twice),
)
OF_SEVERAL_LABELS = (UNCHANGED, _PERMUTED, _SIGMOID_MISSING, _SOFTMAX_FOR_SIGMOID)
OF_DECISIONS = (UNCHANGED, _PERMUTED)


def score_changes(head: Head) -> tuple[ScoreChange, ...]:
    """List what can have happened to the scores of a head, in the order that it is tried."""
    if head.scores is Scores.DECISION:
        return OF_DECISIONS
    return OF_SEVERAL_LABELS if head.multi_label else OF_ONE_LABEL
