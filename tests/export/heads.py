"""Fitted heads of every supported kind, on made-up embeddings, and a graph of the head alone."""

import copy
import functools
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import numpy.typing as npt
import onnxruntime
from sklearn.calibration import CalibratedClassifierCV
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import (
    LogisticRegression,
    LogisticRegressionCV,
    PassiveAggressiveClassifier,
    Perceptron,
    RidgeClassifier,
    RidgeClassifierCV,
    SGDClassifier,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC, NuSVC
from sklearn.tree import DecisionTreeClassifier

from setfuse.export._graph import FLOAT, GraphBuilder, tensor_info
from setfuse.export._heads import Head, add_head, read_head

WIDTH = 16
NAMES = ("späť", "b", "取消", "d", "e", "f", "g")
LABELS = 4
"""Of the multi-label heads."""

Maker = Callable[[], Any]

LINEAR: dict[str, Maker] = {
    "LogisticRegression": lambda: LogisticRegression(C=100),
    "LogisticRegression without intercept": lambda: LogisticRegression(fit_intercept=False),
    "LogisticRegressionCV": lambda: LogisticRegressionCV(Cs=2, cv=2),
    "LinearDiscriminantAnalysis": LinearDiscriminantAnalysis,
    "LinearDiscriminantAnalysis, shrunk": lambda: LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"),
    "LinearSVC": LinearSVC,
    "LinearSVC without intercept": lambda: LinearSVC(fit_intercept=False),
    "RidgeClassifier": RidgeClassifier,
    "RidgeClassifier without intercept": lambda: RidgeClassifier(fit_intercept=False),
    "RidgeClassifierCV": RidgeClassifierCV,
    "SGDClassifier, hinge": lambda: SGDClassifier(random_state=0),
    "SGDClassifier, log_loss": lambda: SGDClassifier(loss="log_loss", random_state=0),
    "SGDClassifier, modified_huber": lambda: SGDClassifier(loss="modified_huber", alpha=0.01, random_state=0),
    "SGDClassifier, averaged": lambda: SGDClassifier(average=True, random_state=0),
    "Perceptron": lambda: Perceptron(random_state=0),
    "PassiveAggressiveClassifier": lambda: PassiveAggressiveClassifier(random_state=0),
    "OneVsRestClassifier": lambda: OneVsRestClassifier(LogisticRegression()),
    "OneVsRestClassifier of LinearSVC": lambda: OneVsRestClassifier(LinearSVC()),
    "OneVsRestClassifier of modified_huber": lambda: OneVsRestClassifier(
        SGDClassifier(loss="modified_huber", alpha=0.01, random_state=0)
    ),
    "OneVsRestClassifier of CalibratedClassifierCV": lambda: OneVsRestClassifier(
        CalibratedClassifierCV(LinearSVC(), cv=2)
    ),
    "CalibratedClassifierCV of LinearSVC": lambda: CalibratedClassifierCV(LinearSVC(), cv=3),
    "CalibratedClassifierCV, one for all folds": lambda: CalibratedClassifierCV(
        RidgeClassifier(), cv=3, ensemble=False
    ),
    "CalibratedClassifierCV, isotonic": lambda: CalibratedClassifierCV(LinearSVC(), method="isotonic", cv=3),
    "CalibratedClassifierCV, temperature": lambda: CalibratedClassifierCV(LinearSVC(), method="temperature", cv=3),
    "CalibratedClassifierCV of LogisticRegression": lambda: CalibratedClassifierCV(LogisticRegression(), cv=2),
    "CalibratedClassifierCV of a scaled LinearSVC": lambda: CalibratedClassifierCV(
        make_pipeline(StandardScaler(), LinearSVC()), cv=2
    ),
    "StandardScaler, LogisticRegression": lambda: make_pipeline(StandardScaler(), LogisticRegression()),
    "StandardScaler without mean, LinearSVC": lambda: make_pipeline(StandardScaler(with_mean=False), LinearSVC()),
    "StandardScaler without std, LogisticRegression": lambda: make_pipeline(
        StandardScaler(with_std=False), "passthrough", LogisticRegression()
    ),
    "StandardScaler twice, LogisticRegression": lambda: make_pipeline(
        StandardScaler(), StandardScaler(), LogisticRegression()
    ),
    "StandardScaler, CalibratedClassifierCV": lambda: make_pipeline(
        StandardScaler(), CalibratedClassifierCV(LinearSVC(), cv=2)
    ),
}
"""Written in plain operators; of one label a text."""

CONVERTED: dict[str, Maker] = {
    "RandomForestClassifier": lambda: RandomForestClassifier(8, random_state=np.random.RandomState(0)),
    "ExtraTreesClassifier": lambda: ExtraTreesClassifier(8, random_state=0),
    "DecisionTreeClassifier": lambda: DecisionTreeClassifier(max_depth=4, random_state=0),
    "GradientBoostingClassifier": lambda: GradientBoostingClassifier(n_estimators=4, random_state=0),
    "HistGradientBoostingClassifier": lambda: HistGradientBoostingClassifier(
        max_iter=2, max_leaf_nodes=4, random_state=0
    ),
    "HistGradientBoostingClassifier, stopped early": lambda: HistGradientBoostingClassifier(
        max_iter=2, max_leaf_nodes=4, early_stopping=True, random_state=0
    ),
    "KNeighborsClassifier": KNeighborsClassifier,
    "KNeighborsClassifier, cosine": lambda: KNeighborsClassifier(metric="cosine"),
    "KNeighborsClassifier, manhattan": lambda: KNeighborsClassifier(metric="manhattan"),
    "MLPClassifier": lambda: MLPClassifier((8,), max_iter=40, random_state=0),
    "MLPClassifier, stopped early": lambda: MLPClassifier(
        (6, 4), activation="tanh", early_stopping=True, max_iter=20, random_state=0
    ),
    "SVC": SVC,
    "SVC with probabilities": lambda: SVC(probability=True, random_state=0),
    "SVC, poly": lambda: SVC(kernel="poly"),
    "NuSVC": NuSVC,
    "GaussianNB": GaussianNB,
    "QuadraticDiscriminantAnalysis": lambda: QuadraticDiscriminantAnalysis(reg_param=0.1),
    "OneVsRestClassifier of RandomForestClassifier": lambda: OneVsRestClassifier(
        RandomForestClassifier(4, random_state=0)
    ),
    "CalibratedClassifierCV of RandomForestClassifier": lambda: CalibratedClassifierCV(
        RandomForestClassifier(4, random_state=0), cv=2
    ),
    "CalibratedClassifierCV of SVC": lambda: CalibratedClassifierCV(SVC(), cv=2),
    "CalibratedClassifierCV, isotonic, of GaussianNB": lambda: CalibratedClassifierCV(
        GaussianNB(), method="isotonic", cv=2
    ),
    "StandardScaler, RandomForestClassifier": lambda: make_pipeline(
        StandardScaler(), RandomForestClassifier(8, random_state=0)
    ),
    "StandardScaler, MLPClassifier": lambda: make_pipeline(
        StandardScaler(), MLPClassifier((8,), max_iter=20, random_state=0)
    ),
}
"""With an operator of another converter inside; of one label a text."""

MULTI_LABEL: dict[str, Maker] = {
    "OneVsRestClassifier": lambda: OneVsRestClassifier(LogisticRegression()),
    "OneVsRestClassifier of LinearSVC": lambda: OneVsRestClassifier(LinearSVC()),
    "OneVsRestClassifier of modified_huber": lambda: OneVsRestClassifier(
        SGDClassifier(loss="modified_huber", random_state=0)
    ),
    "OneVsRestClassifier of RandomForestClassifier": lambda: OneVsRestClassifier(
        RandomForestClassifier(4, random_state=0)
    ),
    "MultiOutputClassifier": lambda: MultiOutputClassifier(LogisticRegression()),
    "MultiOutputClassifier of LinearSVC": lambda: MultiOutputClassifier(LinearSVC()),
    "MultiOutputClassifier of GradientBoostingClassifier": lambda: MultiOutputClassifier(
        GradientBoostingClassifier(n_estimators=3, random_state=0)
    ),
    "ClassifierChain": lambda: ClassifierChain(LogisticRegression()),
    "ClassifierChain, random order": lambda: ClassifierChain(LogisticRegression(), order="random", random_state=1),
    "ClassifierChain of probabilities": lambda: ClassifierChain(
        LogisticRegression(), order=[2, 0, 3, 1], chain_method="predict_proba"
    ),
    "ClassifierChain of decisions": lambda: ClassifierChain(
        LogisticRegression(), order=[2, 0, 3, 1], chain_method="decision_function"
    ),
    "ClassifierChain of LinearSVC": lambda: ClassifierChain(LinearSVC()),
    "StandardScaler, ClassifierChain": lambda: make_pipeline(StandardScaler(), ClassifierChain(LogisticRegression())),
    "RidgeClassifier": RidgeClassifier,
    "RandomForestClassifier": lambda: RandomForestClassifier(6, random_state=0),
    "KNeighborsClassifier": KNeighborsClassifier,
    "MLPClassifier": lambda: MLPClassifier((8,), max_iter=40, random_state=0),
}


def embeddings(texts: int, seed: int = 0) -> npt.NDArray[np.float32]:
    """Make embeddings of unit length, float32 (texts, WIDTH)."""
    x = np.random.default_rng(seed).normal(size=(texts, WIDTH))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def training_set(classes: Sequence[Any], rows: int = 140) -> tuple[npt.NDArray[np.float32], npt.NDArray[Any]]:
    """Make embeddings that say something of their class."""
    x, y = embeddings(rows), np.arange(rows) % len(classes)
    x[np.arange(rows), y] += 0.3
    return x, np.asarray(classes)[y]


def multi_label_set(rows: int = 140) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Make embeddings that say something of LABELS labels."""
    x = embeddings(rows)
    noise = np.random.default_rng(1).normal(scale=0.1, size=(rows, LABELS))
    return x, (x[:, :LABELS] + noise > 0).astype(np.int64)


def make_quietly(make: Maker) -> Any:
    """Make an estimator, fitted or not; what scikit-learn deprecates, or finds not converged, is not the point here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return make()


def fit(estimator: Any, x: npt.ArrayLike, y: npt.ArrayLike) -> Any:
    """Fit."""
    return make_quietly(lambda: estimator.fit(x, y))


@functools.cache
def _fitted(make: Maker, classes: int) -> Any:
    return fit(make_quietly(make), *(training_set(NAMES[:classes]) if classes else multi_label_set()))


def fitted(make: Maker, classes: int) -> Any:
    """Fit an estimator to as many classes; what comes back may be changed."""
    return make_quietly(lambda: copy.deepcopy(_fitted(make, classes)))


def fitted_multi_label(make: Maker) -> Any:
    """Fit an estimator to LABELS labels; what comes back may be changed."""
    return make_quietly(lambda: copy.deepcopy(_fitted(make, 0)))


def saved(folder: Path, estimator: Any, **options: Any) -> Path:
    """Save as SetFit does."""
    joblib.dump(estimator, folder / "model_head.pkl", **options)
    return folder


def read(folder: Path, estimator: Any) -> Head:
    """Save as SetFit does, and read."""
    return read_head(saved(folder, estimator))


def frozen(estimator: Any) -> CalibratedClassifierCV:
    """Calibrate an estimator that is fitted already."""
    return CalibratedClassifierCV(FrozenEstimator(estimator))


class HeadGraph:
    """The graph of a head alone, in onnxruntime."""

    def __init__(self, head: Head) -> None:
        graph = GraphBuilder()
        add_head(graph, head, "embedding", str(head.scores))
        self.model = graph.model(
            name="head",
            inputs=[tensor_info("embedding", FLOAT, ("batch", head.width))],
            outputs=[tensor_info(str(head.scores), FLOAT, ("batch", len(head.classes)))],
            metadata={},
        )
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            self.model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def answer(self, x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        answers: npt.NDArray[np.float32] = self._session.run(None, {"embedding": x})[0]
        return answers
