"""Judge a classifier on labelled texts, without torch or scikit-learn."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ._classifier import Classifier
from ._dataset import MultiLabelRow, Row
from ._errors import DatasetError, UsageError
from ._manifest import Task, naming_hint
from ._prediction import Threshold


@dataclass(frozen=True, slots=True)
class LabelMetrics:
    """How one label fares, each from 0 to 1; what would divide by zero is 0, as in scikit-learn.

    Attributes:
        precision: Of the texts that were given this label, the share that has it.
        recall: Of the texts that have this label, the share that was given it.
        f1: Harmonic mean of the two.
        support: How many texts have this label.
    """

    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How a classifier fares on labelled texts.

    Attributes:
        accuracy: Share of the texts that were given their label, 0 to 1.
        macro_f1: Mean of the F1 of all labels that the classifier knows; one that is neither in the data nor given
            counts as 0.
        labels: Each label's own figures, in the classifier's order.
        confusion: How often a text with the row's label was given the column's label, both in the classifier's order.
        texts: How many texts were judged.
    """

    accuracy: float
    macro_f1: float
    labels: dict[str, LabelMetrics]
    confusion: tuple[tuple[int, ...], ...]
    texts: int

    def to_json(self) -> dict[str, Any]:
        """Give the evaluation as `json.dump` takes it."""
        return {
            "accuracy": self.accuracy,
            "macro_f1": self.macro_f1,
            "texts": self.texts,
            "labels": {name: dataclasses.asdict(metrics) for name, metrics in self.labels.items()},
            "confusion": [list(row) for row in self.confusion],
        }


@dataclass(frozen=True, slots=True)
class MultiLabelEvaluation:
    """How a classifier fares on texts with any number of labels.

    Attributes:
        subset_accuracy: Share of the texts that were given exactly their labels, 0 to 1.
        micro_f1: F1 over all pairs of a text and a label.
        macro_f1: Mean of the F1 of all labels that the classifier knows, as in `Evaluation`.
        labels: Each label's own figures, in the classifier's order.
        texts: How many texts were judged.
    """

    subset_accuracy: float
    micro_f1: float
    macro_f1: float
    labels: dict[str, LabelMetrics]
    texts: int

    def to_json(self) -> dict[str, Any]:
        """Give the evaluation as `json.dump` takes it."""
        return dataclasses.asdict(self)


def evaluate(classifier: Classifier, rows: Sequence[Row]) -> Evaluation:
    """Classify labelled texts and compare.

    Args:
        classifier: A loaded bundle, not a multi-label one.
        rows: At least one row; every label must be one that the classifier knows.

    Returns:
        Accuracy, each label's precision, recall and F1, and the confusion matrix.

    Raises:
        DatasetError: There are no rows, or a label that the classifier does not know.
        UsageError: The bundle is a multi-label one.
    """
    if classifier.task is Task.MULTI_LABEL:
        raise UsageError("evaluate: expected one label a text, got a multi-label bundle; call evaluate_multi_label")
    _check_labels(classifier, [((row.label,), row.origin) for row in rows])
    index = {label: number for number, label in enumerate(classifier.labels)}
    given = classifier.predict([row.text for row in rows])
    confusion = np.zeros((len(index), len(index)), dtype=np.int64)
    for row, label in zip(rows, given, strict=True):
        confusion[index[row.label], index[str(label)]] += 1
    metrics = _all_metrics(classifier.labels, confusion.diagonal(), confusion.sum(axis=0), confusion.sum(axis=1))
    return Evaluation(
        accuracy=float(confusion.trace() / confusion.sum()),
        macro_f1=sum(m.f1 for m in metrics.values()) / len(metrics),
        labels=metrics,
        confusion=tuple(tuple(row) for row in confusion.tolist()),
        texts=len(rows),
    )


def evaluate_multi_label(
    classifier: Classifier, rows: Sequence[MultiLabelRow], *, threshold: Threshold | None = None
) -> MultiLabelEvaluation:
    """Classify texts with any number of labels and compare.

    Args:
        classifier: A loaded multi-label bundle.
        rows: At least one row; every label must be one that the classifier knows.
        threshold: The score above which a label applies, as of `Classifier.predict`.

    Returns:
        Subset accuracy, micro and macro F1, and each label's precision, recall and F1.

    Raises:
        DatasetError: There are no rows, or a label that the classifier does not know.
        UsageError: The bundle is not a multi-label one, or `threshold` is out of its range.
    """
    if classifier.task is not Task.MULTI_LABEL:
        raise UsageError("evaluate_multi_label: expected a multi-label bundle, got one of one label a text")
    _check_labels(classifier, [(row.labels, row.origin) for row in rows])
    true = _indicators(classifier.labels, [row.labels for row in rows])
    predicted = classifier.predict([row.text for row in rows], threshold=threshold)
    given = _indicators(classifier.labels, [tuple(labels) for labels in predicted])
    hits, given_sums, true_sums = (true & given).sum(axis=0), given.sum(axis=0), true.sum(axis=0)
    metrics = _all_metrics(classifier.labels, hits, given_sums, true_sums)
    return MultiLabelEvaluation(
        subset_accuracy=float((true == given).all(axis=1).mean()),
        micro_f1=_metrics(int(hits.sum()), int(given_sums.sum()), int(true_sums.sum())).f1,
        macro_f1=sum(m.f1 for m in metrics.values()) / len(metrics),
        labels=metrics,
        texts=len(rows),
    )


def _check_labels(classifier: Classifier, rows: Sequence[tuple[tuple[str, ...], str]]) -> None:
    """Refuse no rows, and labels that the classifier does not know.

    Args:
        classifier: It knows its labels.
        rows: The labels and the origin of each row.

    Raises:
        DatasetError: There are such.
    """
    if not rows:
        raise DatasetError("expected at least one labelled text to evaluate on, got none")
    known = set(classifier.labels)
    for number, (labels, origin) in enumerate(rows, start=1):
        for label in labels:
            if label not in known:
                place = origin or f"row {number}"
                hint = naming_hint(classifier.labels)
                raise DatasetError(
                    f"{place}: expected one of the bundle's labels ({', '.join(classifier.labels)}), found {label!r}"
                    + (f"; {hint}" if hint else "")
                )


def _indicators(labels: Sequence[str], rows: Sequence[tuple[str, ...]]) -> npt.NDArray[np.bool_]:
    return np.array([[label in row for label in labels] for row in rows], dtype=bool)


def _all_metrics(
    labels: Sequence[str], hits: npt.NDArray[np.int64], given: npt.NDArray[np.int64], support: npt.NDArray[np.int64]
) -> dict[str, LabelMetrics]:
    counts = zip(hits.tolist(), given.tolist(), support.tolist(), strict=True)
    return {label: _metrics(*three) for label, three in zip(labels, counts, strict=True)}


def _metrics(hits: int, given: int, support: int) -> LabelMetrics:
    return LabelMetrics(
        precision=hits / given if given else 0.0,
        recall=hits / support if support else 0.0,
        f1=2 * hits / (given + support) if given + support else 0.0,
        support=support,
    )
