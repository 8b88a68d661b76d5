"""The operators of the graphs for CUDA in numpy, for onnx's evaluator: onnxruntime's own, by their documented meaning.

They round as much as onnxruntime's CUDA kernels, where these round most. Sums over many numbers (products of matrices,
means and variances, the softmax) are float32; what a kernel writes to memory is float16, and so is what `BiasGelu` and
`FastGelu` compute number by number. onnxruntime-gpu 1.31 sums means and variances so; older ones (1.24) did it in
float16. A GPU adds in another order, so its last bits differ.
"""

import itertools
import math

import numpy as np
import numpy.typing as npt
from onnx.reference.op_run import OpRun
from scipy.special import ndtr

Array = npt.NDArray[np.floating]
Ids = npt.NDArray[np.int32]


class _Operator(OpRun):
    op_domain = "com.microsoft"
    op_schema = None  # else onnx takes the attributes of its own operator of that name: there is an Attention, too


class MatMul(OpRun):
    """The standard's; onnx's own would take numpy's product of float16, which is slow."""

    op_domain = ""

    def _run(self, a: Array, b: Array) -> tuple[Array]:
        return (_product(a, b),)


class Sigmoid(OpRun):
    """The standard's; onnx's own computes an exponential that overflows in float16 and is not used then."""

    op_domain = ""

    def _run(self, x: Array) -> tuple[Array]:
        return ((1 / (1 + np.exp(-x.astype(np.float32)))).astype(x.dtype),)


class EmbedLayerNormalization(_Operator):
    """Words and positions, summed and normalised; without position ids, row i belongs to token i."""

    def _run(  # noqa: PLR0917 - the schema's inputs
        self,
        input_ids: Ids,
        segment_ids: Ids,
        words: Array,
        positions: Array,
        segments: Array,
        gamma: Array,
        beta: Array,
        mask: Ids,
        position_ids: Ids | None = None,
        epsilon: float = 1e-12,
        mask_index_type: int = 0,  # noqa: ARG002 - the schema's
    ) -> tuple[Array, Ids]:
        assert all(value is None for value in (segment_ids, segments, mask))
        assert input_ids.dtype == np.int32
        rows = np.arange(input_ids.shape[-1]) if position_ids is None else position_ids
        total = words[input_ids].astype(np.float32) + positions[rows]
        return _normalized(total, gamma, beta, epsilon), np.zeros(len(input_ids), np.int32)


class SkipLayerNormalization(_Operator):
    """The input, its bias and the skipped input, summed and normalised."""

    def _run(  # noqa: PLR0917 - the schema's inputs
        self, x: Array, skip: Array, gamma: Array, beta: Array, bias: Array, epsilon: float = 1e-12
    ) -> tuple[Array]:
        return (_normalized(x.astype(np.float32) + skip + bias, gamma, beta, epsilon),)


class BiasGelu(_Operator):
    """The exact Gelu of input and bias."""

    def _run(self, x: Array, bias: Array) -> tuple[Array]:
        total = x + bias
        share = ndtr(total.astype(np.float32))
        return (total * share.astype(x.dtype),)


class FastGelu(_Operator):
    """Gelu by the hyperbolic tangent, of input and bias."""

    def _run(self, x: Array, bias: Array) -> tuple[Array]:
        half, first, third = (x.dtype.type(c) for c in (0.5, math.sqrt(2 / math.pi), 0.044715 * math.sqrt(2 / math.pi)))
        total = x + bias
        return (total * (half + half * np.tanh(total * (third * total * total + first))),)


class Attention(_Operator):
    """The linears of query, key and value, and multi-head attention with a bias for every pair of tokens.

    As kernels that are not fused compute it: the products, the scores and the weights are float16 too.
    """

    def _run(  # noqa: PLR0917 - the schema's inputs
        self,
        x: Array,
        weights: Array,
        bias: Array,
        lengths: Ids | None = None,
        past: Array | None = None,
        attention_bias: Array | None = None,
        num_heads: int = 0,
        scale: float = 0.0,
    ) -> tuple[Array]:
        assert lengths is None
        assert past is None
        query, key, value = (_heads(part, num_heads) for part in np.split(_product(x, weights) + bias, 3, axis=-1))
        scores = scale * _product(query, key.swapaxes(-1, -2)).astype(np.float32)
        if attention_bias is not None:
            scores += attention_bias
        context = _product(_softmax(scores).astype(x.dtype), value)
        return (context.swapaxes(-2, -3).reshape(x.shape),)


class PackedMultiHeadAttention(_Operator):
    """Multi-head attention, each text by itself."""

    def _run(  # noqa: PLR0917 - the schema's inputs
        self,
        query: Array,
        key: Array,
        value: Array,
        bias: Array,
        token_offset: Ids,
        bounds: Ids,
        num_heads: int = 0,
        scale: float = 0.0,
        mask_filter_value: float = 0.0,  # noqa: ARG002 - the schema's
    ) -> tuple[Array]:
        assert bias is None
        assert token_offset.shape[0] == len(bounds) - 1
        texts = []
        for start, end in itertools.pairwise(bounds):
            q, k, v = (_heads(x[start:end].astype(np.float32), num_heads) for x in (query, key, value))
            context = _softmax(scale * q @ k.swapaxes(1, 2)) @ v
            texts.append(context.swapaxes(0, 1).reshape(end - start, -1))
        return (np.concatenate(texts).astype(query.dtype),)


class RestorePadding(_Operator):
    """Rows at their places before packing, zeros elsewhere."""

    def _run(self, x: Array, token_offset: Ids) -> tuple[Array]:
        padded = np.zeros((token_offset.size, x.shape[1]), x.dtype)
        padded[token_offset.ravel()[: len(x)]] = x
        return (padded.reshape(*token_offset.shape, -1),)


OPERATORS = [
    MatMul,
    Sigmoid,
    EmbedLayerNormalization,
    SkipLayerNormalization,
    BiasGelu,
    FastGelu,
    Attention,
    PackedMultiHeadAttention,
    RestorePadding,
]


def _normalized(x: Array, gamma: Array, beta: Array, epsilon: float) -> Array:
    centred = x - x.mean(axis=-1, keepdims=True)
    deviation = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + epsilon)
    return (centred / deviation * gamma + beta).astype(gamma.dtype)


def _product(a: Array, b: Array) -> Array:
    return (a.astype(np.float32) @ b.astype(np.float32)).astype(a.dtype)


def _softmax(scores: Array) -> Array:
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def _heads(x: Array, heads: int) -> Array:
    return x.reshape(*x.shape[:-1], heads, -1).swapaxes(-2, -3)
