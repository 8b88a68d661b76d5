"""The encoder's part of the graph: token ids to token embeddings."""

import math
from dataclasses import dataclass

import numpy as np

from ._encoder import Encoder, FloatArray, Layer, Linear
from ._graph import BOOL, INT64, GraphBuilder
from ._layout import Layout


def add_encoder(
    graph: GraphBuilder, layout: Layout, encoder: Encoder, input_ids: str, attention_mask: str | None, *, cls_only: bool
) -> str:
    """Add an encoder, written from the checkpoint's tensors.

    The order of things differs from a trace in what costs time: the position and token-type tables are one table,
    query, key and value are one product, the scale of the attention is folded into the query's weights, and, where only
    the first token's embedding is used, the last layer computes no other.

    Args:
        graph: Where to add it.
        layout: How the parts that cost time are written.
        encoder: Weights and shape.
        input_ids: int64 (batch, sequence).
        attention_mask: int64 (batch, sequence), 1 for tokens and 0 for padding; None if there is never any padding.
        cls_only: Whether the embedding of the first token is all that is wanted.

    Returns:
        The token embeddings, (batch, sequence, hidden), or (batch, 1, hidden) with `cls_only`, in the layout's type.
    """
    writer = _Writer(graph, layout, encoder)
    bias = writer.add_attention_bias(input_ids, attention_mask)
    hidden_states = writer.add_embeddings(input_ids)
    for number, layer in enumerate(encoder.layers):
        first_token_only = cls_only and number == len(encoder.layers) - 1
        hidden_states = writer.add_layer(
            f"layer.{number}", layer, hidden_states, bias, first_token_only=first_token_only
        )
    return hidden_states


