"""RoBERTa, XLM-RoBERTa, CamemBERT: BERT's tensors; positions are counted from behind the padding token's id."""

from setfuse.export._encoder import Encoder

from ._weights import Config, Weights
from .bert import read_bert_like

PREFIX = "roberta."


def read(config: Config, weights: Weights) -> Encoder:
    """Read a RoBERTa encoder."""
    config.expect(position_embedding_type="absolute", is_decoder=False)
    padding_id = config.integer("pad_token_id", at_least=0)
    return read_bert_like(config, weights, width=config.integer("hidden_size"), padding_id=padding_id)
