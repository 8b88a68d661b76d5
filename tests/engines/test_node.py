"""The JavaScript examples: the same ids and the same scores as Python, in Node and in WebAssembly."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest
import tokenizers

from setfuse.export._check_texts import CHECK_TEXTS
from setfuse.runtime import Classifier
from tests.engines.npm import EXAMPLES, examples_with_packages
from tests.models import LONG_TEXT, TEXTS
from tests.runtime.kinds import make_decision, make_multi_label

# Sums of float32 in another order: 3e-8 was seen in Node and 1.2e-7 in WebAssembly, with all-MiniLM-L6-v2.
FP32_TOLERANCE = 1e-5

# Kernels of another release or of WebAssembly round a sum that lies between two steps of 8 bits the other way, and
# later layers carry that on: 3e-8 was seen in Node and 0.0013 in WebAssembly with all-MiniLM-L6-v2, and 0.019 in
# WebAssembly with another model. The bound in the mean is a fifth of what the export allows int8 against torch.
INT8_TOLERANCE = 0.02
INT8_MEAN_TOLERANCE = 0.002

SHORT_TEXTS = [text for text in CHECK_TEXTS if len(text) < 320]
"""What WebAssembly answers in a second or two."""

ODD_TEXTS = (
    "NUL\0 inside",
    "bell\x07 del\x7f",
    "\ufffd replaced",
    "ไทย ภาษา",
    "Straße İstanbul ǅ ﬁ",
    "[CLS] [MASK] [PAD] x",
    "\u2028line\u2029separators \u0085",
    "a\u0301 \u1e9b\u0323 Å",
    "한국어 ㄱ",
    "👩‍👩‍👧 👍🏽 🇩🇪",
    "\ue000private \U000e0001tag",
    "ᾳ ῼ ϓ",
    "$ + < = > ^ ` | ~ ¢",
    "ﷺ ﻼ",
    "i\u0307 \u0131",
    "\uff11\uff12 \uff46\uff55\uff4c\uff4c",
    "\x1c\x1d\x1e\x1f separators",
    "a\u00a0b\u202fc\u3000d\ufeffe",
)
"""Texts on which other tokenizers than Python's differ, and this one does not."""

DIFFERENT = {
    "ΣΊΣΥΦΟΣ": "a capital sigma at the end of a word",
    "see 𠀀now": "an ideograph above U+FFFF next to a letter or to another such ideograph",
    "𠀀𠀀": "an ideograph above U+FFFF next to a letter or to another such ideograph",
    "well⹃then": "a mark, a punctuation sign or a format character that is newer than Unicode 8",
}
"""Texts that npm's tokenizers package cuts otherwise than Python's; examples/node/README.md lists why."""


@dataclass(frozen=True)
class Engine:
    """An engine for JavaScript, and the example that has it."""

    package: str
    example: Path

    def answer(self, bundle: Path, precision: str, texts: Sequence[str]) -> "Answers":
        """Ask it for the ids and the scores of texts."""
        driver = Path(__file__).parent / "answers.mjs"
        command = ["node", driver, self.example, self.package, bundle, precision]
        # ASCII, so that lone surrogates can pass as \uXXXX.
        done = subprocess.run(
            command, input=json.dumps(texts), capture_output=True, encoding="utf-8", check=False, timeout=300
        )
        assert (done.returncode, done.stderr) == (0, "")
        value = json.loads(done.stdout)
        return Answers(value["ids"], np.asarray(value["scores"], np.float32))


@dataclass(frozen=True)
class Answers:
    """Token ids, and scores (texts, labels)."""

    ids: list[list[int]]
    scores: npt.NDArray[np.float32]


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    folder = tmp_path_factory.mktemp("node") / "examples"
    return Engine("onnxruntime-node", examples_with_packages("node", folder))


