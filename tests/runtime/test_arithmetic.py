"""What processors do to numbers: sums of 8-bit products without VNNI, and denormals, which are slow."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper

from setfuse.export import export
from setfuse.runtime import Manifest
from setfuse.runtime._tokenizer import Tokenizer
from tests.models import LONG_TEXT, TEXTS

Arrays = dict[str, npt.NDArray[np.generic]]

SMALLEST_NORMAL = np.finfo(np.float32).tiny


@pytest.fixture(scope="module")
def bundle(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("arithmetic") / "bundle"
    export(tiny_checkpoint, folder, ("fp32", "int8"))
    return folder


def run_with_all_values(model: onnx.ModelProto, bundle: Path, text: str) -> Arrays:
    """Run a graph as it stands, no operators fused, and give every value in it."""
    known = {output.name for output in model.graph.output}
    names = [name for node in model.graph.node for name in node.output if name and name not in known]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    tokenizer = Tokenizer((bundle / "tokenizer.json").read_bytes(), Manifest.read(bundle).max_length)
    ids = np.array(tokenizer.encode([text]))
    feeds = {put.name: ids if put.name == "input_ids" else np.ones_like(ids) for put in session.get_inputs()}
    return dict(zip([output.name for output in session.get_outputs()], session.run(None, feeds), strict=True))


# Sums of 8-bit products


def quantized_products(bundle: Path) -> list[tuple[npt.NDArray[np.uint8], npt.NDArray[np.int8]]]:
    """Give activations (tokens, inputs) and weights (inputs, outputs) of the int8 graph's linears, as they are run."""
    model = onnx.load(bundle / "model.int8.onnx")
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    makers = {name: node for node in model.graph.node for name in node.output}
    values = run_with_all_values(model, bundle, LONG_TEXT)
    found = []
    for node in model.graph.node:
        sides = [makers.get(name) for name in node.input]
        if node.op_type == "MatMul" and all(side and side.op_type == "DequantizeLinear" for side in sides):
            activations, weights = (side.input[0] for side in sides if side)
            found.append((values[activations].reshape(-1, constants[weights].shape[0]), constants[weights]))
    return found


def saturating_product(activations: npt.NDArray[np.uint8], weights: npt.NDArray[np.int8]) -> npt.NDArray[np.int64]:
    """Multiply as x86 does without VNNI: vpmaddubsw adds two neighbouring products in 16 bits, which saturate."""
    products = activations.astype(np.int64)[:, :, None] * weights.astype(np.int64)[None]
    if products.shape[1] % 2:
        products = np.pad(products, ((0, 0), (0, 1), (0, 0)))
    pairs = products[:, ::2] + products[:, 1::2]
    return np.clip(pairs, np.iinfo(np.int16).min, np.iinfo(np.int16).max).sum(axis=1)


def test_without_vnni_sums_of_the_int8_graph_overflow(bundle: Path) -> None:
    """So what the export found of this file does not hold there; test_choice shows what is done about it."""
    products = quantized_products(bundle)
    assert products

    wrong = 0
    for activations, weights in products:
        assert (activations.dtype, weights.dtype) == (np.uint8, np.int8)
        exact = activations.astype(np.int64) @ weights.astype(np.int64)
        wrong += np.count_nonzero(saturating_product(activations, weights) != exact)
    assert wrong > 0


def test_the_simulated_product_is_exact_where_nothing_overflows(bundle: Path) -> None:
    """Seven bits of the weights leave room: what onnxruntime and NNCF call a reduced range."""
    for activations, weights in quantized_products(bundle):
        reduced = (weights // 2).astype(np.int8)
        exact = activations.astype(np.int64) @ reduced.astype(np.int64)
        np.testing.assert_array_equal(saturating_product(activations, reduced), exact)


# Denormals

PROBE = """
import sys
import numpy as np
def kept():
    smallest = np.full(64, 1e-40, np.float32)
    return bool((smallest * np.float32(1) != 0).all() and (smallest + smallest != 0).all())
before = kept()
from setfuse.runtime import Classifier
classifier = Classifier.load(sys.argv[1], engine=sys.argv[2], precision="fp32")
classifier("late"); classifier(["late", "where is my parcel"] * 20)
print(before, kept())
"""


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_the_callers_arithmetic_stays_what_it_was(engine: str, bundle: Path) -> None:
    pytest.importorskip(engine, reason=f"{engine} is not installed")

    done = subprocess.run(
        [sys.executable, "-c", PROBE, bundle, engine], capture_output=True, encoding="utf-8", check=True
    )

    assert done.stdout.split() == ["True", "True"]


def count_denormals(values: Arrays) -> int:
    floats = [value for value in values.values() if value.dtype == np.float32]
    return sum(int(((value != 0) & (np.abs(value) < SMALLEST_NORMAL)).sum()) for value in floats)


@pytest.mark.parametrize("text", [*TEXTS, LONG_TEXT], ids=lambda text: ascii(text)[:20])
def test_no_denormals_arise_in_the_graph(text: str, bundle: Path) -> None:
    values = run_with_all_values(onnx.load(bundle / "model.onnx"), bundle, text)

    assert any(value.ndim == 4 for value in values.values())  # attention is among them, not inside one operator
    assert count_denormals(values) == 0


def test_denormals_would_be_seen(bundle: Path) -> None:
    """The same graph with attention so sharp that its softmax underflows."""
    model = onnx.load(bundle / "model.onnx")
    nodes = list(model.graph.node)
    del model.graph.node[:]
    for node in nodes:
        if node.op_type == "Softmax" and "attention" in node.output[0]:
            sharp = f"{node.input[0]}.sharp"
            model.graph.node.append(helper.make_node("Mul", [node.input[0], "sharpness"], [sharp]))
            node.input[0] = sharp
        model.graph.node.append(node)
    model.graph.initializer.append(numpy_helper.from_array(np.array(2000, dtype=np.float32), "sharpness"))

    assert count_denormals(run_with_all_values(model, bundle, LONG_TEXT)) > 0
