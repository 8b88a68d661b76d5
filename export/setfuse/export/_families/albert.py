"""ALBERT: layers that share their weights, embeddings narrower than the layers."""

from setfuse.export._encoder import Encoder, Layer

from ._activations import ACTIVATIONS
from ._layer import LayerNames
from ._weights import Config, Weights

PREFIX = "albert."
LAYER = LayerNames(
    query="attention.query",
    key="attention.key",
    value="attention.value",
    attention_output="attention.dense",
    attention_norm="attention.LayerNorm",
    intermediate="ffn",
    output="ffn_output",
    norm="full_layer_layer_norm",
)


def read(config: Config, weights: Weights) -> Encoder:
    """Read an ALBERT encoder."""
    width, hidden = config.integer("embedding_size"), config.integer("hidden_size")
    epsilon = config.number("layer_norm_eps")
    types = weights.tensor("embeddings.token_type_embeddings.weight", config.integer("type_vocab_size"), width)
    rows = config.integer("max_position_embeddings")
    return Encoder(
        family=str(config.values["model_type"]),
        words=weights.tensor("embeddings.word_embeddings.weight", config.integer("vocab_size"), width),
        positions=weights.tensor("embeddings.position_embeddings.weight", rows, width) + types[0],
        padding_id=None,
        embedding_norm=weights.norm("embeddings.LayerNorm", width, epsilon, called="embeddings.norm"),
        projection=weights.linear("encoder.embedding_hidden_mapping_in", width, hidden, called="embeddings.projection"),
        layers=_layers(config, weights, hidden, epsilon),
        heads=config.integer("num_attention_heads"),
        activation=config.choice("hidden_act", ACTIVATIONS),
    )


def _layers(config: Config, weights: Weights, hidden: int, epsilon: float) -> tuple[Layer, ...]:
    layers, groups = config.integer("num_hidden_layers"), config.integer("num_hidden_groups")
    inside, inner = config.integer("inner_group_num"), config.integer("intermediate_size")
    names = [
        [f"encoder.albert_layer_groups.{group}.albert_layers.{number}" for number in range(inside)]
        for group in range(groups)
    ]
    # transformers' own arithmetic of which group a layer belongs to
    order = [source for number in range(layers) for source in names[int(number / (layers / groups))]]
    read_layers = {
        source: LAYER.read(weights, source, f"layer.{order.index(source)}", hidden=hidden, inner=inner, epsilon=epsilon)
        for source in dict.fromkeys(order)
    }
    return tuple(read_layers[source] for source in order)
