"""The encoder's part of the graph: token ids to token embeddings."""

import math
from dataclasses import dataclass

import numpy as np

from ._checkpoint import Encoder, FloatArray
from ._graph import BOOL, GraphBuilder
from ._layout import Layout


def add_encoder(
    graph: GraphBuilder, layout: Layout, encoder: Encoder, input_ids: str, attention_mask: str | None, *, cls_only: bool
) -> str:
    """Add a BERT encoder, written from the checkpoint's tensors.

    The order of things differs from a trace in what costs time: the position and token-type tables are one table,
    query, key and value are one product, the scale of the attention is folded into the query's weights, and, where only
    the first token's embedding is used, the last layer computes no other.

    Args:
        graph: Where to add it.
        layout: How linears and the embedding's lookup are written.
        encoder: Weights and shape.
        input_ids: int64 (batch, sequence).
        attention_mask: int64 (batch, sequence), 1 for tokens and 0 for padding; None if there is never any padding.
        cls_only: Whether the embedding of the first token is all that is wanted.

    Returns:
        The token embeddings, float32 (batch, sequence, hidden), or (batch, 1, hidden) with `cls_only`.
    """
    mask = _add_mask(graph, attention_mask) if attention_mask else None
    writer = _Writer(graph, layout, encoder, mask)
    hidden_states = writer.add_embeddings(input_ids)
    for layer in range(encoder.layers):
        first_token_only = cls_only and layer == encoder.layers - 1
        hidden_states = writer.add_layer(layer, hidden_states, first_token_only=first_token_only)
    return hidden_states


def _add_mask(graph: GraphBuilder, attention_mask: str) -> str:
    """Turn the mask into what is added to the attention scores: 0 for tokens, the lowest float for padding."""
    is_token = graph.node("Cast", [attention_mask], "mask.is_token", to=BOOL)
    choices = [graph.constant("mask.token", 0.0), graph.constant("mask.padding", np.finfo(np.float32).min)]
    bias = graph.node("Where", [is_token, *choices], "mask.bias")
    return graph.node("Unsqueeze", [bias, graph.constant("mask.axes", [1, 2], np.int64)], "mask")


