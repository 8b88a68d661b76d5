"""What is said of rows before training."""

import logging

import pytest

from setfuse.runtime import MultiLabelRow, Row
from setfuse.train import LabelledRows, TrainingArguments
from setfuse.train._checks import check_rows
from setfuse.train._data_checks import contradictions


def test_counts_of_labels() -> None:
    one = LabelledRows.of([Row("a", "x"), Row("b", "w"), Row("c", "x")], ["x", "v", "w"])
    several = LabelledRows.of([MultiLabelRow("a", ("x", "w")), MultiLabelRow("b", ()), MultiLabelRow("c", ("x",))])

    assert list(one.counts().items()) == [("x", 2), ("w", 1)]
    assert list(several.counts().items()) == [("w", 1), ("x", 2)]


def test_labels_that_occur_once_are_named_up_to_a_few(caplog: pytest.LogCaptureFixture) -> None:
    rows = [Row("a", "x", "f:1"), Row("b", "x", "f:2"), *(Row(str(n), f"l{n}", f"f:{n}") for n in range(3, 20))]

    with caplog.at_level(logging.WARNING, "setfuse.train"):
        check_rows(LabelledRows.of(rows), [], TrainingArguments())

    assert caplog.messages[0] == "f:3: the label 'l3' has this text only; correct it if it is misspelt"
    assert caplog.messages[5:] == ["12 more labels have one text only"]


def test_texts_with_several_labels_are_named_with_their_lines() -> None:
    rows = [
        Row("a", "x", "f:1"),
        Row("b", "x", "f:2"),
        Row("a", "y", "f:3"),
        Row("b", "x", "f:4"),
        Row("a", "z", "f:5"),
    ]

    assert contradictions(rows) == (
        "1 text has different labels in different rows: f:1 'x'; f:3 'y'; f:5 'z'; correct or remove them"
    )
    assert contradictions([rows[0], rows[1], rows[3]]) is None


def test_lists_of_labels_contradict_each_other_only_if_they_differ_as_sets() -> None:
    first = MultiLabelRow("a", ("x", "y"), "f:1")

    assert contradictions([first, MultiLabelRow("a", ("y", "x"), "f:2")]) is None
    assert contradictions([first, MultiLabelRow("a", (), "f:2")]) == (
        "1 text has different labels in different rows: f:1 'x', 'y'; f:2 no label; correct or remove them"
    )


def test_a_warning_spells_out_the_first_few_only() -> None:
    rows = [Row(str(number % 8), str(number), f"f:{number + 1}") for number in range(16)]

    warning = contradictions(rows)

    assert warning is not None
    assert warning.startswith("8 texts have different labels in different rows: f:1 '0'; f:9 '8' | f:2 ")
    assert warning.endswith("f:5 '4'; f:13 '12'; and 3 more; correct or remove them")
