"""The int8 layout: for CPUs, with standard operators that engines fuse into integer kernels at load."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ._encoder import FloatArray, Linear
from ._graph import FLOAT, GraphBuilder
from ._layout import Layout

ATTENTION_OPSET = 23
"""The first with a standard Attention."""


@dataclass(frozen=True, slots=True)
class Range:
    """What calibration saw of one linear's input.

    Attributes:
        lowest: float32 (inputs,), the smallest value of each channel.
        highest: float32 (inputs,), the largest.
    """

    lowest: FloatArray
    highest: FloatArray

    @property
    def magnitude(self) -> FloatArray:
        """float32 (inputs,), the largest absolute value of each channel."""
        return np.maximum(np.abs(self.lowest), np.abs(self.highest))


@dataclass(frozen=True)
class Int8Layout(Layout):
    """int8 weights, a scale an output channel, and uint8 activations with one static scale a linear; no mask.

    Standard QuantizeLinear and DequantizeLinear around each linear: onnxruntime and OpenVINO both fuse them with the
    MatMul into one integer kernel at load. Static scales give a text the same answer alone and in any batch. Attention
    is one operator.

    Attributes:
        ranges: What each linear's input spans, after smoothing, by the name of its place in the graph.
        divisors: What each linear's input channels are divided by, where nothing before the linear absorbed it, by
            the weights' name.
        shared: Names of the weights that several places use.
        takes_mask: As of `Layout`.
    """

    ranges: Mapping[str, Range]
    divisors: Mapping[str, FloatArray]
    shared: frozenset[str] = frozenset()
    takes_mask: bool = False

    def add_linear(self, graph: GraphBuilder, x: str, name: str, linear: Linear) -> str:
        """Add a quantized linear, smoothed."""
        weight = linear.weight
        if linear.name in self.divisors:
            divisor = self.divisors[linear.name]
            factor = graph.constant(f"{linear.name}.smoothing", 1 / divisor)
            x = graph.node("Mul", [x, factor], f"{name}.smoothed")
            weight = weight * divisor[:, None]
        scale, zero = _uint8_scale(self.ranges[name])
        parameters = [
            graph.constant(f"{name}.input.scale", scale),
            graph.constant(f"{name}.input.zero", zero, np.uint8),
        ]
        quantized = graph.node("QuantizeLinear", [x, *parameters], f"{name}.input.quantized")
        activations = graph.node("DequantizeLinear", [quantized, *parameters], f"{name}.input")
        integers, scales = _int8_columns(weight)
        table = graph.constant(f"{linear.name}.weight.quantized", integers, np.int8)
        if linear.name in self.shared:
            # onnxruntime cannot rewrite one table for several products. A slice of all of it, folded at load, gives
            # each its own; the end lies behind the last row, elsewhere for each: equal slices would be merged again.
            start = graph.constant("weight.start", [0], np.int64)
            end = graph.constant(f"{name}.weight.end", [len(integers) + list(self.ranges).index(name)], np.int64)
            table = graph.node("Slice", [table, start, end], f"{name}.weight.own")
        constants = [
            table,
            graph.constant(f"{name}.weight.scale", scales),
            graph.constant(f"{name}.weight.zero", np.zeros(len(scales)), np.int8),
        ]
        weights = graph.node("DequantizeLinear", constants, f"{name}.weight", axis=1)
        product = graph.node("MatMul", [activations, weights], f"{name}.product")
        if not linear.bias.any():
            return product
        return graph.node("Add", [product, graph.constant(f"{linear.name}.bias", linear.bias)], name)

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
        """Add the standard's own Attention; the query is scaled already."""
        graph.use_domain("", ATTENTION_OPSET)
        inputs = [*qkv, bias] if bias else list(qkv)
        return graph.node("Attention", inputs, f"{name}.attended", q_num_heads=heads, kv_num_heads=heads, scale=1.0)

    def add_lookup(self, graph: GraphBuilder, table: FloatArray, ids: str, name: str) -> str:
        """Add a lookup in an int8 table with one scale a row."""
        integers, scales = _int8_columns(table.T)
        rows = graph.node("Gather", [graph.constant(f"{name}.table", integers.T, np.int8), ids], f"{name}.rows")
        factors = graph.node("Gather", [graph.constant(f"{name}.scale", scales[:, None]), ids], f"{name}.scales")
        return graph.node("Mul", [graph.node("Cast", [rows], f"{name}.float", to=FLOAT), factors], name)


def _uint8_scale(seen: Range) -> tuple[np.float32, np.uint8]:
    # The range has to hold zero, so that zero is exact.
    lowest = min(float(seen.lowest.min()), 0.0)
    highest = max(float(seen.highest.max()), 0.0)
    scale = np.float32((highest - lowest) / 255 or 1.0)
    return scale, np.uint8(np.clip(np.rint(-lowest / scale), 0, 255))


def _int8_columns(weight: FloatArray) -> tuple[npt.NDArray[np.int8], FloatArray]:
    """Quantize each column symmetrically; a column of zeros keeps a scale of one."""
    largest = np.abs(weight).max(axis=0)
    scales = np.where(largest > 0, largest / 127, 1).astype(np.float32)
    return np.clip(np.rint(weight / scales), -127, 127).astype(np.int8), scales
