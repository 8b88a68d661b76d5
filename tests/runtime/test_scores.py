"""Multi-label bundles, decision scores and prompts: what the classifier makes of them, and what it refuses."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from sentence_transformers import SentenceTransformer

from setfuse.runtime import BundleCorrupt, Classifier, NoDecisionScores, NoProbabilities, Prediction, SetfuseError, Task
from setfuse.runtime._prediction import Rule
from tests.models import LONG_TEXT, MAX_LENGTH, TEXTS

from .damage import change_manifest, replace_file
from .kinds import LOGITS_SHIFT, make_decision, make_multi_label, take_int32

TOLERANCE = 1e-6
"""As in test_classifier: sums taken in another order."""


def logits(tiny_bundle: Path) -> npt.NDArray[np.float32]:
    """Give the logits of the texts, but for a constant a text, which the softmax forgets."""
    logarithms: npt.NDArray[np.float32] = np.log(Classifier.load(tiny_bundle).predict_proba(TEXTS))
    return logarithms


def centered(scores: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Take from each text's scores their mean."""
    result: npt.NDArray[np.float32] = scores - scores.mean(axis=1, keepdims=True)
    return result


# Several labels


def test_the_labels_that_apply_are_those_above_one_half(own_bundle: Path) -> None:
    classifier = Classifier.load(make_multi_label(own_bundle))

    probabilities = classifier.predict_proba(TEXTS)
    predictions = classifier(TEXTS)

    expected = [tuple(np.array(classifier.labels)[row > 0.5]) for row in probabilities]
    assert classifier.task is Task.MULTI_LABEL
    assert {len(labels) for labels in expected} >= {0, 1, 2}  # or the lines below say little
    assert classifier.predict(TEXTS) == [prediction.labels for prediction in predictions] == expected
    for prediction, row in zip(predictions, probabilities, strict=True):
        assert prediction.label == classifier.labels[row.argmax()]
        assert prediction.score == pytest.approx(row.max(), abs=TOLERANCE)
        assert list(prediction.scores) == list(classifier.labels)
    assert list(classifier.stream(TEXTS)) == predictions
    assert classifier.predict([]) == []


def test_exactly_one_half_does_not_apply() -> None:
    rule = Rule(("a", "b", "c"), (0.5, 0.5, 0.5), -math.inf)

    assert rule.prediction([0.5, 0.5, float(np.nextafter(0.5, 1))]).labels == ("c",)


def test_a_prediction_of_several_labels_shows_them() -> None:
    scores = {"late": 0.9, "refund": 0.7}

    assert (
        repr(Prediction("late", 0.9, scores, ("late", "refund")))
        == "Prediction(labels=('late', 'refund'), label='late', score=0.9000)"
    )
    assert repr(Prediction("late", 0.25, scores, ())) == "Prediction(labels=(), label='late', score=0.2500)"
    assert repr(Prediction("late", 0.9, scores, ("late",))) == "Prediction(label='late', score=0.9000)"


# Decision scores


def test_decision_scores_are_the_logits(own_bundle: Path, tiny_bundle: Path) -> None:
    classifier = Classifier.load(make_decision(own_bundle))

    scores = classifier.decision_function(TEXTS)
    predictions = classifier(TEXTS)

    assert scores.shape == (len(TEXTS), 3)
    assert scores.dtype == np.float32
    expected = logits(tiny_bundle) - LOGITS_SHIFT
    np.testing.assert_allclose(centered(scores), centered(expected), rtol=0, atol=1e-5)
    assert scores.min() < 0  # no probabilities
    assert classifier.predict(TEXTS) == [classifier.labels[column] for column in expected.argmax(axis=1)]
    for prediction, row in zip(predictions, scores, strict=True):
        assert prediction.score == pytest.approx(row.max(), abs=1e-5)
        assert prediction.labels == (prediction.label,)
    assert classifier.embed(TEXTS).shape == (len(TEXTS), 32)


def test_several_labels_with_decision_scores_are_those_above_zero(own_bundle: Path) -> None:
    classifier = Classifier.load(make_decision(own_bundle, multi_label=True))

    expected = [tuple(np.array(classifier.labels)[row > 0]) for row in classifier.decision_function(TEXTS)]
    assert {len(labels) for labels in expected} >= {0, 1, 2}
    assert classifier.predict(TEXTS) == expected


def test_probabilities_of_a_head_that_has_none_are_refused(own_bundle: Path) -> None:
    classifier = Classifier.load(make_decision(own_bundle))

    with pytest.raises(NoProbabilities, match=r"this bundle's \(LinearSVC\).*decision_function\(texts\)") as caught:
        classifier.predict_proba(TEXTS)

    assert isinstance(caught.value, AttributeError)  # as scikit-learn's own estimators raise
    assert isinstance(caught.value, SetfuseError)


