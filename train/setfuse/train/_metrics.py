"""How well a classifier's answers fit the given labels, by scikit-learn's metrics.

As in SetFit, a metric is handed numbers in the place of labels: int64 (texts,), or where a text may have several labels
int64 (texts, labels), 1 where a label applies. A number is the label's position in `label_names` or the `ClassLabel`, a
whole number without a name stands for itself, and labels that are texts are numbered in alphabetical order.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from setfuse.runtime import MultiLabelRow, UsageError

from ._labelled_rows import AnyLabelledRows

Answers = Sequence[str] | Sequence[tuple[str, ...]]
"""A label a text, or (multi-label) any number of labels a text."""

Metric = Callable[[Answers, Answers], Mapping[str, float]]
"""Takes the predicted and the given labels; gives values by name, `accuracy` among them."""

MetricOf = str | Callable[..., Any]
"""What a caller may pass: a name of `METRICS`, or a function of predicted and given labels as numbers."""

METRICS = ("accuracy", "f1", "precision", "recall", "matthews_correlation")
"""The names that the Hub's `evaluate` has for them."""

_SINGLE_LABEL_ONLY = ("matthews_correlation",)


def check_metric(metric: MetricOf, *, multi_label: bool) -> None:
    """Refuse a metric that cannot be taken; costs no import.

    Args:
        metric: What the caller passed.
        multi_label: Whether a text may have several labels.

    Raises:
        UsageError: There is no metric of that name, or it cannot be taken of several labels a text.
    """
    if isinstance(metric, str) and metric not in METRICS:
        raise UsageError(f"metric: expected one of {', '.join(METRICS)}, or a function, got {metric!r}")
    if multi_label and metric in _SINGLE_LABEL_ONLY:
        raise UsageError(f"metric: expected one that can be taken of several labels a text, got {metric}; say f1")


_Numbers = npt.NDArray[np.int64]

_OfNumbers = Callable[[_Numbers, _Numbers], Mapping[str, float]]


def make_metric(
    metric: MetricOf,
    numbers: Mapping[str, int],
    settings: Mapping[str, Any],
    *,
    known: Sequence[str] | None = None,
    multi_label: bool = False,
) -> Metric:
    """Give the function that measures.

    Accuracy is the share of texts whose labels are all right.

    Args:
        metric: What `check_metric` lets pass; a function takes predicted and given labels and gives a number, or
            numbers by name: SetFit's signature.
        numbers: Of each label, ascending.
        settings: Further arguments: of scikit-learn's function, such as `average`, or of the caller's.
        known: The labels that the classifier knows, in the same order; None for all. Of two, f1, precision and recall
            are those of the second, as scikit-learn's "binary" has it of 0 and 1; of more, the mean ("macro") over
            those that are given or predicted, and of several labels a text, over all known ones.
        multi_label: Whether a text may have several labels.
    """
    columns = list(numbers)
    if callable(metric):
        function = _called(metric, settings)
    else:
        columns = columns if known is None else list(known)
        function = _named(metric, [numbers[label] for label in columns], settings, multi_label=multi_label)

    def numbered(answers: Answers) -> _Numbers:
        return np.asarray([_numbered(answer, numbers, columns) for answer in answers], dtype=np.int64)

    def measure(predicted: Answers, given: Answers) -> dict[str, float]:
        right = sum(_as_set(one) == _as_set(other) for one, other in zip(predicted, given, strict=True))
        return {"accuracy": right / len(given), **function(numbered(predicted), numbered(given))}

    return measure


def metric_of(rows: AnyLabelledRows, metric: MetricOf, settings: Mapping[str, Any]) -> Metric:
    """Give the function that measures a classifier of such rows: see `make_metric`."""
    return make_metric(
        metric,
        rows.numbers,
        settings,
        known=list(rows.counts()),
        multi_label=isinstance(rows[0], MultiLabelRow),
    )


def rehearse(metric: Metric, given: Answers) -> tuple[str, ...]:
    """Take the metric of given labels themselves: what is wrong with it is to be told before the training.

    Args:
        metric: What `make_metric` gave.
        given: The held-out labels.

    Returns:
        The names of what it measures.

    Raises:
        UsageError: It fails.
    """
    try:
        return tuple(metric(given, given))
    except UsageError:
        raise
    except Exception as error:
        # A function of the caller's, or arguments of scikit-learn's.
        raise UsageError(
            "metric: expected one that can be taken of the held-out labels (with these metric_kwargs), but it says: "
            f"{type(error).__name__}: {error!s:.300}"
        ) from error


def _numbered(answer: str | tuple[str, ...], numbers: Mapping[str, int], columns: Sequence[str]) -> int | list[bool]:
    return numbers[answer] if isinstance(answer, str) else [label in answer for label in columns]


def _as_set(labels: Sequence[str]) -> frozenset[str]:
    return frozenset([labels] if isinstance(labels, str) else labels)


def _named(metric: str, known: Sequence[int], settings: Mapping[str, Any], *, multi_label: bool) -> _OfNumbers:
    from sklearn import metrics

    averaged = _averaged(known, multi_label=multi_label)
    function, defaults = {
        "accuracy": (metrics.accuracy_score, {}),
        "f1": (metrics.f1_score, averaged),
        "precision": (metrics.precision_score, averaged),
        "recall": (metrics.recall_score, averaged),
        "matthews_correlation": (metrics.matthews_corrcoef, {}),
    }[metric]
    arguments = {**defaults, **settings}
    if arguments.get("average", "binary") != "binary":
        arguments.pop("pos_label", None)

    def measure(predicted: _Numbers, given: _Numbers) -> dict[str, float]:
        return {metric: float(function(given, predicted, **arguments))}

    return measure


def _averaged(known: Sequence[int], *, multi_label: bool) -> dict[str, Any]:
    # zero_division: a label that is never predicted has precision 0; scikit-learn's default is that with a warning.
    if len(known) == 2 and not multi_label:  # noqa: PLR2004 - two labels have a positive one
        return {"average": "binary", "pos_label": known[1], "zero_division": 0.0}
    return {"average": "macro", "zero_division": 0.0}


def _called(metric: Callable[..., Any], settings: Mapping[str, Any]) -> _OfNumbers:
    def measure(predicted: _Numbers, given: _Numbers) -> dict[str, float]:
        found = metric(predicted, given, **settings)
        values = found if isinstance(found, Mapping) else {"metric": found}
        try:
            return {str(name): float(value) for name, value in values.items()}
        except (TypeError, ValueError) as error:
            raise UsageError(f"metric: expected a number, or numbers by name, got {found!r} from it") from error

    return measure
