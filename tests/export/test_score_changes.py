"""What can happen between logits and outputs: each change is told from all others."""

import numpy as np
import pytest

from setfuse.export._check._score_changes import OF_ONE_LABEL

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(scale=2, size=(40, 3))
SIGMOID = 1 / (1 + np.exp(-LOGITS))


def softmax(values: np.ndarray) -> np.ndarray:
    powers: np.ndarray = np.exp(values)
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("found", "expected", "name"),
    [
        (softmax(LOGITS), softmax(LOGITS), "unchanged"),
        (softmax(LOGITS)[:, [1, 2, 0]], softmax(LOGITS), "labels_permuted"),
        (LOGITS, softmax(LOGITS), "softmax_missing"),
        (LOGITS, SIGMOID, "sigmoid_missing"),
        (SIGMOID, softmax(LOGITS), "sigmoid_for_softmax"),
        (softmax(LOGITS), SIGMOID, "softmax_for_sigmoid"),
        (softmax(softmax(LOGITS)), softmax(LOGITS), "softmax_twice"),
        (softmax(RNG.normal(size=(40, 3))), softmax(LOGITS), None),
    ],
    ids=lambda value: str(value) if not isinstance(value, np.ndarray) else "",
)
def test_one_change_explains_and_no_other(found: np.ndarray, expected: np.ndarray, name: str | None) -> None:
    explaining = [change.name for change in OF_ONE_LABEL if change.residual(found, expected) < 1e-6]

    assert explaining == ([name] if name else [])
