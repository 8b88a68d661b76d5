"""Which labels a text is given: the best ones, none below a threshold, those above one of their own."""

import asyncio
import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import f1_score

from setfuse.runtime import Classifier, MultiLabelRow, Prediction, UsageError, evaluate, evaluate_multi_label
from setfuse.runtime._dataset import Row
from tests.models import TEXTS

from .kinds import make_decision, make_multi_label


@pytest.fixture(scope="module")
def classifier(tiny_bundle: Path) -> Classifier:
    """`tiny_bundle`, loaded."""
    return Classifier.load(tiny_bundle)


@pytest.fixture
def several(own_bundle: Path) -> Classifier:
    """A multi-label bundle, loaded."""
    return Classifier.load(make_multi_label(own_bundle))


# The best k


def test_the_best_k_come_first_and_add_nothing() -> None:
    prediction = Prediction("b", 0.5, {"a": 0.2, "b": 0.5, "c": 0.2, "d": 0.1}, ("b",))

    assert prediction.top_k(1) == [("b", 0.5)]
    assert prediction.top_k(3) == [("b", 0.5), ("a", 0.2), ("c", 0.2)]  # of equals, the first of the labels
    assert prediction.top_k(9) == [("b", 0.5), ("a", 0.2), ("c", 0.2), ("d", 0.1)]
    assert json.loads(json.dumps(prediction.top_k(2))) == [["b", 0.5], ["a", 0.2]]


@pytest.mark.parametrize("k", [0, -1, 1.5, "2", None, True], ids=repr)
def test_a_k_that_is_no_count_is_refused(k: Any) -> None:
    with pytest.raises(UsageError, match=r"^top_k: expected a whole number from 1, got "):
        Prediction("a", 1.0, {"a": 1.0}, ("a",)).top_k(k)


def test_the_best_k_are_those_of_the_probabilities(classifier: Classifier) -> None:
    for prediction, row in zip(classifier(TEXTS), classifier.predict_proba(TEXTS), strict=True):
        assert [label for label, _ in prediction.top_k(2)] == [classifier.labels[i] for i in np.argsort(-row)[:2]]
        assert prediction.top_k(1) == [(prediction.label, prediction.score)]


# No label below a score


def ask(classifier: Classifier, **options: Any) -> list[list[Prediction]]:
    """Ask for predictions in every way there is."""

    async def both() -> list[list[Prediction]]:
        one_by_one = [await classifier.aclassify(text, **options) for text in TEXTS]
        return [one_by_one, await classifier.classify_many(TEXTS, **options)]

    return [
        classifier(TEXTS, **options),
        [classifier(text, **options) for text in TEXTS],
        list(classifier.stream(TEXTS, **options)),
        *asyncio.run(both()),
    ]


def plain(predictions: list[Prediction]) -> list[Any]:
    """Give what must be equal; scores of other batches differ in the last digits."""
    return [(p.label, p.labels, round(p.score, 5)) for p in predictions]


