"""The graph with the tokenizer inside: equal to tokenizers and torch, or it says for which texts it is not."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper
from tokenizers import models, processors

from setfuse.export import ParityError, UnsupportedCheckpoint, export, read_checkpoint
from setfuse.export._check_set import CheckSet
from setfuse.export._checkpoint import Checkpoint
from setfuse.export._fuse import fuse
from setfuse.export._oracle import TorchOracle
from setfuse.export._strings import (
    check_strings_in,
    extensions_library,
    fuse_with_tokenizer,
    run_strings,
    strings_session,
)
from setfuse.export._strings_check import check_strings, compare_ids
from setfuse.export._validate import Answers, Reference
from setfuse.export._word_piece import read_word_piece
from setfuse.runtime import Classifier, Manifest, MissingExtra, Precision, UsageError
from setfuse.runtime.__main__ import main
from tests.models import LONG_TEXT, TEXTS, make_body, make_checkpoint

ROOT = Path(__file__).parent.parent.parent
TOLERANCE = 1e-5  # float32 sums in another order; observed 2e-7
PROMPT = "the film : "
Change = Callable[[dict[str, Any]], object]

needs_extensions = pytest.mark.usefixtures("extensions")


@pytest.fixture(scope="session")
def extensions() -> None:
    pytest.importorskip("onnxruntime_extensions", reason="onnxruntime-extensions is not installed")


@pytest.fixture(scope="module", params=["mean", "cls, with a prompt"])
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    folder = tmp_path_factory.mktemp("strings")
    own = {"mean": {}, "cls, with a prompt": {"pooling": "cls", "prompt": PROMPT}}[request.param]
    return read_checkpoint(make_checkpoint(folder, make_body(folder, **own), ("späť", "lost", "退款")))


@pytest.fixture(scope="module", params=["fp32", "int8"])
def bundle(request: pytest.FixtureRequest, checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("onnxruntime_extensions", reason="onnxruntime-extensions is not installed")
    folder = tmp_path_factory.mktemp("strings-bundle") / "bundle"
    export(checkpoint.folder, folder, sorted({"fp32", request.param}), strings_in=True)
    return folder


@pytest.fixture(scope="module")
def session(bundle: Path) -> onnxruntime.InferenceSession:
    return strings_session(onnx.load(bundle / "model.strings.onnx"))


def changed(checkpoint: Checkpoint, change: Change) -> Checkpoint:
    """Give the checkpoint with another tokenizer definition."""
    definition = json.loads(checkpoint.tokenizer)
    change(definition)
    return replace(checkpoint, tokenizer=json.dumps(definition))


@needs_extensions
def test_it_answers_as_the_bundles_other_graph(bundle: Path, session: onnxruntime.InferenceSession) -> None:
    precision = Manifest.read(bundle).variants[-1].precision
    classifier = Classifier.load(bundle, precision=precision)
    texts = [*TEXTS, LONG_TEXT, "parcel " * 5000]

    found = run_strings(session, texts)

    assert found["label"].tolist() == classifier.predict(texts)
    np.testing.assert_allclose(found["probabilities"], classifier.predict_proba(texts), rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(found["sentence_embedding"], classifier.embed(texts), rtol=0, atol=TOLERANCE)


@needs_extensions
def test_a_text_gets_the_same_answer_alone_and_in_any_batch(session: onnxruntime.InferenceSession) -> None:
    together = run_strings(session, TEXTS)

    for text, label, row in zip(TEXTS, together["label"], together["probabilities"], strict=True):
        alone = run_strings(session, [text])
        assert alone["label"].tolist() == [label]
        np.testing.assert_allclose(alone["probabilities"], [row], rtol=0, atol=1e-6)


def reference(checkpoint: Checkpoint, answers: Answers) -> Reference:
    return Reference(CheckSet("made up", tuple(TEXTS)), answers, answers, checkpoint.labels)


@needs_extensions
def test_no_texts_give_no_rows(session: onnxruntime.InferenceSession) -> None:
    shapes = {name: rows.shape for name, rows in run_strings(session, []).items()}

    assert shapes == {"label": (0,), "probabilities": (0, 3), "sentence_embedding": (0, 32)}


@needs_extensions
def test_the_bundle_says_what_the_graph_is_and_why_the_weights_are_there_twice(bundle: Path) -> None:
    manifest = Manifest.read(bundle)
    plain, strings = manifest.variants[-2:]

    assert (strings.file.file, strings.takes_strings) == ("model.strings.onnx", True)
    assert (strings.precision, strings.target) == (plain.precision, plain.target)
    assert [output.name for output in strings.outputs] == ["label", "probabilities", "sentence_embedding"]
    assert strings.note.startswith(f"repeats the weights of {plain.file.file} with the tokenizer inside")
    assert plain.note == ""
    metadata = {item.key: item.value for item in onnx.load(bundle / strings.file.file).metadata_props}
    assert metadata["setfuse.tokenizer"] == "inside: BertTokenizer of onnxruntime-extensions"
    assert metadata["setfuse.padding"] == "none: each text runs alone"
    assert json.loads(metadata["setfuse.labels"]) == list(manifest.labels)
    assert Classifier.load(bundle).variant.file.file == plain.file.file


@needs_extensions
def test_the_bundle_lists_the_texts_that_are_cut_otherwise(bundle: Path) -> None:
    manifest = Manifest.read(bundle)
    report = manifest.provenance["strings_in"]
    assert isinstance(report, dict)
    parity = manifest.variants[-1].parity
    assert parity is not None

    assert parity.texts + len(report["ids_differ"]) == report["texts"]
    assert any(text.startswith("[CLS] the tokenizer's own words") for text in report["ids_differ"])
    assert "NUL characters" in report["kinds_differ"]
    assert "emoji" in report["kinds_equal"]
    assert "emoji right after a word" in report["kinds_differ"]
    card = (bundle / "README.md").read_text(encoding="utf-8")
    assert f"- Not equal: {'; '.join(report['kinds_differ'])}." in card
    assert f"on {len(report['ids_differ'])} of {report['texts']} check texts" in card
    assert card.count("repeats the weights of") == 1
    int8 = manifest.variants[-1].precision is Precision.INT8
    assert card.count('options.add_session_config_entry("session.x64quantprecision", "1")') == int8


@needs_extensions
def test_its_weights_are_the_loops_and_its_linears_are_fused_there(checkpoint: Checkpoint, tmp_path: Path) -> None:
    written = fuse_with_tokenizer(checkpoint, fuse(checkpoint, Precision.INT8, 2, [text for text in TEXTS if text]))
    options = onnxruntime.SessionOptions()
    options.register_custom_ops_library(extensions_library())
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(written.SerializeToString(), options, providers=["CPUExecutionProvider"])

    for model in (written, onnx.load(tmp_path / "optimized.onnx")):
        (loop,) = [node for node in model.graph.node if node.op_type == "Loop"]
        assert [constant.name for constant in model.graph.initializer] == ["labels"]
    operators = Counter(node.op_type for node in loop.attribute[0].g.node)
    assert operators["MatMulIntegerToFloat"] == 4 * len(checkpoint.encoder.layers) + (
        checkpoint.pooling.modes == ("cls",)
    )
    assert operators["DequantizeLinear"] == operators["SkipLayerNormalization"] == 0


def test_the_same_checkpoint_gives_the_same_bytes(checkpoint: Checkpoint) -> None:
    first, second = (fuse_with_tokenizer(checkpoint, fuse(checkpoint, Precision.FP32, 2)) for _ in range(2))

    assert first.SerializeToString(deterministic=True) == second.SerializeToString(deterministic=True)


@needs_extensions
@settings(max_examples=50, deadline=None)
@given(text=st.text(st.sampled_from([chr(code) for code in range(0x20, 0x7F)] + ["\n", "\t"]), max_size=200))
def test_ordinary_english_is_cut_as_tokenizers_cuts_it(checkpoint: Checkpoint, text: str) -> None:
    assert compare_ids(checkpoint, [text]) == []


@needs_extensions
def test_texts_that_are_cut_otherwise_are_found(checkpoint: Checkpoint) -> None:
    odd = ["a[SEP]b", "the\0parcel", "[CLS]"]

    assert compare_ids(checkpoint, ["the parcel", odd[0], "café", "", odd[1], "x" * 101, odd[2]]) == odd


@needs_extensions
@pytest.mark.parametrize("chinese", [True, False])
@pytest.mark.parametrize("strip_accents", [None, True, False])
@pytest.mark.parametrize("lowercase", [True, False])
def test_the_normalizers_flags_are_the_operators(
    checkpoint: Checkpoint, lowercase: bool, strip_accents: bool | None, chinese: bool
) -> None:
    flags = {"lowercase": lowercase, "strip_accents": strip_accents, "handle_chinese_chars": chinese}
    other = changed(checkpoint, lambda definition: definition["normalizer"].update(flags))

    assert compare_ids(other, ["É é Ü ü e E", "the PARCEL", "中x", "parcel,late!"]) == []


@needs_extensions
@pytest.mark.parametrize("processor", [processors.BertProcessing, processors.RobertaProcessing])
def test_other_ways_to_add_the_special_tokens_are_read(checkpoint: Checkpoint, processor: type) -> None:
    tokenizer = tokenizers.Tokenizer.from_str(checkpoint.tokenizer)
    tokenizer.post_processor = processor(("[MASK]", 4), ("[PAD]", 0))
    other = replace(checkpoint, tokenizer=tokenizer.to_str())

    word_piece = read_word_piece(other.tokenizer)

    assert (word_piece.start, word_piece.end) == ("[PAD]", "[MASK]")  # tokenizers' constructors take the end first
    assert compare_ids(other, ["where is my parcel", ""]) == []


@needs_extensions
def test_a_lowercase_step_before_a_cased_normalizer_counts(checkpoint: Checkpoint) -> None:
    def prepend(definition: dict[str, Any]) -> None:
        cased = definition["normalizer"] | {"lowercase": False}
        definition["normalizer"] = {"type": "Sequence", "normalizers": [{"type": "Lowercase"}, cased]}

    assert compare_ids(changed(checkpoint, prepend), ["The PARCEL", "É é"]) == []


def move(definition: dict[str, Any], old: str, new: str) -> None:
    vocabulary = definition["model"]["vocab"]
    vocabulary[new] = vocabulary.pop(old)


UNSUPPORTED: dict[str, tuple[Change, str]] = {
    "words of another length": (
        lambda d: d["model"].update(max_input_chars_per_word=50),
        "expected words of at most 100 characters, as BERT has, found 50",
    ),
    "no normalizer": (lambda d: d.update(normalizer=None), "expected a BertNormalizer, as BERT has, found none"),
    "another normalizer": (lambda d: d.update(normalizer={"type": "NFC"}), "expected a BertNormalizer, .* found NFC"),
    "another pre-tokenizer": (
        lambda d: d.update(pre_tokenizer={"type": "Whitespace"}),
        "expected a BertPreTokenizer, .* found Whitespace",
    ),
    "no special tokens": (lambda d: d.update(post_processor=None), "expected one special token before .* found none"),
    "two special tokens": (
        lambda d: d["post_processor"].update(single=d["post_processor"]["single"][:1] * 2),
        "found SpecialToken and SpecialToken",
    ),
    "an added word": (
        lambda d: d["added_tokens"].append({**d["added_tokens"][0], "content": "covid", "id": 184, "special": False}),
        "expected no tokens added to the vocabulary, .* found \\['covid'\\]",
    ),
    "a gap in the ids": (
        lambda d: d["model"]["vocab"].pop("a"),
        "expected an id for every number, .* found none for 5",
    ),
    "a line break in a token": (lambda d: move(d, "a", "a\nb"), "one token a line, .* found the token 'a\\\\nb'"),
}


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_what_the_operator_does_not_know_is_refused(checkpoint: Checkpoint, name: str) -> None:
    change, message = UNSUPPORTED[name]

    with pytest.raises(UnsupportedCheckpoint, match=message):
        read_word_piece(changed(checkpoint, change).tokenizer)


@pytest.mark.parametrize(
    "model", [models.BPE({"a": 0}, []), models.Unigram([("a", 0.0)]), models.WordLevel({"a": 0}, "a")], ids=repr
)
def test_other_kinds_of_tokenizer_are_named(model: models.Model) -> None:
    kind = type(model).__name__

    with pytest.raises(
        UnsupportedCheckpoint, match=f"expected a WordPiece model, as BERT has, found {kind}; export wi"
    ):
        read_word_piece(tokenizers.Tokenizer(model).to_str())


@needs_extensions
def test_a_cut_that_the_operator_cannot_make_is_refused(checkpoint: Checkpoint) -> None:
    with pytest.raises(UnsupportedCheckpoint, match="expected a max_length of at least 3, found 2"):
        check_strings_in(replace(checkpoint, max_length=2))


@needs_extensions
def test_other_ids_on_ordinary_english_stop_the_export(tmp_path: Path) -> None:
    # Where a word has no pieces from somewhere on, the operator keeps those before; tokenizers does not.
    folder = tmp_path / "checkpoint"
    make_checkpoint(tmp_path, make_body(tmp_path), ("no", "yes"))
    definition = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    move(definition, "##s", "zzz")
    (folder / "tokenizer.json").write_text(json.dumps(definition), encoding="utf-8")

    with pytest.raises(ParityError, match="expected the token ids of tokenizers for '"):
        export(folder, tmp_path / "bundle", strings_in=True)

    assert not (tmp_path / "bundle").exists()


@needs_extensions
def test_answers_that_are_not_torchs_stop_the_export(checkpoint: Checkpoint) -> None:
    answers = TorchOracle(checkpoint).answer(TEXTS, batch_size=4)
    other = Answers(np.roll(answers.probabilities, 1, axis=1), answers.embeddings)
    model = fuse_with_tokenizer(checkpoint, fuse(checkpoint, Precision.FP32, 2))

    report = check_strings(checkpoint, model, Precision.FP32, reference(checkpoint, answers), allow_mismatch=False)
    assert report.parity.label_agreement == 1
    with pytest.raises(ParityError, match="the fp32 graph's probabilities: expected at most"):
        check_strings(checkpoint, model, Precision.FP32, reference(checkpoint, other), allow_mismatch=False)


@needs_extensions
def test_labels_that_are_not_the_most_probable_stop_the_export(checkpoint: Checkpoint) -> None:
    answers = TorchOracle(checkpoint).answer(TEXTS, batch_size=4)
    model = fuse_with_tokenizer(checkpoint, fuse(checkpoint, Precision.FP32, 2))
    (labels,) = [constant for constant in model.graph.initializer if constant.name == "labels"]
    names = numpy_helper.to_array(labels)
    labels.CopyFrom(numpy_helper.from_array(np.roll(names, 1), "labels"))

    with pytest.raises(ParityError, match="the strings-in graph's labels: expected"):
        check_strings(checkpoint, model, Precision.FP32, reference(checkpoint, answers), allow_mismatch=False)


@needs_extensions
def test_several_labels_a_text_have_no_column_for_the_label(tmp_path: Path) -> None:
    import joblib
    from sklearn.linear_model import LogisticRegression
    from sklearn.multioutput import MultiOutputClassifier

    body = make_body(tmp_path)
    folder = make_checkpoint(tmp_path, body, ("a", "b", "c"))
    for name in ("head.json", "head.safetensors"):
        (folder / name).unlink()
    given = np.random.default_rng(0).integers(0, 2, (len(TEXTS), 3))
    joblib.dump(MultiOutputClassifier(LogisticRegression()).fit(body.encode(TEXTS), given), folder / "model_head.pkl")

    manifest = export(folder, tmp_path / "bundle", ("fp32",), strings_in=True)

    strings = manifest.variants[-1]
    assert [output.name for output in strings.outputs] == ["probabilities", "sentence_embedding"]
    session = strings_session(onnx.load(tmp_path / "bundle" / strings.file.file))
    expected = Classifier.load(tmp_path / "bundle").predict_proba(TEXTS)
    np.testing.assert_allclose(run_strings(session, TEXTS)["probabilities"], expected, rtol=0, atol=TOLERANCE)


def test_a_graph_for_cuda_alone_has_nothing_to_repeat(tiny_checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="strings_in: expected fp32 or int8 among the precisions"):
        export(tiny_checkpoint, tmp_path / "bundle", ("fp16",), strings_in=True)


def test_the_missing_package_is_named_before_anything_is_written(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime_extensions", None)

    with pytest.raises(MissingExtra, match=r'needs onnxruntime-extensions: pip install "setfuse\[strings\]"'):
        export(tiny_checkpoint, tmp_path / "bundle", strings_in=True)

    assert not (tmp_path / "bundle").exists()


@needs_extensions
def test_the_command_line_writes_it_and_the_example_runs_it(
    tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = tmp_path / "bundle"

    status = main(["export", str(tiny_checkpoint), "--out", str(bundle), "--strings-in"])

    assert not status
    printed = capsys.readouterr().out
    assert "model.strings.onnx: int8/cpu (strings in)" in printed
    report = Manifest.read(bundle).provenance["strings_in"]
    assert isinstance(report, dict)
    assert f"\n  other token ids: {'; '.join(report['kinds_differ'])}\n" in printed
    example = [sys.executable, ROOT / "examples" / "strings" / "classify.py", bundle / "model.strings.onnx"]
    texts = ["where is my parcel", "refund the money please"]
    done = subprocess.run([*example, *texts], capture_output=True, text=True, encoding="utf-8", check=True)
    predictions = Classifier.load(bundle)(texts)
    expected = [f"{p.label}\t{p.score:.4f}\t{text}" for p, text in zip(predictions, texts, strict=True)]
    assert done.stdout.splitlines() == expected
