"""How well a classifier's answers fit the given labels, by scikit-learn's metrics."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from setfuse.runtime import UsageError

Metric = Callable[[Sequence[str], Sequence[str]], Mapping[str, float]]
"""Takes the predicted and the given labels, one each a text; gives values by name, `accuracy` among them."""

MetricOf = str | Callable[..., Any]
"""What a caller may pass: a name of `METRICS`, or a function of predicted and given labels."""

METRICS = ("accuracy", "f1", "precision", "recall", "matthews_correlation")
"""The names that the Hub's `evaluate` has for them."""


def make_metric(metric: MetricOf, labels: Sequence[str], settings: Mapping[str, Any]) -> Metric:
    """Give the function that measures.

    Args:
        metric: One of `METRICS`, or a function of predicted and given labels that gives a number, or numbers by name:
            SetFit's signature.
        labels: All labels, sorted. Of two, f1, precision and recall are those of the second, as scikit-learn's
            "binary" has it of 0 and 1; of more, the mean over all ("macro").
        settings: Further arguments: of scikit-learn's function, such as `average`, or of the caller's.

    Raises:
        UsageError: There is no metric of that name.
    """
    function = _called(metric, settings) if callable(metric) else _named(metric, labels, settings)

    def measure(predicted: Sequence[str], given: Sequence[str]) -> dict[str, float]:
        right = sum(one == other for one, other in zip(predicted, given, strict=True))
        return {"accuracy": right / len(given), **function(predicted, given)}

    return measure


def _named(metric: str, labels: Sequence[str], settings: Mapping[str, Any]) -> Metric:
    if metric not in METRICS:
        raise UsageError(f"metric: expected one of {', '.join(METRICS)}, or a function, got {metric!r}")
    from sklearn import metrics

    function, defaults = {
        "accuracy": (metrics.accuracy_score, {}),
        "f1": (metrics.f1_score, _averaged(labels)),
        "precision": (metrics.precision_score, _averaged(labels)),
        "recall": (metrics.recall_score, _averaged(labels)),
        "matthews_correlation": (metrics.matthews_corrcoef, {}),
    }[metric]
    arguments = {**defaults, **settings}
    if arguments.get("average", "binary") != "binary":
        arguments.pop("pos_label", None)

    def measure(predicted: Sequence[str], given: Sequence[str]) -> dict[str, float]:
        return {metric: float(function(given, predicted, **arguments))}

    return measure


def _averaged(labels: Sequence[str]) -> dict[str, Any]:
    # zero_division: a label that is never predicted has precision 0; scikit-learn's default is that with a warning.
    if len(labels) == 2:  # noqa: PLR2004 - two labels have a positive one
        return {"average": "binary", "pos_label": labels[1], "zero_division": 0.0}
    return {"average": "macro", "zero_division": 0.0}


def _called(metric: Callable[..., Any], settings: Mapping[str, Any]) -> Metric:
    def measure(predicted: Sequence[str], given: Sequence[str]) -> dict[str, float]:
        found = metric(predicted, given, **settings)
        values = found if isinstance(found, Mapping) else {"metric": found}
        try:
            return {str(name): float(value) for name, value in values.items()}
        except (TypeError, ValueError) as error:
            raise UsageError(f"metric: expected a number, or numbers by name, got {found!r} from it") from error

    return measure
