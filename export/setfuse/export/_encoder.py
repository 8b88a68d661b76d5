"""An encoder as the graph's writer sees it: one shape for all families, whatever their tensors are called."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Linear:
    """`x @ weight + bias`.

    Attributes:
        name: What its constants are called in a graph; layers that share their weights share the name.
        weight: float32 (inputs, outputs); torch stores the transpose.
        bias: float32 (outputs,).
    """

    name: str
    weight: FloatArray
    bias: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Norm:
    """A layer normalisation over the last axis.

    Attributes:
        name: What its constants are called in a graph.
        weight: float32 (width,).
        bias: float32 (width,).
        epsilon: Added to the variance.
    """

    name: str
    weight: FloatArray
    bias: FloatArray
    epsilon: float


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """A transformer layer that normalises after each residual connection.

    Attributes:
        name: `layer.` and the number of the first layer with these weights.
        query: Of the attention, as `key` and `value`: (hidden, hidden).
        key: As `query`.
        value: As `query`.
        attention_output: What the heads' outputs go through together: (hidden, hidden).
        attention_norm: After the attention's residual connection.
        intermediate: Into the feed-forward part: (hidden, inner).
        output: Out of it: (inner, hidden).
        norm: After the feed-forward part's residual connection.
    """

    name: str
    query: Linear
    key: Linear
    value: Linear
    attention_output: Linear
    attention_norm: Norm
    intermediate: Linear
    output: Linear
    norm: Norm


@dataclass(frozen=True, slots=True, eq=False)
class Encoder:
    """A transformer encoder.

    Attributes:
        family: transformers' `model_type`.
        words: float32 (vocabulary, width), the word embeddings.
        positions: float32 (rows, width), the position embeddings with those of token type 0 added: a classifier's
            texts are single sentences.
        padding_id: Where the position embeddings are looked up by counting tokens other than this one (RoBERTa and its
            kin), this token's id; its own row is the one of that number. None where row i belongs to token i.
        embedding_norm: After the sum of the embeddings.
        projection: From the embeddings' width to the layers'; None where they are equal.
        layers: In order; layers that share their weights are one object, several times.
        heads: Attention heads a layer.
        activation: transformers' name of the feed-forward activation.
        relative_bias: float32 (heads, 2 * max_length - 1), what is added to the scores of a token for another by how
            far the other is to the right, from -(max_length - 1) on; None where positions are in the embeddings alone.
    """

    family: str
    words: FloatArray
    positions: FloatArray
    padding_id: int | None
    embedding_norm: Norm
    projection: Linear | None
    layers: tuple[Layer, ...]
    heads: int
    activation: str
    relative_bias: FloatArray | None = None

    @property
    def hidden(self) -> int:
        """Width of a token's embedding after the last layer."""
        return len(self.layers[-1].norm.weight)

    @property
    def vocabulary(self) -> int:
        """Rows of the word embeddings."""
        return len(self.words)

    @property
    def max_length(self) -> int:
        """Tokens of the longest text that the position embeddings cover."""
        first = 0 if self.padding_id is None else self.padding_id + 1
        return len(self.positions) - first
