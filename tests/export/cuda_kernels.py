"""Whether onnxruntime's CUDA provider has a kernel for every node of a graph, by the table that its package lists."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import onnx
from onnx import TensorProto
from onnxruntime.capi.onnxruntime_pybind11_state import get_all_operator_schema

from .read_cuda_kernels import OPSET, PATH

READ_ON_THE_CPU = {
    ("Slice", 1),
    ("Slice", 2),
    ("Slice", 3),
    ("Slice", 4),
    ("Reshape", 1),
    ("Expand", 1),
}
"""Inputs that a CUDA kernel reads from the CPU's memory, by operator and place: where `Shape` puts what it gives.

With any other reader of a shape, onnxruntime moves nodes to the CPU (`GetCpuPreferredNodes`).
"""
FALLS_BACK = {("ArgMax", "select_last_index", 1)}
"""Attributes of operators that have a kernel, but not for this value."""
CONTROL_FLOW = {"If", "Loop", "Scan"}


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel of the CUDA provider.

    Attributes:
        first: The oldest version of the operator that it is for.
        last: The newest; None for all to come.
        types: The element types that it takes, by the schema's type variable, or the input's name.
    """

    first: int
    last: int | None
    types: Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True)
class Schema:
    """What a node's inputs and outputs are called in the operator's schema.

    Attributes:
        version: That of the operator, in the opset.
        inputs: Name and type variable of each.
        outputs: Likewise.
        allowed: The element types of a type variable.
        any_inputs: Whether the last input stands for any number.
        any_outputs: Whether the last output does.
    """

    version: int
    inputs: Sequence[tuple[str, str]]
    outputs: Sequence[tuple[str, str]]
    allowed: Mapping[str, Sequence[str]]
    any_inputs: bool = False
    any_outputs: bool = False

    @staticmethod
    def of(node: onnx.NodeProto) -> "Schema":
        """Look a node's schema up: onnx's own, or for com.microsoft onnxruntime's."""
        if not node.domain:
            own = onnx.defs.get_schema(node.op_type, OPSET, "")
            return Schema(
                own.since_version,
                [(value.name, value.type_str) for value in own.inputs],
                [(value.name, value.type_str) for value in own.outputs],
                {c.type_param_str: c.allowed_type_strs for c in own.type_constraints},
                any_inputs=_is_variadic(own.inputs[-1]),
                any_outputs=_is_variadic(own.outputs[-1]),
            )
        theirs = _MICROSOFT[node.op_type]
        return Schema(
            theirs.since_version,
            [(value.name, value.typeStr) for value in theirs.inputs],
            [(value.name, value.typeStr) for value in theirs.outputs],
            {value.typeStr: sorted(value.types) for value in (*theirs.inputs, *theirs.outputs)},
        )

    def values(self, node: onnx.NodeProto) -> Iterator[tuple[str, str, str]]:
        """Give the name, the type variable and the value of each input and output that the node has."""
        for values, named, repeats in (
            (node.input, self.inputs, self.any_inputs),
            (node.output, self.outputs, self.any_outputs),
        ):
            for place, value in enumerate(values):
                if value:
                    yield *named[min(place, len(named) - 1) if repeats else place], value


_MICROSOFT = {schema.name: schema for schema in get_all_operator_schema() if schema.domain == "com.microsoft"}


def read_kernels() -> dict[tuple[str, str], list[Kernel]]:
    """Read the table, by domain and operator."""
    found: dict[tuple[str, str], list[Kernel]] = {}
    for row in json.loads(PATH.read_text())["kernels"]:
        types = {name: frozenset(names) for name, names in row["types"].items()}
        found.setdefault((row["domain"], row["operator"]), []).append(Kernel(*row["versions"], types))
    return found


def element_types(graph: onnx.GraphProto) -> dict[str, str]:
    """Give the element type of every value, as `tensor(float16)`, by the operators' schemas."""
    types = {value.name: _type_name(value.type.tensor_type.elem_type) for value in graph.input}
    types |= {constant.name: _type_name(constant.data_type) for constant in graph.initializer}
    for node in graph.node:
        schema = Schema.of(node)
        to = next((attribute.i for attribute in node.attribute if attribute.name == "to"), None)
        bound: dict[str, str] = {}
        for _, variable, value in schema.values(node):  # the inputs first
            if value not in types and to:
                types[value] = _type_name(to)
            elif value not in types and variable in bound:
                types[value] = bound[variable]
            elif value not in types:
                (types[value],) = schema.allowed.get(variable, [variable])
            bound.setdefault(variable, types[value])
    return types


def problems(model: onnx.ModelProto) -> Iterator[str]:
    """Say what of a graph would not run on the device."""
    for node in model.graph.node:
        if node.op_type in CONTROL_FLOW:
            yield f"{node.name}: {node.op_type} runs a graph of its own"
            return
    kernels, types = read_kernels(), element_types(model.graph)
    shapes = {node.output[0] for node in model.graph.node if node.op_type == "Shape"}
    for node in model.graph.node:
        operator = f"{node.domain}.{node.op_type}".lstrip(".")
        if not any(_takes(kernel, node, types) for kernel in kernels.get((node.domain, node.op_type), [])):
            yield f"{node.name}: no CUDA kernel of {operator} for {[types[name] for name in node.input if name]}"
        for attribute in node.attribute:
            if (node.op_type, attribute.name, attribute.i) in FALLS_BACK:
                yield f"{node.name}: {operator} with {attribute.name}={attribute.i} runs on the CPU"
        for place, name in enumerate(node.input):
            if name in shapes and (node.op_type, place) not in READ_ON_THE_CPU:
                yield f"{node.name}: {operator} computes with a shape, which is on the CPU"


def _takes(kernel: Kernel, node: onnx.NodeProto, types: Mapping[str, str]) -> bool:
    schema = Schema.of(node)
    if not (kernel.first <= schema.version and (kernel.last is None or schema.version <= kernel.last)):
        return False
    return all(
        types[value] in kernel.types.get(variable, kernel.types.get(name, {types[value]}))
        for name, variable, value in schema.values(node)
    )


def _is_variadic(value: onnx.defs.OpSchema.FormalParameter) -> bool:
    return value.option == onnx.defs.OpSchema.FormalParameterOption.Variadic


def _type_name(element: int) -> str:
    return f"tensor({TensorProto.DataType.Name(element).lower()})"