@dataclass(frozen=True, slots=True)
class _Writer:
    """Writes one encoder into one graph."""

    graph: GraphBuilder
    layout: Layout
    encoder: Encoder

    def add_attention_bias(self, input_ids: str, attention_mask: str | None) -> str | None:
        """Add what is added to all attention scores.

        Returns:
            (batch or 1, heads or 1, sequence or 1, sequence); None if there is nothing to add.
        """
        mask = self._add_mask(attention_mask) if attention_mask else None
        table = self.encoder.relative_bias
        relative = None if table is None else self._add_relative_bias(table, input_ids)
        if mask and relative:
            return self.graph.node("Add", [relative, mask], "attention_bias")
        if mask and self.layout.full_bias:
            pairs = self._add_pairs(input_ids)
            return self.graph.node("Expand", [mask, pairs], "attention_bias")
        return mask or relative

    def _add_pairs(self, input_ids: str) -> str:
        """Add the shape of a number for every pair of tokens of every text: batch, 1, sequence, sequence."""
        graph = self.graph
        batch = graph.node("Shape", [input_ids], "pairs.batch", start=0, end=1)
        length = graph.node("Shape", [input_ids], "pairs.length", start=1, end=2)
        one = graph.constant("pairs.heads", [1], np.int64)
        return graph.node("Concat", [batch, one, length, length], "pairs", axis=0)

    def _add_mask(self, attention_mask: str) -> str:
        """Turn the mask into 0 for tokens and the lowest number for padding: (batch, 1, 1, sequence)."""
        graph, dtype = self.graph, self.layout.dtype
        is_token = graph.node("Cast", [attention_mask], "mask.is_token", to=BOOL)
        choices = [graph.constant("mask.token", 0.0, dtype), graph.constant("mask.padding", np.finfo(dtype).min, dtype)]
        bias = graph.node("Where", [is_token, *choices], "mask.bias")
        return graph.node("Unsqueeze", [bias, graph.constant("mask.axes", [1, 2], np.int64)], "mask")

    def _add_relative_bias(self, values: FloatArray, input_ids: str) -> str:
        """Add the bias by relative position: (1, heads, sequence, sequence)."""
        graph, longest = self.graph, self.encoder.max_length
        table = graph.constant("relative_bias.table", values, self.layout.dtype)
        zero = graph.constant("relative_bias.zero", [0], np.int64)
        length = graph.node("Shape", [input_ids], "relative_bias.length", start=1, end=2)
        places = graph.node(
            "Slice",
            [graph.constant("relative_bias.places", np.arange(longest), np.int64), zero, length, zero],
            "relative_bias.keys",
        )
        queries = graph.node(
            "Unsqueeze", [places, graph.constant("relative_bias.axis", [1], np.int64)], "relative_bias.queries"
        )
        distances = graph.node("Sub", [places, queries], "relative_bias.distances")
        columns = graph.node(
            "Add", [distances, graph.constant("relative_bias.middle", longest - 1, np.int64)], "relative_bias.columns"
        )
        bias = graph.node("Gather", [table, columns], "relative_bias.heads", axis=1)
        return graph.node("Unsqueeze", [bias, zero], "relative_bias")

    def add_embeddings(self, input_ids: str) -> str:
        graph, encoder = self.graph, self.encoder
        words = self.layout.add_lookup(graph, encoder.words, input_ids, "embeddings.words")
        total = graph.node("Add", [words, self._add_positions(input_ids)], "embeddings.sum")
        embeddings = graph.layer_norm(total, "embeddings.norm", encoder.embedding_norm, self.layout.dtype)
        if encoder.projection is None:
            return embeddings
        return self.layout.add_linear(graph, embeddings, "embeddings.projection", encoder.projection)

    def _add_positions(self, input_ids: str) -> str:
        """Add the position embeddings: (sequence, width), or (batch, sequence, width) where they depend on the ids."""
        graph, encoder = self.graph, self.encoder
        table = graph.constant("embeddings.positions.table", encoder.positions, self.layout.dtype)
        if encoder.padding_id is None:
            length = graph.node("Shape", [input_ids], "embeddings.length", start=1, end=2)
            zero = graph.constant("embeddings.positions.zero", [0], np.int64)
            return graph.node("Slice", [table, zero, length, zero], "embeddings.positions")
        # A token counts unless it is the padding token, also where a text spells that token out.
        padding = graph.constant("embeddings.padding_id", encoder.padding_id, np.int64)
        is_padding = graph.node("Equal", [input_ids, padding], "embeddings.is_padding")
        counts = graph.node(
            "Cast", [graph.node("Not", [is_padding], "embeddings.counts.bool")], "embeddings.counts", to=INT64
        )
        axis = graph.constant("embeddings.counts.axis", 1, np.int64)
        counted = graph.node(
            "Mul", [graph.node("CumSum", [counts, axis], "embeddings.count"), counts], "embeddings.counted"
        )
        rows = graph.node("Add", [counted, padding], "embeddings.positions.rows")
        return graph.node("Gather", [table, rows], "embeddings.positions")

    def add_layer(self, name: str, layer: Layer, x: str, bias: str | None, *, first_token_only: bool) -> str:
        graph, layout = self.graph, self.layout
        attended, residual = self._add_attention(f"{name}.attention", layer, x, bias, first_token_only=first_token_only)
        attention = layout.add_output(
            graph, attended, residual, f"{name}.attention", linear=layer.attention_output, norm=layer.attention_norm
        )
        activated = layout.add_activated(
            graph, attention, f"{name}.intermediate", layer.intermediate, self.encoder.activation
        )
        return layout.add_output(graph, activated, attention, name, linear=layer.output, norm=layer.norm)

    def _add_attention(
        self, name: str, layer: Layer, x: str, bias: str | None, *, first_token_only: bool
    ) -> tuple[str, str]:
        """Add multi-head attention; return what it puts out and the value for the residual connection."""
        graph, layout, heads = self.graph, self.layout, self.encoder.heads
        scale = np.float32(1 / math.sqrt(self.encoder.hidden // heads))
        query = Linear(layer.query.name, layer.query.weight * scale, layer.query.bias * scale)
        own = f"{layer.name}.attention"  # the weights' name, which layers may share
        if first_token_only:
            start, end = graph.constant("first_token", [0], np.int64), graph.constant("first_token.end", [1], np.int64)
            residual = graph.node("Slice", [x, start, end, end], f"{name}.first_token")
            q = layout.add_linear(graph, residual, f"{name}.query", query)
            packed = layout.add_linear(
                graph, x, f"{name}.key_value", _side_by_side(f"{own}.key_value", layer.key, layer.value)
            )
            k, v = graph.node_with_outputs("Split", [packed], [f"{name}.key", f"{name}.value"], axis=-1, num_outputs=2)
            if bias and (layout.full_bias or self.encoder.relative_bias is not None):
                two = graph.constant("first_token.axis", [2], np.int64)
                bias = graph.node("Slice", [bias, start, end, two], f"{name}.bias")
        else:
            residual = x
            weights = _side_by_side(f"{own}.query_key_value", query, layer.key, layer.value)
            packed = layout.add_linear(graph, x, f"{name}.query_key_value", weights)
            parts = [f"{name}.query", f"{name}.key", f"{name}.value"]
            q, k, v = graph.node_with_outputs("Split", [packed], parts, axis=-1, num_outputs=3)
        return layout.add_attention(graph, (q, k, v), bias, name, heads=heads, hidden=self.encoder.hidden), residual


def _side_by_side(name: str, *linears: Linear) -> Linear:
    """Make one linear of several that read the same input."""
    weights: list[FloatArray] = [linear.weight for linear in linears]
    return Linear(name, np.concatenate(weights, axis=1), np.concatenate([linear.bias for linear in linears]))
