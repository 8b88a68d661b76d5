"""The fp16 layout: for CUDA, with the operators that onnxruntime has fused kernels for there."""

from dataclasses import dataclass

import numpy as np

from ._encoder import Encoder, FloatArray, Layer, Linear, Norm
from ._families import EXACT_GELU, TANH_GELU
from ._graph import BOOL, FLOAT16, GraphBuilder
from ._layout import Layout, add_activation, scaled, side_by_side

MICROSOFT = "com.microsoft"
PADDING = np.finfo(np.float16).min / 2
"""What is added to a score to leave a token out: far below any score, and a score may still be added to it."""


@dataclass(frozen=True)
class Fp16Layout(Layout):
    """float16 from the word embeddings to the last layer, in as few kernels as onnxruntime's CUDA provider has.

    The embeddings with their normalisation, query, key and value with the attention, the residual connection with its
    normalisation, and Gelu with the bias before it are one operator each. No node needs the CPU: shapes are taken from
    tensors, not put together from numbers. On the CPU these graphs are slow and there for comparing only.

    Attributes:
        takes_mask: As of `Layout`.
        ids: As of `Layout`; half the bytes to copy to the device.
        dtype: As of `Layout`.
    """

    takes_mask: bool = True
    ids: type[np.signedinteger] = np.int32
    dtype: type[np.floating] = np.float16

    def add_linear(self, graph: GraphBuilder, x: str, name: str, linear: Linear) -> str:
        """Add a MatMul and an Add."""
        product = self._add_product(graph, x, f"{name}.product", linear)
        return graph.node("Add", [product, self._add_bias(graph, linear)], name)

    def add_embeddings(self, graph: GraphBuilder, encoder: Encoder, input_ids: str) -> str:
        """Add an EmbedLayerNormalization; it counts positions by itself where they are the tokens' places."""
        rows = "" if encoder.padding_id is None else _add_counts(graph, encoder.padding_id, input_ids)
        return self.add_embedding_norm(graph, encoder, input_ids, rows)

    def add_embedding_norm(self, graph: GraphBuilder, encoder: Encoder, input_ids: str, rows: str) -> str:
        """Add the EmbedLayerNormalization.

        Args:
            graph: Where to add it.
            encoder: The tables.
            input_ids: int32 (batch, sequence).
            rows: int32 (batch, sequence), the rows of the position embeddings, from that of the padding token on where
                positions are counted; empty where row i belongs to token i.
        """
        graph.use_domain(MICROSOFT, 1)
        norm = encoder.embedding_norm
        words, positions, weight, bias = (
            graph.constant(name, value, self.dtype)
            for name, value in (
                ("embeddings.words.table", encoder.words),
                ("embeddings.positions.table", encoder.positions[encoder.padding_id or 0 :]),
                (f"{norm.name}.weight", norm.weight),
                (f"{norm.name}.bias", norm.bias),
            )
        )
        inputs = [input_ids, "", words, positions, "", weight, bias, "", *([rows] if rows else [])]
        outputs = ["embeddings.norm", "embeddings.lengths"]  # the second has to have a name; nothing reads it
        return graph.node_with_outputs(
            "EmbedLayerNormalization", inputs, outputs, domain=MICROSOFT, epsilon=norm.epsilon
        )[0]

    def add_attention_bias(
        self,
        graph: GraphBuilder,
        encoder: Encoder,
        input_ids: str,  # noqa: ARG002 - as `Layout`
        attention_mask: str | None,
    ) -> str | None:
        """Add a bias with a number for every pair of tokens: (batch, 1 or heads, sequence, sequence).

        That is the form of a mask that a fused kernel takes on every architecture: see the README.

        Raises:
            ValueError: There is no mask.
        """
        if attention_mask is None:
            raise ValueError("attention_mask: expected a mask for the fp16 layout, got none; give the graph that input")
        mask = _add_mask(graph, attention_mask)
        if encoder.relative_bias is None:
            return mask
        relative = _add_relative_bias(graph, encoder.relative_bias, encoder.max_length, mask)
        return graph.node("Add", [relative, mask], "attention_bias")

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
        """Add an Attention, which has the linears inside.

        Of the first token alone its values are cut out afterwards: a single query would not get a fused kernel.
        """
        graph.use_domain(MICROSOFT, 1)
        weights = side_by_side(f"{layer.name}.attention.query_key_value", *scaled(encoder, layer))
        inputs = [
            x,
            graph.constant(f"{weights.name}.weight", weights.weight, self.dtype),
            self._add_bias(graph, weights),
        ]
        if bias:
            inputs += ["", "", bias]  # between them: lengths, and what was computed before
        attended = graph.node(
            "Attention", inputs, f"{name}.attended", domain=MICROSOFT, num_heads=encoder.heads, scale=1.0
        )
        if not first_token_only:
            return attended, x
        start, end = graph.constant("first_token", [0], np.int64), graph.constant("first_token.end", [1], np.int64)
        return (
            graph.node("Slice", [attended, start, end, end], f"{name}.attended.first_token"),
            graph.node("Slice", [x, start, end, end], f"{name}.first_token"),
        )

    def add_output(self, graph: GraphBuilder, x: str, residual: str, name: str, *, linear: Linear, norm: Norm) -> str:
        """Add a MatMul and a SkipLayerNormalization, which takes the bias too."""
        graph.use_domain(MICROSOFT, 1)
        product = self._add_product(graph, x, f"{name}.output.product", linear)
        constants = [
            graph.constant(f"{norm.name}.weight", norm.weight, self.dtype),
            graph.constant(f"{norm.name}.bias", norm.bias, self.dtype),
            self._add_bias(graph, linear),
        ]
        return graph.node(
            "SkipLayerNormalization",
            [product, residual, *constants],
            f"{name}.norm",
            domain=MICROSOFT,
            epsilon=norm.epsilon,
        )

    def add_activated(self, graph: GraphBuilder, x: str, name: str, linear: Linear, activation: str) -> str:
        """Add a MatMul and, where the activation is a Gelu, one operator for it and the bias."""
        operator = {**dict.fromkeys(EXACT_GELU, "BiasGelu"), **dict.fromkeys(TANH_GELU, "FastGelu")}.get(activation)
        if operator is None:
            return add_activation(graph, self.add_linear(graph, x, name, linear), f"{name}.activation", activation)
        graph.use_domain(MICROSOFT, 1)
        product = self._add_product(graph, x, f"{name}.product", linear)
        return graph.node(operator, [product, self._add_bias(graph, linear)], f"{name}.activation", domain=MICROSOFT)

    def _add_product(self, graph: GraphBuilder, x: str, name: str, linear: Linear) -> str:
        return graph.node("MatMul", [x, graph.constant(f"{linear.name}.weight", linear.weight, self.dtype)], name)

    def _add_bias(self, graph: GraphBuilder, linear: Linear) -> str:
        return graph.constant(f"{linear.name}.bias", linear.bias, self.dtype)


