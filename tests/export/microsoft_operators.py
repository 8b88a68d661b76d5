"""onnxruntime's own operators of the packed graph in numpy, for onnx's evaluator, by their documented meaning."""

import itertools
import math

import numpy as np
import numpy.typing as npt
from onnx.reference.op_run import OpRun

Array = npt.NDArray[np.floating]
Ids = npt.NDArray[np.int32]


class _Operator(OpRun):
    op_domain = "com.microsoft"


class EmbedLayerNormalization(_Operator):
    """Words and positions, summed and normalised."""

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
        position_ids: Ids,
        epsilon: float = 1e-12,
        mask_index_type: int = 0,  # noqa: ARG002 - the schema's
    ) -> tuple[Array, Ids]:
        assert all(value is None for value in (segment_ids, segments, mask))
        total = words[input_ids].astype(np.float32) + positions[position_ids]
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
        total = x.astype(np.float32) + bias
        return ((total * 0.5 * (1 + np.vectorize(math.erf)(total / math.sqrt(2)))).astype(x.dtype),)


class FastGelu(_Operator):
    """Gelu by the hyperbolic tangent, of input and bias."""

    def _run(self, x: Array, bias: Array) -> tuple[Array]:
        total = x.astype(np.float32) + bias
        inner = math.sqrt(2 / math.pi) * (total + 0.044715 * total**3)
        return ((total * 0.5 * (1 + np.tanh(inner))).astype(x.dtype),)


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
            q, k, v = (_heads(x[start:end], num_heads) for x in (query, key, value))
            scores = scale * q @ k.swapaxes(1, 2)
            weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
            context = weights / weights.sum(axis=-1, keepdims=True) @ v
            texts.append(context.swapaxes(0, 1).reshape(end - start, -1))
        return (np.concatenate(texts).astype(query.dtype),)


class RestorePadding(_Operator):
    """Rows at their places before packing, zeros elsewhere."""

    def _run(self, x: Array, token_offset: Ids) -> tuple[Array]:
        padded = np.zeros((token_offset.size, x.shape[1]), x.dtype)
        padded[token_offset.ravel()[: len(x)]] = x
        return (padded.reshape(*token_offset.shape, -1),)


OPERATORS = [
    EmbedLayerNormalization,
    SkipLayerNormalization,
    BiasGelu,
    FastGelu,
    PackedMultiHeadAttention,
    RestorePadding,
]


def _normalized(x: Array, gamma: Array, beta: Array, epsilon: float) -> Array:
    centred = x - x.mean(axis=-1, keepdims=True)
    deviation = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + epsilon)
    return (centred / deviation * gamma + beta).astype(gamma.dtype)


def _heads(x: Array, heads: int) -> Array:
    return x.astype(np.float32).reshape(len(x), heads, -1).swapaxes(0, 1)
