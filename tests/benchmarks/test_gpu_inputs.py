"""What is carried to a machine with a GPU: torch's answers, graphs of others that answer as torch does, small files."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from safetensors.numpy import load_file
from scipy.special import softmax
from sentence_transformers import SentenceTransformer

from benchmarks import gpu_inputs
from benchmarks._contenders import Head
from benchmarks._errors import BenchmarkError
from benchmarks._files import read_json
from benchmarks._gpu._inputs import Reference
from benchmarks._gpu._random import SHAPES
from benchmarks._gpu._trace import optimise, trace
from setfuse.export import export
from setfuse.runtime import Classifier, read_texts
from tests.models import LONG_TEXT, TEXTS, make_body, make_checkpoint

LABELS = ("late", "lost", "refund")
FP16_TOLERANCE = 0.02
"""Of a probability: the small bodies have weights of 0.2 and a steep head, so that fp16 shows."""


def oracle(checkpoint: Path, texts: list[str]) -> npt.NDArray[np.float64]:
    """Embed with sentence-transformers, and compute the head's probabilities from its own file."""
    head = load_file(checkpoint / "head.safetensors")
    embeddings = SentenceTransformer(str(checkpoint), device="cpu").encode(texts).astype(np.float64)
    scores = embeddings @ head["coef"].T + head["intercept"]
    if len(head["coef"]) == 1:
        scores = np.hstack([np.zeros_like(scores), scores])
    shares: npt.NDArray[np.float64] = softmax(scores, axis=1)
    return shares


def run(graph: Path, checkpoint: Path, texts: list[str]) -> npt.NDArray[np.float32]:
    """Run a traced graph on padded texts, tokenized by sentence-transformers."""
    body = SentenceTransformer(str(checkpoint), device="cpu")
    encoded = body.tokenizer(texts, padding=True, truncation=True, max_length=body.max_seq_length, return_tensors="np")
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    feeds = {name: encoded[name].astype(np.int64) for name in ("input_ids", "attention_mask")}
    probabilities: npt.NDArray[np.float32] = session.run(["probabilities"], feeds)[0]
    return probabilities


def test_the_answers_are_torchs(inputs: Path, tiny_checkpoint: Path, gpu_texts: Path) -> None:
    reference = Reference.read(inputs, LABELS)

    texts = list(read_texts(gpu_texts))
    assert list(reference.texts) == texts
    assert reference.source.endswith("/texts.jsonl")
    expected = oracle(tiny_checkpoint, texts)
    assert reference.probabilities == pytest.approx(expected, abs=1e-5)
    assert list(reference.answers) == [LABELS[place] for place in expected.argmax(axis=1)]


def test_small_files_are_there_and_weights_are_not(inputs: Path, tiny_checkpoint: Path) -> None:
    small = inputs / "checkpoint"
    assert read_json(small / "config.json") == read_json(tiny_checkpoint / "config.json")
    assert (small / "tokenizer.json").is_file()
    assert not list(small.rglob("*.safetensors"))
    assert Head.read(inputs).names == LABELS
    assert {path.name for path in inputs.iterdir()} >= {"answers.json", "head.npz", "traced.onnx", "traced.fp16.onnx"}
    assert (inputs / "packed.fp16.onnx").is_file()
    assert not [path for path in inputs.iterdir() if path.name.startswith(".")], "nothing half-made stays"
    made = read_json(inputs / "inputs.json")
    assert made["texts"] == len(TEXTS) - 1
    assert made["absent"] == {}


@pytest.mark.parametrize("labels", [("no", "yes"), LABELS], ids=["two", "three"])
@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_the_traced_graphs_answer_as_torch_does(pooling: str, labels: tuple[str, ...], tmp_path: Path) -> None:
    checkpoint = make_checkpoint(tmp_path, make_body(tmp_path, pooling=pooling, normalize=pooling == "cls"), labels)
    tensors = load_file(checkpoint / "head.safetensors")
    head = Head(tensors["coef"], tensors["intercept"], labels)
    traced, fused = tmp_path / "traced.onnx", tmp_path / "fused.onnx"

    trace(checkpoint, head, traced)
    operators = optimise(traced, checkpoint, fused)

    texts = [text for text in TEXTS if text] + [LONG_TEXT]
    expected = oracle(checkpoint, texts)
    assert run(traced, checkpoint, texts) == pytest.approx(expected, abs=1e-5)
    assert run(traced, checkpoint, texts[:1]) == pytest.approx(expected[:1], abs=1e-5), "no batch is traced in"
    assert run(fused, checkpoint, texts) == pytest.approx(expected, abs=FP16_TOLERANCE)
    assert operators["Attention"] == 2, "one a layer: otherwise this is no contender to take seriously"
    kinds = {tensor.data_type for tensor in onnx.load(fused).graph.initializer}
    assert onnx.TensorProto.FLOAT16 in kinds


def test_a_body_that_others_do_not_run_is_refused(tmp_path: Path) -> None:
    checkpoint = make_checkpoint(tmp_path, make_body(tmp_path, pooling="max"), LABELS)
    tensors = load_file(checkpoint / "head.safetensors")

    with pytest.raises(BenchmarkError, match=r"could not be traced: .* expected cls or mean pooling, found max"):
        trace(checkpoint, Head(tensors["coef"], tensors["intercept"], LABELS), tmp_path / "traced.onnx")


