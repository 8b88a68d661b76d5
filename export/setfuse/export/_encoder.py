"""The encoder's part of the graph: token ids to token embeddings."""

import math

import numpy as np

from ._checkpoint import Encoder, FloatArray
from ._graph import GraphBuilder


def add_encoder(graph: GraphBuilder, encoder: Encoder, input_ids: str, attention_mask: str, *, cls_only: bool) -> str:
    """Add a BERT encoder, written from the checkpoint's tensors.

    The layout differs from a trace in what costs time: the position and token-type tables are one table, query, key
    and value are one product, the scale of the attention is folded into the query's weights, and, where only the
    first token's embedding is used, the last layer computes no other.

    Args:
        graph: Where to add it.
        encoder: Weights and shape.
        input_ids: int64 (batch, sequence).
        attention_mask: int64 (batch, sequence), 1 for tokens and 0 for padding.
        cls_only: Whether the embedding of the first token is all that is wanted.

    Returns:
        The token embeddings, float32 (batch, sequence, hidden), or (batch, 1, hidden) with `cls_only`.
    """
    hidden_states = _add_embeddings(graph, encoder, input_ids)
    mask = _add_mask(graph, attention_mask)
    for layer in range(encoder.layers):
        first_token_only = cls_only and layer == encoder.layers - 1
        hidden_states = _add_layer(graph, encoder, layer, hidden_states, mask, first_token_only=first_token_only)
    return hidden_states


def _add_embeddings(graph: GraphBuilder, encoder: Encoder, input_ids: str) -> str:
    tensors = encoder.tensors
    # A classifier's texts are single sentences, so every token is of type 0.
    position_table = (
        tensors["embeddings.position_embeddings.weight"] + tensors["embeddings.token_type_embeddings.weight"][0]
    )
    words = graph.node(
        "Gather",
        [graph.constant("embeddings.words.table", tensors["embeddings.word_embeddings.weight"]), input_ids],
        "embeddings.words",
    )
    shape = graph.node("Shape", [input_ids], "embeddings.length", start=1, end=2)
    positions = graph.node(
        "Slice",
        [
            graph.constant("embeddings.positions.table", position_table),
            graph.constant("embeddings.positions.start", [0], np.int64),
            shape,
            graph.constant("embeddings.positions.axis", [0], np.int64),
        ],
        "embeddings.positions",
    )
    total = graph.node("Add", [words, positions], "embeddings.sum")
    return graph.layer_norm(
        total,
        "embeddings.norm",
        tensors["embeddings.LayerNorm.weight"],
        tensors["embeddings.LayerNorm.bias"],
        encoder.epsilon,
    )


def _add_mask(graph: GraphBuilder, attention_mask: str) -> str:
    """Turn the mask into what is added to the attention scores: 0 for tokens, the lowest float for padding."""
    is_token = graph.node("Cast", [attention_mask], "mask.is_token", to=9)  # BOOL
    bias = graph.node(
        "Where",
        [
            is_token,
            graph.constant("mask.token", 0.0),
            graph.constant("mask.padding", np.finfo(np.float32).min),
        ],
        "mask.bias",
    )
    return graph.node("Unsqueeze", [bias, graph.constant("mask.axes", [1, 2], np.int64)], "mask")


def _add_layer(graph: GraphBuilder, encoder: Encoder, layer: int, x: str, mask: str, *, first_token_only: bool) -> str:
    name = f"layer.{layer}"
    attended, residual = _add_attention(graph, encoder, layer, x, mask, first_token_only=first_token_only)
    projected = graph.linear(attended, f"{name}.attention.output", *_linear(encoder, layer, "attention.output.dense"))
    summed = graph.node("Add", [projected, residual], f"{name}.attention.residual")
    attention = graph.layer_norm(
        summed, f"{name}.attention.norm", *_norm(encoder, layer, "attention.output.LayerNorm"), encoder.epsilon
    )
    inner = graph.linear(attention, f"{name}.intermediate", *_linear(encoder, layer, "intermediate.dense"))
    activated = _add_activation(graph, inner, f"{name}.activation", encoder.activation)
    outer = graph.linear(activated, f"{name}.output", *_linear(encoder, layer, "output.dense"))
    summed = graph.node("Add", [outer, attention], f"{name}.residual")
    return graph.layer_norm(summed, f"{name}.norm", *_norm(encoder, layer, "output.LayerNorm"), encoder.epsilon)


