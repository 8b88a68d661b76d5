"""MPNet: positions counted as RoBERTa's, and besides them a bias by relative position, one for all layers."""

import math

import numpy as np

from setfuse.export._encoder import Encoder

from ._activations import ACTIVATIONS
from ._layer import LayerNames
from ._weights import Config, Weights

PREFIX = "mpnet."
LAYER = LayerNames(
    query="attention.attn.q",
    key="attention.attn.k",
    value="attention.attn.v",
    attention_output="attention.attn.o",
    attention_norm="attention.LayerNorm",
    intermediate="intermediate.dense",
    output="output.dense",
    norm="output.LayerNorm",
)
PADDING_ID = 1  # fixed in transformers' code, whatever the configuration says
BUCKETS = 32
FARTHEST = 128  # likewise: from this distance on all have the last bucket


def read(config: Config, weights: Weights) -> Encoder:
    """Read an MPNet encoder."""
    hidden, heads = config.integer("hidden_size"), config.integer("num_attention_heads")
    epsilon = config.number("layer_norm_eps")
    rows = config.integer("max_position_embeddings")
    config.expect(relative_attention_num_buckets=BUCKETS)
    bias = weights.tensor("encoder.relative_attention_bias.weight", BUCKETS, heads)
    return Encoder(
        family=str(config.values["model_type"]),
        words=weights.tensor("embeddings.word_embeddings.weight", config.integer("vocab_size"), hidden),
        positions=weights.tensor("embeddings.position_embeddings.weight", rows, hidden),
        padding_id=PADDING_ID,
        embedding_norm=weights.norm("embeddings.LayerNorm", hidden, epsilon, called="embeddings.norm"),
        projection=None,
        layers=LAYER.read_all(
            weights,
            "encoder.layer",
            config.integer("num_hidden_layers"),
            hidden=hidden,
            inner=config.integer("intermediate_size"),
            epsilon=epsilon,
        ),
        heads=heads,
        activation=config.choice("hidden_act", ACTIVATIONS),
        relative_bias=np.ascontiguousarray(bias[_bucket_numbers(rows - PADDING_ID - 1)].T),
    )


def _bucket_numbers(max_length: int) -> list[int]:
    """Give the bucket of each relative position from -(max_length - 1) to max_length - 1.

    Half of the buckets are for tokens to the left, half for those to the right; of each half the first are for one
    distance each, the others for distances that grow with their logarithm (T5's scheme, Raffel et al., 2020).
    """
    return [_bucket(distance) for distance in range(-(max_length - 1), max_length)]


def _bucket(distance: int) -> int:
    side, exact = BUCKETS // 2, BUCKETS // 4
    size = abs(distance)
    if size < exact:
        bucket = size
    else:
        # In float32, as transformers computes it: in double some distances would fall into the next bucket.
        ratio = np.log(np.float32(size) / np.float32(exact)) / np.float32(math.log(FARTHEST / exact))
        bucket = min(exact + int(ratio * np.float32(side - exact)), side - 1)
    return bucket + (side if distance > 0 else 0)
