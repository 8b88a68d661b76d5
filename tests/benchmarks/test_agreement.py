"""Whose answers are the model's."""

import numpy as np
import pytest

from benchmarks._agreement import Answers, compare
from benchmarks._contenders import Quality

TEXTS = [f"text {number}" for number in range(1000)]
ORACLE = Answers(("a", "b") * 500, np.tile([[0.9, 0.1], [0.2, 0.8]], (500, 1)))


def differing(count: int) -> Answers:
    labels = ["other" if number < count else label for number, label in enumerate(ORACLE.labels)]
    return Answers(tuple(labels), None)


@pytest.mark.parametrize(
    ("count", "quality", "fine"),
    [
        (0, Quality.SAME, True),
        (2, Quality.SAME, True),
        (3, Quality.SAME, False),
        (50, Quality.ROUNDED, True),
        (51, Quality.ROUNDED, False),
        (1000, Quality.OTHER, True),
    ],
)
def test_labels_decide_by_what_was_promised(count: int, quality: Quality, fine: bool) -> None:
    found = compare(differing(count), ORACLE, TEXTS, quality)

    assert found.label_agreement == pytest.approx(1 - count / 1000)
    assert (found.wrong == "") == fine
    assert (found.mean_difference, found.max_difference) == (None, None)


def test_one_text_may_differ_however_few_there_are() -> None:
    few = Answers(ORACLE.labels[:10], None)

    assert compare(Answers(("b", *few.labels[1:]), None), few, TEXTS[:10], Quality.SAME).wrong == ""
    assert compare(Answers(("b", "a", *few.labels[2:]), None), few, TEXTS[:10], Quality.SAME).wrong != ""


def test_the_first_text_that_differs_is_named() -> None:
    wrong = compare(differing(3), ORACLE, TEXTS, Quality.SAME).wrong

    assert wrong == "3 of 1000 labels are not torch's (99.8% must be), the first 'other' for 'a' of 'text 0'"


@pytest.mark.parametrize("shift", [0.05, np.nan])
def test_probabilities_that_are_off_are_wrong_even_where_the_labels_are_right(shift: float) -> None:
    probabilities = ORACLE.probabilities
    assert probabilities is not None
    shifted = Answers(ORACLE.labels, probabilities + np.asarray([shift, -shift]))

    found = compare(shifted, ORACLE, TEXTS, Quality.SAME)

    assert found.label_agreement == 1.0
    assert "in the mean (at most 0.01)" in found.wrong
    assert compare(shifted, ORACLE, TEXTS, Quality.OTHER).wrong == ""


def test_differences_are_over_all_texts_and_labels() -> None:
    probabilities = ORACLE.probabilities
    assert probabilities is not None
    moved = probabilities.copy()
    moved[0] += [0.4, -0.4]

    found = compare(Answers(ORACLE.labels, moved), ORACLE, TEXTS, Quality.SAME)

    assert found.mean_difference == pytest.approx(0.8 / 2000)
    assert found.max_difference == pytest.approx(0.4)
    assert found.wrong == ""


def test_probabilities_of_other_labels_are_wrong() -> None:
    found = compare(Answers(ORACLE.labels, np.ones((1000, 3))), ORACLE, TEXTS, Quality.SAME)

    assert "expected probabilities of one shape" in found.wrong
