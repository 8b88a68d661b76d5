"""Load and run an ONNX graph that anybody may have written."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import TensorProto

from setfuse.export._errors import GraphError

from ._batches import Batch
from ._roles import InputRole

_NUMPY_TYPES = {
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(bool)": np.bool_,
}


@dataclass(frozen=True, slots=True)
class GraphInput:
    """An input that has to be fed.

    Attributes:
        name: Its name.
        dtype: What it takes.
        shape: Its declared axes: a size, or a name or None where it varies.
    """

    name: str
    dtype: npt.DTypeLike
    shape: tuple[int | str | None, ...]


class RunFailed(Exception):
    """onnxruntime could not run the graph on a batch; caught inside this stage."""


class ForeignGraph:
    """An ONNX file in onnxruntime.

    Attributes:
        path: The file.
        inputs: What it takes.
        operators: How many nodes of each operator it has, those inside of others included.
        dtypes: ONNX's names of the types that its constants and casts have.
        metadata: Its `metadata_props`.
        fixed_length: Tokens of a text, where the graph takes no other number.
        fixed_rows: Texts of a batch, where it takes no other number.
    """

    def __init__(self, path: str | Path) -> None:
        """Load the file.

        Raises:
            GraphError: There is no such file, it is not ONNX, onnxruntime refuses it, or it takes something else than
                token ids.
        """
        self.path = Path(path)
        model = read_model(self.path)
        self.operators = Counter(node.op_type for node in all_nodes(model.graph))
        self.dtypes = _dtypes(model)
        self.metadata = {item.key: item.value for item in model.metadata_props}
        self._session = open_session(self.path)
        self.inputs = tuple(self._input(value) for value in self._session.get_inputs())
        self.output_names = tuple(value.name for value in self._session.get_outputs())
        rows, lengths = zip(*(value.shape for value in self.inputs), strict=True)
        self.fixed_rows = next((size for size in rows if isinstance(size, int) and size > 0), None)
        self.fixed_length = next((size for size in lengths if isinstance(size, int) and size > 1), None)

    def run(self, batch: Batch, roles: Mapping[str, InputRole]) -> dict[str, Any]:
        """Run one batch.

        Args:
            batch: The texts.
            roles: What each input, by name, is fed with.

        Returns:
            What each output, by name, holds: an array with a row a text, or a list with an item a text.

        Raises:
            RunFailed: onnxruntime fails on this batch.
        """
        rows = len(batch.ids)
        step = self.fixed_rows
        if step is None:
            return self._run(batch, roles, range(rows))
        parts = [self._run(batch, roles, range(start, start + step)) for start in range(0, rows, step)]
        return {name: _joined([part[name] for part in parts], rows) for name in self.output_names}

    def _run(self, batch: Batch, roles: Mapping[str, InputRole], rows: range) -> dict[str, Any]:
        try:
            results = self._session.run(None, self.feeds(batch, roles, rows))
        except Exception as error:  # onnxruntime's exceptions have no common base but this one
            raise RunFailed(one_line(error)) from error
        return dict(zip(self.output_names, results, strict=True))

    def feeds(
        self, batch: Batch, roles: Mapping[str, InputRole], rows: range | None = None
    ) -> dict[str, npt.NDArray[Any]]:
        """Give the inputs for some rows of a batch; a graph of fixed rows gets the last text again and again."""
        index = np.minimum(np.asarray(rows or range(len(batch.ids))), len(batch.ids) - 1)
        values = {
            InputRole.IDS: batch.ids,
            InputRole.MASK: batch.mask,
            InputRole.TYPES: batch.types,
            InputRole.POSITIONS: batch.positions,
        }
        return {value.name: values[roles[value.name]][index].astype(value.dtype) for value in self.inputs}

    def _input(self, value: "onnxruntime.NodeArg") -> GraphInput:
        if value.type not in _NUMPY_TYPES or len(value.shape) != 2:  # noqa: PLR2004 - texts and tokens
            raise GraphError(
                f"{self.path}: expected inputs of token ids, masks and the like, numbers (texts, tokens); "
                f"found {value.name!r}, {value.type} of the shape {value.shape}"
            )
        return GraphInput(value.name, _NUMPY_TYPES[value.type], tuple(value.shape))


def read_model(path: Path) -> onnx.ModelProto:
    """Read an ONNX file without its external data.

    Raises:
        GraphError: There is no such file, or it is not ONNX.
    """
    if path.is_dir():
        raise GraphError(f"{path}: expected an ONNX file, found a folder; name a file in it")
    try:
        model = onnx.load_model_from_string(path.read_bytes())
    except OSError as error:
        raise GraphError(f"{path}: expected an ONNX file, but it cannot be read: {error.strerror}") from error
    except Exception as error:  # protobuf's DecodeError, without importing protobuf for its name
        raise GraphError(f"{path}: expected an ONNX file, found something else or damage ({error})") from error
    if not model.graph.node or not model.graph.output:
        raise GraphError(f"{path}: expected an ONNX file, found a file without a graph")
    return model


def open_session(model: Path | bytes, optimized: Path | None = None, library: str = "") -> onnxruntime.InferenceSession:
    """Open a graph on the CPU, with the settings that the runtime uses.

    Args:
        model: The file, or its content.
        optimized: Where onnxruntime is to write the graph as it runs it.
        library: Of operators that onnxruntime itself does not have.

    Raises:
        GraphError: onnxruntime refuses it.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what is fatal; errors arrive as exceptions
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.x64quantprecision", "1")
    if library:
        options.register_custom_ops_library(library)
    if optimized:
        options.optimized_model_filepath = str(optimized)
    try:
        return onnxruntime.InferenceSession(
            model if isinstance(model, bytes) else str(model),
            options,
            providers=["CPUExecutionProvider"],
            disabled_optimizers=["SkipLayerNormFusion"],
        )
    except Exception as error:  # onnxruntime's exceptions have no common base but this one
        name = "the graph" if isinstance(model, bytes) else str(model)
        raise GraphError(f"{name}: onnxruntime refuses the graph: {one_line(error)}") from error


