"""Judge a classifier on labelled texts, without torch or scikit-learn."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ._classifier import Classifier
from ._dataset import Row
from ._errors import DatasetError


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
            "labels": {
                name: {"precision": m.precision, "recall": m.recall, "f1": m.f1, "support": m.support}
                for name, m in self.labels.items()
            },
            "confusion": [list(row) for row in self.confusion],
        }


def evaluate(classifier: Classifier, rows: Sequence[Row]) -> Evaluation:
    """Classify labelled texts and compare.

    Args:
        classifier: A loaded bundle.
        rows: At least one row; every label must be one that the classifier knows.

    Returns:
        Accuracy, each label's precision, recall and F1, and the confusion matrix.

    Raises:
        DatasetError: There are no rows, or a label that the classifier does not know.
    """
    if not rows:
        raise DatasetError("expected at least one labelled text to evaluate on, got none")
    index = {label: number for number, label in enumerate(classifier.labels)}
    for number, row in enumerate(rows, start=1):
        if row.label not in index:
            place = row.origin or f"row {number}"
            raise DatasetError(
                f"{place}: expected one of the bundle's labels ({', '.join(classifier.labels)}), found {row.label!r}"
            )
    given = classifier.predict([row.text for row in rows])
    confusion = np.zeros((len(index), len(index)), dtype=np.int64)
    for row, label in zip(rows, given, strict=True):
        confusion[index[row.label], index[label]] += 1
    metrics = {label: _label_metrics(confusion, number) for label, number in index.items()}
    return Evaluation(
        accuracy=float(confusion.trace() / confusion.sum()),
        macro_f1=sum(m.f1 for m in metrics.values()) / len(metrics),
        labels=metrics,
        confusion=tuple(tuple(row) for row in confusion.tolist()),
        texts=len(rows),
    )


def _label_metrics(confusion: np.ndarray[tuple[int, int], np.dtype[np.int64]], number: int) -> LabelMetrics:
    hits = float(confusion[number, number])
    given = float(confusion[:, number].sum())
    support = int(confusion[number].sum())
    return LabelMetrics(
        precision=hits / given if given else 0.0,
        recall=hits / support if support else 0.0,
        f1=2 * hits / (given + support) if given + support else 0.0,
        support=support,
    )
