"""What differs between the graphs of one checkpoint: float32 and standard operators here, other layouts beside it."""

import math

import numpy as np

from ._encoder import Encoder, FloatArray, Layer, Linear, Norm
from ._families import EXACT_GELU, RELU, SILU
from ._graph import BOOL, INT64, GraphBuilder


class Layout:
    """How one variant of the graph writes the parts that cost time or bytes: float32 and standard operators here.

    Attributes:
        takes_mask: Whether the graph has an attention_mask; without one it takes batches of equal length only.
        ids: Element type of the token ids and of the mask.
        dtype: What the encoder computes in.
    """

    takes_mask: bool = True
    ids: type[np.signedinteger] = np.int64
    dtype: type[np.floating] = np.float32

    def add_linear(self, graph: GraphBuilder, x: str, name: str, linear: Linear) -> str:
        """Add `x @ weight + bias` over the last axis."""
        weight = graph.constant(f"{linear.name}.weight", linear.weight)
        product = graph.node("MatMul", [x, weight], f"{name}.product")
        return graph.node("Add", [product, graph.constant(f"{linear.name}.bias", linear.bias)], name)

    def add_lookup(self, graph: GraphBuilder, table: FloatArray, ids: str, name: str) -> str:
        """Add the lookup of rows of `table` by ids."""
        return graph.node("Gather", [graph.constant(f"{name}.table", table), ids], name)

    def add_embeddings(self, graph: GraphBuilder, encoder: Encoder, input_ids: str) -> str:
        """Add the embeddings of words and positions, summed and normalised: (batch, sequence, width)."""
        words = self.add_lookup(graph, encoder.words, input_ids, "embeddings.words")
        total = graph.node("Add", [words, _add_positions(graph, encoder, input_ids)], "embeddings.sum")
        return graph.layer_norm(total, "embeddings.norm", encoder.embedding_norm)

    def add_attention_bias(
        self, graph: GraphBuilder, encoder: Encoder, input_ids: str, attention_mask: str | None
    ) -> str | None:
        """Add what is added to all attention scores.

        Args:
            graph: Where to add it.
            encoder: Whether scores depend on relative positions.
            input_ids: (batch, sequence).
            attention_mask: (batch, sequence), 1 for tokens and 0 for padding; None if there is never any padding.

        Returns:
            Broadcast to (batch, heads, sequence, sequence); None if there is nothing to add.
        """
        mask = _add_mask(graph, attention_mask) if attention_mask else None
        relative = None if encoder.relative_bias is None else _add_relative_bias(graph, encoder, input_ids)
        if mask and relative:
            return graph.node("Add", [relative, mask], "attention_bias")
        return mask or relative

    def add_self_attention(
        self,
        graph: GraphBuilder,
        encoder: Encoder,
        layer: Layer,
        x: str,
        name: str,
        *,
        bias: str | None,
        first_token_only: bool,
    ) -> tuple[str, str]:
        """Add a layer's attention, without the linear after it.

        Args:
            graph: Where to add it.
            encoder: The number of heads.
            layer: The weights.
            x: (batch, sequence, hidden).
            name: What the nodes are named after.
            bias: As `add_attention_bias` gives it.
            first_token_only: Whether only what the first token puts out is wanted.

        Returns:
            The values, and what the residual connection adds to them: (batch, sequence or 1, hidden).
        """
        query, key, value = scaled(encoder, layer)
        own = f"{layer.name}.attention"  # the weights' name, which layers may share
        if first_token_only:
            start, end = graph.constant("first_token", [0], np.int64), graph.constant("first_token.end", [1], np.int64)
            residual = graph.node("Slice", [x, start, end, end], f"{name}.first_token")
            q = self.add_linear(graph, residual, f"{name}.query", query)
            packed = self.add_linear(graph, x, f"{name}.key_value", side_by_side(f"{own}.key_value", key, value))
            k, v = graph.node_with_outputs("Split", [packed], [f"{name}.key", f"{name}.value"], axis=-1, num_outputs=2)
            if bias and encoder.relative_bias is not None:
                two = graph.constant("first_token.axis", [2], np.int64)
                bias = graph.node("Slice", [bias, start, end, two], f"{name}.bias")
        else:
            residual = x
            weights = side_by_side(f"{own}.query_key_value", query, key, value)
            packed = self.add_linear(graph, x, f"{name}.query_key_value", weights)
            parts = [f"{name}.query", f"{name}.key", f"{name}.value"]
            q, k, v = graph.node_with_outputs("Split", [packed], parts, axis=-1, num_outputs=3)
        attended = self.add_attention(graph, (q, k, v), bias, name, heads=encoder.heads, hidden=encoder.hidden)
        return attended, residual

    def add_attention(
        self, graph: GraphBuilder, qkv: tuple[str, str, str], bias: str | None, name: str, *, heads: int, hidden: int
    ) -> str:
        """Add multi-head attention between the linears.

        Args:
            graph: Where to add it.
            qkv: Query, scaled already, key and value, each (batch, sequence, hidden).
            bias: What is added to the scores, broadcast to (batch, heads, sequence, sequence); None for nothing.
            name: That of the values.
            heads: Number of heads.
            hidden: Width of all heads together.
        """
        shape = graph.constant("attention.heads", [0, 0, heads, hidden // heads], np.int64)
        orders = ((0, 2, 1, 3), (0, 2, 3, 1), (0, 2, 1, 3))
        q, k, v = (
            graph.node("Transpose", [graph.node("Reshape", [x, shape], f"{x}.split")], f"{x}.heads", perm=list(order))
            for x, order in zip(qkv, orders, strict=True)
        )
        scores = graph.node("MatMul", [q, k], f"{name}.scores")
        if bias:
            scores = graph.node("Add", [scores, bias], f"{name}.masked")
        weights = graph.node("Softmax", [scores], f"{name}.weights", axis=-1)
        context = graph.node("MatMul", [weights, v], f"{name}.context")
        together = graph.node("Transpose", [context], f"{name}.together", perm=[0, 2, 1, 3])
        merge = graph.constant("attention.merge", [0, 0, hidden], np.int64)
        return graph.node("Reshape", [together, merge], f"{name}.attended")

    def add_output(self, graph: GraphBuilder, x: str, residual: str, name: str, *, linear: Linear, norm: Norm) -> str:
        """Add the linear at the end of a part, the residual connection and the normalisation."""
        projected = self.add_linear(graph, x, f"{name}.output", linear)
        summed = graph.node("Add", [projected, residual], f"{name}.residual")
        return graph.layer_norm(summed, f"{name}.norm", norm)

    def add_activated(self, graph: GraphBuilder, x: str, name: str, linear: Linear, activation: str) -> str:
        """Add the linear into the feed-forward part, and its activation (transformers' name)."""
        return add_activation(graph, self.add_linear(graph, x, name, linear), f"{name}.activation", activation)


def add_activation(graph: GraphBuilder, x: str, name: str, activation: str) -> str:
    """Add an activation, by transformers' name."""
    if activation in RELU:
        return graph.node("Relu", [x], name)
    if activation in SILU:
        return graph.node("Mul", [x, graph.node("Sigmoid", [x], f"{name}.gate")], name)
    return graph.node("Gelu", [x], name, approximate="none" if activation in EXACT_GELU else "tanh")


def scaled(encoder: Encoder, layer: Layer) -> tuple[Linear, Linear, Linear]:
    """Give the linears of query, key and value, the query's with the attention's scale in it."""
    scale = np.float32(1 / math.sqrt(encoder.hidden // encoder.heads))
    return Linear(layer.query.name, layer.query.weight * scale, layer.query.bias * scale), layer.key, layer.value


def side_by_side(name: str, *linears: Linear) -> Linear:
    """Make one linear of several that read the same input."""
    weights: list[FloatArray] = [linear.weight for linear in linears]
    return Linear(name, np.concatenate(weights, axis=1), np.concatenate([linear.bias for linear in linears]))


def _add_mask(graph: GraphBuilder, attention_mask: str) -> str:
    """Turn the mask into 0 for tokens and the lowest number for padding: (batch, 1, 1, sequence)."""
    is_token = graph.node("Cast", [attention_mask], "mask.is_token", to=BOOL)
    choices = [graph.constant("mask.token", 0.0), graph.constant("mask.padding", np.finfo(np.float32).min)]
    bias = graph.node("Where", [is_token, *choices], "mask.bias")
    return graph.node("Unsqueeze", [bias, graph.constant("mask.axes", [1, 2], np.int64)], "mask")


def _add_relative_bias(graph: GraphBuilder, encoder: Encoder, input_ids: str) -> str:
    """Add the bias by relative position: (1, heads, sequence, sequence)."""
    longest = encoder.max_length
    table = graph.constant("relative_bias.table", encoder.relative_bias)  # type: ignore[arg-type] # asked by the caller
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


def _add_positions(graph: GraphBuilder, encoder: Encoder, input_ids: str) -> str:
    """Add the position embeddings: (sequence, width), or (batch, sequence, width) where they depend on the ids."""
    table = graph.constant("embeddings.positions.table", encoder.positions)
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
