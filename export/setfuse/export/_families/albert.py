"""ALBERT: layers that share their weights, embeddings narrower than the layers."""

from setfuse.export._encoder import Encoder, Layer

from ._activations import ACTIVATIONS
from ._weights import Config, Weights

PREFIX = "albert."


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
        source: _layer(weights, source, f"layer.{order.index(source)}", hidden=hidden, inner=inner, epsilon=epsilon)
        for source in dict.fromkeys(order)
    }
    return tuple(read_layers[source] for source in order)


def _layer(weights: Weights, source: str, name: str, *, hidden: int, inner: int, epsilon: float) -> Layer:
    attention = f"{source}.attention"
    return Layer(
        name=name,
        query=weights.linear(f"{attention}.query", hidden, hidden, called=f"{name}.attention.query"),
        key=weights.linear(f"{attention}.key", hidden, hidden, called=f"{name}.attention.key"),
        value=weights.linear(f"{attention}.value", hidden, hidden, called=f"{name}.attention.value"),
        attention_output=weights.linear(f"{attention}.dense", hidden, hidden, called=f"{name}.attention.output"),
        attention_norm=weights.norm(f"{attention}.LayerNorm", hidden, epsilon, called=f"{name}.attention.norm"),
        intermediate=weights.linear(f"{source}.ffn", hidden, inner, called=f"{name}.intermediate"),
        output=weights.linear(f"{source}.ffn_output", inner, hidden, called=f"{name}.output"),
        norm=weights.norm(f"{source}.full_layer_layer_norm", hidden, epsilon, called=f"{name}.norm"),
    )
