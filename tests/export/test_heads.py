"""Every supported head, written as a graph, against the estimator itself and against skl2onnx's own conversion."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression, RidgeClassifier, SGDClassifier
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC, NuSVC
from sklearn.tree import DecisionTreeClassifier

import setfuse.export._heads._composed as composed_module
from setfuse.export import CheckpointError, UnsupportedCheckpoint
from setfuse.export._heads import Head, read_head, supported_heads
from setfuse.export._heads._formulas import Calibrated, Linear, Steps
from setfuse.runtime import MissingExtra, Scores
from tests.export import heads
from tests.export.heads import NAMES, WIDTH, HeadGraph

# float32 sums of 16 products, and the sigmoids and exponentials of them; observed 5e-7 at most
TOLERANCE = 1e-6
TEXTS = heads.embeddings(200, seed=7)
SINGLE = {**heads.LINEAR, **heads.CONVERTED}


def assert_alike(graph: HeadGraph, expected: np.ndarray, x: np.ndarray = TEXTS) -> None:
    """Compare, decision scores relatively to their size: they have no bounds."""
    answers = graph.answer(x)
    assert answers.dtype == np.float32
    assert answers.shape == expected.shape
    np.testing.assert_allclose(answers, expected, rtol=0, atol=TOLERANCE * max(1, np.abs(expected).max()))


def scikit_learns(estimator: Any, x: np.ndarray = TEXTS) -> np.ndarray:
    """Ask the estimator that was never pickled, in the columns that are promised."""
    x = x.astype(np.float64)
    if hasattr(estimator, "predict_proba"):
        answers = estimator.predict_proba(x)
        # SetFit stacks the list that a MultiOutputClassifier gives so
        return np.stack(answers, axis=1)[:, :, 1] if isinstance(answers, list) else answers
    if isinstance(estimator, MultiOutputClassifier):
        return np.stack([part.decision_function(x) for part in estimator.estimators_], axis=1)
    answers = estimator.decision_function(x)
    return answers if answers.ndim == 2 else np.stack([-answers, answers], axis=1)


@pytest.mark.parametrize("classes", [2, 3, 7], ids="{} classes".format)
@pytest.mark.parametrize("make", SINGLE.values(), ids=SINGLE)
def test_the_graph_answers_as_the_estimator(tmp_path: Path, make: heads.Maker, classes: int) -> None:
    estimator = heads.fitted(make, classes)

    head = heads.read(tmp_path, estimator)

    assert head.classes == tuple(sorted(NAMES[:classes]))
    assert (head.width, head.multi_label) == (WIDTH, False)
    assert head.scores == ("probabilities" if hasattr(estimator, "predict_proba") else "decision_scores")
    expected = scikit_learns(estimator)
    np.testing.assert_allclose(head.answer(TEXTS), expected, rtol=0, atol=1e-12)
    graph = HeadGraph(head)
    assert_alike(graph, expected)
    for text in TEXTS[:5]:
        assert_alike(graph, scikit_learns(estimator, text[None]), text[None])
    if not isinstance(estimator, SVC | NuSVC):  # their predict is not the most probable class
        labels = np.asarray(head.classes)[graph.answer(TEXTS).argmax(axis=1)]
        ordered = np.sort(expected, axis=1)
        sure = ordered[:, -1] - ordered[:, -2] > TOLERANCE
        np.testing.assert_array_equal(labels[sure], estimator.predict(TEXTS)[sure])


@pytest.mark.parametrize("make", heads.MULTI_LABEL.values(), ids=heads.MULTI_LABEL)
def test_the_graph_answers_as_the_estimator_of_several_labels(tmp_path: Path, make: heads.Maker) -> None:
    estimator = heads.fitted_multi_label(make)

    head = heads.read(tmp_path, estimator)

    assert head.classes == ("0", "1", "2", "3")
    assert head.multi_label
    expected = scikit_learns(estimator)
    np.testing.assert_allclose(head.answer(TEXTS), expected, rtol=0, atol=1e-12)
    graph = HeadGraph(head)
    assert_alike(graph, expected)
    assert_alike(graph, scikit_learns(estimator, TEXTS[:1]), TEXTS[:1])
    threshold = 0.5 if head.scores is Scores.PROBABILITIES else 0
    applies = graph.answer(TEXTS) > threshold
    sure = np.abs(expected - threshold) > TOLERANCE
    np.testing.assert_array_equal(applies[sure], estimator.predict(TEXTS)[sure])


def converted_by_skl2onnx(estimator: Any, *, raw_scores: bool) -> np.ndarray:
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType

    final = estimator[-1] if hasattr(estimator, "steps") else estimator
    options = {id(final): {"raw_scores": True} if raw_scores else {"zipmap": False}}
    model = convert_sklearn(
        estimator, initial_types=[("x", FloatTensorType([None, WIDTH]))], options=options, target_opset=20
    )
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    answers: np.ndarray = session.run(None, {"x": TEXTS})[1]
    return answers


SECOND_ORACLE = [
    "LogisticRegression",
    "LogisticRegressionCV",
    "LinearDiscriminantAnalysis",
    "SGDClassifier, log_loss",
    "OneVsRestClassifier",
    "CalibratedClassifierCV of LinearSVC",
    "StandardScaler, LogisticRegression",
    "LinearSVC",
    "RidgeClassifier",
]


# skl2onnx 1.20 gives a LinearDiscriminantAnalysis of two classes the sigmoid of twice its decision; scikit-learn does
# not.
@pytest.mark.parametrize(
    ("name", "classes"),
    [(name, n) for name in SECOND_ORACLE for n in (2, 3) if (name, n) != ("LinearDiscriminantAnalysis", 2)],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # skl2onnx's own
def test_linear_heads_answer_as_skl2onnx_converts_them(tmp_path: Path, name: str, classes: int) -> None:
    estimator = heads.fitted(heads.LINEAR[name], classes)
    head = heads.read(tmp_path, estimator)

    expected = converted_by_skl2onnx(estimator, raw_scores=head.scores is Scores.DECISION)

    # both are float32, so both round
    np.testing.assert_allclose(HeadGraph(head).answer(TEXTS), expected, rtol=0, atol=3 * TOLERANCE)


@pytest.mark.parametrize("make", heads.LINEAR.values(), ids=heads.LINEAR)
def test_linear_heads_are_standard_operators_and_stay_finite_where_they_are_sure(
    tmp_path: Path, make: heads.Maker
) -> None:
    head = heads.read(tmp_path, heads.fitted(make, 3))

    graph = HeadGraph(head)

    assert {node.domain for node in graph.model.graph.node} == {""}
    assert [(opset.domain, opset.version) for opset in graph.model.opset_import] == [("", 20)]
    answers = graph.answer(np.concatenate([TEXTS * 1e4, TEXTS * -1e4, TEXTS * 0]).astype(np.float32))
    assert np.isfinite(answers).all()
    if head.scores is Scores.PROBABILITIES and "modified_huber" not in head.kind:
        zero = (answers == 0).all(axis=1)  # OneVsRestClassifier leaves what nobody claims at 0
        np.testing.assert_allclose(answers.sum(axis=1)[~zero], 1, atol=1e-5)
        assert not zero.any() or head.kind.startswith("OneVsRestClassifier(SGD")


@pytest.mark.parametrize(
    ("name", "multi_label", "steps"),
    [
        ("LogisticRegression", False, False),
        ("CalibratedClassifierCV of LinearSVC", False, False),
        ("CalibratedClassifierCV, isotonic", False, True),
        ("RandomForestClassifier", False, True),
        ("StandardScaler, RandomForestClassifier", False, True),
        ("OneVsRestClassifier of RandomForestClassifier", False, True),
        ("KNeighborsClassifier", False, True),
        ("HistGradientBoostingClassifier", False, True),
        ("MLPClassifier", False, False),
        ("SVC", False, False),
        ("ClassifierChain", True, True),
        ("ClassifierChain of probabilities", True, False),
    ],
)
def test_which_heads_have_steps(tmp_path: Path, name: str, multi_label: bool, steps: bool) -> None:
    made = heads.fitted_multi_label(heads.MULTI_LABEL[name]) if multi_label else heads.fitted(SINGLE[name], 3)

    assert heads.read(tmp_path, made).has_steps is steps


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (LogisticRegression, "LogisticRegression"),
        (lambda: OneVsRestClassifier(LogisticRegression()), "OneVsRestClassifier(LogisticRegression)"),
        (lambda: make_pipeline(StandardScaler(), LinearSVC()), "StandardScaler, LinearSVC"),
        (lambda: make_pipeline(LinearSVC()), "LinearSVC"),
        (lambda: CalibratedClassifierCV(LinearSVC(), cv=2), "CalibratedClassifierCV(LinearSVC)"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_kind_names_what_is_inside(tmp_path: Path, make: heads.Maker, kind: str) -> None:
    assert heads.read(tmp_path, heads.fitted(make, 3)).kind == kind


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ([3, 5, 9], ("3", "5", "9")),
        ([0, 1], ("0", "1")),
        ([False, True], ("False", "True")),
        ([0.0, 1.0], ("0.0", "1.0")),
        (["yes", "no"], ("no", "yes")),
        (["ملغى 🎉", "späť", "取消"], ("späť", "ملغى 🎉", "取消")),
    ],
    ids=str,
)
def test_classes_of_any_type(tmp_path: Path, given: list[Any], names: tuple[str, ...]) -> None:
    head = heads.read(tmp_path, heads.fit(LogisticRegression(), *heads.training_set(given)))

    assert head.classes == names
    assert head.numbers == (None if isinstance(given[0], str) else tuple(map(int, given)))


def test_classes_that_are_python_strings(tmp_path: Path) -> None:
    x, y = heads.training_set(["a", "bb", "ccc"])

    head = heads.read(tmp_path, heads.fit(LogisticRegression(), x, y.astype(object)))

    assert (head.classes, head.numbers) == (("a", "bb", "ccc"), None)


def test_the_same_head_gives_the_same_bytes(tmp_path: Path) -> None:
    estimator = heads.fitted(heads.CONVERTED["CalibratedClassifierCV of RandomForestClassifier"], 3)

    first, second = (HeadGraph(heads.read(tmp_path, estimator)).model.SerializeToString() for _ in range(2))

    assert first == second


@settings(max_examples=40, deadline=None)
@given(x=hnp.arrays(np.float32, st.tuples(st.integers(1, 9), st.just(WIDTH)), elements=st.floats(-4, 4, width=32)))
@pytest.mark.parametrize("name", ["StandardScaler, LogisticRegression", "CalibratedClassifierCV, isotonic"])
def test_any_embeddings_in_any_batch(tmp_path_factory: pytest.TempPathFactory, name: str, x: np.ndarray) -> None:
    if name not in PREPARED:
        estimator = heads.fitted(heads.LINEAR[name], 3)
        PREPARED[name] = HeadGraph(heads.read(tmp_path_factory.mktemp("head"), estimator)), estimator
    graph, estimator = PREPARED[name]

    # numbers up to 4 instead of 0.25: the sums, and their rounding, are larger
    np.testing.assert_allclose(graph.answer(x), scikit_learns(estimator, x), rtol=0, atol=2e-5)


PREPARED: dict[str, tuple[HeadGraph, Any]] = {}


@settings(max_examples=60, deadline=None)
@given(
    points=st.lists(st.tuples(st.floats(-5, 5), st.floats(0, 1)), min_size=1, max_size=12),
    score=st.lists(st.floats(-9, 9), min_size=1, max_size=6),
)
def test_isotonic_steps_are_scikit_learns_interpolation(points: list[tuple[float, float]], score: list[float]) -> None:
    from setfuse.export._heads._composed import _steps
    from setfuse.export._heads._formulas import Link

    calibrator = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(*zip(*points, strict=True))
    scores = Linear(np.asarray([[-1.0], [1.0]]), np.zeros(2), Link.IDENTITY)
    steps: Steps = _steps([calibrator])
    head = Head("", ("a", "b"), None, 1, False, Scores.PROBABILITIES, True, Calibrated(scores, 2, steps), None)
    x = np.asarray(score, dtype=np.float32)

    answers = HeadGraph(head).answer(x[:, None])

    np.testing.assert_allclose(answers[:, 1], calibrator.predict(x.astype(np.float64)), rtol=0, atol=TOLERANCE)


def test_where_no_class_is_claimed_each_gets_the_same(tmp_path: Path) -> None:
    estimator = heads.fitted(heads.LINEAR["SGDClassifier, modified_huber"], 3)
    estimator.coef_ *= 0
    estimator.intercept_[:] = -1

    assert_alike(HeadGraph(heads.read(tmp_path, estimator)), np.full((len(TEXTS), 3), 1 / 3))


def test_where_no_class_is_claimed_one_vs_rest_leaves_zeros(tmp_path: Path) -> None:
    estimator = heads.fitted(heads.LINEAR["OneVsRestClassifier of modified_huber"], 3)
    for part in estimator.estimators_:
        part.coef_ *= 0
        part.intercept_[:] = -1

    assert_alike(HeadGraph(heads.read(tmp_path, estimator)), np.zeros((len(TEXTS), 3)))


def test_isotonic_zeros_become_the_uniform_distribution(tmp_path: Path) -> None:
    estimator = heads.fitted(heads.LINEAR["CalibratedClassifierCV, isotonic"], 3)
    far = (TEXTS * 100).astype(np.float32)
    expected = scikit_learns(estimator, far)
    assert any(
        (part.predict_proba(far.astype(np.float64)) == 1 / 3).all(axis=1).any()
        for part in estimator.calibrated_classifiers_
    )

    assert_alike(HeadGraph(heads.read(tmp_path, estimator)), expected, far)


@pytest.mark.parametrize("inside", [LogisticRegression, LinearSVC])
@pytest.mark.parametrize("value", [0, 1])
@pytest.mark.filterwarnings("ignore:Label .* is present in all:UserWarning")
def test_a_label_that_all_texts_had_or_none(tmp_path: Path, inside: heads.Maker, value: int) -> None:
    x, y = heads.multi_label_set()
    y[:, 1] = value
    estimator = heads.fit(OneVsRestClassifier(inside()), x, y)
    head = heads.read(tmp_path, estimator)

    answers = HeadGraph(head).answer(TEXTS)

    threshold = 0.5 if head.scores is Scores.PROBABILITIES else 0
    assert ((answers[:, 1] > threshold) == bool(value)).all()
    assert_alike(HeadGraph(head), head.answer(TEXTS))


@pytest.mark.parametrize("mark", [{"multi_class": "ovr"}, {"solver": "liblinear"}], ids=str)
@pytest.mark.parametrize("scaled", [False, True], ids=["alone", "scaled"])
def test_an_old_logistic_regression_that_learnt_its_classes_apart(
    tmp_path: Path, mark: dict[str, str], scaled: bool
) -> None:
    estimator = heads.fitted(heads.LINEAR["StandardScaler, LogisticRegression"] if scaled else LogisticRegression, 3)
    final = estimator[-1] if scaled else estimator
    vars(final).update(mark)
    sigmoids = 1 / (1 + np.exp(-estimator.decision_function(TEXTS.astype(np.float64))))

    head = heads.read(tmp_path, estimator)

    expected = sigmoids / sigmoids.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(head.answer(TEXTS), expected, rtol=0, atol=1e-12)
    assert_alike(HeadGraph(head), expected)


def test_a_calibration_of_an_estimator_that_was_fitted_before(tmp_path: Path) -> None:
    x, y = heads.training_set(NAMES[:3])
    estimator = heads.fit(heads.frozen(LinearSVC().fit(x, y)), x, y)

    assert_alike(HeadGraph(heads.read(tmp_path, estimator)), scikit_learns(estimator))


def changed(estimator: Any, **attributes: Any) -> Any:
    vars(estimator).update(attributes)
    return estimator


def logistic(**attributes: Any) -> Any:
    return changed(heads.fitted(LogisticRegression, 3), **attributes)


REFUSED: dict[str, tuple[heads.Maker, type[Exception], str]] = {
    "unfitted": (
        LogisticRegression,
        CheckpointError,
        "LogisticRegression: expected a fitted estimator, found no class",
    ),
    "unfitted pipeline": (lambda: make_pipeline(StandardScaler(), LinearSVC()), CheckpointError, "found no classes_"),
    "unfitted forest": (RandomForestClassifier, CheckpointError, "expected a fitted estimator"),
    "NaN": (lambda: logistic(coef_=np.full((3, WIDTH), np.nan)), CheckpointError, "found NaN or infinity in coef_"),
    "beyond float32": (lambda: logistic(coef_=np.full((3, WIDTH), 1e39)), CheckpointError, "more than float32 holds"),
    "a width that is not its own": (lambda: logistic(n_features_in_=3), CheckpointError, "expected a fitted.*damage"),
    "infinity": (lambda: logistic(intercept_=np.full(3, np.inf)), CheckpointError, "infinity in intercept_"),
    "no numbers": (
        lambda: logistic(coef_="x"),
        CheckpointError,
        "a text where an array stands, in LogisticRegression.coef_",
    ),
    "misshapen": (lambda: logistic(coef_=np.ones((2, WIDTH))), CheckpointError, r"coef_ \(3, dim\) .* found \(2, 16\)"),
    "one class": (lambda: logistic(classes_=np.asarray(["a"])), CheckpointError, "two classes or more, found 1"),
    "classes of one name": (
        lambda: logistic(classes_=np.asarray(["1", 1, 2], dtype=object)),
        CheckpointError,
        "classes of different names, found 1, 1, 2",
    ),
    "classes that are no text": (
        lambda: logistic(classes_=np.asarray(["a", "b", "\ud800"])),
        CheckpointError,
        "classes of Unicode text",
    ),
    "multinomial of two": (
        lambda: changed(heads.fitted(LogisticRegression, 2), multi_class="multinomial"),
        UnsupportedCheckpoint,
        "multi_class='multinomial' for two classes",
    ),
    "a chain of forests": (
        lambda: heads.fitted_multi_label(lambda: ClassifierChain(RandomForestClassifier(2))),
        UnsupportedCheckpoint,
        "ClassifierChain: expected linear estimators of 0 and 1, found RandomForestClassifier: not supported",
    ),
    "a chain of logarithms": (
        lambda: heads.fitted_multi_label(
            lambda: ClassifierChain(LogisticRegression(), chain_method="predict_log_proba")
        ),
        UnsupportedCheckpoint,
        "found predict_log_proba: not supported",
    ),
    "several outputs of three classes": (
        lambda: heads.fit(
            MultiOutputClassifier(LogisticRegression()),
            heads.embeddings(30),
            np.stack([np.arange(30) % 3, np.arange(30) % 2], axis=1),
        ),
        UnsupportedCheckpoint,
        r"the classes 0 and 1 in each output, found \[0, 1, 2\] in output 0",
    ),
    "a forest of three classes an output": (
        lambda: heads.fit(
            RandomForestClassifier(2), heads.embeddings(30), np.stack([np.arange(30) % 3, np.arange(30) % 2], axis=1)
        ),
        UnsupportedCheckpoint,
        r"RandomForestClassifier: expected the classes 0 and 1 in each output, found \[.*0, .*1, .*2.*\] in output 0",
    ),
    "a tree of several outputs": (
        lambda: heads.fitted_multi_label(DecisionTreeClassifier),
        UnsupportedCheckpoint,
        "DecisionTreeClassifier: expected one label a text, found 4 outputs: not supported",
    ),
    "neighbours weighted": (
        lambda: heads.fitted(lambda: KNeighborsClassifier(weights="distance"), 3),
        UnsupportedCheckpoint,
        "weights 'uniform' .* found euclidean, 'distance'",
    ),
    "neighbours of another metric": (
        lambda: heads.fitted(lambda: KNeighborsClassifier(metric="chebyshev"), 3),
        UnsupportedCheckpoint,
        "found chebyshev",
    ),
    "an SVC of pairs": (
        lambda: heads.fitted(lambda: SVC(decision_function_shape="ovo"), 3),
        UnsupportedCheckpoint,
        "decision_function_shape 'ovr', found 'rbf' and 'ovo'",
    ),
    "boosting calibrated": (
        lambda: heads.fitted(lambda: CalibratedClassifierCV(GradientBoostingClassifier(n_estimators=2), cv=2), 3),
        UnsupportedCheckpoint,
        r"CalibratedClassifierCV\(GradientBoostingClassifier\): calibrated decision scores .* not supported",
    ),
    "a forest by temperature": (
        lambda: heads.fitted(lambda: CalibratedClassifierCV(RandomForestClassifier(2), method="temperature", cv=2), 3),
        UnsupportedCheckpoint,
        "the method temperature for an estimator that is not linear",
    ),
    "a regression of labels": (
        lambda: StandardScaler().fit(heads.embeddings(9)),
        UnsupportedCheckpoint,
        "the head is a StandardScaler: not supported; supported are LogisticRegression, .* and OneVsRestClassifier",
    ),
    "a scaler behind a classifier": (
        lambda: changed(make_pipeline(LogisticRegression(), LinearSVC()), n=1),
        UnsupportedCheckpoint,
        "expected StandardScaler before the classifier, found LogisticRegression",
    ),
    "a list": (lambda: [1, 2], UnsupportedCheckpoint, "the head is a list: not supported"),
}


@pytest.mark.parametrize(("make", "error", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_and_how_it_is_called(
    tmp_path: Path, make: heads.Maker, error: type[Exception], message: str
) -> None:
    heads.saved(tmp_path, make())

    with pytest.raises(error, match=rf"model_head.pkl: .*{message}"):
        read_head(tmp_path)


def test_calibrators_that_would_be_padded_to_gigabytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(composed_module, "MOST_SEGMENTS", 8)

    with pytest.raises(UnsupportedCheckpoint, match="expected at most 8 thresholds of the isotonic"):
        heads.read(tmp_path, heads.fitted(heads.LINEAR["CalibratedClassifierCV, isotonic"], 3))


def test_isotonic_thresholds_that_do_not_fit_together(tmp_path: Path) -> None:
    estimator = heads.fitted(heads.LINEAR["CalibratedClassifierCV, isotonic"], 3)
    calibrator = estimator.calibrated_classifiers_[0].calibrators[0]
    calibrator.y_thresholds_ = calibrator.y_thresholds_[:-1]

    with pytest.raises(CheckpointError, match="IsotonicRegression: expected as many x as y, found damage"):
        heads.read(tmp_path, estimator)


def test_a_body_without_a_head(tmp_path: Path) -> None:
    with pytest.raises(
        CheckpointError, match=r"head.json and head.safetensors, or in model_head.pkl, found none: .*train"
    ):
        read_head(tmp_path)


def test_without_skl2onnx_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heads.saved(tmp_path, heads.fitted(heads.CONVERTED["MLPClassifier"], 3))
    monkeypatch.setitem(sys.modules, "skl2onnx", None)

    with pytest.raises(MissingExtra, match=r'MLPClassifier, which skl2onnx writes: pip install "setfuse\[export\]"'):
        read_head(tmp_path)


def test_what_skl2onnx_cannot_convert(tmp_path: Path) -> None:
    estimator = changed(heads.fitted(heads.CONVERTED["MLPClassifier"], 3), activation="swish")

    with pytest.raises(UnsupportedCheckpoint, match="MLPClassifier: skl2onnx cannot convert it with these settings"):
        heads.read(tmp_path, estimator)


def test_the_table_lists_what_the_tests_cover() -> None:
    tested = {type(heads.make_quietly(make)).__name__ for make in (*SINGLE.values(), *heads.MULTI_LABEL.values())}

    listed = {row[0].split()[0] for row in supported_heads()}

    assert listed == tested | {"SetFitHead"}
    assert all(len(row) == 3 and all(row) for row in supported_heads())


def test_the_oracle_can_disagree(tmp_path: Path) -> None:
    head = heads.read(tmp_path, heads.fitted(LogisticRegression, 3))
    other = replace(head, estimator=heads.fitted(RidgeClassifier, 3), scores=Scores.DECISION)

    with pytest.raises(AssertionError):
        assert_alike(HeadGraph(head), other.answer(TEXTS))


def test_a_head_that_gives_no_probabilities_says_so(tmp_path: Path) -> None:
    head = heads.read(tmp_path, heads.fitted(lambda: SGDClassifier(random_state=0), 2))

    answers = HeadGraph(head).answer(TEXTS)

    assert head.scores is Scores.DECISION
    np.testing.assert_array_equal(answers[:, 0], -answers[:, 1])
