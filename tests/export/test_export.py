"""The export from checkpoint to bundle, and the proof that it makes."""

import errno
import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import joblib
import numpy as np
import onnx
import pytest
import tokenizers
from sklearn.ensemble import RandomForestClassifier

import setfuse.export._export as export_module
from setfuse.export import ParityError, UnsupportedCheckpoint, export, read_checkpoint
from setfuse.export._check_texts import CHECK_TEXTS
from setfuse.export._checkpoint import Checkpoint
from setfuse.export._heads._formulas import Linear
from setfuse.export._modules import Pooling, PoolingMode
from setfuse.export._oracle import TorchOracle
from setfuse.export._validate import check_interface
from setfuse.runtime import Classifier, DatasetError, Manifest, OutputExists, Precision, Scores, UsageError
from setfuse.runtime.__main__ import main
from tests.models import make_body, make_checkpoint


def test_the_card_says_on_what_the_graph_was_compared(tiny_bundle: Path) -> None:
    card = (tiny_bundle / "README.md").read_text(encoding="utf-8")

    assert f"| {len(CHECK_TEXTS)} built-in texts |" in card


def test_a_bundle_holds_what_its_manifest_says(tiny_bundle: Path) -> None:
    manifest = Manifest.read(tiny_bundle)
    (variant,) = manifest.variants

    assert {path.name for path in tiny_bundle.iterdir()} == {
        "bundle.json",
        "model.onnx",
        "tokenizer.json",
        "README.md",
    }
    for file in (variant.file, manifest.tokenizer):
        data = (tiny_bundle / file.file).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (file.bytes, file.sha256)
    assert (variant.precision, variant.target) == ("fp32", "cpu")
    assert variant.parity is not None
    assert variant.parity.texts == len(CHECK_TEXTS)
    assert variant.parity.max_probability_difference <= variant.parity.tolerance == 1e-5
    assert variant.parity.label_agreement == 1


def test_a_lone_graph_explains_itself(tiny_bundle: Path) -> None:
    metadata = {item.key: item.value for item in onnx.load(tiny_bundle / "model.onnx").metadata_props}

    assert json.loads(metadata["setfuse.labels"]) == ["late", "lost", "refund"]
    assert metadata["setfuse.max_length"] == "48"
    assert metadata["setfuse.format_version"] == "2"
    assert metadata["setfuse.precision"] == "fp32"


def test_the_tokenizer_pads_nothing_and_cuts_at_max_length(tiny_checkpoint: Path, tmp_path: Path) -> None:
    checkpoint = Path(shutil.copytree(tiny_checkpoint, tmp_path / "checkpoint"))
    padded = tokenizers.Tokenizer.from_file(str(checkpoint / "tokenizer.json"))
    padded.enable_padding(length=128)  # as all-MiniLM-L6-v2's own file has it
    padded.enable_truncation(128)
    padded.save(str(checkpoint / "tokenizer.json"))

    export(checkpoint, tmp_path / "bundle")

    tokenizer = tokenizers.Tokenizer.from_file(str(tmp_path / "bundle" / "tokenizer.json"))
    assert len(tokenizer.encode("a parcel").ids) == 4
    assert len(tokenizer.encode("a parcel " * 100).ids) == 48


def test_the_runtime_gives_the_checkpoints_answers(tiny_checkpoint: Path, tiny_bundle: Path) -> None:
    expected = TorchOracle(read_checkpoint(tiny_checkpoint)).answer(CHECK_TEXTS, batch_size=8)
    classifier = Classifier.load(tiny_bundle)

    np.testing.assert_allclose(classifier.predict_proba(CHECK_TEXTS), expected.probabilities, rtol=0, atol=1e-5)
    np.testing.assert_allclose(classifier.embed(CHECK_TEXTS), expected.embeddings, rtol=0, atol=1e-5)


