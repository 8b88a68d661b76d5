"""A graph for CUDA without padding: the tokens of all texts in one row."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from setfuse.runtime import FORMAT_VERSION, Precision

from ._checkpoint import read_checkpoint
from ._encoder import Encoder, Layer
from ._encoder_graph import add_encoder
from ._errors import UnsupportedCheckpoint
from ._fp16 import MICROSOFT, Fp16Layout
from ._fuse import add_classifier, metadata, outputs
from ._graph import FLOAT16, INT32, GraphBuilder, tensor_info
from ._layout import scaled, side_by_side
from ._traced import TracedEncoder

INPUT_IDS = "input_ids"
POSITION_IDS = "position_ids"
TOKEN_OFFSET = "token_offset"  # noqa: S105 - no password, an input's name
CUMULATIVE = "cumulative_sequence_length"
PADDING_ID = "setfuse.padding_id"
"""In the metadata, where positions are counted without this token."""


def write_packed_graph(checkpoint: str | Path, path: str | Path) -> Path:
    """Write the fp16 graph of a checkpoint for texts of different lengths without padding.

    It is there to be measured against the fp16 graph of a bundle, which pads: its attention has a CUDA kernel only, no
    GPU has run it yet, and no bundle holds it. Its inputs, all int32, are those of onnxruntime's
    PackedMultiHeadAttention:

    - `input_ids` (tokens,): those of all texts, one text behind the other.
    - `position_ids` (tokens,): each token's place in its text, from 0 on. Where the metadata has `setfuse.padding_id`,
      its number among the tokens of its text that are not that one, from 1 on, and 0 for that one.
    - `token_offset` (batch, sequence): where each token would stand if the texts were padded to the longest, row by
      row: first of all tokens, then of all the padding.
    - `cumulative_sequence_length` (batch + 1,): where each text starts in `input_ids`, and the number of tokens.

    Its outputs are those of every other graph.

    Args:
        checkpoint: As `export` takes it.
        path: The .onnx file; an existing one is replaced.

    Returns:
        The file.

    Raises:
        CheckpointError: The checkpoint is damaged.
        UnsupportedCheckpoint: It has something that is not supported, a bias by relative position (MPNet), or a head
            without CUDA kernels.
    """
    out = Path(path)
    onnx.save(fuse_packed(checkpoint), out)
    return out


def fuse_packed(checkpoint: str | Path) -> onnx.ModelProto:
    """Make the graph of `write_packed_graph`.

    Raises:
        UnsupportedCheckpoint: As there.
    """
    source = read_checkpoint(checkpoint)
    encoder = source.encoder
    if isinstance(encoder, TracedEncoder) or encoder.relative_bias is not None:
        raise UnsupportedCheckpoint(
            f"the packed graph: expected an encoder with positions in its embeddings alone, found {encoder.family}: "
            "not supported; export the fp16 graph, which pads"
        )
    graph = GraphBuilder()
    cls_only = source.pooling.first_token_only
    tokens = add_encoder(graph, PackedLayout(), encoder, INPUT_IDS, None, cls_only=cls_only)
    tokens, mask = _add_first_tokens(graph, tokens) if cls_only else _add_padding(graph, tokens)
    add_classifier(graph, source, tokens, input_ids=INPUT_IDS, attention_mask=mask, precision=Precision.FP16)
    counted = {} if encoder.padding_id is None else {PADDING_ID: str(encoder.padding_id)}
    return graph.model(
        name="setfuse",
        inputs=[
            tensor_info(INPUT_IDS, INT32, ("tokens",)),
            tensor_info(POSITION_IDS, INT32, ("tokens",)),
            tensor_info(TOKEN_OFFSET, INT32, ("batch", "sequence")),
            tensor_info(CUMULATIVE, INT32, ("batch_and_one",)),
        ],
        outputs=outputs(source),
        metadata={**metadata(source, Precision.FP16, FORMAT_VERSION, padding="packed"), **counted},
    )


@dataclass(frozen=True)
class PackedLayout(Fp16Layout):
    """float16, (tokens, width) in the place of (batch, sequence, width)."""

    takes_mask: bool = False

    def add_embeddings(self, graph: GraphBuilder, encoder: Encoder, input_ids: str) -> str:
        """Add an EmbedLayerNormalization of one row that holds all tokens."""
        axis = graph.constant("packed.axis", [0], np.int64)
        ids, rows = (graph.node("Unsqueeze", [name, axis], f"embeddings.{name}") for name in (input_ids, POSITION_IDS))
        return graph.node("Squeeze", [self.add_embedding_norm(graph, encoder, ids, rows), axis], "embeddings.packed")

    def add_attention_bias(
        self,
        graph: GraphBuilder,
        encoder: Encoder,
        input_ids: str,
        attention_mask: str | None,
    ) -> None:
        """Add nothing: there is no padding to leave out."""

    def add_self_attention(
        self,
        graph: GraphBuilder,
        encoder: Encoder,
        layer: Layer,
        x: str,
        name: str,
        *,
        bias: str | None,  # noqa: ARG002 - as `Layout`
        first_token_only: bool,
    ) -> tuple[str, str]:
        """Add a PackedMultiHeadAttention, with query, key and value apart: the form that flash attention takes."""
        graph.use_domain(MICROSOFT, 1)
        weights = side_by_side(f"{layer.name}.attention.query_key_value", *scaled(encoder, layer))
        packed = self.add_linear(graph, x, f"{name}.query_key_value", weights)
        parts = [f"{name}.query", f"{name}.key", f"{name}.value"]
        qkv = graph.node_with_outputs("Split", [packed], parts, axis=-1, num_outputs=3)
        attended = graph.node(
            "PackedMultiHeadAttention",
            [*qkv, "", TOKEN_OFFSET, CUMULATIVE],  # between them: a bias of the linears
            f"{name}.attended",
            domain=MICROSOFT,
            num_heads=encoder.heads,
            scale=1.0,
        )
        if not first_token_only:
            return attended, x
        starts = _add_starts(graph)
        return (
            graph.node("Gather", [attended, starts], f"{name}.attended.first_token"),
            graph.node("Gather", [x, starts], f"{name}.first_token"),
        )


def _add_starts(graph: GraphBuilder) -> str:
    """Add where each text starts: int32 (batch,)."""
    bounds = [graph.constant("packed.first", [0], np.int64), graph.constant("packed.last", [-1], np.int64)]
    return graph.node("Slice", [CUMULATIVE, *bounds], "packed.starts")


def _add_first_tokens(graph: GraphBuilder, tokens: str) -> tuple[str, None]:
    """Give the texts' first tokens their axis back: (batch, 1, hidden)."""
    return graph.node("Unsqueeze", [tokens, graph.constant("packed.tokens.axis", [1], np.int64)], "packed.tokens"), None


def _add_padding(graph: GraphBuilder, tokens: str) -> tuple[str, str]:
    """Add a RestorePadding of the tokens, (batch, sequence, hidden), and one that gives the mask: (batch, sequence)."""
    last = graph.constant("packed.mask.axis", [-1], np.int64)
    every = graph.node("Equal", [INPUT_IDS, INPUT_IDS], "packed.mask.every")
    ones = graph.node("Cast", [every], "packed.mask.ones", to=FLOAT16)
    column = graph.node("Unsqueeze", [ones, last], "packed.mask.column")
    restored, mask = (
        graph.node("RestorePadding", [value, TOKEN_OFFSET], f"packed.{name}", domain=MICROSOFT)
        for value, name in ((tokens, "tokens"), (column, "mask.padded"))
    )
    return restored, graph.node("Squeeze", [mask, last], "packed.mask")
