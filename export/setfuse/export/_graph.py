"""Write an ONNX graph node by node."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx.compose
import onnx.version_converter
from onnx import TensorProto, helper, numpy_helper

from ._encoder import Norm

OPSET = 20
"""The first with a standard Gelu; a graph that needs a newer operator says so."""

IR_VERSION = 10
"""onnxruntime-gpu lags the CPU package; onnx itself writes a newer one by default."""


@dataclass(frozen=True, slots=True)
class Body:
    """What stands inside a loop.

    Attributes:
        nodes: In order.
        constants: By name.
    """

    nodes: list[onnx.NodeProto]
    constants: dict[str, onnx.TensorProto]


class GraphBuilder:
    """Collects nodes and constants; every value is named after what it holds, so that a viewer reads well.

    The same calls give the same bytes: names come from the caller, never from a counter that others share.
    """

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}
        self._opsets = {"": OPSET}

    def constant(self, name: str, value: npt.ArrayLike, dtype: npt.DTypeLike = np.float32) -> str:
        """Add a constant and return its name; the same constant may be added again, and is written once.

        Raises:
            ValueError: The name is taken by another constant.
        """
        with np.errstate(over="ignore"):  # what float16 does not hold becomes infinite, and the comparison tells
            tensor = numpy_helper.from_array(np.asarray(value, dtype=dtype, order="C"), name)
        if name not in self._constants:
            self._constants[name] = tensor
        elif self._constants[name] != tensor:
            raise ValueError(f"the graph has another constant {name!r} already")
        return name

    def node(self, op: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Add a node with one output and return the output's name."""
        return self.node_with_outputs(op, inputs, [output], **attributes)[0]

    def node_with_outputs(self, op: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any) -> list[str]:
        """Add a node and return its outputs' names."""
        self._nodes.append(helper.make_node(op, inputs, outputs, name=outputs[0], **attributes))
        return list(outputs)

    def layer_norm(self, x: str, name: str, norm: Norm, dtype: npt.DTypeLike = np.float32) -> str:
        """Add a LayerNormalization over the last axis."""
        constants = [
            self.constant(f"{norm.name}.weight", norm.weight, dtype),
            self.constant(f"{norm.name}.bias", norm.bias, dtype),
        ]
        return self.node("LayerNormalization", [x, *constants], name, axis=-1, epsilon=norm.epsilon)

    def use_domain(self, domain: str, version: int) -> None:
        """Declare the operators of a domain, of a version or a newer one; the standard domain has no name."""
        self._opsets[domain] = max(version, self._opsets.get(domain, 1))

    def uses_domain(self, domain: str) -> bool:
        """Tell whether any node so far is of a domain."""
        return any(node.domain == domain for node in self._nodes)

    def splice(self, model: onnx.ModelProto, inputs: Mapping[str, str], prefix: str) -> dict[str, str]:
        """Take over the nodes and constants of a model that another exporter wrote.

        Args:
            model: Self-contained: no external data, no local functions.
            inputs: The value of this graph that each of the model's inputs stands for.
            prefix: Set before the name of every value and node, so that no two meet.

        Returns:
            The name in this graph of each of the model's outputs.
        """
        if next(opset.version for opset in model.opset_import if opset.domain in {"", "ai.onnx"}) < OPSET:
            model = onnx.version_converter.convert_version(model, OPSET)
        # The names of constants are told beforehand: onnx 1.23 would not rename them inside the branches of an If.
        constants = {constant.name: prefix + constant.name for constant in model.graph.initializer}
        graph = onnx.compose.add_prefix_graph(model.graph, prefix, name_map=constants)
        for name, value in inputs.items():
            self.node("Identity", [value], prefix + name)
        self._nodes += graph.node
        self._constants |= {constant.name: constant for constant in graph.initializer}
        for opset in model.opset_import:
            self.use_domain("" if opset.domain == "ai.onnx" else opset.domain, opset.version)
        return {output.name: prefix + output.name for output in model.graph.output}

    @contextlib.contextmanager
    def body(self) -> Iterator["Body"]:
        """Collect the nodes and constants that are added meanwhile apart, for `loop`."""
        body = Body([], {})
        outer = self._nodes, self._constants
        self._nodes, self._constants = body.nodes, body.constants
        try:
            yield body
        finally:
            self._nodes, self._constants = outer

    def loop(
        self, trip_count: str, body: "Body", iteration: str, outputs: Mapping[str, onnx.ValueInfoProto]
    ) -> list[str]:
        """Add a loop that runs a fixed number of times and stacks what each turn gives.

        Args:
            trip_count: int64 scalar, how many times.
            body: One turn. It may use this graph's values; its own names are other ones.
            iteration: What the body calls the number of its turn, an int64 scalar.
            outputs: What each turn gives, by the name that the stack of it, one row a turn, gets in this graph.

        Returns:
            The names of the outputs.
        """
        going_on, still = tensor_info(f"{iteration}.go_on", BOOL, ()), tensor_info(f"{iteration}.still", BOOL, ())
        condition = helper.make_node("Identity", [going_on.name], [still.name], name=still.name)
        turn = helper.make_graph(
            [*body.nodes, condition],
            f"{iteration}.body",
            inputs=[tensor_info(iteration, INT64, ()), going_on],
            outputs=[still, *outputs.values()],
            initializer=list(body.constants.values()),
        )
        return self.node_with_outputs("Loop", [trip_count, ""], list(outputs), body=turn)

    def model(
        self,
        name: str,
        inputs: Sequence[onnx.ValueInfoProto],
        outputs: Sequence[onnx.ValueInfoProto],
        metadata: Mapping[str, str],
    ) -> onnx.ModelProto:
        """Put the model together and check it."""
        graph = helper.make_graph(self._nodes, name, inputs, outputs, initializer=list(self._constants.values()))
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid(domain, version) for domain, version in self._opsets.items()],
            ir_version=IR_VERSION,
            producer_name="setfuse",
        )
        helper.set_model_props(model, dict(metadata))
        onnx.checker.check_model(model, full_check=True)
        return model


def tensor_info(name: str, dtype: int, shape: Sequence[str | int]) -> onnx.ValueInfoProto:
    """Describe an input or output; axes that vary have a name."""
    return helper.make_tensor_value_info(name, dtype, shape)


INT32 = TensorProto.INT32
INT64 = TensorProto.INT64
FLOAT = TensorProto.FLOAT
FLOAT16 = TensorProto.FLOAT16
STRING = TensorProto.STRING
BOOL = TensorProto.BOOL