def _add_counts(graph: GraphBuilder, padding_id: int, input_ids: str) -> str:
    """Add each token's number among those that are not the padding token, from 1 on; 0 for that one: int32."""
    padding = graph.constant("embeddings.padding_id", padding_id, np.int32)
    zero, one = graph.constant("embeddings.zero", 0, np.int32), graph.constant("embeddings.one", 1, np.int32)
    is_padding = graph.node("Equal", [input_ids, padding], "embeddings.is_padding")
    counts = graph.node("Where", [is_padding, zero, one], "embeddings.counts")
    axis = graph.constant("embeddings.counts.axis", 1, np.int64)
    return graph.node(
        "Mul", [graph.node("CumSum", [counts, axis], "embeddings.count"), counts], "embeddings.positions.rows"
    )


def _add_mask(graph: GraphBuilder, attention_mask: str) -> str:
    """Turn the mask into a bias that is lowest where the token looked at is padding: (batch, 1, sequence, sequence).

    Elsewhere it is what the mask has for the token that looks, one number for the whole row, which the softmax does not
    see: so the row gets its length without a computed shape, which would be put together on the CPU.
    """
    keys = graph.constant("mask.keys.axes", [1, 2], np.int64)
    queries = graph.constant("mask.queries.axes", [1, 3], np.int64)
    is_token = graph.node("Cast", [attention_mask], "mask.is_token", to=BOOL)
    number = graph.node("Cast", [attention_mask], "mask.number", to=FLOAT16)
    choices = [
        graph.node("Unsqueeze", [is_token, keys], "mask.keys"),
        graph.node("Unsqueeze", [number, queries], "mask.queries"),
        graph.constant("mask.padding", PADDING, np.float16),
    ]
    return graph.node("Where", choices, "mask")


def _add_relative_bias(graph: GraphBuilder, values: FloatArray, longest: int, mask: str) -> str:
    """Add the bias by relative position, cut from a table for the longest text: (1, heads, sequence, sequence)."""
    places = np.arange(longest)
    table = values[:, places - places[:, None] + longest - 1]
    lengths = graph.node("Shape", [mask], "relative_bias.lengths", start=2, end=4)
    starts = graph.constant("relative_bias.starts", [0, 0], np.int64)
    axes = graph.constant("relative_bias.axes", [2, 3], np.int64)
    whole = graph.constant("relative_bias.table", table[None], np.float16)
    return graph.node("Slice", [whole, starts, lengths, axes], "relative_bias")
