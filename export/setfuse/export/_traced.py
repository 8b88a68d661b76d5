"""An encoder's graph as another exporter wrote it: check that it can be used, and put it in the encoder's place."""

import copy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto

from ._errors import CheckpointError, UnsupportedCheckpoint
from ._graph import GraphBuilder

KNOWN_INPUTS = ("input_ids", "attention_mask", "token_type_ids", "position_ids")


@dataclass(frozen=True, slots=True)
class TracedEncoder:
    """An encoder as another exporter wrote it.

    Attributes:
        model: From int64 (batch, sequence) inputs, `input_ids`, `attention_mask` and perhaps others of `KNOWN_INPUTS`,
            to its only output, float32 (batch, sequence, hidden).
        hidden: Width of a token's embedding.
        max_length: Tokens of the longest text that it takes.
        vocabulary: Rows of the word embeddings.
        family: transformers' `model_type`.
    """

    model: onnx.ModelProto
    hidden: int
    max_length: int
    vocabulary: int
    family: str


def add_traced_encoder(graph: GraphBuilder, encoder: TracedEncoder, input_ids: str, attention_mask: str) -> str:
    """Add an encoder that another exporter wrote.

    What it asks for beside ids and mask is made from the ids: token types are all 0, since a classifier's texts are
    single sentences, and positions count from 0, as transformers has it where none are given.

    Args:
        graph: Where to add it.
        encoder: The encoder.
        input_ids: int64 (batch, sequence).
        attention_mask: int64 (batch, sequence), 1 for tokens and 0 for padding.

    Returns:
        The token embeddings, float32 (batch, sequence, hidden).
    """
    inputs = {"input_ids": input_ids, "attention_mask": attention_mask}
    wanted = {value.name for value in encoder.model.graph.input}
    if wanted & {"token_type_ids", "position_ids"}:
        shape = graph.node("Shape", [input_ids], "traced_inputs.shape")
        if "token_type_ids" in wanted:
            zero = onnx.numpy_helper.from_array(np.zeros(1, np.int64))
            inputs["token_type_ids"] = graph.node("ConstantOfShape", [shape], "traced_inputs.token_types", value=zero)
        if "position_ids" in wanted:
            one = onnx.numpy_helper.from_array(np.ones(1, np.int64))
            ones = graph.node("ConstantOfShape", [shape], "traced_inputs.ones", value=one)
            axis = graph.constant("traced_inputs.positions.axis", 1, np.int64)
            inputs["position_ids"] = graph.node("CumSum", [ones, axis], "traced_inputs.positions", exclusive=1)
    outputs = graph.splice(
        encoder.model, {name: value for name, value in inputs.items() if name in wanted}, prefix="traced."
    )
    return outputs[encoder.model.graph.output[0].name]


def keep_token_embeddings(model: onnx.ModelProto, architecture: str) -> int:
    """Check a graph's inputs, leave it one output, the token embeddings, and give their width.

    Raises:
        UnsupportedCheckpoint: It asks for inputs that a sentence does not have, or gives no token embeddings.
    """
    names = {value.name for value in model.graph.input}
    if not {"input_ids", "attention_mask"} <= names <= set(KNOWN_INPUTS):
        raise UnsupportedCheckpoint(
            f"the traced graph of a {architecture}: expected the inputs input_ids and attention_mask and, at most, "
            f"token_type_ids and position_ids; found {', '.join(sorted(names))}: not supported"
        )
    for output in model.graph.output:
        axes = output.type.tensor_type.shape.dim
        is_float = output.type.tensor_type.elem_type == TensorProto.FLOAT
        if is_float and len(axes) == len(("batch", "sequence", "hidden")) and axes[-1].dim_value:
            kept = copy.deepcopy(output)
            del model.graph.output[:]
            model.graph.output.append(kept)
            return int(axes[-1].dim_value)
    raise UnsupportedCheckpoint(
        f"the traced graph of a {architecture}: expected an output (batch, sequence, hidden), float32, of a fixed "
        f"width; found {', '.join(value.name for value in model.graph.output)}: not supported"
    )


def check_weights(model: onnx.ModelProto, folder: Path) -> None:
    """Check that no weight is NaN or infinite.

    Raises:
        CheckpointError: One is; the message gives the name that the exporter gave it.
    """
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            array = onnx.numpy_helper.to_array(tensor)
            if np.isnan(array).any() or np.isposinf(array).any():  # minus infinity stands in masks
                raise CheckpointError(
                    f"{folder}: expected finite weights, found NaN or infinity in what the exporter calls {tensor.name}"
                )
