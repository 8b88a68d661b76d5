"""Count a graph's multiply-adds by running it on a few lengths and looking at the shapes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from setfuse.export._check._batches import Batch
from setfuse.export._check._foreign import ForeignGraph, RunFailed, read_model, run_exposed
from setfuse.export._check._roles import input_roles
from setfuse.export._errors import GraphError

from ._parts import ModelPart, PartFinder

_LENGTHS = (8, 16, 24)
_PRODUCTS = {
    "MatMul",
    "Gemm",
    "MatMulInteger",
    "QLinearMatMul",
    "FusedMatMul",
    "FusedGemm",
    "MatMulIntegerToFloat",
    "DynamicQuantizeMatMul",
    "MultiHeadAttention",
    "Attention",
}
"""Operators with a matrix product in them. Of the other fused ones (SkipLayerNormalization, BiasGelu) none has any."""


@dataclass(frozen=True, slots=True)
class MultiplyAdds:
    """Multiply-adds of one text of n tokens: a text's own, n times a token's, n squared times a pair's.

    Attributes:
        per_text: Pooling, head, and layers of which only the first token is computed.
        per_token: Linears.
        per_pair: Attention, of two tokens.
    """

    per_text: int
    per_token: int
    per_pair: int

    def of(self, tokens: int) -> int:
        """Count those of a text of so many tokens."""
        return self.per_text + tokens * (self.per_token + tokens * self.per_pair)

    def __add__(self, other: "MultiplyAdds") -> "MultiplyAdds":
        return MultiplyAdds(
            self.per_text + other.per_text, self.per_token + other.per_token, self.per_pair + other.per_pair
        )


NONE = MultiplyAdds(0, 0, 0)


def multiply_adds(path: Path) -> dict[tuple[ModelPart, int | None], MultiplyAdds] | None:
    """Count the multiply-adds of matrix products, by part and layer.

    Returns:
        None if the graph cannot be run on token ids of any length, or grows with the length in another way.
    """
    model = read_model(path)
    finder = PartFinder(model.graph)
    products = [node for node in model.graph.node if node.op_type in _PRODUCTS]
    constants = {constant.name: tuple(constant.dims) for constant in model.graph.initializer}
    counts = []
    for length in _LENGTHS:
        try:
            shapes = constants | _shapes(path, products, length)
        except (GraphError, RunFailed):
            return None
        counts.append([_of_product(node, shapes) for node in products])
    total: dict[tuple[ModelPart, int | None], MultiplyAdds] = {}
    for node, *points in zip(products, *counts, strict=True):
        place = finder.of_node(node)
        total[place] = total.get(place, NONE) + _fit(points)
    for node in model.graph.node:  # ai.onnx.ml's linear models hold their weights as an attribute
        weights = sum(len(attribute.floats) for attribute in node.attribute if attribute.name == "coefficients")
        total[finder.of_node(node)] = total.get(finder.of_node(node), NONE) + MultiplyAdds(weights, 0, 0)
    return total


def _shapes(path: Path, products: Sequence[onnx.NodeProto], length: int) -> dict[str, tuple[int, ...]]:
    graph = ForeignGraph(path)
    choices = input_roles([value.name for value in graph.inputs])
    if not choices:
        raise GraphError(f"{path}: no input of token ids")
    ids = np.ones((1, length), dtype=np.int64)
    # Of the second factor of a MatMul the shape is not needed, and it may be a constant that onnxruntime folds away.
    names = {
        name
        for node in products
        for name in (node.input[0], *(node.input[2:3] if _has_query_key_value(node) else ()), node.output[0])
    }
    values: dict[str, Any] = run_exposed(graph, Batch(ids, ids, 0 * ids), choices[0], names)
    return {name: np.shape(value) for name, value in values.items()}


def _of_product(node: onnx.NodeProto, shapes: Mapping[str, tuple[int, ...]]) -> int:
    if _has_query_key_value(node):
        keys = shapes[node.input[2]][-2]
        return int(np.prod(shapes[node.input[0]]) + np.prod(shapes[node.output[0]])) * keys
    if node.op_type == "Attention":  # com.microsoft's: the linears of q, k and v are in it
        (batch, tokens, width), (_, packed) = (shapes[node.input[place]] for place in (0, 1))
        return batch * tokens * (width * packed + tokens * 2 * shapes[node.output[0]][-1])
    transposed = any(attribute.name == "transA" and attribute.i for attribute in node.attribute)
    inner = shapes[node.input[0]][0 if transposed else -1]
    return int(np.prod(shapes[node.output[0]])) * inner


def _has_query_key_value(node: onnx.NodeProto) -> bool:
    """Tell whether a node is an attention with these three as its first inputs, each of all heads side by side."""
    if node.op_type == "Attention":
        return not node.domain
    return node.op_type == "MultiHeadAttention" and len(node.input) > 2 and bool(node.input[2])  # noqa: PLR2004 - the three


def _fit(points: Sequence[int]) -> MultiplyAdds:
    """Give the polynomial through the counts at `_LENGTHS`, which are equally far apart."""
    low, middle, high = points
    step = _LENGTHS[1] - _LENGTHS[0]
    per_pair = (high - 2 * middle + low) // (2 * step * step)
    per_token = (middle - low) // step - per_pair * (_LENGTHS[0] + _LENGTHS[1])
    return MultiplyAdds(low - _LENGTHS[0] * (per_token + _LENGTHS[0] * per_pair), per_token, per_pair)