def test_an_architecture_that_the_optimiser_does_not_fuse_is_told(tmp_path: Path) -> None:
    checkpoint = make_checkpoint(tmp_path, make_body(tmp_path, family="mpnet"), LABELS)
    tensors = load_file(checkpoint / "head.safetensors")
    traced = tmp_path / "traced.onnx"
    trace(checkpoint, Head(tensors["coef"], tensors["intercept"], LABELS), traced)

    with pytest.raises(BenchmarkError, match="onnxruntime's optimiser "):
        optimise(traced, checkpoint, tmp_path / "fused.onnx")


def test_what_cannot_be_made_is_told_and_the_rest_is_there(
    gpu_texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """MPNet has a bias by position, which neither the packed graph nor onnxruntime's fusions take."""
    checkpoint = make_checkpoint(tmp_path, make_body(tmp_path, family="mpnet"), LABELS)
    bundle, out = tmp_path / "bundle", tmp_path / "out"
    export(checkpoint, bundle, ("fp32",))
    paths = {"--bundle": bundle, "--checkpoint": checkpoint, "--texts": gpu_texts, "--out": out}

    assert gpu_inputs.main([str(part) for pair in paths.items() for part in pair]) == 0

    printed = capsys.readouterr().out
    absent = read_json(out / "inputs.json")["absent"]
    assert set(absent) == {"traced.fp16.onnx", "packed.fp16.onnx"}
    for name, reason in absent.items():
        assert f"not made: {name}: {reason}" in printed
        assert not (out / name).exists()
    assert (out / "traced.onnx").is_file()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda found: found.update(labels=["a", "b", "c"]), "expected answers of the bundle's labels, late, lost"),
        (lambda found: found["answers"].pop(), "expected a label and 3 probabilities a text"),
        (lambda found: found["probabilities"].pop(), "expected a label and 3 probabilities a text"),
        (lambda found: found["probabilities"][0].pop(), "expected torch's answers in JSON"),
        (lambda found: found.pop("source"), "expected torch's answers in JSON: KeyError"),
        (lambda found: found.update(texts=[], answers=[], probabilities=[]), "found 0 texts"),
    ],
)
def test_damaged_answers_are_refused(
    change: Callable[[dict[str, object]], object], message: str, inputs: Path, tmp_path: Path
) -> None:
    found = read_json(inputs / "answers.json")
    change(found)
    (tmp_path / "answers.json").write_text(json.dumps(found), encoding="utf-8")

    with pytest.raises(BenchmarkError, match=message):
        Reference.read(tmp_path, LABELS)


def test_missing_answers_are_told(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"expected torch's answers, found none; benchmarks.gpu_inputs writes"):
        Reference.read(tmp_path, LABELS)


def test_a_random_model_can_be_labelled_by_its_own_bundle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "random"
    sizes = ("--layers", "1", "--hidden", "16", "--heads", "2", "--inner", "32", "--vocabulary", "300")

    assert gpu_inputs.main(["--random", "bge-small", *sizes, "--out", str(out)]) == 0

    assert read_json(out / "checkpoint" / "config.json")["hidden_size"] == 16
    reference = Reference.read(out / "inputs", ("negative", "positive"))
    assert set(reference.answers) == {"negative", "positive"}
    with Classifier.load(out / "bundle", device="cpu", precision="fp32") as classifier:
        assert classifier.predict(list(reference.texts)) == list(reference.answers)
    assert capsys.readouterr().out.endswith(f"{out}\n")
    assert not [path for path in out.parent.iterdir() if path.name.startswith(".")]
    assert gpu_inputs.main(["--random", "bge-small", "--out", str(out)]) == 1, "what is there stays"
    assert "the folder exists" in capsys.readouterr().err


def test_the_shapes_are_those_of_the_published_models(shared: Path) -> None:
    config = read_json(shared / "models" / "bge-small-en-v1.5" / "config.json")

    shape = SHAPES["bge-small"]
    assert (shape.layers, shape.hidden, shape.heads) == (
        config["num_hidden_layers"],
        config["hidden_size"],
        config["num_attention_heads"],
    )
    assert (shape.inner, shape.vocabulary, shape.positions) == (
        config["intermediate_size"],
        config["vocab_size"],
        config["max_position_embeddings"],
    )


@pytest.mark.parametrize(
    "arguments",
    [["--bundle", "b"], ["--random", "minilm", "--bundle", "b", "--checkpoint", "c", "--texts", "t"], []],
)
def test_half_a_request_is_bad_usage(arguments: list[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as stopped:
        gpu_inputs.main([*arguments, "--out", str(tmp_path)])

    assert stopped.value.code == 2


def test_a_bundle_of_another_model_is_one_line(
    gpu_bundle: Path, tiny_checkpoint: Path, gpu_texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "bundle"
    shutil.copytree(gpu_bundle, other)
    manifest = read_json(other / "bundle.json")
    (other / "bundle.json").write_text(json.dumps({**manifest, "labels": ["x", "y", "z"]}), encoding="utf-8")
    paths = {"--bundle": other, "--checkpoint": tiny_checkpoint, "--texts": gpu_texts, "--out": tmp_path / "out"}

    assert gpu_inputs.main([str(part) for pair in paths.items() for part in pair]) == 1

    assert "is the bundle of this checkpoint?" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
