"""DistilBERT: no token types, and names of its own."""

from setfuse.export._encoder import Encoder

from ._activations import ACTIVATIONS
from ._layer import LayerNames
from ._weights import Config, Weights

PREFIX = "distilbert."
LAYER = LayerNames(
    query="attention.q_lin",
    key="attention.k_lin",
    value="attention.v_lin",
    attention_output="attention.out_lin",
    attention_norm="sa_layer_norm",
    intermediate="ffn.lin1",
    output="ffn.lin2",
    norm="output_layer_norm",
)
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
        layers=LAYER.read_all(
            weights,
            "transformer.layer",
            config.integer("n_layers"),
            hidden=hidden,
            inner=config.integer("hidden_dim"),
            epsilon=EPSILON,
        ),
        heads=config.integer("n_heads"),
        activation=config.choice("activation", ACTIVATIONS),
    )