def all_graphs(graph: onnx.GraphProto) -> list[onnx.GraphProto]:
    """List a graph and the graphs inside its nodes: the bodies of loops, the branches of conditions."""
    graphs = [graph]
    for node in graph.node:
        for attribute in node.attribute:
            for inner in [attribute.g] if attribute.HasField("g") else attribute.graphs:
                graphs += all_graphs(inner)
    return graphs


def all_nodes(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """List the nodes of a graph and of the graphs inside its nodes."""
    return [node for inner in all_graphs(graph) for node in inner.node]


def one_line(error: object) -> str:
    """Give the first line of a message, without onnxruntime's code in front of it."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rpartition(" : ")[2][:300]


def _dtypes(model: onnx.ModelProto) -> frozenset[str]:
    kinds = {constant.data_type for graph in all_graphs(model.graph) for constant in graph.initializer}
    for node in all_nodes(model.graph):
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.TENSOR:
                kinds.add(attribute.t.data_type)
            elif node.op_type == "Cast" and attribute.name == "to":
                kinds.add(attribute.i)
    return frozenset(TensorProto.DataType.Name(kind) for kind in kinds)


def _joined(parts: list[Any], rows: int) -> Any:
    if isinstance(parts[0], list):  # ai.onnx.ml's ZipMap: a dictionary a text
        return [item for part in parts for item in part][:rows]
    if np.ndim(parts[0]) == 0:
        return parts[0]
    return np.concatenate(parts)[:rows]


def run_exposed(
    graph: ForeignGraph, batch: Batch, roles: Mapping[str, InputRole], names: Collection[str] | None = None
) -> dict[str, Any]:
    """Run a graph on one batch with values inside it as outputs.

    Args:
        graph: The graph; its weights stand in the file itself.
        batch: What to run it on.
        roles: What its inputs are fed with.
        names: Which values; None for all. Those that no node computes are left out.

    Returns:
        The values by name.

    Raises:
        GraphError: onnxruntime refuses the graph with these outputs.
        RunFailed: It fails on the batch.
    """
    model = read_model(graph.path)
    computed = dict.fromkeys(name for node in model.graph.node for name in node.output if name)
    wanted = [name for name in computed if names is None or name in names]
    del model.graph.output[:]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in wanted)
    try:
        content = model.SerializeToString()
    except ValueError as error:  # protobuf takes 2 GiB at most
        raise GraphError(f"{graph.path}: expected a graph of less than 2 GiB: {error}") from error
    session = open_session(content)
    try:
        values = session.run(None, graph.feeds(batch, roles))
    except Exception as error:  # onnxruntime's exceptions have no common base but this one
        raise RunFailed(one_line(error)) from error
    return dict(zip((value.name for value in session.get_outputs()), values, strict=True))
