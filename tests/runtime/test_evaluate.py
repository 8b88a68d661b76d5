"""The figures of an evaluation: scikit-learn is the oracle."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, precision_recall_fscore_support
from sklearn.preprocessing import MultiLabelBinarizer

from setfuse.runtime import (
    Classifier,
    DatasetError,
    Evaluation,
    MultiLabelEvaluation,
    MultiLabelRow,
    Row,
    Task,
    UsageError,
    evaluate,
    evaluate_multi_label,
)

LABELS = ("late", "lost", "refund", "späť")


@dataclass
class StandIn:
    """Gives the labels that it was told to give."""

    answers: Sequence[object]
    labels: tuple[str, ...] = LABELS
    task: Task = Task.SINGLE_LABEL

    def predict(self, texts: Iterable[str], *, threshold: float | None = None) -> list[object]:  # noqa: ARG002 - as asked
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


def test_an_unknown_label_where_labels_are_numbers_comes_with_how_to_name_them() -> None:
    numbers = ("0", "1", "2")

    with pytest.raises(
        DatasetError, match=r"found 'late'; labels are 0, 1, \.\.\.: to name them write .* export again$"
    ):
        judge(["late"], ["0"], numbers)
    with pytest.raises(DatasetError, match=r"found 'late'; labels are 0, 1: to name them write .* to CHECKPOINT/conf"):
        judge_several([("late",)], [()], numbers[:2])


@pytest.mark.parametrize("labels", [("1", "2"), ("1", "0"), ("0", "1", "other")], ids=str)
def test_other_labels_get_no_such_hint(labels: tuple[str, ...]) -> None:
    with pytest.raises(DatasetError, match=r"found 'late'$"):
        judge(["late"], [labels[0]], labels)


def test_an_unknown_label_of_a_row_from_no_file_is_numbered() -> None:
    with pytest.raises(DatasetError, match=r"^row 2: .* found 'other'"):
        judge(["late", "other"], ["late", "late"])


def test_no_rows_are_refused() -> None:
    with pytest.raises(DatasetError, match="at least one labelled text"):
        judge([], [])


# Any number of labels


def judge_several(
    true: Sequence[tuple[str, ...]], given_labels: Sequence[tuple[str, ...]], labels: tuple[str, ...] = LABELS
) -> MultiLabelEvaluation:
    """Evaluate a multi-label classifier that answers so."""
    rows = [MultiLabelRow(text=str(number), labels=row) for number, row in enumerate(true)]
    stand_in = StandIn(given_labels, labels, Task.MULTI_LABEL)
    return evaluate_multi_label(cast("Classifier", stand_in), rows)


several = st.lists(st.sampled_from(LABELS), unique=True, max_size=len(LABELS)).map(tuple)


@settings(deadline=None)
@given(st.lists(st.tuples(several, several), min_size=1, max_size=40))
def test_the_figures_of_several_labels_are_scikit_learns(pairs: list[tuple[tuple[str, ...], tuple[str, ...]]]) -> None:
    true, answered = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    as_columns = MultiLabelBinarizer(classes=LABELS)
    expected, found = as_columns.fit_transform(true), as_columns.transform(answered)
    oracle = precision_recall_fscore_support(expected, found, zero_division=0)

    evaluation = judge_several(true, answered)

    assert evaluation.texts == len(pairs)
    assert evaluation.subset_accuracy == pytest.approx(accuracy_score(expected, found))
    assert evaluation.micro_f1 == pytest.approx(f1_score(expected, found, average="micro", zero_division=0))
    assert evaluation.macro_f1 == pytest.approx(f1_score(expected, found, average="macro", zero_division=0))
    assert tuple(evaluation.labels) == LABELS
    for metrics, precision, recall, f1, support in zip(evaluation.labels.values(), *oracle, strict=True):
        assert (metrics.precision, metrics.recall, metrics.f1) == pytest.approx((precision, recall, f1))
        assert metrics.support == support


def test_the_order_of_a_rows_labels_means_nothing() -> None:
    evaluation = judge_several([("lost", "late"), ()], [("late", "lost"), ()])

    assert (evaluation.subset_accuracy, evaluation.micro_f1) == (1, 1)


def test_the_json_form_of_several_labels_is_plain() -> None:
    value = json.loads(json.dumps(judge_several([("late", "lost"), ()], [("late",), ("lost",)], LABELS[:2]).to_json()))

    assert value == {
        "subset_accuracy": 0,
        "micro_f1": 0.5,
        "macro_f1": 0.5,
        "texts": 2,
        "labels": {
            "late": {"precision": 1, "recall": 1, "f1": 1, "support": 1},
            "lost": {"precision": 0, "recall": 0, "f1": 0, "support": 1},
        },
    }


def test_an_unknown_label_among_several_is_named() -> None:
    with pytest.raises(DatasetError, match=r"^row 2: .* found 'other'"):
        judge_several([("late",), ("lost", "other")], [(), ()])
    with pytest.raises(DatasetError, match="at least one labelled text"):
        judge_several([], [])


def test_each_kind_of_bundle_has_its_own_evaluation() -> None:
    one, many = StandIn([]), StandIn([], task=Task.MULTI_LABEL)

    with pytest.raises(UsageError, match="call evaluate_multi_label"):
        evaluate(cast("Classifier", many), [Row("0", "late")])
    with pytest.raises(UsageError, match="expected a multi-label bundle"):
        evaluate_multi_label(cast("Classifier", one), [MultiLabelRow("0", ("late",))])
