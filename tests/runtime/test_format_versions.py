"""Bundles that earlier releases wrote, as they wrote them."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from setfuse.runtime import Classifier, Manifest, Scores, Task

from .damage import change_manifest

DATA = Path(__file__).parent / "data"
VERSION_1 = DATA / "version-1" / "bundle"


def test_a_manifest_of_version_1_is_read() -> None:
    manifest = Manifest.read(VERSION_1)

    (variant,) = manifest.variants
    assert manifest.format_version == 1
    assert (manifest.task, manifest.scores, manifest.prompt) == (Task.SINGLE_LABEL, Scores.PROBABILITIES, "")
    assert (manifest.labels, manifest.max_length, manifest.embedding_dim) == (("late", "lost", "refund"), 48, 32)
    assert manifest.provenance["head"] == "LogisticRegression"
    assert (variant.note, variant.takes_strings) == ("", False)
    assert variant.parity is not None
    assert (variant.parity.texts, variant.parity.label_agreement) == (54, 1.0)
    assert (variant.parity.accuracy, variant.parity.torch_accuracy) == (None, None)
    assert variant.parity.mean_embedding_difference is None
    assert (variant.parity.checked_on, variant.parity.allowed_mismatch) == ("built-in texts", "")


def test_a_bundle_of_version_1_classifies_as_it_did() -> None:
    """The answers were written down by the release that wrote the bundle."""
    classifier = Classifier.load(VERSION_1)
    lines = (DATA / "version-1" / "answers.jsonl").read_text(encoding="utf-8").splitlines()
    answers = [json.loads(line) for line in lines]
    texts = [answer["text"] for answer in answers]

    assert classifier.predict(texts) == [answer["label"] for answer in answers]
    # Written with six decimals; the kernels of another machine may round otherwise by some 1e-7.
    expected = [answer["probabilities"] for answer in answers]
    np.testing.assert_allclose(classifier.predict_proba(texts), expected, rtol=0, atol=2e-6)


def test_a_manifest_of_version_1_is_written_in_todays_form(tmp_path: Path) -> None:
    Manifest.read(VERSION_1).write(tmp_path)

    written = json.loads((tmp_path / "bundle.json").read_bytes())
    assert written["format_version"] == 2
    assert written.items() >= {"task": "text-classification", "scores": "probabilities", "prompt": ""}.items()


def test_keys_that_version_1_did_not_know_mean_nothing_in_it(tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(VERSION_1, tmp_path / "bundle"))
    change_manifest(bundle, lambda m: m.update(prompt="query: ", scores="decision_scores"))

    manifest = Manifest.read(bundle)

    assert (manifest.scores, manifest.prompt) == (Scores.PROBABILITIES, "")


@pytest.mark.parametrize("path", sorted(DATA.glob("version-*/bundle")), ids=lambda path: path.parent.name)
def test_the_versions_are_named_for_what_they_hold(path: Path) -> None:
    assert path.parent.name == f"version-{json.loads((path / 'bundle.json').read_bytes())['format_version']}"