def test_the_same_checkpoint_gives_the_same_bytes(tiny_checkpoint: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    export(tiny_checkpoint, tmp_path / "again", ("fp32",))

    for name in ("model.onnx", "tokenizer.json", "bundle.json"):
        assert (tmp_path / "again" / name).read_bytes() == (tiny_bundle / name).read_bytes()


def test_a_checkpoint_of_setfits_with_a_pickled_head(tiny_checkpoint: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    checkpoint = Path(shutil.copytree(tiny_checkpoint, tmp_path / "checkpoint"))
    joblib.dump(read_checkpoint(checkpoint).head.estimator, checkpoint / "model_head.pkl")
    (checkpoint / "head.json").unlink()
    (checkpoint / "head.safetensors").unlink()

    manifest = export(checkpoint, tmp_path / "bundle")

    assert manifest.provenance["head"] == "LogisticRegression"
    assert (tmp_path / "bundle" / "model.onnx").read_bytes() == (tiny_bundle / "model.onnx").read_bytes()


def test_labels_of_any_script(tmp_path: Path) -> None:
    labels = ["Rückgabe", "ملغى 🎉", "取消订单"]
    checkpoint = make_checkpoint(tmp_path, make_body(tmp_path), labels)

    manifest = export(checkpoint, tmp_path / "bundle", ("fp32",))

    assert list(manifest.labels) == labels
    assert list(Classifier.load(tmp_path / "bundle").labels) == labels


def test_an_existing_bundle_is_refused_or_replaced_whole(
    tiny_checkpoint: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    bundle = Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))
    (bundle / "stray.txt").write_text("x", encoding="utf-8")

    with pytest.raises(OutputExists, match="pass --overwrite"):
        export(tiny_checkpoint, bundle)
    assert (bundle / "stray.txt").exists()

    export(tiny_checkpoint, bundle, overwrite=True)
    assert not (bundle / "stray.txt").exists()
    assert Classifier.load(bundle)("where is my parcel").label in {"late", "lost", "refund"}


def test_the_checkpoint_is_never_overwritten(tiny_checkpoint: Path) -> None:
    with pytest.raises(OutputExists, match="would replace"):
        export(tiny_checkpoint, tiny_checkpoint, overwrite=True)
    read_checkpoint(tiny_checkpoint)


@pytest.mark.parametrize(
    ("precisions", "message"),
    [
        (("fp64",), "expected some of fp32, int8, fp16, got 'fp64'"),
        (("fp32", "FP16"), "got 'FP16'"),
        ((), "expected some of fp32, int8, fp16, got 'nothing'"),
        ("fp32", "expected a list such as"),
    ],
)
def test_precisions_that_cannot_be_had(
    tiny_checkpoint: Path, tmp_path: Path, precisions: tuple[str, ...], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        export(tiny_checkpoint, tmp_path / "bundle", precisions)
    assert not list(tmp_path.iterdir())


def test_both_graphs_of_a_cpu_are_written_unless_told_otherwise(tiny_checkpoint: Path, tmp_path: Path) -> None:
    manifest = export(tiny_checkpoint, tmp_path / "bundle")

    assert [str(variant) for variant in manifest.variants] == ["fp32/cpu", "int8/cpu"]


def test_a_head_that_jumps_gets_an_int8_graph_only_when_asked(tiny_checkpoint: Path, tmp_path: Path) -> None:
    checkpoint = Path(shutil.copytree(tiny_checkpoint, tmp_path / "checkpoint"))
    for name in ("head.json", "head.safetensors"):
        (checkpoint / name).unlink()
    embeddings = np.random.default_rng(0).normal(size=(60, 32))
    forest = RandomForestClassifier(n_estimators=5, random_state=0).fit(embeddings, ["late", "lost", "refund"] * 20)
    joblib.dump(forest, checkpoint / "model_head.pkl")

    manifest = export(checkpoint, tmp_path / "bundle")

    assert [str(variant) for variant in manifest.variants] == ["fp32/cpu"]
    assert manifest.provenance["head"] == "RandomForestClassifier"
    asked = export(checkpoint, tmp_path / "asked", ("fp32", "int8"), allow_mismatch=True)
    assert [str(variant) for variant in asked.variants] == ["fp32/cpu", "int8/cpu"]
    with pytest.raises(UnsupportedCheckpoint, match="a head of plain operators for fp16, found RandomForestClassifier"):
        export(checkpoint, tmp_path / "cuda", ("fp16",))


def write_lines(path: Path, *lines: dict[str, object]) -> Path:
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
    return path


def test_labelled_texts_of_the_user_give_the_accuracy_before_and_after(tiny_checkpoint: Path, tmp_path: Path) -> None:
    texts = ("where is my parcel", "refund the money please", "the app crashes")
    torch = TorchOracle(read_checkpoint(tiny_checkpoint)).answer(texts, batch_size=1).probabilities.argmax(axis=1)
    right = [("late", "lost", "refund")[column] for column in torch]
    right[2] = next(label for label in ("late", "lost", "refund") if label != right[2])
    data = write_lines(tmp_path / "data.jsonl", *({"text": t, "label": r} for t, r in zip(texts, right, strict=True)))

    (variant,) = export(tiny_checkpoint, tmp_path / "bundle", ("fp32",), check_on=data).variants

    assert variant.parity is not None
    assert (variant.parity.texts, variant.parity.checked_on) == (3, "data.jsonl")
    assert variant.parity.accuracy == variant.parity.torch_accuracy == pytest.approx(2 / 3)
    card = (tmp_path / "bundle" / "README.md").read_text(encoding="utf-8")
    assert "| 66.7 % |" in card
    assert "| 3 texts of data.jsonl |" in card


def test_texts_of_the_user_without_labels(tiny_checkpoint: Path, tmp_path: Path) -> None:
    data = write_lines(tmp_path / "data.jsonl", {"text": "label"}, {"text": "where is 中 it", "kind": "label"})

    (variant,) = export(tiny_checkpoint, tmp_path / "bundle", ("fp32",), check_on=data).variants

    assert variant.parity is not None
    assert (variant.parity.texts, variant.parity.accuracy, variant.parity.torch_accuracy) == (2, None, None)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([{"text": "a", "label": "late"}, {"text": "b", "label": "nobody's"}], "data.jsonl:2: expected one of the ch"),
        ([{"text": "a", "label": "late"}, {"text": "b"}], 'data.jsonl:2: expected a "label"'),
        ([{"text": "a"}, {"text": "b", "label": "late"}], 'data.jsonl:1: expected a "label"'),
        ([{"text": " "}], 'data.jsonl:1: expected a "text"'),
        ([], "data.jsonl: expected at least one line"),
    ],
)
def test_check_data_that_cannot_be_used(
    tiny_checkpoint: Path, tmp_path: Path, lines: list[dict[str, object]], message: str
) -> None:
    data = write_lines(tmp_path / "data.jsonl", *lines)

    with pytest.raises(DatasetError, match=message):
        export(tiny_checkpoint, tmp_path / "bundle", check_on=data)
    assert [path.name for path in tmp_path.iterdir()] == ["data.jsonl"]
    with pytest.raises(DatasetError, match="cannot be read"):
        export(tiny_checkpoint, tmp_path / "bundle", check_on=tmp_path / "missing.jsonl")