@pytest.fixture(scope="session")
def web(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    folder = tmp_path_factory.mktemp("web") / "examples"
    return Engine("onnxruntime-web", examples_with_packages("web", folder))


@pytest.fixture(params=["node", "web"])
def engine(request: pytest.FixtureRequest) -> Engine:
    found: Engine = request.getfixturevalue(request.param)
    return found


def ids_in_python(bundle: Path, texts: Sequence[str]) -> list[list[int]]:
    tokenizer = tokenizers.Tokenizer.from_file(str(bundle / "tokenizer.json"))
    return [encoding.ids for encoding in tokenizer.encode_batch(list(texts))]


def test_fp32_gives_the_ids_and_the_scores_of_python(engine: Engine, pair: Path) -> None:
    texts = [*SHORT_TEXTS, *ODD_TEXTS]

    found = engine.answer(pair, "fp32", texts)

    assert found.ids == ids_in_python(pair, texts)
    expected = Classifier.load(pair, precision="fp32").predict_proba(texts)
    np.testing.assert_allclose(found.scores, expected, rtol=0, atol=FP32_TOLERANCE)


def test_long_texts_are_cut_where_python_cuts_them(node: Engine, pair: Path) -> None:
    texts = [*(text for text in CHECK_TEXTS if text not in SHORT_TEXTS), LONG_TEXT, "ok"]

    found = node.answer(pair, "fp32", texts)

    classifier = Classifier.load(pair, precision="fp32")
    assert found.ids == ids_in_python(pair, texts)
    assert [len(ids) for ids in found.ids].count(classifier.max_length) >= 3
    np.testing.assert_allclose(found.scores, classifier.predict_proba(texts), rtol=0, atol=FP32_TOLERANCE)


def test_int8_gives_nearly_the_scores_of_python(engine: Engine, pair: Path) -> None:
    found = engine.answer(pair, "int8", SHORT_TEXTS).scores

    expected = Classifier.load(pair, precision="int8").predict_proba(SHORT_TEXTS)
    differences = np.abs(found - expected)
    assert differences.max() <= INT8_TOLERANCE
    assert differences.mean() <= INT8_MEAN_TOLERANCE


def test_the_texts_that_are_cut_otherwise_are_those_that_the_readme_names(node: Engine, minilm_pair: Path) -> None:
    texts = [*ODD_TEXTS, *DIFFERENT]

    found = node.answer(minilm_pair, "fp32", texts).ids

    expected = ids_in_python(minilm_pair, texts)
    assert [text for text, ours, theirs in zip(texts, expected, found, strict=True) if ours != theirs] == [*DIFFERENT]
    readme = " ".join((EXAMPLES / "node" / "README.md").read_text(encoding="utf-8").split())
    for reason in DIFFERENT.values():
        assert reason in readme


def test_a_lone_surrogate_counts_as_a_replacement_character(node: Engine, small_pair: Path) -> None:
    alone, replaced = node.answer(small_pair, "fp32", ["\ud800 lone", "\ufffd lone"]).ids

    assert alone == replaced


def test_a_prompt_of_the_bundle_stands_before_each_text(node: Engine, small_pair: Path, tmp_path: Path) -> None:
    bundle = changed(small_pair, tmp_path, format_version=2, prompt="what is ")

    found = node.answer(bundle, "fp32", ["my parcel", LONG_TEXT])

    assert found.ids == ids_in_python(small_pair, ["what is my parcel", f"what is {LONG_TEXT}"])


def test_decision_scores_are_found_by_their_name(node: Engine, small_pair: Path, tmp_path: Path) -> None:
    bundle = changed(small_pair, tmp_path, format_version=2)
    model = onnx.load(bundle / "model.onnx")
    for holder in (*model.graph.output, *model.graph.node):
        if isinstance(holder, onnx.NodeProto):
            holder.output[:] = [name.replace("probabilities", "decision_scores") for name in holder.output]
        else:
            holder.name = holder.name.replace("probabilities", "decision_scores")
    onnx.save(model, bundle / "model.onnx")
    manifest = json.loads((bundle / "bundle.json").read_text(encoding="utf-8"))
    variant = next(variant for variant in manifest["variants"] if variant["precision"] == "fp32")
    variant["bytes"] = (bundle / "model.onnx").stat().st_size
    variant["outputs"][0]["name"] = "decision_scores"
    (bundle / "bundle.json").write_text(json.dumps(manifest), encoding="utf-8")

    found = node.answer(bundle, "fp32", ["my parcel"]).scores

    np.testing.assert_allclose(found, node.answer(small_pair, "fp32", ["my parcel"]).scores, rtol=0, atol=1e-7)


def changed(bundle: Path, folder: Path, **changes: object) -> Path:
    """Copy a bundle and change keys of its manifest; None removes one."""
    copy = Path(shutil.copytree(bundle, folder / "changed"))
    manifest = json.loads((copy / "bundle.json").read_text(encoding="utf-8"))
    manifest = {name: value for name, value in {**manifest, **changes}.items() if value is not None}
    (copy / "bundle.json").write_text(json.dumps(manifest), encoding="utf-8")
    return copy


class TestCommand:
    """`node classify.mjs`, as a user starts it."""

    @staticmethod
    def classify(node: Engine, *arguments: object) -> subprocess.CompletedProcess[str]:
        command = ["node", node.example / "classify.mjs", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, encoding="utf-8", check=False, timeout=120)

    @pytest.mark.parametrize("precision", ["fp32", "int8"])
    def test_it_prints_label_and_score_of_each_text(self, node: Engine, minilm_pair: Path, precision: str) -> None:
        texts = ["where is my parcel", "", "Überweisung 取消 🎉"]

        done = self.classify(node, "--precision", precision, minilm_pair, *texts)

        assert (done.returncode, done.stderr) == (0, "")
        lines = [line.split("\t") for line in done.stdout.splitlines()]
        expected = Classifier.load(minilm_pair, precision=precision)(texts)
        assert [label for label, _ in lines] == [prediction.label for prediction in expected]
        for (_, score), prediction in zip(lines, expected, strict=True):
            assert float(score) == pytest.approx(prediction.score, abs=INT8_TOLERANCE if precision == "int8" else 1e-4)

    @pytest.mark.parametrize(
        "make",
        [make_multi_label, lambda bundle: make_decision(bundle, multi_label=True)],
        ids=["probabilities", "decision scores"],
    )
    def test_it_prints_every_label_that_applies(
        self, node: Engine, tiny_bundle: Path, tmp_path: Path, make: Callable[[Path], Path]
    ) -> None:
        bundle = make(Path(shutil.copytree(tiny_bundle, tmp_path / "several")))
        expected = Classifier.load(bundle)(TEXTS)
        assert {len(prediction.labels) for prediction in expected} >= {0, 1, 2}

        done = self.classify(node, bundle, "--", *TEXTS)

        assert (done.returncode, done.stderr) == (0, "")
        lines = [line.split("\t") for line in done.stdout.splitlines()]
        assert [labels for labels, _ in lines] == [",".join(prediction.labels) or "-" for prediction in expected]
        for (_, score), prediction in zip(lines, expected, strict=True):
            assert float(score) == pytest.approx(prediction.score, abs=1e-4)

    @pytest.mark.parametrize("arguments", [("--help",), ("-h", "bundle", "text")], ids=str)
    def test_help_is_the_usage(self, node: Engine, arguments: tuple[str, ...]) -> None:
        done = self.classify(node, *arguments)

        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("usage: node classify.mjs")

    @pytest.mark.parametrize(
        "arguments", [(), ("bundle",), ("--precision", "int8", "bundle"), ("--wrong", "bundle", "text")], ids=str
    )
    def test_bad_usage_is_told_with_the_usage(self, node: Engine, arguments: tuple[str, ...]) -> None:
        done = self.classify(node, *arguments)

        assert (done.returncode, done.stdout) == (2, "")
        assert "usage: node classify.mjs" in done.stderr

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"format_version": 3}, "bundle.json: expected format_version 1 or 2, found 3"),
            ({"format_version": None}, "bundle.json: expected format_version 1 or 2, found undefined"),
            ({"labels": None}, "bundle.json: expected the key labels, found none"),
            ({"variants": []}, "bundle.json: expected a fp32/cpu graph, found none"),
        ],
        ids=["newer", "no version", "no labels", "no graph"],
    )
    def test_a_manifest_of_another_form(
        self, node: Engine, small_pair: Path, tmp_path: Path, changes: dict[str, object], message: str
    ) -> None:
        self.expect_failure(node, changed(small_pair, tmp_path, **changes), message)

    @pytest.mark.parametrize(
        ("file", "content", "message"),
        [
            ("bundle.json", None, "bundle.json: expected a file of the bundle, but it cannot be read"),
            ("bundle.json", b"{", "bundle.json: expected JSON, found damage"),
            ("bundle.json", b"null", "bundle.json: expected format_version 1 or 2, found undefined"),
            ("tokenizer.json", None, "tokenizer.json: expected a file of the bundle, but it cannot be read"),
            ("tokenizer.json", b"{}", r"tokenizer.json: expected \d+ bytes, found 2"),
            ("model.onnx", None, "model.onnx: expected a file of the bundle, but it cannot be read"),
            ("model.onnx", b"cut short", r"model.onnx: expected \d+ bytes, found 9"),
        ],
    )
    def test_a_file_that_is_missing_or_damaged(  # noqa: PLR0917 - pytest hands them in by name
        self, node: Engine, small_pair: Path, tmp_path: Path, file: str, content: bytes | None, message: str
    ) -> None:
        bundle = changed(small_pair, tmp_path)
        if content is None:
            (bundle / file).unlink()
        else:
            (bundle / file).write_bytes(content)
        self.expect_failure(node, bundle, message)

    @pytest.mark.parametrize(
        ("file", "message"),
        [
            ("model.onnx", "model.onnx: the engine refuses it"),
            ("tokenizer.json", "tokenizer.json: expected JSON, found damage"),
        ],
    )
    def test_a_file_of_the_right_size_and_other_content(
        self, node: Engine, small_pair: Path, tmp_path: Path, file: str, message: str
    ) -> None:
        bundle = changed(small_pair, tmp_path)
        (bundle / file).write_bytes(b"\xff" * (bundle / file).stat().st_size)
        self.expect_failure(node, bundle, message)

    def test_a_folder_that_is_not_there_and_a_precision_that_the_bundle_lacks(
        self, node: Engine, small_pair: Path, tmp_path: Path
    ) -> None:
        self.expect_failure(node, tmp_path / "nowhere", "bundle.json: expected a file of the bundle")
        done = self.classify(node, "--precision", "fp16", small_pair, "text")
        assert done.returncode == 1
        assert "expected a fp16/cpu graph, found fp32/cpu, int8/cpu" in done.stderr

    def expect_failure(self, node: Engine, bundle: Path, message: str) -> None:
        done = self.classify(node, bundle, "text")
        assert (done.returncode, done.stdout) == (1, "")
        assert len(done.stderr.splitlines()) == 1, done.stderr
        assert re.search(message, done.stderr), done.stderr


def test_the_page_takes_everything_from_its_own_server(web: Engine) -> None:
    page = (web.example / "index.html").read_text(encoding="utf-8")
    imports = json.loads(re.search(r'<script type="importmap">(.*?)</script>', page, re.DOTALL)[1])["imports"]  # type: ignore[index]

    assert not re.search(r"https?://", page)
    assert len(imports) == 2
    for path in imports.values():
        assert (web.example / path).is_file()
    assert set(re.findall(r'from "([^.][^"]*)"', page)) == set(imports)


def test_the_packages_are_pinned_to_the_same_versions() -> None:
    node, web = (
        json.loads((EXAMPLES / name / "package.json").read_text(encoding="utf-8"))["dependencies"]
        for name in ("node", "web")
    )

    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in (*node.values(), *web.values()))
    assert node["@huggingface/tokenizers"] == web["@huggingface/tokenizers"]
    assert node["onnxruntime-node"] == web["onnxruntime-web"]
