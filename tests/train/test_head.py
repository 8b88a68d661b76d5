"""Heads of scikit-learn's: made, fitted, asked, refused."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC
from sklearn.utils.validation import check_is_fitted

from setfuse.runtime import DatasetError, MissingExtra, SetfuseError, UsageError
from setfuse.train._head import check_head, fit_head
from setfuse.train._head_settings import HeadSettings

WIDTH = 12
NAMES = ("late", "lost", "refund")


def embeddings(rows: int, seed: int = 0) -> npt.NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(rows, WIDTH)).astype(np.float32)


X = embeddings(60)
LABELS = [NAMES[int(row)] for row in X[:, :3].argmax(axis=1)]
LABEL_SETS = [tuple(name for name, value in zip(NAMES, row, strict=False) if value > 0.3) for row in X]
INDICATORS = np.asarray([[name in row for name in NAMES] for row in LABEL_SETS], dtype=np.int64)
NEW = embeddings(40, seed=1)
STRATEGIES = {
    "one-vs-rest": OneVsRestClassifier,
    "multi-output": MultiOutputClassifier,
    "classifier-chain": ClassifierChain,
}


def test_the_default_is_scikit_learns_own() -> None:
    expected = LogisticRegression().fit(X, np.asarray(LABELS))

    head = fit_head(X, LABELS)

    assert (head.kind, head.labels, head.multi_label) == ("LogisticRegression", NAMES, False)
    np.testing.assert_array_equal(head.predict_proba(NEW), expected.predict_proba(NEW))
    assert head.predict(NEW) == expected.predict(NEW).tolist()


def test_a_name_that_numpy_would_cut_is_refused() -> None:
    labels = ["a" if label == "late" else "a\0" for label in LABELS]  # one class, to numpy

    for refuse in (lambda: fit_head(X, labels), lambda: check_head(HeadSettings(), labels)):
        with pytest.raises(DatasetError, match=r"names that do not end in a NUL, got 'a\\x00'; rename it"):
            refuse()


@pytest.mark.parametrize(
    "weight", ["balanced", {"late": 1.0, "lost": 9.0, "refund": 0.1}], ids=["balanced", "by label"]
)
def test_parameters_and_class_weights_reach_it(weight: Any) -> None:
    expected = LogisticRegression(C=7.0, max_iter=500, class_weight=weight).fit(X, np.asarray(LABELS))

    head = fit_head(X, LABELS, HeadSettings(head_params={"C": 7.0, "max_iter": 500}, class_weight=weight))

    np.testing.assert_array_equal(head.predict_proba(NEW), expected.predict_proba(NEW))
    assert np.abs(head.predict_proba(NEW) - fit_head(X, LABELS).predict_proba(NEW)).max() > 0.01


@pytest.mark.parametrize("weight", [None, "balanced"])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_several_labels_by_every_strategy(strategy: str, weight: str | None) -> None:
    expected = STRATEGIES[strategy](LogisticRegression(class_weight=weight)).fit(X, INDICATORS)
    probabilities = expected.predict_proba(NEW)
    if isinstance(probabilities, list):
        probabilities = np.stack([answer[:, 1] for answer in probabilities], axis=1)

    head = fit_head(X, LABEL_SETS, HeadSettings(multi_target_strategy=strategy, class_weight=weight))

    assert (head.labels, head.multi_label, head.strategy) == (NAMES, True, strategy)
    np.testing.assert_allclose(head.predict_proba(NEW), probabilities, rtol=0, atol=1e-12)
    said = [tuple(np.asarray(NAMES)[row > 0].tolist()) for row in expected.predict(NEW)]
    assert head.predict(NEW) == said
    assert {len(row) for row in said} >= {0, 1, 2}


OTHERWISE = ("refund", "late", "lost")
NUMBERS = [OTHERWISE.index(label) for label in LABELS]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_several_labels_in_another_order(strategy: str) -> None:
    expected = STRATEGIES[strategy](LogisticRegression()).fit(X, INDICATORS[:, [2, 0, 1]])

    head = fit_head(X, LABEL_SETS, HeadSettings(multi_target_strategy=strategy), ["unseen", *OTHERWISE])

    assert head.labels == OTHERWISE
    assert head.predict(NEW) == [tuple(np.asarray(OTHERWISE)[row > 0].tolist()) for row in expected.predict(NEW)]


def test_a_chains_links_stand_in_the_labels_order() -> None:
    expected = ClassifierChain(LogisticRegression()).fit(X, INDICATORS[:, [2, 0, 1]]).predict_proba(NEW)
    settings = HeadSettings(multi_target_strategy="classifier-chain")

    found = fit_head(X, LABEL_SETS, settings, OTHERWISE).predict_proba(NEW)

    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
    assert np.abs(fit_head(X, LABEL_SETS, settings).predict_proba(NEW)[:, [2, 0, 1]] - expected).max() > 1e-3


@pytest.mark.parametrize(
    "own",
    [
        RandomForestClassifier(5, random_state=0),
        LinearDiscriminantAnalysis(priors=[0.7, 0.2, 0.1]),
        make_pipeline(StandardScaler(), LogisticRegression()),
    ],
    ids=["forest", "priors", "pipeline"],
)
def test_one_label_in_another_order(own: Any) -> None:
    expected = clone(own).fit(X, NUMBERS)

    head = fit_head(X, LABELS, HeadSettings(head=own), ["unseen", *OTHERWISE])

    assert head.labels == OTHERWISE
    np.testing.assert_array_equal(head.predict_proba(NEW), expected.predict_proba(NEW))
    assert head.predict(NEW) == [OTHERWISE[number] for number in expected.predict(NEW)]


@pytest.mark.parametrize("balanced", [True, False])
@pytest.mark.parametrize("way", ["class_weight", "a classifier", "a pipeline"])
def test_weights_by_label_in_another_order(way: str, balanced: bool) -> None:
    by_name: Any = "balanced" if balanced else {"late": 1.0, "lost": 9.0, "refund": 0.1}
    by_number: Any = "balanced" if balanced else {0: 0.1, 1: 1.0, 2: 9.0}
    expected = LogisticRegression(class_weight=by_number).fit(X, NUMBERS)
    own = LogisticRegression(class_weight=by_name)
    settings = {
        "class_weight": HeadSettings(class_weight=by_name),
        "a classifier": HeadSettings(head=own),
        "a pipeline": HeadSettings(head=make_pipeline(own)),
    }

    head = fit_head(X, LABELS, settings[way], OTHERWISE)

    np.testing.assert_array_equal(head.predict_proba(NEW), expected.predict_proba(NEW))
    assert own.class_weight == by_name


@pytest.mark.parametrize(
    "own",
    [RandomForestClassifier(5, random_state=0), make_pipeline(StandardScaler(), LinearDiscriminantAnalysis())],
    ids=["forest", "pipeline"],
)
@pytest.mark.parametrize("strategy", [None, "one-vs-rest"])
def test_a_classifier_handed_in_is_cloned_and_left_alone(own: Any, strategy: str | None) -> None:
    before = repr(own.get_params(deep=True))

    head = fit_head(X, LABEL_SETS if strategy else LABELS, HeadSettings(head=own, multi_target_strategy=strategy))

    assert head.predict_proba(NEW).shape == (len(NEW), 3)
    assert repr(own.get_params(deep=True)) == before
    with pytest.raises(NotFittedError):
        check_is_fitted(own)


@pytest.mark.parametrize("own", [RidgeClassifier(), KNeighborsClassifier(), RandomForestClassifier(5, random_state=0)])
def test_a_classifier_that_takes_several_labels_itself(own: Any) -> None:
    head = fit_head(X, LABEL_SETS, HeadSettings(head=own))

    said = [tuple(np.asarray(NAMES)[row > 0].tolist()) for row in own.fit(X, INDICATORS).predict(NEW)]
    assert (head.predict(NEW), head.multi_label) == (said, True)


def test_a_classifier_without_probabilities_labels_all_the_same() -> None:
    head = fit_head(X, LABELS, HeadSettings(head=LinearSVC(random_state=0)))

    assert head.predict(NEW) == LinearSVC(random_state=0).fit(X, np.asarray(LABELS)).predict(NEW).tolist()
    with pytest.raises(UsageError, match="expected a classifier with predict_proba, got LinearSVC, which only decides"):
        head.predict_proba(NEW)


DIFFERENTIABLE = {"head": "differentiable"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"head": "forest"}, r"head: expected LogisticRegression, differentiable or a classifier .* got 'forest'"),
        ({"multi_target_strategy": "chain"}, r"one of one-vs-rest, multi-output, classifier-chain, got 'chain'"),
        ({"class_weight": "balanced", "head_params": {"class_weight": "balanced"}}, "expected it once"),
        ({"class_weight": "balanced", "head": SVC()}, "class_weight: expected none with a classifier of your own; set"),
        ({"head": SVC(), "head_params": {"C": 1}}, "head_params: expected none with a classifier of your own"),
        ({**DIFFERENTIABLE, "head_params": {"C": 1}}, "expected temperature, eps, bias .*got 'C'"),
        ({**DIFFERENTIABLE, "head_params": {"temperature": 0}}, "expected temperature to be a number above 0, got 0"),
        (
            {**DIFFERENTIABLE, "head_params": {"temperature": "1"}},
            "expected temperature to be a number above 0, got '1'",
        ),
        ({**DIFFERENTIABLE, "head_params": {"eps": -1.0}}, "expected eps to be a number of at least 0, got -1.0"),
        ({**DIFFERENTIABLE, "head_params": {"bias": 1}}, "expected bias to be True or False, got 1"),
        ({**DIFFERENTIABLE, "multi_target_strategy": "classifier-chain"}, "a sigmoid, got classifier-chain"),
    ],
)
def test_settings_are_refused_on_construction(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        HeadSettings(**settings)


@pytest.mark.parametrize(
    ("settings", "labels", "error", "message"),
    [
        ({"head_params": {"c": 1}}, LABELS, UsageError, r"head_params: expected arguments of LogisticRegression.*'c'"),
        ({"head_params": {"C": -1}}, LABELS, UsageError, r"head: .*LogisticRegression can be fitted with.*'C'"),
        ({"class_weight": {"late": 1, "x": 2}}, LABELS, UsageError, r"labels of the training rows .*got 'x'"),
        ({"multi_target_strategy": "one-vs-rest"}, LABELS, DatasetError, "found one label a row; leave it out"),
        ({}, LABEL_SETS, UsageError, r"expected one of one-vs-rest, .* for rows with lists of labels, got none"),
        (
            {"multi_target_strategy": "multi-output", "class_weight": {"late": 2}},
            LABEL_SETS,
            UsageError,
            "expected 'balanced' for rows with lists of labels",
        ),
        ({"head": KMeans()}, LABELS, UsageError, r"expected a classifier with predict_proba, .*got KMeans"),
        ({"head": 3}, LABELS, UsageError, "expected a classifier of scikit-learn's, got 3"),
        ({"head": LogisticRegression}, LABELS, UsageError, "expected a classifier of scikit-learn's, got <class"),
        ({"head": KNeighborsClassifier(99)}, LABELS, UsageError, "expected a KNeighborsClassifier that answers"),
        ({}, ["a"] * 4, DatasetError, r"expected at least two different ones, found \['a'\]"),
        ({}, ["a", ("b",)], DatasetError, "or a list of labels in every row, found both"),
        ({}, [], DatasetError, "found no rows"),
        (
            {"multi_target_strategy": "one-vs-rest"},
            [("a", "b"), ("a",)],
            DatasetError,
            "expected rows without the label 'a', found it in all 2",
        ),
        (DIFFERENTIABLE, ["a"] * 4, DatasetError, "at least two different ones"),
        ({**DIFFERENTIABLE, "class_weight": {"x": 2}}, LABELS, UsageError, r"labels of the training rows .*got 'x'"),
        ({**DIFFERENTIABLE, "class_weight": {"x": 2}}, LABEL_SETS, UsageError, r"labels of the training .*got 'x'"),
        ({**DIFFERENTIABLE, "multi_target_strategy": "multi-output"}, LABELS, DatasetError, "found one label a row"),
    ],
)
def test_what_cannot_be_fitted_is_refused_before_training(
    settings: dict[str, Any], labels: Sequence[Any], error: type[SetfuseError], message: str
) -> None:
    with pytest.raises(error, match=message):
        check_head(HeadSettings(**settings), labels)


class Subclass(LogisticRegression):
    """Could answer anything."""


@pytest.mark.parametrize(
    ("own", "message"),
    [
        (HistGradientBoostingClassifier(), r"got a HistGradientBoostingClassifier: it is not linear, and skl2onnx"),
        (
            KNeighborsClassifier(3, weights="distance"),
            r"KNeighborsClassifier: it is not linear, and the graph .* differs",
        ),
        (Subclass(), r"expected a class of scikit-learn's, .* got .*test_head.Subclass"),
        (OneVsRestClassifier(Subclass()), "got a OneVsRestClassifier: it is not linear, and skl2onnx cannot"),
    ],
    ids=["cannot be converted", "is converted wrongly", "is not scikit-learn's", "holds another's"],
)
def test_what_cannot_be_stored_is_refused_before_training(own: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check_head(HeadSettings(head=own), LABELS)


def test_what_can_be_fitted_and_stored_passes() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_head(HeadSettings(), LABELS)
        check_head(HeadSettings(multi_target_strategy="classifier-chain"), LABEL_SETS)
        check_head(HeadSettings(head=RandomForestClassifier(3)), LABELS * 100)
        check_head(HeadSettings(head=make_pipeline(PCA(30), LogisticRegression())), LABELS)
        check_head(HeadSettings(head="differentiable"), LABEL_SETS)


def test_without_skl2onnx_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "skl2onnx", None)

    with pytest.raises(MissingExtra, match=r'RandomForestClassifier, which skl2onnx writes .*"setfuse\[export\]"'):
        check_head(HeadSettings(head=RandomForestClassifier(3)), LABELS)
    check_head(HeadSettings(), LABELS)