def sabotage(monkeypatch: pytest.MonkeyPatch, **changes: object) -> None:
    """Have the graph written from another checkpoint than torch is asked about."""
    fuse = export_module.fuse

    def wrong(checkpoint: Checkpoint, *rest: object) -> onnx.ModelProto:
        return fuse(replace(checkpoint, **changes), *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(export_module, "fuse", wrong)


@pytest.mark.parametrize(
    "changes", [{"modules": ()}, {"pooling": Pooling((PoolingMode.CLS,))}], ids=["Normalize lost", "other pooling"]
)
def test_a_wrong_graph_is_refused_with_the_worst_text(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, object]
) -> None:
    sabotage(monkeypatch, **changes)

    with pytest.raises(ParityError, match=r"expected at most 1.0e-05 from torch's, found .* for the text '"):
        export(tiny_checkpoint, tmp_path / "bundle")
    assert not list(tmp_path.iterdir())


def test_a_slightly_wrong_head_is_refused(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = read_checkpoint(tiny_checkpoint).head
    assert isinstance(head.formula, Linear)
    wrong = replace(head.formula, intercept=head.formula.intercept + np.asarray([1e-4, 0, 0]))
    sabotage(monkeypatch, head=replace(head, formula=wrong))

    with pytest.raises(ParityError, match="probabilities: expected at most"):
        export(tiny_checkpoint, tmp_path / "bundle")


def test_a_mismatch_that_is_allowed_is_noted_in_the_bundle(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sabotage(monkeypatch, modules=())

    (variant,) = export(tiny_checkpoint, tmp_path / "bundle", ("fp32",), allow_mismatch=True).variants

    assert variant.parity is not None
    assert "the fp32 graph's probabilities: expected at most 1.0e-05" in variant.parity.allowed_mismatch
    assert variant.parity.max_probability_difference > 1e-3
    card = (tmp_path / "bundle" / "README.md").read_text(encoding="utf-8")
    assert variant.parity.allowed_mismatch in card
    assert Manifest.read(tmp_path / "bundle").variants[0].parity == variant.parity


def test_an_interrupted_export_leaves_what_was_there(
    tiny_checkpoint: Path, tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))
    before = {path.name: path.read_bytes() for path in bundle.iterdir()}

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(export_module, "compare", interrupt)
    with pytest.raises(KeyboardInterrupt):
        export(tiny_checkpoint, bundle, overwrite=True)
    assert {path.name: path.read_bytes() for path in bundle.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_a_full_disk_leaves_nothing_behind(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "model.onnx")

    monkeypatch.setattr("onnx.save", full)

    status = main(["export", str(tiny_checkpoint), "--out", str(tmp_path / "bundle")])

    assert status == 1
    assert capsys.readouterr().err.endswith("\nsetfuse export: model.onnx: No space left on device\n")
    assert not list(tmp_path.iterdir())


def test_labels_that_are_numbers_come_with_how_to_name_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = make_checkpoint(tmp_path, make_body(tmp_path), ("0", "1", "2"))
    config = checkpoint / "config_setfit.json"
    arguments = ["export", str(checkpoint), "--precision", "fp32", "--out"]

    assert main([*arguments, str(tmp_path / "numbers")]) == 0
    hint = f'labels are 0, 1, ...: to name them write {{"labels": [...]}} to {config}'
    assert f"\n{hint}" in capsys.readouterr().out

    value = json.loads(config.read_text(encoding="utf-8")) if config.exists() else {}
    config.write_text(json.dumps({**value, "labels": ["late", "lost", "refund"]}), encoding="utf-8")
    assert main([*arguments, str(tmp_path / "names")]) == 0
    assert "to name them" not in capsys.readouterr().out
    assert Manifest.read(tmp_path / "names").labels == ("late", "lost", "refund")


def test_an_interface_that_is_not_the_promised_one(tiny_checkpoint: Path) -> None:
    from setfuse.export._fuse import fuse

    model = fuse(read_checkpoint(tiny_checkpoint), Precision.FP32, 1)
    check_interface(model, ("a", "b", "c"), takes_mask=True, scores=Scores.PROBABILITIES)

    with pytest.raises(ParityError, match="inputs and outputs: expected"):
        check_interface(model, ("a", "b"), takes_mask=True, scores=Scores.PROBABILITIES)
    model.graph.input[0].name = "ids"
    with pytest.raises(ParityError, match="inputs and outputs: expected"):
        check_interface(model, ("a", "b", "c"), takes_mask=True, scores=Scores.PROBABILITIES)
