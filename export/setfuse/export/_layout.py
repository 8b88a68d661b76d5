"""What differs between the graphs of one checkpoint: the arithmetic of linears and embeddings, and the mask."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ._checkpoint import FloatArray
from ._graph import FLOAT, GraphBuilder


class Layout(Protocol):
    """How one variant of the graph writes the parts that cost time or bytes."""

    @property
    def takes_mask(self) -> bool:
        """Whether the graph has an attention_mask; without one it takes batches of equal length only."""

    def add_linear(self, graph: GraphBuilder, x: str, name: str, weight: FloatArray, bias: FloatArray) -> str:
        """Add `x @ weight + bias` over the last axis; weight is (inputs, outputs)."""

    def add_lookup(self, graph: GraphBuilder, table: FloatArray, ids: str, name: str) -> str:
        """Add the lookup of rows of `table` by int64 ids."""


@dataclass(frozen=True, slots=True)
class FloatLayout:
    """float32 throughout.

    Attributes:
        takes_mask: As of `Layout`.
    """

    takes_mask: bool = True

    def add_linear(self, graph: GraphBuilder, x: str, name: str, weight: FloatArray, bias: FloatArray) -> str:
        """Add a MatMul and an Add."""
        product = graph.node("MatMul", [x, graph.constant(f"{name}.weight", weight)], f"{name}.product")
        return graph.node("Add", [product, graph.constant(f"{name}.bias", bias)], name)

    def add_lookup(self, graph: GraphBuilder, table: FloatArray, ids: str, name: str) -> str:
        """Add a Gather."""
        return graph.node("Gather", [graph.constant(f"{name}.table", table), ids], name)


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


@dataclass(frozen=True, slots=True)
class Int8Layout:
    """int8 weights, a scale an output channel, and uint8 activations with one static scale a linear; no mask.

    Standard QuantizeLinear and DequantizeLinear around each linear: onnxruntime and OpenVINO both fuse them with the
    MatMul into one integer kernel at load. Static scales give a text the same answer alone and in any batch.

    Attributes:
        ranges: What each linear's input spans, after smoothing, by the linear's name.
        divisors: What each linear's input channels are divided by, where nothing before the linear absorbed it.
        takes_mask: As of `Layout`.
    """

    ranges: Mapping[str, Range]
    divisors: Mapping[str, FloatArray]
    takes_mask: bool = False

    def add_linear(self, graph: GraphBuilder, x: str, name: str, weight: FloatArray, bias: FloatArray) -> str:
        """Add a quantized linear, smoothed."""
        if name in self.divisors:
            divisor = self.divisors[name]
            x = graph.node("Mul", [x, graph.constant(f"{name}.smoothing", 1 / divisor)], f"{name}.smoothed")
            weight = weight * divisor[:, None]
        scale, zero = _uint8_scale(self.ranges[name])
        parameters = [
            graph.constant(f"{name}.input.scale", scale),
            graph.constant(f"{name}.input.zero", zero, np.uint8),
        ]
        quantized = graph.node("QuantizeLinear", [x, *parameters], f"{name}.input.quantized")
        activations = graph.node("DequantizeLinear", [quantized, *parameters], f"{name}.input")
        integers, scales = _int8_columns(weight)
        constants = [
            graph.constant(f"{name}.weight.quantized", integers, np.int8),
            graph.constant(f"{name}.weight.scale", scales),
            graph.constant(f"{name}.weight.zero", np.zeros(len(scales)), np.int8),
        ]
        weights = graph.node("DequantizeLinear", constants, f"{name}.weight", axis=1)
        product = graph.node("MatMul", [activations, weights], f"{name}.product")
        return graph.node("Add", [product, graph.constant(f"{name}.bias", bias)], name)

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
