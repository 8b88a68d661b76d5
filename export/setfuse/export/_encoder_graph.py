"""The encoder's part of the graph: token ids to token embeddings."""

from ._encoder import Encoder
from ._graph import GraphBuilder
from ._layout import Layout


def add_encoder(
    graph: GraphBuilder, layout: Layout, encoder: Encoder, input_ids: str, attention_mask: str | None, *, cls_only: bool
) -> str:
    """Add an encoder, written from the checkpoint's tensors.

    The order of things differs from a trace in what costs time: the position and token-type tables are one table,
    query, key and value are one product, the scale of the attention is folded into the query's weights, and, where only
    the first token's embedding is used, the last layer computes no other.

    Args:
        graph: Where to add it.
        layout: How the parts that cost time are written.
        encoder: Weights and shape.
        input_ids: (batch, sequence), of the layout's type.
        attention_mask: (batch, sequence), of the layout's type, 1 for tokens and 0 for padding; None if there is never
            any padding.
        cls_only: Whether the embedding of the first token is all that is wanted.

    Returns:
        The token embeddings, (batch, sequence, hidden), or (batch, 1, hidden) with `cls_only`, in the layout's type.
    """
    bias = layout.add_attention_bias(graph, encoder, input_ids, attention_mask)
    x = layout.add_embeddings(graph, encoder, input_ids)
    if encoder.projection is not None:
        x = layout.add_linear(graph, x, "embeddings.projection", encoder.projection)
    for number, layer in enumerate(encoder.layers):
        name = f"layer.{number}"
        first_token_only = cls_only and number == len(encoder.layers) - 1
        attended, residual = layout.add_self_attention(
            graph, encoder, layer, x, f"{name}.attention", bias=bias, first_token_only=first_token_only
        )
        attention = layout.add_output(
            graph, attended, residual, f"{name}.attention", linear=layer.attention_output, norm=layer.attention_norm
        )
        activated = layout.add_activated(
            graph, attention, f"{name}.intermediate", layer.intermediate, encoder.activation
        )
        x = layout.add_output(graph, activated, attention, name, linear=layer.output, norm=layer.norm)
    return x
