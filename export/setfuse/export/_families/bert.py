"""BERT: the family whose tensors' names most others took over."""

from setfuse.export._encoder import Encoder, Layer

from ._activations import ACTIVATIONS
from ._weights import Config, Weights

PREFIX = "bert."


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
        layers=tuple(
            _layer(weights, number, hidden, config.integer("intermediate_size"), epsilon)
            for number in range(config.integer("num_hidden_layers"))
        ),
        heads=config.integer("num_attention_heads"),
        activation=config.choice("hidden_act", ACTIVATIONS),
    )


def _layer(weights: Weights, number: int, hidden: int, inner: int, epsilon: float) -> Layer:
    source, name = f"encoder.layer.{number}", f"layer.{number}"
    attention = f"{source}.attention"
    return Layer(
        name=name,
        query=weights.linear(f"{attention}.self.query", hidden, hidden, called=f"{name}.attention.query"),
        key=weights.linear(f"{attention}.self.key", hidden, hidden, called=f"{name}.attention.key"),
        value=weights.linear(f"{attention}.self.value", hidden, hidden, called=f"{name}.attention.value"),
        attention_output=weights.linear(f"{attention}.output.dense", hidden, hidden, called=f"{name}.attention.output"),
        attention_norm=weights.norm(f"{attention}.output.LayerNorm", hidden, epsilon, called=f"{name}.attention.norm"),
        intermediate=weights.linear(f"{source}.intermediate.dense", hidden, inner, called=f"{name}.intermediate"),
        output=weights.linear(f"{source}.output.dense", inner, hidden, called=f"{name}.output"),
        norm=weights.norm(f"{source}.output.LayerNorm", hidden, epsilon, called=f"{name}.norm"),
    )
