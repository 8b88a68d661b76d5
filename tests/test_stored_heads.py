"""Heads from training to the exported graph: fitted, stored without pickle, read, written as a graph."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from sklearn.calibration import CalibratedClassifierCV
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from setfuse.export import export
from setfuse.export._heads import Head, read_head
from setfuse.runtime import Classifier, Scores
from setfuse.train._checkpoint import write_checkpoint
from setfuse.train._head import FittedHead, fit_head, save_head, train_head
from setfuse.train._head._store import LINEAR as STORED
from setfuse.train._head_settings import HeadSettings, HeadTraining
from tests.export import heads
from tests.export.heads import LABELS, NAMES, WIDTH, HeadGraph
from tests.models import TEXTS, make_body

NEW = heads.embeddings(200, seed=7)
LABEL_NAMES = ("späť", "b", "取消", "d")
STRATEGIES = ("one-vs-rest", "multi-output", "classifier-chain")

NUMBERS: dict[str, heads.Maker] = {name: make for name, make in heads.LINEAR.items() if "Calibrated" not in name}
"""Stored as numbers."""

GRAPHS: dict[str, heads.Maker] = {
    **{name: heads.CONVERTED[name] for name in ("RandomForestClassifier", "KNeighborsClassifier", "SVC", "GaussianNB")},
    "SVC with probabilities": heads.CONVERTED["SVC with probabilities"],
    "StandardScaler, RandomForestClassifier": heads.CONVERTED["StandardScaler, RandomForestClassifier"],
    "MLPClassifier": heads.CONVERTED["MLPClassifier"],
    "PCA, LogisticRegression": lambda: make_pipeline(PCA(8, random_state=0), LogisticRegression()),
    "CalibratedClassifierCV": lambda: CalibratedClassifierCV(LinearSVC(random_state=0), cv=2),
    "OneVsRestClassifier of forests": lambda: OneVsRestClassifier(RandomForestClassifier(4, random_state=0)),
}
"""Stored as graphs."""


def fit(make: heads.Maker, classes: int) -> FittedHead:
    x, y = heads.training_set(NAMES[:classes])
    own = heads.make_quietly(make)
    return heads.make_quietly(lambda: fit_head(x, y.tolist(), HeadSettings(head=own)))


def fit_several(settings: HeadSettings) -> FittedHead:
    x, y = heads.multi_label_set()
    sets = [tuple(name for name, value in zip(LABEL_NAMES, row, strict=True) if value) for row in y]
    return heads.make_quietly(lambda: fit_head(x, sets, settings))


def scikit_learns(head: FittedHead, x: np.ndarray) -> np.ndarray:
    """Ask the estimator that was never stored."""
    x = x.astype(np.float64)
    if hasattr(head.estimator, "predict_proba"):
        return head.predict_proba(x)
    answers = head.estimator.decision_function(x)
    return np.stack([-answers, answers], axis=1) if answers.ndim == 1 else np.asarray(answers)


def assert_read_as_it_was(folder: Path, head: FittedHead, tolerance: float) -> Head:
    """Store, read, compare with scikit-learn; then the graph, in float32."""
    save_head(head, folder)
    assert {path.name for path in folder.iterdir()} <= {"head.json", "head.safetensors", "head.onnx"}

    read = read_head(folder)

    assert (read.classes, read.multi_label, read.width) == (head.labels, head.multi_label, WIDTH)
    expected = scikit_learns(head, NEW)
    size = max(1.0, float(np.abs(expected).max()))
    np.testing.assert_allclose(read.answer(NEW), expected, rtol=0, atol=tolerance * size)
    np.testing.assert_allclose(HeadGraph(read).answer(NEW), expected, rtol=0, atol=max(1e-6, tolerance) * size)
    return read


@pytest.mark.parametrize("classes", [2, 3, 7], ids="{} classes".format)
@pytest.mark.parametrize("make", NUMBERS.values(), ids=NUMBERS)
def test_a_head_of_numbers(tmp_path: Path, make: heads.Maker, classes: int) -> None:
    head = fit(make, classes)

    read = assert_read_as_it_was(tmp_path, head, 1e-7)

    assert not (tmp_path / "head.onnx").exists()
    assert read.scores is (Scores.PROBABILITIES if hasattr(head.estimator, "predict_proba") else Scores.DECISION)


IN_ANOTHER_ORDER = ("LogisticRegression", "StandardScaler, LogisticRegression", "RandomForestClassifier", "SVC")


@pytest.mark.parametrize("classes", [2, 3], ids="{} classes".format)
@pytest.mark.parametrize("name", IN_ANOTHER_ORDER)
def test_a_head_whose_labels_are_in_no_alphabetical_order(tmp_path: Path, name: str, classes: int) -> None:
    x, y = heads.training_set(NAMES[:classes])
    order = sorted(NAMES[:classes], reverse=True)
    own = heads.make_quietly({**NUMBERS, **GRAPHS}[name])

    head = fit_head(x, y.tolist(), HeadSettings(head=own), order)

    read = assert_read_as_it_was(tmp_path, head, 1e-5)
    assert (list(read.classes), read.numbers) == (order, None)
    numbered = own.fit(x, [order.index(label) for label in y])  # as SetFit: forests and ties depend on the order
    assert head.predict(NEW) == [order[number] for number in numbered.predict(NEW)]


@pytest.mark.parametrize("classes", [2, 3], ids="{} classes".format)
@pytest.mark.parametrize("make", GRAPHS.values(), ids=GRAPHS)
def test_a_head_that_is_a_graph(tmp_path: Path, make: heads.Maker, classes: int) -> None:
    head = fit(make, classes)

    # float32 inside the graph, and so in what stands for the estimator when it is read
    read = assert_read_as_it_was(tmp_path, head, 2e-6)

    assert (tmp_path / "head.onnx").is_file()
    assert read.scores is (Scores.PROBABILITIES if hasattr(head.estimator, "predict_proba") else Scores.DECISION)


def test_heads_that_jump_are_known_as_such(tmp_path: Path) -> None:
    for name, jumps in {"RandomForestClassifier": True, "KNeighborsClassifier": True, "MLPClassifier": False}.items():
        save_head(fit(GRAPHS[name], 3), tmp_path)
        assert read_head(tmp_path).has_steps is jumps, name


@pytest.mark.parametrize("scaled", [False, True], ids=["", "scaled"])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_several_labels(tmp_path: Path, strategy: str, scaled: bool) -> None:
    own = make_pipeline(StandardScaler(), LogisticRegression()) if scaled else "LogisticRegression"
    head = fit_several(HeadSettings(head=own, multi_target_strategy=strategy))

    assert_read_as_it_was(tmp_path, head, 1e-7)

    config = json.loads((tmp_path / "head.json").read_text(encoding="utf-8"))
    assert (config["classes"], config["multi_target_strategy"]) == (list(head.labels), strategy)


@pytest.mark.parametrize(
    "name",
    [
        "OneVsRestClassifier of LinearSVC",
        "ClassifierChain, random order",
        "ClassifierChain of probabilities",
        "ClassifierChain of decisions",
        "ClassifierChain of LinearSVC",
        "StandardScaler, ClassifierChain",
        "RidgeClassifier",
        "RandomForestClassifier",
        "MLPClassifier",
        "OneVsRestClassifier of modified_huber",
    ],
)
def test_several_labels_by_a_classifier_handed_in(tmp_path: Path, name: str) -> None:
    head = fit_several(HeadSettings(head=heads.make_quietly(heads.MULTI_LABEL[name])))

    assert_read_as_it_was(tmp_path, head, 2e-6 if name in {"RandomForestClassifier", "MLPClassifier"} else 1e-7)


@pytest.mark.parametrize("several", [False, True], ids=["softmax", "sigmoids"])
@pytest.mark.parametrize("params", [{}, {"temperature": 0.3}, {"bias": False}], ids=str)
def test_the_differentiable_head(tmp_path: Path, params: dict[str, Any], several: bool) -> None:
    body = make_body(tmp_path / "body")
    texts = [text for text in TEXTS if text]
    labels = [LABEL_NAMES[i % 3] for i in range(len(texts))]
    sets = [LABEL_NAMES[: i % 3] for i in range(len(texts))]
    settings = HeadSettings(head="differentiable", head_params=params)
    head, _ = train_head(body, texts, sets if several else labels, settings, HeadTraining(num_epochs=2))
    stored = tmp_path / "head"
    stored.mkdir()
    save_head(head, stored)

    read = read_head(stored)

    x = body.encode(texts)
    expected = head.predict_proba(x)
    assert (read.kind, read.classes, read.multi_label) == ("SetFitHead", head.labels, several)
    np.testing.assert_allclose(read.answer(x), expected, rtol=0, atol=5e-7)  # float32 in torch
    np.testing.assert_allclose(HeadGraph(read).answer(x), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", ["chain", "forest", "differentiable"])
def test_the_whole_way_to_a_bundle(tmp_path: Path, kind: str) -> None:
    body = make_body(tmp_path)
    # all different: a tree's threshold between two embeddings of one text would lie within the rounding
    texts = [f"{text} {again}".strip() for again in ("", "again", "please") for text in TEXTS if text]
    labels = [LABEL_NAMES[i % 3] for i in range(len(texts))]
    sets = [LABEL_NAMES[: i % 3] for i in range(len(texts))]
    embeddings = body.encode(texts)
    if kind == "chain":
        head = fit_head(embeddings, sets, HeadSettings(multi_target_strategy="classifier-chain"))
    elif kind == "forest":
        head = fit_head(embeddings, labels, HeadSettings(head=RandomForestClassifier(5, random_state=0)))
    else:
        head, _ = train_head(body, texts, labels, HeadSettings(head="differentiable"), HeadTraining(num_epochs=1))
    training = {"base_model": "tiny", "rows": {}, "arguments": {}, "versions": {}, "seconds": 0, "steps": 1, "pairs": 1}
    checkpoint = tmp_path / "checkpoint"
    checkpoint.mkdir()
    write_checkpoint(checkpoint, body, head, training)

    export(checkpoint, tmp_path / "bundle", ("fp32",))

    classifier = Classifier.load(tmp_path / "bundle", precision="fp32", engine="onnxruntime")
    assert tuple(classifier.labels) == head.labels
    # float32 on another engine; a forest would jump by a fifth
    np.testing.assert_allclose(classifier.predict_proba(texts), head.predict_proba(embeddings), rtol=0, atol=1e-5)
    assert classifier.predict(texts) == head.predict(embeddings)
    assert not [path for path in checkpoint.rglob("*") if path.suffix in {".pkl", ".joblib", ".bin"}]


def test_the_same_head_is_stored_in_the_same_bytes(tmp_path: Path) -> None:
    for name in ("LogisticRegression", "RandomForestClassifier"):
        written = []
        for _ in range(2):
            save_head(fit({**NUMBERS, **GRAPHS}[name], 3), tmp_path)
            written.append({path.name: path.read_bytes() for path in tmp_path.iterdir()})
        assert written[0] == written[1]


def test_every_kind_that_is_stored_as_numbers_is_tested() -> None:
    assert STORED.keys() <= {fit(make, 2).kind for make in NUMBERS.values()}


def test_the_tensors_are_those_of_the_documentation(tmp_path: Path) -> None:
    save_head(fit(heads.LINEAR["StandardScaler, LogisticRegression"], 3), tmp_path)
    scaled = safetensors.numpy.load_file(tmp_path / "head.safetensors")
    save_head(fit(LogisticRegression, 2), tmp_path)
    plain = safetensors.numpy.load_file(tmp_path / "head.safetensors")
    save_head(fit_several(HeadSettings(multi_target_strategy="multi-output")), tmp_path)
    several = safetensors.numpy.load_file(tmp_path / "head.safetensors")

    assert {name: tensor.shape for name, tensor in plain.items()} == {"coef": (1, WIDTH), "intercept": (1,)}
    assert {name: tensor.shape for name, tensor in scaled.items()} == {
        "steps.0.mean": (WIDTH,),
        "steps.0.scale": (WIDTH,),
        "steps.1.coef": (3, WIDTH),
        "steps.1.intercept": (3,),
    }
    assert several.keys() == {f"estimators.{i}.{name}" for i in range(LABELS) for name in ("coef", "intercept")}
