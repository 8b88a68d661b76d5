"""ELECTRA: BERT's tensors; the embeddings may be narrower than the layers."""

from setfuse.export._encoder import Encoder

from ._weights import Config, Weights
from .bert import read_bert_like

PREFIX = "electra."


def read(config: Config, weights: Weights) -> Encoder:
    """Read an ELECTRA encoder (its discriminator is what people use)."""
    config.expect(position_embedding_type="absolute", is_decoder=False)
    return read_bert_like(config, weights, width=config.integer("embedding_size"), padding_id=None)
