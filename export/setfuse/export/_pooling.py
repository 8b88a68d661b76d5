"""The pooling's part of the graph: token embeddings to one embedding a text."""

import numpy as np

from ._checkpoint import PoolingMode
from ._graph import FLOAT, GraphBuilder


def add_pooling(graph: GraphBuilder, mode: PoolingMode, token_embeddings: str, attention_mask: str | None) -> str:
    """Add a pooling as sentence-transformers' `Pooling` computes it.

    Args:
        graph: Where to add it.
        mode: Which tokens count.
        token_embeddings: float32 (batch, sequence, hidden); with `cls`, the first token's alone will do.
        attention_mask: int64 (batch, sequence); None if there is never any padding.

    Returns:
        float32 (batch, hidden).
    """
    if mode is PoolingMode.CLS:
        return graph.node("Gather", [token_embeddings, graph.constant("pooling.cls", 0, np.int64)], "pooled", axis=1)
    axis = graph.constant("pooling.axis", [1], np.int64)
    if attention_mask is None:
        return graph.node("ReduceMean", [token_embeddings, axis], "pooled", keepdims=0)
    mask = graph.node("Cast", [attention_mask], "pooling.mask", to=FLOAT)
    column = graph.node("Unsqueeze", [mask, graph.constant("pooling.last", [-1], np.int64)], "pooling.mask.column")
    tokens = graph.node("Mul", [token_embeddings, column], "pooling.tokens")
    total = graph.node("ReduceSum", [tokens, axis], "pooling.sum", keepdims=0)
    count = graph.node("ReduceSum", [mask, axis], "pooling.count", keepdims=1)
    # sentence-transformers' own guard against a text without tokens
    at_least = graph.node("Max", [count, graph.constant("pooling.at_least", 1e-9)], "pooling.divisor")
    return graph.node("Div", [total, at_least], "pooled")


def add_normalize(graph: GraphBuilder, embedding: str) -> str:
    """Add torch's `F.normalize`: scale each row to unit length; a row of zeros stays one.

    Args:
        graph: Where to add it.
        embedding: float32 (batch, hidden).

    Returns:
        float32 (batch, hidden).
    """
    axis = graph.constant("normalize.axis", [-1], np.int64)
    length = graph.node("ReduceL2", [embedding, axis], "normalize.length", keepdims=1)
    at_least = graph.node("Max", [length, graph.constant("normalize.at_least", 1e-12)], "normalize.divisor")
    return graph.node("Div", [embedding, at_least], "normalized")
