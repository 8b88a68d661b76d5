"""DistilBERT: no token types, and names of its own."""

from setfuse.export._encoder import Encoder, Layer

from ._activations import ACTIVATIONS
from ._weights import Config, Weights

PREFIX = "distilbert."
EPSILON = 1e-12  # fixed in transformers' code, in no configuration


def read(config: Config, weights: Weights) -> Encoder:
    """Read a DistilBERT encoder."""
    hidden = config.integer("dim")
    rows = config.integer("max_position_embeddings")
    return Encoder(
        family=str(config.values["model_type"]),
        words=weights.tensor("embeddings.word_embeddings.weight", config.integer("vocab_size"), hidden),
        positions=weights.tensor("embeddings.position_embeddings.weight", rows, hidden),
        padding_id=None,
        embedding_norm=weights.norm("embeddings.LayerNorm", hidden, EPSILON, called="embeddings.norm"),
        projection=None,
        layers=tuple(
            _layer(weights, number, hidden, config.integer("hidden_dim"))
            for number in range(config.integer("n_layers"))
        ),
        heads=config.integer("n_heads"),
        activation=config.choice("activation", ACTIVATIONS),
    )


def _layer(weights: Weights, number: int, hidden: int, inner: int) -> Layer:
    source, name = f"transformer.layer.{number}", f"layer.{number}"
    attention = f"{source}.attention"
    return Layer(
        name=name,
        query=weights.linear(f"{attention}.q_lin", hidden, hidden, called=f"{name}.attention.query"),
        key=weights.linear(f"{attention}.k_lin", hidden, hidden, called=f"{name}.attention.key"),
        value=weights.linear(f"{attention}.v_lin", hidden, hidden, called=f"{name}.attention.value"),
        attention_output=weights.linear(f"{attention}.out_lin", hidden, hidden, called=f"{name}.attention.output"),
        attention_norm=weights.norm(f"{source}.sa_layer_norm", hidden, EPSILON, called=f"{name}.attention.norm"),
        intermediate=weights.linear(f"{source}.ffn.lin1", hidden, inner, called=f"{name}.intermediate"),
        output=weights.linear(f"{source}.ffn.lin2", inner, hidden, called=f"{name}.output"),
        norm=weights.norm(f"{source}.output_layer_norm", hidden, EPSILON, called=f"{name}.norm"),
    )