def test_a_text_with_a_score_below_gets_no_label_however_it_is_asked(classifier: Classifier) -> None:
    usual = classifier(TEXTS)
    abstain = sorted(prediction.score for prediction in usual)[len(TEXTS) // 2] - 1e-5

    ways = ask(classifier, abstain=abstain)

    for predictions in ways:
        assert plain(predictions) == plain(ways[0])
    assert [prediction.score for prediction in ways[0]] == [prediction.score for prediction in usual]
    labels = [prediction.label if prediction.score >= abstain else None for prediction in usual]
    assert None in labels
    assert len(set(labels)) > 1
    assert [prediction.label for prediction in ways[0]] == labels == classifier.predict(TEXTS, abstain=abstain)
    assert [prediction.labels for prediction in ways[0]] == [(label,) if label else () for label in labels]


def test_a_score_that_is_just_reached_is_enough(classifier: Classifier) -> None:
    prediction = classifier("refund")

    assert classifier("refund", abstain=prediction.score).label == prediction.label
    assert classifier("refund", abstain=math.nextafter(prediction.score, 1)).label is None
    assert classifier("refund", abstain=0) == prediction
    assert classifier("refund", abstain=np.float32(1)).label is None  # type: ignore[call-overload]  # as numpy has it


def test_no_label_shows() -> None:
    assert repr(Prediction(None, 0.4, {"a": 0.4}, ())) == "Prediction(label=None, score=0.4000)"
    assert json.dumps(dataclasses.asdict(Prediction(None, 0.5, {"a": 0.5}, ()))) == (
        '{"label": null, "score": 0.5, "scores": {"a": 0.5}, "labels": []}'
    )


def test_decision_scores_abstain_below_any_number(own_bundle: Path) -> None:
    classifier = Classifier.load(make_decision(own_bundle))

    nothing: float | None = None if classifier.labels else 0.5  # to a type checker either
    assert classifier.predict(TEXTS, abstain=nothing) == classifier.predict(TEXTS)
    assert classifier.predict(TEXTS, abstain=-1e9) == classifier.predict(TEXTS)
    assert classifier.predict(TEXTS, abstain=1e9) == [None] * len(TEXTS)


# Several labels


def test_what_a_multi_label_bundle_gives(several: Classifier) -> None:
    probabilities = several.predict_proba(TEXTS)
    names = np.array(several.labels)

    for threshold, thresholds in (
        (None, [0.5, 0.5, 0.5]),
        (0.4, [0.4, 0.4, 0.4]),
        (0, [0, 0, 0]),
        (1, [1, 1, 1]),
        ({"refund": 0.45}, [0.5, 0.5, 0.45]),
        ({"late": 0.45, "lost": 0.6, "refund": 0.55}, [0.45, 0.6, 0.55]),
        ({}, [0.5, 0.5, 0.5]),
    ):
        expected = [tuple(names[row > np.array(thresholds, np.float32)].tolist()) for row in probabilities]
        ways = ask(several, threshold=threshold)
        for predictions in ways:
            assert plain(predictions) == plain(ways[0])
        assert [prediction.labels for prediction in ways[0]] == several.predict(TEXTS, threshold=threshold) == expected
        # The best label stays what it is, whether it applies or not.
        assert [p.label for p in ways[0]] == names[probabilities.argmax(axis=1)].tolist()


def test_a_multi_label_bundle_is_judged_at_the_thresholds_asked_for(several: Classifier) -> None:
    rows = [MultiLabelRow(text, labels) for text, labels in zip(TEXTS, several.predict(TEXTS), strict=True)]  # type: ignore[arg-type]
    true = np.array([[label in row.labels for label in several.labels] for row in rows])

    assert evaluate_multi_label(several, rows).subset_accuracy == 1
    lower = evaluate_multi_label(several, rows, threshold={"late": 0.4})
    given = several.predict_proba(TEXTS) > np.array([0.4, 0.5, 0.5], np.float32)
    assert lower.subset_accuracy == pytest.approx((true == given).all(axis=1).mean())
    assert lower.micro_f1 == pytest.approx(f1_score(true, given, average="micro", zero_division=0))
    with pytest.raises(UsageError, match="call evaluate_multi_label"):
        evaluate(several, [Row("a", "late")])


# What is refused


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"abstain": 1.1}, "abstain: expected a probability from 0 to 1, got 1.1"),
        ({"abstain": -0.1}, "abstain: expected a probability from 0 to 1, got -0.1"),
        ({"abstain": float("nan")}, "abstain: expected a probability from 0 to 1, got nan"),
        ({"abstain": "0.5"}, "abstain: expected a probability from 0 to 1, got '0.5'"),
        ({"abstain": True}, "abstain: expected a probability from 0 to 1, got True"),
        ({"threshold": 0.5}, "threshold: expected a multi-label bundle, got one of one label a text; pass abstain"),
    ],
    ids=str,
)
def test_what_one_label_a_text_refuses(options: Any, message: str, classifier: Classifier) -> None:
    for call in (classifier, classifier.predict, lambda *a, **o: list(classifier.stream(*a, **o))):
        with pytest.raises(UsageError) as caught:
            call(TEXTS, **options)
        assert str(caught.value) == message
        assert isinstance(caught.value, ValueError)
    with pytest.raises(UsageError):
        asyncio.run(classifier.aclassify("a", **options))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": 2}, "threshold: expected a probability from 0 to 1, got 2"),
        ({"threshold": {"late": None}}, "threshold: expected a probability from 0 to 1, got None"),
        ({"threshold": {"early": 0.5}}, "threshold: expected labels of late, lost, refund, got 'early'"),
        ({"threshold": [0.5, 0.5, 0.5]}, "threshold: expected a probability from 0 to 1, got [0.5, 0.5, 0.5]"),
        ({"abstain": 0.5}, "abstain: expected a bundle of one label a text, got a multi-label one; pass threshold"),
    ],
    ids=str,
)
def test_what_several_labels_refuse(options: Any, message: str, several: Classifier) -> None:
    with pytest.raises(UsageError) as caught:
        several(TEXTS, **options)

    assert str(caught.value) == message


def test_decision_scores_have_thresholds_of_any_size(own_bundle: Path) -> None:
    classifier = Classifier.load(make_decision(own_bundle, multi_label=True))

    assert classifier.predict(TEXTS, threshold=-1e6) == [classifier.labels] * len(TEXTS)
    with pytest.raises(UsageError, match="threshold: expected a number, got inf"):
        classifier.predict(TEXTS, threshold=math.inf)


def test_a_prediction_has_a_hash_and_plain_values(classifier: Classifier) -> None:
    prediction = classifier("refund")

    assert len({prediction, classifier("refund")}) == 1
    assert {type(score) for score in prediction.scores.values()} == {float}
    assert type(prediction.score) is float
    assert json.loads(json.dumps(dataclasses.asdict(prediction)))["score"] == prediction.score
