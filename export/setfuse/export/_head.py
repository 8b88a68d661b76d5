"""The head's part of the graph: an embedding to probabilities."""

import numpy as np

from ._checkpoint import LinearHead
from ._graph import GraphBuilder


def add_head(graph: GraphBuilder, head: LinearHead, embedding: str, output: str) -> None:
    """Add a LogisticRegression in plain operators, as scikit-learn's `predict_proba` computes it.

    Two classes have one row of coefficients: the sigmoid of the row is the second class's probability, and the
    sigmoid of its negative the first's. More classes have a row each, and the softmax is taken over them.

    Args:
        graph: Where to add it.
        head: The coefficients.
        embedding: float32 (batch, dim).
        output: Name of the probabilities, float32 (batch, classes).
    """
    binary = head.coef.shape[0] == 1
    coef = np.concatenate([-head.coef, head.coef]) if binary else head.coef
    intercept = np.concatenate([-head.intercept, head.intercept]) if binary else head.intercept
    logits = graph.node(
        "Gemm",
        [embedding, graph.constant("head.coef", coef.T), graph.constant("head.intercept", intercept)],
        "logits",
    )
    if binary:
        graph.node("Sigmoid", [logits], output)
    else:
        graph.node("Softmax", [logits], output, axis=-1)
