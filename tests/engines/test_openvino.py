"""The bundle's graphs in OpenVINO: the same files, the same answers, and int8 kernels where the file says int8."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest
import tokenizers

from setfuse.export._check_texts import CHECK_TEXTS
from setfuse.runtime import Classifier

openvino = pytest.importorskip("openvino", reason="OpenVINO is not installed: pip install openvino")

# Sums of float32 in another order: 1.5e-7 was seen with all-MiniLM-L6-v2. The bound is the export's own against torch.
FP32_TOLERANCE = 1e-5

# Both engines round activations to the same steps, but a float32 sum that lies between two steps falls to either side,
# and later layers carry that on: 0.003 at most and 0.0003 in the mean were seen with all-MiniLM-L6-v2. The bound in the
# mean is a fifth of what the export allows int8 against torch.
INT8_TOLERANCE = 0.02
INT8_MEAN_TOLERANCE = 0.002

Answers = dict[str, npt.NDArray[np.float32]]


def compiled(bundle: Path, file: str) -> "openvino.CompiledModel":
    """Compile a graph for the CPU in float32: by itself OpenVINO takes bf16 where the processor has it."""
    hints = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    return openvino.Core().compile_model(bundle / file, "CPU", hints)


def answers(model: "openvino.CompiledModel", batches: list[dict[str, npt.NDArray[np.int64]]]) -> Answers:
    rows: dict[str, list[npt.NDArray[np.float32]]] = {"probabilities": [], "sentence_embedding": []}
    for feeds in batches:
        results = model(feeds)
        for name, found in rows.items():
            found.append(np.array(results[name]))  # a copy: the engine writes the next batch into the same memory
    return {name: np.concatenate(found) for name, found in rows.items()}


def test_fp32_answers_ragged_padded_batches_as_onnxruntime_does(pair: Path) -> None:
    tokenizer = tokenizers.Tokenizer.from_file(str(pair / "tokenizer.json"))
    tokenizer.enable_padding()
    encodings = [tokenizer.encode_batch(CHECK_TEXTS[start : start + 16]) for start in range(0, len(CHECK_TEXTS), 16)]
    batches = [
        {
            "input_ids": np.asarray([encoding.ids for encoding in batch], np.int64),
            "attention_mask": np.asarray([encoding.attention_mask for encoding in batch], np.int64),
        }
        for batch in encodings
    ]
    assert any((batch["attention_mask"] == 0).any() for batch in batches)

    found = answers(compiled(pair, "model.onnx"), batches)

    classifier = Classifier.load(pair, precision="fp32")
    expected = classifier.predict_proba(CHECK_TEXTS)
    np.testing.assert_allclose(found["probabilities"], expected, rtol=0, atol=FP32_TOLERANCE)
    np.testing.assert_allclose(found["sentence_embedding"], classifier.embed(CHECK_TEXTS), rtol=0, atol=FP32_TOLERANCE)


def test_int8_answers_batches_of_equal_length_nearly_as_onnxruntime_does(pair: Path) -> None:
    tokenizer = tokenizers.Tokenizer.from_file(str(pair / "tokenizer.json"))
    batches = [{"input_ids": np.asarray([tokenizer.encode(text).ids], np.int64)} for text in CHECK_TEXTS]

    found = answers(compiled(pair, "model.int8.onnx"), batches)["probabilities"]

    expected = Classifier.load(pair, precision="int8").predict_proba(CHECK_TEXTS)
    differences = np.abs(found - expected)
    assert differences.max() <= INT8_TOLERANCE
    assert differences.mean() <= INT8_MEAN_TOLERANCE
    best = np.sort(expected, axis=1)
    sure = best[:, -1] - best[:, -2] > 2 * INT8_TOLERANCE
    assert sure.any()
    assert (found.argmax(axis=1) == expected.argmax(axis=1))[sure].all()


def test_int8_gives_a_text_the_same_answer_alone_and_in_a_batch(small_pair: Path) -> None:
    model = compiled(small_pair, "model.int8.onnx")
    ids = np.random.default_rng(0).integers(5, 50, size=(6, 12))

    together = answers(model, [{"input_ids": ids}])["probabilities"]
    alone = answers(model, [{"input_ids": row[None]} for row in ids])["probabilities"]

    np.testing.assert_allclose(together, alone, rtol=0, atol=FP32_TOLERANCE)


def test_int8_stays_int8_in_every_quantized_product(pair: Path) -> None:
    kernels = [
        operator.get_rt_info()["runtimePrecision"].value
        for operator in compiled(pair, "model.int8.onnx").get_runtime_model().get_ordered_ops()
        if operator.get_rt_info()["layerType"].value == "FullyConnected"
    ]

    assert sum(precision in {"u8", "i8"} for precision in kernels) == quantized_products(pair / "model.int8.onnx")


def quantized_products(path: Path) -> int:
    """Count the products of the file that have both factors dequantized: four a layer at least."""
    graph = onnx.load(path).graph
    dequantized = {node.output[0] for node in graph.node if node.op_type == "DequantizeLinear"}
    count = sum(node.op_type == "MatMul" and dequantized.issuperset(node.input) for node in graph.node)
    assert count >= 8
    return count


def test_fp32_is_float32_everywhere(pair: Path) -> None:
    """So that the comparison above is one of float32, on processors with bf16 as well."""
    operators = compiled(pair, "model.onnx").get_runtime_model().get_ordered_ops()
    kinds = {operator.get_rt_info()["runtimePrecision"].value for operator in operators}

    assert "f32" in kinds
    assert kinds.isdisjoint({"bf16", "f16"})
