"""The export from checkpoint to bundle, and the proof that it makes."""

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import tokenizers

import setfuse.export._export as export_module
from setfuse.export import ParityError, export, read_checkpoint
from setfuse.export._check_texts import CHECK_TEXTS
from setfuse.export._checkpoint import Checkpoint
from setfuse.export._modules import Pooling, PoolingMode
from setfuse.export._oracle import TorchOracle
from setfuse.export._validate import Answers, check_interface, compare
from setfuse.runtime import Classifier, Manifest, OutputExists, Parity, Precision, UsageError


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
    export(tiny_checkpoint, tmp_path / "again")

    for name in ("model.onnx", "tokenizer.json", "bundle.json"):
        assert (tmp_path / "again" / name).read_bytes() == (tiny_bundle / name).read_bytes()


def test_labels_of_any_script(tiny_checkpoint: Path, tmp_path: Path) -> None:
    checkpoint = Path(shutil.copytree(tiny_checkpoint, tmp_path / "checkpoint"))
    labels = ["Rückgabe", "取消订单", "ملغى 🎉"]
    (checkpoint / "config_setfit.json").write_text(json.dumps({"labels": labels}), encoding="utf-8")

    manifest = export(checkpoint, tmp_path / "bundle")

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
        (("fp16",), "'fp16' is not supported yet"),
        (("fp32", "fp16"), "'fp16' is not supported yet"),
        (("fp64",), "'fp64' is none"),
        ((), "expected some of fp32, int8; '' is none"),
        ("fp32", "expected a list such as"),
    ],
)
def test_precisions_that_cannot_be_had(
    tiny_checkpoint: Path, tmp_path: Path, precisions: tuple[str, ...], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        export(tiny_checkpoint, tmp_path / "bundle", precisions)
    assert not list(tmp_path.iterdir())


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
    sabotage(monkeypatch, head=replace(head, intercept=head.intercept + np.asarray([1e-4, 0, 0])))

    with pytest.raises(ParityError, match="probabilities: expected at most"):
        export(tiny_checkpoint, tmp_path / "bundle")


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


Rows = Sequence[Sequence[float]]


class TestCompare:
    """The gate itself, on made-up answers."""

    TEXTS = ("first", "second")

    @staticmethod
    def answers(probabilities: Rows) -> Answers:
        return Answers(np.asarray(probabilities), np.zeros((len(probabilities), 4), np.float32))

    GRAPH = ((0.7, 0.2, 0.1), (0.1, 0.1, 0.8))

    def compare(
        self,
        *ways: Rows,
        torch: Rows = GRAPH,
        again: Rows | None = None,
    ) -> Parity:
        return compare(
            Precision.FP32,
            [self.answers(way) for way in ways],
            self.answers(torch),
            self.answers(again or torch),
            texts=self.TEXTS,
            labels=("a", "b", "c"),
        )

    def test_equal_answers_pass(self) -> None:
        parity = self.compare(self.GRAPH)

        assert (parity.max_probability_difference, parity.label_agreement, parity.tolerance) == (0, 1, 1e-5)

    def test_a_difference_beyond_the_tolerance_names_its_text(self) -> None:
        with pytest.raises(ParityError, match=r"found 2.0e-05, most for the text 'second'"):
            self.compare(self.GRAPH, torch=[[0.7, 0.2, 0.1], [0.1, 0.10002, 0.79998]])

    def test_a_head_that_amplifies_rounding_gets_ten_times_torchs_own(self) -> None:
        torch = [[0.7, 0.2, 0.1], [0.1, 0.10002, 0.79998]]
        again = [[0.7, 0.2, 0.1], [0.1, 0.100022, 0.799978]]

        parity = self.compare(self.GRAPH, torch=torch, again=again)

        assert parity.torch_difference == pytest.approx(2e-6)
        assert parity.tolerance == pytest.approx(2e-5)

    def test_the_worst_of_the_ways_counts(self) -> None:
        padded = [[0.6, 0.3, 0.1], [0.1, 0.1, 0.8]]

        with pytest.raises(ParityError, match=r"found 1.0e-01, most for the text 'first'"):
            self.compare(self.GRAPH, padded)

    def test_no_number_is_no_agreement(self) -> None:
        with pytest.raises(ParityError):
            self.compare(self.GRAPH, [[np.nan, 0.3, 0.1], [0.1, 0.1, 0.8]])

    def test_another_label_at_a_tie_is_counted_and_allowed(self) -> None:
        tie = [[0.45, 0.450004, 0.1], [0.1, 0.1, 0.8]]

        assert self.compare(tie, torch=[[0.450004, 0.45, 0.1], [0.1, 0.1, 0.8]]).label_agreement == 0.5


def test_an_interface_that_is_not_the_promised_one(tiny_checkpoint: Path) -> None:
    from setfuse.export._fuse import fuse

    model = fuse(read_checkpoint(tiny_checkpoint), Precision.FP32, 1)
    check_interface(model, ("a", "b", "c"), takes_mask=True)

    with pytest.raises(ParityError, match="inputs and outputs: expected"):
        check_interface(model, ("a", "b"), takes_mask=True)
    model.graph.input[0].name = "ids"
    with pytest.raises(ParityError, match="inputs and outputs: expected"):
        check_interface(model, ("a", "b", "c"), takes_mask=True)
