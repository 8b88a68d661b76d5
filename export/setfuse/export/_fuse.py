"""Fuse body and head into one graph a precision."""

import json
from collections.abc import Sequence

import onnx

from setfuse.runtime import Precision, Target

from ._checkpoint import Checkpoint, Encoder, PoolingMode
from ._encoder import add_encoder
from ._errors import UnsupportedCheckpoint
from ._graph import FLOAT, INT64, GraphBuilder, tensor_info
from ._head import add_head
from ._layout import FloatLayout, Layout
from ._pooling import add_normalize, add_pooling
from ._quantize import quantize
from ._traced import TracedEncoder, add_traced_encoder

SUPPORTED_PRECISIONS = (Precision.FP32, Precision.INT8)
"""fp16 gets its own layout here, in `fuse`, and its own tolerance in `_validate`."""

TRACED_PRECISIONS = (Precision.FP32,)
"""Those of an encoder that another exporter wrote: int8 needs a graph whose linears are ours to write."""

TARGETS = {Precision.FP32: Target.CPU, Precision.INT8: Target.CPU, Precision.FP16: Target.CUDA}
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
        A model with the inputs `input_ids` and, in fp32, `attention_mask`, int64 (batch, sequence), and the outputs
        `probabilities`, float32 (batch, labels), and `sentence_embedding`, float32 (batch, dim). A graph without
        `attention_mask` takes batches of equal length only. The same checkpoint gives the same bytes.

    Raises:
        UnsupportedCheckpoint: The precision is not supported yet, or not for an encoder that was traced.
    """
    if precision not in SUPPORTED_PRECISIONS:
        supported = ", ".join(SUPPORTED_PRECISIONS)
        raise UnsupportedCheckpoint(f"precision: expected one of {supported}, got {precision}: not supported yet")
    encoder, layout = _encoder_and_layout(checkpoint, precision, calibration)
    mask = "attention_mask" if layout.takes_mask else None
    graph = GraphBuilder()
    if isinstance(encoder, TracedEncoder):
        tokens = add_traced_encoder(graph, encoder, "input_ids", "attention_mask")
    else:
        cls_only = checkpoint.pooling is PoolingMode.CLS
        tokens = add_encoder(graph, layout, encoder, "input_ids", mask, cls_only=cls_only)
    embedding = add_pooling(graph, checkpoint.pooling, tokens, mask)
    if checkpoint.normalize:
        embedding = add_normalize(graph, embedding)
    embedding = graph.node("Identity", [embedding], "sentence_embedding")
    add_head(graph, checkpoint.head, embedding, "probabilities")
    return graph.model(
        name="setfuse",
        inputs=[tensor_info(name, INT64, ("batch", "sequence")) for name in ("input_ids", mask) if name],
        outputs=[
            tensor_info("probabilities", FLOAT, ("batch", len(checkpoint.labels))),
            tensor_info("sentence_embedding", FLOAT, ("batch", checkpoint.encoder.hidden)),
        ],
        metadata={
            "setfuse.format_version": str(format_version),
            "setfuse.labels": json.dumps(list(checkpoint.labels), ensure_ascii=False),
            "setfuse.max_length": str(checkpoint.max_length),
            "setfuse.precision": str(precision),
            "setfuse.padding": "masked" if mask else "none: batches of equal length only",
        },
    )


def _encoder_and_layout(
    checkpoint: Checkpoint, precision: Precision, calibration: Sequence[str]
) -> tuple[Encoder | TracedEncoder, Layout]:
    if precision is Precision.INT8:
        return quantize(checkpoint, calibration)
    return checkpoint.encoder, FloatLayout()
