"""Small changes to a right graph, which make it a wrong one or give it another interface."""

from collections.abc import Sequence
from pathlib import Path

import onnx
from onnx import TensorProto, helper, numpy_helper

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


def replace_operator(model: onnx.ModelProto, output: str, operator: str) -> None:
    """Let another operator compute a value from the same inputs."""
    node = next(node for node in model.graph.node if output in node.output)
    node.CopyFrom(helper.make_node(operator, list(node.input), list(node.output), name=node.name))


def keep_outputs(model: onnx.ModelProto, *names: str) -> None:
    """Leave the graph some of its outputs."""
    kept = [value for value in model.graph.output if value.name in names]
    del model.graph.output[:]
    model.graph.output.extend(kept)


def append(
    model: onnx.ModelProto, nodes: Sequence[onnx.NodeProto], output: str, dtype: int = FLOAT, **constants: object
) -> None:
    """Add nodes at the end, with constants for them, and the last one's value as an output."""
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())  # type: ignore[arg-type]
    model.graph.output.append(helper.make_tensor_value_info(output, dtype, None))


def rename_value(model: onnx.ModelProto, old: str, new: str) -> None:
    """Call a value something else, wherever it is computed and read; outputs of the graph stay as they are called."""
    for node in model.graph.node:
        for values in (node.input, node.output):
            values[:] = [new if name == old else name for name in values]


def save(model: onnx.ModelProto, path: Path) -> Path:
    """Write it."""
    onnx.save(model, path)
    return path
