"""What an estimator itself answers, one column a label: the graph's oracle."""

from typing import Any

import numpy as np
import numpy.typing as npt

from setfuse.runtime import Scores

Array = npt.NDArray[np.float64]


def ask(estimator: Any, x: Array, scores: Scores) -> Array:
    """Ask scikit-learn.

    Args:
        estimator: Fitted.
        x: float64 (texts, width).
        scores: Which of its answers.

    Returns:
        float64 (texts, labels).
    """
    if type(estimator).__name__ == "Pipeline":
        for _, step in estimator.steps[:-1]:
            x = x if step in {None, "passthrough"} else step.transform(x)
        return ask(estimator.steps[-1][1], x, scores)
    if scores is Scores.PROBABILITIES:
        return _probabilities(estimator, x)
    if hasattr(estimator, "decision_function"):
        return _two_sided(estimator.decision_function(x))
    # MultiOutputClassifier has no decision_function of its own.
    return np.stack([part.decision_function(x) for part in estimator.estimators_], axis=1)


def is_one_vs_rest(estimator: Any) -> bool:
    """Tell whether an old LogisticRegression learnt its classes apart: scikit-learn 1.9 no longer asks."""
    separate = getattr(estimator, "multi_class", None) == "ovr" or getattr(estimator, "solver", None) == "liblinear"
    return separate and type(estimator).__name__.startswith("LogisticRegression") and estimator.coef_.shape[0] > 1


def _probabilities(estimator: Any, x: Array) -> Array:
    answers = estimator._predict_proba_lr(x) if is_one_vs_rest(estimator) else estimator.predict_proba(x)  # noqa: SLF001
    if isinstance(answers, list):  # one binary answer a label; SetFit stacks them so
        answers = np.stack(answers, axis=1)[:, :, 1]
    return np.asarray(answers, dtype=np.float64)


def _two_sided(decision: Array) -> Array:
    if decision.ndim == 1:
        decision = np.stack([-decision, decision], axis=1)
    return np.asarray(decision, dtype=np.float64)