@dataclass(frozen=True, slots=True)
class _Writer:
    """Writes one encoder into one graph.

    Attributes:
        graph: Where to.
        layout: How linears and the embedding's lookup are written.
        encoder: Weights and shape.
        mask: What is added to the attention scores, float32 (batch, 1, 1, sequence); None if there is no padding.
    """

    graph: GraphBuilder
    layout: Layout
    encoder: Encoder
    mask: str | None

    def add_embeddings(self, input_ids: str) -> str:
        graph, tensors = self.graph, self.encoder.tensors
        # A classifier's texts are single sentences, so every token is of type 0.
        position_table = (
            tensors["embeddings.position_embeddings.weight"] + tensors["embeddings.token_type_embeddings.weight"][0]
        )
        word_table = tensors["embeddings.word_embeddings.weight"]
        words = self.layout.add_lookup(graph, word_table, input_ids, "embeddings.words")
        length = graph.node("Shape", [input_ids], "embeddings.length", start=1, end=2)
        bounds = [
            graph.constant("embeddings.positions.start", [0], np.int64),
            length,
            graph.constant("embeddings.positions.axis", [0], np.int64),
        ]
        table = graph.constant("embeddings.positions.table", position_table)
        positions = graph.node("Slice", [table, *bounds], "embeddings.positions")
        total = graph.node("Add", [words, positions], "embeddings.sum")
        norm = (tensors["embeddings.LayerNorm.weight"], tensors["embeddings.LayerNorm.bias"])
        return graph.layer_norm(total, "embeddings.norm", *norm, self.encoder.epsilon)

    def add_layer(self, layer: int, x: str, *, first_token_only: bool) -> str:
        graph, name = self.graph, f"layer.{layer}"
        attended, residual = self._add_attention(layer, x, first_token_only=first_token_only)
        projected = self._add_linear(
            attended, f"{name}.attention.output", self._linear(layer, "attention.output.dense")
        )
        summed = graph.node("Add", [projected, residual], f"{name}.attention.residual")
        attention = self._add_norm(summed, f"{name}.attention.norm", layer, "attention.output.LayerNorm")
        inner = self._add_linear(attention, f"{name}.intermediate", self._linear(layer, "intermediate.dense"))
        activated = self._add_activation(inner, f"{name}.activation")
        outer = self._add_linear(activated, f"{name}.output", self._linear(layer, "output.dense"))
        summed = graph.node("Add", [outer, attention], f"{name}.residual")
        return self._add_norm(summed, f"{name}.norm", layer, "output.LayerNorm")

    def _add_attention(self, layer: int, x: str, *, first_token_only: bool) -> tuple[str, str]:
        """Add multi-head attention; return what it puts out and the value for the residual connection."""
        graph, encoder, name = self.graph, self.encoder, f"layer.{layer}.attention"
        query, key, value = (self._linear(layer, f"attention.self.{part}") for part in ("query", "key", "value"))
        scale = np.float32(1 / math.sqrt(encoder.hidden // encoder.heads))
        query = (query[0] * scale, query[1] * scale)
        if first_token_only:
            start, end = graph.constant("first_token", [0], np.int64), graph.constant("first_token.end", [1], np.int64)
            residual = graph.node("Slice", [x, start, end, end], f"{name}.first_token")
            q = self._add_linear(residual, f"{name}.query", query)
            packed = self._add_linear(x, f"{name}.key_value", _side_by_side(key, value))
            k, v = graph.node_with_outputs("Split", [packed], [f"{name}.key", f"{name}.value"], axis=-1, num_outputs=2)
        else:
            residual = x
            packed = self._add_linear(x, f"{name}.query_key_value", _side_by_side(query, key, value))
            parts = [f"{name}.query", f"{name}.key", f"{name}.value"]
            q, k, v = graph.node_with_outputs("Split", [packed], parts, axis=-1, num_outputs=3)
        heads = graph.constant(f"{name}.heads", [0, 0, encoder.heads, encoder.hidden // encoder.heads], np.int64)
        q = graph.node("Transpose", [graph.node("Reshape", [q, heads], f"{q}.split")], f"{q}.heads", perm=[0, 2, 1, 3])
        k = graph.node("Transpose", [graph.node("Reshape", [k, heads], f"{k}.split")], f"{k}.heads", perm=[0, 2, 3, 1])
        v = graph.node("Transpose", [graph.node("Reshape", [v, heads], f"{v}.split")], f"{v}.heads", perm=[0, 2, 1, 3])
        scores = graph.node("MatMul", [q, k], f"{name}.scores")
        if self.mask:
            scores = graph.node("Add", [scores, self.mask], f"{name}.masked")
        weights = graph.node("Softmax", [scores], f"{name}.weights", axis=-1)
        context = graph.node("MatMul", [weights, v], f"{name}.context")
        together = graph.node("Transpose", [context], f"{name}.together", perm=[0, 2, 1, 3])
        merge = graph.constant(f"{name}.merge", [0, 0, encoder.hidden], np.int64)
        return graph.node("Reshape", [together, merge], f"{name}.attended"), residual

    def _add_linear(self, x: str, name: str, linear: tuple[FloatArray, FloatArray]) -> str:
        return self.layout.add_linear(self.graph, x, name, *linear)

    def _add_norm(self, x: str, name: str, layer: int, norm: str) -> str:
        prefix = f"encoder.layer.{layer}.{norm}"
        weight, bias = self.encoder.tensors[f"{prefix}.weight"], self.encoder.tensors[f"{prefix}.bias"]
        return self.graph.layer_norm(x, name, weight, bias, self.encoder.epsilon)

    def _add_activation(self, x: str, name: str) -> str:
        if self.encoder.activation == "relu":
            return self.graph.node("Relu", [x], name)
        approximate = "none" if self.encoder.activation == "gelu" else "tanh"
        return self.graph.node("Gelu", [x], name, approximate=approximate)

    def _linear(self, layer: int, name: str) -> tuple[FloatArray, FloatArray]:
        """Give a linear's weight as (inputs, outputs), and its bias."""
        prefix = f"encoder.layer.{layer}.{name}"
        return self.encoder.tensors[f"{prefix}.weight"].T, self.encoder.tensors[f"{prefix}.bias"]


def _side_by_side(*linears: tuple[FloatArray, FloatArray]) -> tuple[FloatArray, FloatArray]:
    """Make one linear of several that read the same input."""
    weights, biases = zip(*linears, strict=True)
    return np.concatenate(weights, axis=1), np.concatenate(biases)