def _add_attention(
    graph: GraphBuilder, encoder: Encoder, layer: int, x: str, mask: str, *, first_token_only: bool
) -> tuple[str, str]:
    """Add multi-head attention; return what it puts out and the value for the residual connection."""
    name = f"layer.{layer}.attention"
    query, key, value = (_linear(encoder, layer, f"attention.self.{part}") for part in ("query", "key", "value"))
    scale = np.float32(1 / math.sqrt(encoder.hidden // encoder.heads))
    query = (query[0] * scale, query[1] * scale)
    if first_token_only:
        first = [graph.constant("first_token", [0], np.int64), graph.constant("first_token.end", [1], np.int64)]
        residual = graph.node("Slice", [x, *first, first[1]], f"{name}.first_token")
        q = graph.linear(residual, f"{name}.query", *query)
        packed = graph.linear(x, f"{name}.key_value", *_side_by_side(key, value))
        k, v = graph.node_with_outputs("Split", [packed], [f"{name}.key", f"{name}.value"], axis=-1, num_outputs=2)
    else:
        residual = x
        packed = graph.linear(x, f"{name}.query_key_value", *_side_by_side(query, key, value))
        q, k, v = graph.node_with_outputs(
            "Split", [packed], [f"{name}.query", f"{name}.key", f"{name}.value"], axis=-1, num_outputs=3
        )
    heads = [0, 0, encoder.heads, encoder.hidden // encoder.heads]
    split = graph.constant(f"{name}.heads", heads, np.int64)
    q = graph.node("Transpose", [graph.node("Reshape", [q, split], f"{q}.split")], f"{q}.heads", perm=[0, 2, 1, 3])
    k = graph.node("Transpose", [graph.node("Reshape", [k, split], f"{k}.split")], f"{k}.heads", perm=[0, 2, 3, 1])
    v = graph.node("Transpose", [graph.node("Reshape", [v, split], f"{v}.split")], f"{v}.heads", perm=[0, 2, 1, 3])
    scores = graph.node("MatMul", [q, k], f"{name}.scores")
    masked = graph.node("Add", [scores, mask], f"{name}.masked")
    weights = graph.node("Softmax", [masked], f"{name}.weights", axis=-1)
    context = graph.node("MatMul", [weights, v], f"{name}.context")
    together = graph.node("Transpose", [context], f"{name}.together", perm=[0, 2, 1, 3])
    merge = graph.constant(f"{name}.merge", [0, 0, encoder.hidden], np.int64)
    return graph.node("Reshape", [together, merge], f"{name}.attended"), residual


def _add_activation(graph: GraphBuilder, x: str, name: str, activation: str) -> str:
    if activation == "relu":
        return graph.node("Relu", [x], name)
    approximate = "none" if activation == "gelu" else "tanh"
    return graph.node("Gelu", [x], name, approximate=approximate)


def _linear(encoder: Encoder, layer: int, name: str) -> tuple[FloatArray, FloatArray]:
    """Give a linear's weight as (inputs, outputs), and its bias."""
    prefix = f"encoder.layer.{layer}.{name}"
    return encoder.tensors[f"{prefix}.weight"].T, encoder.tensors[f"{prefix}.bias"]


def _norm(encoder: Encoder, layer: int, name: str) -> tuple[FloatArray, FloatArray]:
    prefix = f"encoder.layer.{layer}.{name}"
    return encoder.tensors[f"{prefix}.weight"], encoder.tensors[f"{prefix}.bias"]


def _side_by_side(*linears: tuple[FloatArray, FloatArray]) -> tuple[FloatArray, FloatArray]:
    """Make one linear of several that read the same input."""
    weights, biases = zip(*linears, strict=True)
    return np.concatenate(weights, axis=1), np.concatenate(biases)
