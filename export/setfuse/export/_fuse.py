"""Fuse body and head into one graph a precision."""

import json
from collections.abc import Sequence

import numpy as np
import onnx

from setfuse.runtime import Precision, Target

from ._checkpoint import Checkpoint
from ._encoder import Encoder
from ._encoder_graph import add_encoder
from ._errors import UnsupportedCheckpoint
from ._fp16 import Fp16Layout
from ._graph import FLOAT, INT32, INT64, GraphBuilder, tensor_info
from ._heads import add_head
from ._layout import Layout
from ._modules_graph import add_modules, add_pooling
from ._quantize import quantize
from ._traced import TracedEncoder, add_traced_encoder

TARGETS = {Precision.FP32: Target.CPU, Precision.INT8: Target.CPU, Precision.FP16: Target.CUDA}
CLASSICAL = "ai.onnx.ml"
"""The domain of trees, support vectors and the like: onnxruntime has no CUDA kernel for any operator of it."""

TRACED_PRECISIONS = (Precision.FP32,)
"""Those of an encoder that another exporter wrote: the others need a graph whose linears are ours to write."""

ID_TYPES = {np.int32: INT32, np.int64: INT64}

FILES = {Precision.FP32: "model.onnx", Precision.INT8: "model.int8.onnx", Precision.FP16: "model.fp16.onnx"}


def fuse(
    checkpoint: Checkpoint, precision: Precision, format_version: int, calibration: Sequence[str] = ()
) -> onnx.ModelProto:
    """Write one graph from token ids to probabilities and the embedding.

    Args:
        checkpoint: Weights, pooling and head.
        precision: Arithmetic of the encoder's matrix products.
        format_version: That of the bundle, for the metadata.
        calibration: Texts that show int8 what the activations span.

    Returns:
        A model with the inputs `input_ids` and, but for int8, `attention_mask`, int64 (of fp16 int32) (batch,
        sequence), and the outputs `probabilities` (or `decision_scores`), float32 (batch, labels), and
        `sentence_embedding`, float32 (batch, dim). A graph without `attention_mask` takes batches of equal length only.
        The same checkpoint gives the same bytes.

    Raises:
        UnsupportedCheckpoint: The encoder was traced, and the precision is not fp32; or it is fp16, and the head is
            none of plain operators.
    """
    encoder, layout = _encoder_and_layout(checkpoint, precision, calibration)
    mask = "attention_mask" if layout.takes_mask else None
    graph = GraphBuilder()
    if isinstance(encoder, TracedEncoder):
        tokens = add_traced_encoder(graph, encoder, "input_ids", "attention_mask")
    else:
        cls_only = checkpoint.pooling.first_token_only
        tokens = add_encoder(graph, layout, encoder, "input_ids", mask, cls_only=cls_only)
    add_classifier(graph, checkpoint, tokens, input_ids="input_ids", attention_mask=mask, precision=precision)
    return graph.model(
        name="setfuse",
        inputs=[tensor_info(name, ID_TYPES[layout.ids], ("batch", "sequence")) for name in ("input_ids", mask) if name],
        outputs=outputs(checkpoint),
        metadata=metadata(
            checkpoint, precision, format_version, padding="masked" if mask else "none: batches of equal length only"
        ),
    )


def add_classifier(
    graph: GraphBuilder,
    checkpoint: Checkpoint,
    tokens: str,
    *,
    input_ids: str,
    attention_mask: str | None,
    precision: Precision,
) -> None:
    """Add all that comes after the encoder, in float32: pooling, the other modules and the head.

    Args:
        graph: Where to add it.
        checkpoint: What to add.
        tokens: (batch, sequence, hidden), the token embeddings; where only the first is used, it will do.
        input_ids: Of the same batch.
        attention_mask: (batch, sequence); None if there is never any padding.
        precision: That of `tokens`.

    Raises:
        UnsupportedCheckpoint: The precision is fp16, and the head is none of plain operators.
    """
    if precision is Precision.FP16:
        tokens = graph.node("Cast", [tokens], "tokens", to=FLOAT)  # from here on all graphs are alike
    embedding = add_pooling(
        graph,
        checkpoint.pooling,
        tokens,
        input_ids=input_ids,
        attention_mask=attention_mask,
        longest=checkpoint.encoder.max_length,
    )
    embedding = add_modules(graph, checkpoint.modules, embedding)
    embedding = graph.node("Identity", [embedding], "sentence_embedding")
    add_head(graph, checkpoint.head, embedding, str(checkpoint.head.scores))
    if precision is Precision.FP16 and graph.uses_domain(CLASSICAL):
        raise UnsupportedCheckpoint(
            f"precision: expected a head of plain operators for fp16, found {checkpoint.head.kind}, whose operators "
            "have no CUDA kernel; export fp32 and int8"
        )


def outputs(checkpoint: Checkpoint) -> list[onnx.ValueInfoProto]:
    """Describe the outputs of every graph of a checkpoint."""
    return [
        tensor_info(str(checkpoint.head.scores), FLOAT, ("batch", len(checkpoint.labels))),
        tensor_info("sentence_embedding", FLOAT, ("batch", checkpoint.width)),
    ]


def metadata(checkpoint: Checkpoint, precision: Precision, format_version: int, *, padding: str) -> dict[str, str]:
    """Give what a lone file should say of itself."""
    return {
        "setfuse.format_version": str(format_version),
        "setfuse.labels": json.dumps(list(checkpoint.labels), ensure_ascii=False),
        "setfuse.max_length": str(checkpoint.max_length),
        "setfuse.precision": str(precision),
        "setfuse.padding": padding,
    }


def _encoder_and_layout(
    checkpoint: Checkpoint, precision: Precision, calibration: Sequence[str]
) -> tuple[Encoder | TracedEncoder, Layout]:
    encoder = checkpoint.encoder
    if isinstance(encoder, TracedEncoder):
        if precision not in TRACED_PRECISIONS:
            raise UnsupportedCheckpoint(
                f"precision: expected fp32 for a {encoder.family} that optimum traced, got {precision}: not supported"
            )
        return encoder, Layout()
    if precision is Precision.INT8:
        return quantize(encoder, checkpoint, calibration)
    return encoder, Fp16Layout() if precision is Precision.FP16 else Layout()
