"""The figures of an evaluation: scikit-learn is the oracle."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, precision_recall_fscore_support

from setfuse.runtime import Classifier, DatasetError, Evaluation, Row, Task, evaluate

LABELS = ("late", "lost", "refund", "späť")


@dataclass
class StandIn:
    """Gives the labels that it was told to give."""

    answers: Sequence[str]
    labels: tuple[str, ...] = LABELS
    task: Task = Task.SINGLE_LABEL

    def predict(self, texts: Iterable[str]) -> list[str]:
        """Give the answer whose number the text is."""
        return [self.answers[int(text)] for text in texts]


def judge(true: Sequence[str], given_labels: Sequence[str], labels: tuple[str, ...] = LABELS) -> Evaluation:
    """Evaluate a classifier that answers so."""
    rows = [Row(text=str(number), label=label) for number, label in enumerate(true)]
    return evaluate(cast("Classifier", StandIn(given_labels, labels)), rows)


@st.composite
def answers(draw: st.DrawFn) -> tuple[tuple[str, ...], list[str], list[str]]:
    """Draw labels, and which of them texts have and are given."""
    labels = LABELS[: draw(st.integers(2, len(LABELS)))]
    pairs = draw(st.lists(st.tuples(st.sampled_from(labels), st.sampled_from(labels)), min_size=1, max_size=60))
    return labels, [true for true, _ in pairs], [label for _, label in pairs]


@settings(deadline=None)
@given(answers())
def test_the_figures_are_scikit_learns(case: tuple[tuple[str, ...], list[str], list[str]]) -> None:
    labels, true, answered = case
    oracle = precision_recall_fscore_support(true, answered, labels=labels, zero_division=0)

    evaluation = judge(true, answered, labels)

    assert evaluation.texts == len(true)
    assert evaluation.accuracy == pytest.approx(accuracy_score(true, answered))
    assert evaluation.macro_f1 == pytest.approx(
        f1_score(true, answered, labels=labels, average="macro", zero_division=0)
    )
    assert [list(row) for row in evaluation.confusion] == confusion_matrix(true, answered, labels=labels).tolist()
    assert tuple(evaluation.labels) == labels
    for metrics, precision, recall, f1, support in zip(evaluation.labels.values(), *oracle, strict=True):
        assert (metrics.precision, metrics.recall, metrics.f1) == pytest.approx((precision, recall, f1))
        assert metrics.support == support


def test_a_label_that_is_never_given() -> None:
    evaluation = judge(["late", "lost", "lost"], ["late", "late", "late"], ("late", "lost"))

    lost = evaluation.labels["lost"]
    assert (lost.precision, lost.recall, lost.f1, lost.support) == (0, 0, 0, 2)
    assert evaluation.labels["late"].precision == pytest.approx(1 / 3)
    assert evaluation.confusion == ((1, 0), (2, 0))  # rows are the true labels


def test_a_label_that_no_text_has_counts_in_the_mean() -> None:
    evaluation = judge(["late"], ["late"], ("late", "lost"))

    assert (evaluation.accuracy, evaluation.macro_f1) == (1, 0.5)


def test_the_json_form_is_plain() -> None:
    evaluation = judge(["late", "späť"], ["late", "lost"])

    value = json.loads(json.dumps(evaluation.to_json()))

    assert value["accuracy"] == 0.5
    assert value["texts"] == 2
    assert value["labels"]["late"] == {"precision": 1, "recall": 1, "f1": 1, "support": 1}
    assert value["confusion"] == [[1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 1, 0, 0]]


def test_an_unknown_label_is_named_with_its_place() -> None:
    rows = [Row("0", "late"), Row("1", "Late", origin="rows.jsonl:7")]

    with pytest.raises(DatasetError, match=r"^rows\.jsonl:7: .*\(late, lost, refund, späť\), found 'Late'"):
        evaluate(cast("Classifier", StandIn(["late", "late"])), rows)


def test_an_unknown_label_of_a_row_from_no_file_is_numbered() -> None:
    with pytest.raises(DatasetError, match=r"^row 2: .* found 'other'"):
        judge(["late", "other"], ["late", "late"])


def test_no_rows_are_refused() -> None:
    with pytest.raises(DatasetError, match="at least one labelled text"):
        judge([], [])
