"""Real weights: all-MiniLM-L6-v2, and bge-small-en-v1.5 where a developer has it."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer

from setfuse.export import export, read_checkpoint
from setfuse.export._fuse import fuse
from setfuse.export._oracle import TorchOracle
from setfuse.runtime import Classifier, Manifest, Precision, Variant, read_rows
from setfuse.train._checkpoint import write_checkpoint
from setfuse.train._head import fit_head
from setfuse.train._head_settings import HeadSettings

from .evaluator import evaluate
from .test_fp16 import padded

DATA = Path(__file__).parents[2] / "benchmarks" / "data" / "support_desk"
PRECISIONS = ("fp32", "int8", "fp16")
FP16_TOLERANCE = 2e-3
"""Of a probability: some thirty roundings of up to 5e-4 in a row, most of which cancel; observed 2.7e-4."""
FP16_LARGEST = np.finfo(np.float16).max / 32
"""Of what the encoder computes: a thirty-second of what float16 holds; observed 298."""


@dataclass(frozen=True)
class Body:
    """A body and what its int8 graph must be.

    Attributes:
        folder: Where it is.
        linears: How many there are: four a layer, and with CLS pooling the last one's query is apart.
        largest: Bytes of the int8 file.
    """

    folder: Path
    linears: int
    largest: int


@pytest.fixture(scope="module", params=["all-MiniLM-L6-v2", "bge-small-en-v1.5"])
def body(request: pytest.FixtureRequest) -> Body:
    if request.param == "all-MiniLM-L6-v2":
        return Body(request.getfixturevalue("minilm"), linears=24, largest=25_000_000)
    shared: Path = request.getfixturevalue("shared")
    return Body(shared / "models" / "bge-small-en-v1.5", linears=49, largest=36_000_000)


@pytest.fixture(scope="module")
def checkpoint(body: Body, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The body with a head on its untrained embeddings."""
    folder = tmp_path_factory.mktemp("real") / "checkpoint"
    model = SentenceTransformer(str(body.folder), device="cpu")
    rows = read_rows(DATA / "train.jsonl")
    embeddings = model.encode([row.text for row in rows])
    head = fit_head(embeddings, [row.label for row in rows], HeadSettings(head_params={"C": 10}))
    folder.mkdir()
    write_checkpoint(folder, model, head, {"base_model": body.folder.name, "rows": {}, "arguments": {}, **NOTHING})
    return folder


@pytest.fixture(scope="module")
def bundle(checkpoint: Path) -> Path:
    """All three graphs, compared on held-out texts of the support desk."""
    folder = checkpoint.parent / "bundle"
    export(checkpoint, folder, PRECISIONS, check_on=read_rows(DATA / "test.jsonl")[:60])
    return folder


NOTHING = {"eval_rows": 0, "accuracy": None, "pairs": 0, "steps": 0, "seconds": 0.0, "versions": {}}


def variant(bundle: Path, precision: str) -> Variant:
    return next(v for v in Manifest.read(bundle).variants if v.precision is Precision(precision))


def test_fp32_is_torch(bundle: Path) -> None:
    parity = variant(bundle, "fp32").parity

    assert parity is not None
    assert parity.max_probability_difference <= parity.tolerance == 1e-5
    assert parity.label_agreement == 1
    assert parity.accuracy == parity.torch_accuracy


def test_int8_and_fp16_are_near(bundle: Path) -> None:
    int8, fp16 = variant(bundle, "int8").parity, variant(bundle, "fp16").parity

    assert int8 is not None
    assert fp16 is not None
    assert 0 < int8.mean_probability_difference <= 0.01
    assert 0 < fp16.mean_probability_difference <= 0.001
    assert fp16.label_agreement == 1


def test_fp16_rounded_as_on_a_gpu_is_near_and_far_from_overflow(checkpoint: Path) -> None:
    source = read_checkpoint(checkpoint)
    texts = ["where is my parcel", "I was charged twice for one order and want the money back"]
    expected = TorchOracle(source).answer(texts, batch_size=len(texts)).probabilities
    encodings = Tokenizer.from_str(source.tokenizer).encode_batch(texts)
    ids, mask = padded([encoding.ids for encoding in encodings], texts=2, tokens=16)
    model = fuse(source, Precision.FP16, 1)

    values = evaluate(model, {"input_ids": ids, "attention_mask": mask})

    computed = {name for node in model.graph.node for name in node.output if not name.startswith("mask")}
    halves = [value for name, value in values.items() if name in computed and value.dtype == np.float16]
    assert max(np.abs(value).max() for value in halves) <= FP16_LARGEST
    np.testing.assert_allclose(values["probabilities"], expected, rtol=0, atol=FP16_TOLERANCE)


def test_every_linear_of_int8_is_fused_and_the_file_is_small(bundle: Path, body: Body, tmp_path: Path) -> None:
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    options.log_severity_level = 3

    onnxruntime.InferenceSession(bundle / "model.int8.onnx", options, providers=["CPUExecutionProvider"])

    operators = Counter(node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node)
    assert operators["MatMulIntegerToFloat"] == body.linears
    assert operators["DequantizeLinear"] == 0
    assert variant(bundle, "int8").file.bytes < body.largest


def test_an_int8_answer_does_not_depend_on_the_batch(bundle: Path) -> None:
    texts = [row.text for row in read_rows(DATA / "test.jsonl")[:40]]
    classifier = Classifier.load(bundle, precision="int8")

    alone = np.concatenate([classifier.predict_proba([text]) for text in texts])

    np.testing.assert_allclose(classifier.predict_proba(texts), alone, rtol=0, atol=1e-5)
