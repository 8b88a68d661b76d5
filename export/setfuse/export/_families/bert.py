"""BERT: the family whose tensors' names most others took over."""

from setfuse.export._encoder import Encoder

from ._activations import ACTIVATIONS
from ._layer import LayerNames
from ._weights import Config, Weights

PREFIX = "bert."
LAYER = LayerNames(
    query="attention.self.query",
    key="attention.self.key",
    value="attention.self.value",
    attention_output="attention.output.dense",
    attention_norm="attention.output.LayerNorm",
    intermediate="intermediate.dense",
    output="output.dense",
    norm="output.LayerNorm",
)


def read(config: Config, weights: Weights) -> Encoder:
    """Read a BERT encoder."""
    config.expect(position_embedding_type="absolute", is_decoder=False)
    return read_bert_like(config, weights, width=config.integer("hidden_size"), padding_id=None)


def read_bert_like(config: Config, weights: Weights, *, width: int, padding_id: int | None) -> Encoder:
    """Read an encoder whose tensors are named as BERT's.

    Args:
        config: The configuration, with BERT's keys.
        weights: The tensors, with BERT's names.
        width: Of the embeddings; where it is not the layers' width, `embeddings_project` leads from one to the other.
        padding_id: As in `Encoder`.
    """
    hidden = config.integer("hidden_size")
    epsilon = config.number("layer_norm_eps")
    types = weights.tensor("embeddings.token_type_embeddings.weight", config.integer("type_vocab_size"), width)
    positions = weights.tensor(
        "embeddings.position_embeddings.weight", config.integer("max_position_embeddings"), width
    )
    return Encoder(
        family=str(config.values["model_type"]),
        words=weights.tensor("embeddings.word_embeddings.weight", config.integer("vocab_size"), width),
        positions=positions + types[0],
        padding_id=padding_id,
        embedding_norm=weights.norm("embeddings.LayerNorm", width, epsilon, called="embeddings.norm"),
        projection=None
        if width == hidden
        else weights.linear("embeddings_project", width, hidden, called="embeddings.projection"),
        layers=LAYER.read_all(
            weights,
            "encoder.layer",
            config.integer("num_hidden_layers"),
            hidden=hidden,
            inner=config.integer("intermediate_size"),
            epsilon=epsilon,
        ),
        heads=config.integer("num_attention_heads"),
        activation=config.choice("hidden_act", ACTIVATIONS),
    )
