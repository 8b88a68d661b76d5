"""The fp16 layout: for CUDA, with the operators that onnxruntime has fused kernels for there."""

from dataclasses import dataclass

import numpy as np

from ._encoder import FloatArray, Linear, Norm
from ._families import EXACT_GELU, TANH_GELU
from ._graph import GraphBuilder
from ._layout import Layout, add_activation

MICROSOFT = "com.microsoft"


@dataclass(frozen=True)
class Fp16Layout(Layout):
    """float16 from the word embeddings to the last layer.

    Attention, the residual connection with its normalisation, and Gelu with the bias before it are one operator each:
    on CUDA each is one kernel. On the CPU these graphs are slow and there for comparing only.

    Attributes:
        takes_mask: As of `Layout`.
        dtype: As of `Layout`.
        full_bias: As of `Layout`.
    """

    takes_mask: bool = True
    dtype: type[np.floating] = np.float16
    full_bias: bool = True

    def add_linear(self, graph: GraphBuilder, x: str, name: str, linear: Linear) -> str:
        """Add a MatMul and an Add."""
        product = self._add_product(graph, x, f"{name}.product", linear)
        return graph.node("Add", [product, self._add_bias(graph, linear)], name)

    def add_lookup(self, graph: GraphBuilder, table: FloatArray, ids: str, name: str) -> str:
        """Add a Gather."""
        return graph.node("Gather", [graph.constant(f"{name}.table", table, self.dtype), ids], name)

    def add_attention(
        self,
        graph: GraphBuilder,
        qkv: tuple[str, str, str],
        bias: str | None,
        name: str,
        *,
        heads: int,
        hidden: int,  # noqa: ARG002 - as `Layout`
    ) -> str:
        """Add a MultiHeadAttention; the query is scaled already."""
        graph.use_domain(MICROSOFT, 1)
        inputs = [*qkv, "", "", bias] if bias else list(qkv)  # between them: a bias of the linears, and lengths
        return graph.node(
            "MultiHeadAttention", inputs, f"{name}.attended", domain=MICROSOFT, num_heads=heads, scale=1.0
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
