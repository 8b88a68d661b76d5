"""Other kinds of bundles, made of `tiny_bundle` by other ends of its graph: what the export's other heads write."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from .damage import change_manifest, replace_file

LOGITS_SHIFT = np.array([0.08, 0.05, 0.04], np.float32)
"""What is taken from the logits: of the tests' texts some then have no label above 0, some one, some two."""


def make_multi_label(bundle: Path) -> Path:
    """Give each label a probability of its own: a sigmoid in place of the softmax."""
    model = _load(bundle)
    model.graph.node[-1].CopyFrom(helper.make_node("Sigmoid", ["head.logits"], ["probabilities"]))
    replace_file(bundle, "model.onnx", model.SerializeToString())
    return change_manifest(bundle, lambda manifest: manifest.update(task="multi-label-classification"))


def make_decision(bundle: Path, *, multi_label: bool = False) -> Path:
    """Give the logits themselves."""
    model = _load(bundle)
    model.graph.node[-1].CopyFrom(helper.make_node("Identity", ["head.logits"], ["decision_scores"]))
    model.graph.output[0].name = "decision_scores"
    replace_file(bundle, "model.onnx", model.SerializeToString())

    def change(manifest: dict[str, object]) -> None:
        manifest["scores"] = "decision_scores"
        manifest["variants"][0]["outputs"][0]["name"] = "decision_scores"  # type: ignore[index]
        manifest["provenance"]["head"] = "LinearSVC"  # type: ignore[index]
        if multi_label:
            manifest["task"] = "multi-label-classification"

    return change_manifest(bundle, change)


def take_int32(bundle: Path) -> Path:
    """Declare both inputs as int32, as some engines want them."""
    model = onnx.load(bundle / "model.onnx")
    for value in model.graph.input:
        for node in model.graph.node:
            node.input[:] = [f"{name}.int64" if name == value.name else name for name in node.input]
        value.type.tensor_type.elem_type = TensorProto.INT32
        cast = helper.make_node("Cast", [value.name], [f"{value.name}.int64"], to=TensorProto.INT64)
        model.graph.node.insert(0, cast)
    replace_file(bundle, "model.onnx", model.SerializeToString())

    def change(manifest: dict[str, object]) -> None:
        for tensor in manifest["variants"][0]["inputs"]:  # type: ignore[index]
            tensor["dtype"] = "int32"

    return change_manifest(bundle, change)


def _load(bundle: Path) -> onnx.ModelProto:
    """Read the graph and shift its logits."""
    model = onnx.load(bundle / "model.onnx")
    (intercept,) = (value for value in model.graph.initializer if value.name == "head.intercept")
    shifted = numpy_helper.to_array(intercept) - LOGITS_SHIFT
    intercept.CopyFrom(numpy_helper.from_array(shifted, intercept.name))
    return model