@pytest.mark.parametrize("head", [None, {"kind": "x"}, 7])
def test_a_head_without_a_name_is_refused_as_well(head: object, own_bundle: Path) -> None:
    bundle = make_decision(own_bundle)
    change_manifest(bundle, lambda manifest: manifest["provenance"].update(head=head))

    with pytest.raises(NoProbabilities, match="but this bundle's gives decision scores"):
        Classifier.load(bundle).predict_proba(TEXTS)


def test_decision_scores_of_a_head_with_probabilities_are_refused(tiny_bundle: Path) -> None:
    with pytest.raises(NoDecisionScores, match=r"call predict_proba\(texts\)") as caught:
        Classifier.load(tiny_bundle).decision_function(TEXTS)

    assert isinstance(caught.value, AttributeError)


def test_a_graph_of_the_other_scores_is_refused(own_bundle: Path) -> None:
    make_decision(own_bundle)

    def lie(manifest: dict[str, Any]) -> None:
        manifest["scores"] = "probabilities"
        manifest["variants"][0]["outputs"][0]["name"] = "probabilities"

    with pytest.raises(BundleCorrupt, match=r"model\.onnx: expected .*'probabilities'.*found .*'decision_scores'"):
        Classifier.load(change_manifest(own_bundle, lie))


# Prompts


@pytest.mark.parametrize(
    "prompt", ["refund: ", "  cancel the app ", "é 你 😀 ", "where is my parcel " * 30, "re", "\n"]
)
def test_a_prompt_stands_before_each_text_as_in_sentence_transformers(
    prompt: str, own_bundle: Path, tiny_checkpoint: Path
) -> None:
    body = SentenceTransformer(str(tiny_checkpoint), device="cpu")
    expected = body.encode(list(TEXTS), prompt=prompt)
    change_manifest(own_bundle, lambda manifest: manifest.update(prompt=prompt))

    np.testing.assert_allclose(Classifier.load(own_bundle).embed(TEXTS), expected, rtol=0, atol=1e-5)


def test_a_prompt_counts_toward_the_longest_text(own_bundle: Path, tiny_bundle: Path) -> None:
    prompted = Classifier.load(change_manifest(own_bundle, lambda m: m.update(prompt="refund ")))
    plain = Classifier.load(tiny_bundle)

    words = LONG_TEXT.split()  # each is one token; two special ones stand around them
    cut = " ".join(["refund", *words[: MAX_LENGTH - 3]])
    np.testing.assert_allclose(prompted.embed([LONG_TEXT]), plain.embed([cut]), rtol=0, atol=TOLERANCE)


def test_a_lone_surrogate_behind_a_prompt_counts_as_the_replacement_character(own_bundle: Path) -> None:
    prompted = Classifier.load(change_manifest(own_bundle, lambda m: m.update(prompt="refund ")))

    answers = prompted.predict_proba(["\udc80 parcel", "\ufffd parcel"])
    np.testing.assert_allclose(answers[0], answers[1], rtol=0, atol=TOLERANCE)


# Graphs of another interface


def test_a_graph_of_int32_ids_answers_alike(own_bundle: Path, tiny_bundle: Path) -> None:
    classifier = Classifier.load(take_int32(own_bundle))

    expected = Classifier.load(tiny_bundle).predict_proba(TEXTS)
    np.testing.assert_allclose(classifier.predict_proba(TEXTS), expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("make", [make_multi_label, make_decision, take_int32])
def test_it_answers_alone_as_in_a_batch(make: Callable[[Path], Path], own_bundle: Path) -> None:
    classifier = Classifier.load(make(own_bundle))

    together = [list(prediction.scores.values()) for prediction in classifier(TEXTS)]
    alone = [list(classifier(text).scores.values()) for text in TEXTS]
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-5)  # logits are larger than probabilities


def test_token_ids_that_the_graph_does_not_know_are_refused(
    own_bundle: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    definition = json.loads((own_bundle / "tokenizer.json").read_bytes())
    definition["post_processor"] = {"type": "BertProcessing", "sep": ["[SEP]", 9999], "cls": ["[CLS]", 2]}
    classifier = Classifier.load(replace_file(own_bundle, "tokenizer.json", json.dumps(definition).encode()))

    with pytest.raises(BundleCorrupt, match=r"model.onnx: onnxruntime fails on token ids of the shape \(1, 3\).*9999"):
        classifier("a")
    assert capfd.readouterr().err == ""


def test_another_dtype_than_the_manifest_says_is_refused(own_bundle: Path) -> None:
    def lie(manifest: dict[str, Any]) -> None:
        manifest["variants"][0]["inputs"][0]["dtype"] = "int32"

    with pytest.raises(BundleCorrupt, match=r"tensor\(int32\).* as bundle\.json says, found .*tensor\(int64\)"):
        Classifier.load(change_manifest(own_bundle, lie))
