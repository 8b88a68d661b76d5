"""Few rows of each label, and rows of templates: the rows that SetFit's own functions gave."""

import json
from pathlib import Path
from typing import Any

import datasets
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from setfuse.runtime import DatasetError, MultiLabelRow, Row, UsageError
from setfuse.train import get_templated_dataset, sample_dataset

RECORDED = json.loads((Path(__file__).parent / "data" / "setfit_few_shot.json").read_text(encoding="utf-8"))
ROWS = [Row(f"t{number}", str(label)) for number, label in enumerate(RECORDED["labels"])]


@pytest.mark.parametrize("case", RECORDED["samples"], ids=lambda case: "{num_samples} of seed {seed}".format(**case))
def test_samples_are_those_that_setfit_recorded(case: dict[str, Any]) -> None:
    rows = sample_dataset(ROWS, num_samples=case["num_samples"], seed=case["seed"])

    assert list(rows) == [ROWS[number] for number in case["rows"]]


@settings(max_examples=25, deadline=None)
@given(labels=st.lists(st.integers(0, 3), min_size=1, max_size=40), number=st.integers(1, 5), seed=st.integers(0, 99))
def test_samples_are_those_of_datasets_and_pandas(labels: list[int], number: int, seed: int) -> None:
    data = datasets.Dataset.from_dict({"text": [f"t{i}" for i in range(len(labels))], "label": labels})
    frame = data.shuffle(seed).to_pandas().groupby("label").head(number)
    expected = datasets.Dataset.from_pandas(frame, preserve_index=False).shuffle(seed)

    rows = sample_dataset(data, num_samples=number, seed=seed)

    assert [(row.text, row.label) for row in rows] == [(row["text"], str(row["label"])) for row in expected]


def test_samples_of_named_columns_and_numbers() -> None:
    data = [{"sentence": row.text, "category": int(row.label)} for row in ROWS]

    rows = sample_dataset(data, "category", 3, 0, text_column="sentence", label_names=list("abcdef"))

    assert [(row.text, row.label) for row in rows] == [
        (row.text, "abcdef"[int(row.label)]) for row in sample_dataset(ROWS, num_samples=3, seed=0)
    ]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"num_samples": 0}, UsageError, "num_samples from 1"),
        ({"seed": -1}, UsageError, "a seed from 0"),
        (
            {"dataset": [MultiLabelRow("a", ("b", "c"))]},
            DatasetError,
            "row 1: expected one label .*, found a list of 2",
        ),
        ({"dataset": []}, DatasetError, "expected at least one labelled text"),
    ],
)
def test_what_cannot_be_sampled(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        sample_dataset(**{"dataset": ROWS, **options})


@pytest.mark.parametrize("case", RECORDED["templated"])
def test_templated_rows_are_those_that_setfit_recorded(case: dict[str, Any]) -> None:
    names = RECORDED["candidate_labels"]
    options = {name: case[name] for name in ("template", "sample_size") if name in case}

    rows = get_templated_dataset(candidate_labels=names, multi_label=case["multi_label"], **options)

    if case["multi_label"]:
        hot = [(text, tuple(name for name, on in zip(names, label, strict=True) if on)) for text, label in case["rows"]]
        assert list(rows) == [MultiLabelRow(text, labels) for text, labels in hot]
    else:
        assert list(rows) == [Row(text, names[label]) for text, label in case["rows"]]


def test_templated_rows_come_after_those_given() -> None:
    one = get_templated_dataset([{"t": "x", "l": 1}], ["a", "b"], sample_size=1, text_column="t", label_column="l")
    several = get_templated_dataset([{"text": "x", "label": [1, 1]}], ["a", "b"], sample_size=1, multi_label=True)

    assert list(one) == [Row("x", "b"), Row("This sentence is a", "a"), Row("This sentence is b", "b")]
    assert several[0] == MultiLabelRow("x", ("a", "b"))
    assert list(several[1:]) == [MultiLabelRow(f"This sentence is {name}", (name,)) for name in "ab"]


def test_label_names_of_a_reference() -> None:
    data = {"label": [2, 0, 1, 2], "label_text": ["c", "a", "b", "c"]}
    features = datasets.Features(
        {"label": datasets.ClassLabel(names=["x", "y", "z"]), "label_text": datasets.Value("string")}
    )
    named = datasets.Dataset.from_dict(data, features=features)

    def labels(reference: datasets.Dataset) -> list[str]:
        rows = get_templated_dataset(reference_dataset=reference, sample_size=1)
        return [row.label for row in rows if isinstance(row, Row)]

    assert labels(named) == ["x", "y", "z"]
    assert labels(datasets.Dataset.from_dict(data)) == ["a", "b", "c"]
    with pytest.raises(DatasetError, match="row 1: expected a number, with its name in label_text, found 'c'"):
        labels(datasets.Dataset.from_dict({"label": ["c"], "label_text": ["c"]}))


def test_numbers_that_a_reference_does_not_name_are_no_other_labels() -> None:
    reference = [{"label": number, "label_text": f"n{number}"} for number in (2, 0)]
    rows = [{"text": "x", "label": 1}]

    with pytest.raises(DatasetError, match="the rows: expected a name for each number from 0 to 2, found none for 1;"):
        get_templated_dataset(rows, reference_dataset=reference)

    alone = get_templated_dataset(reference_dataset=reference, sample_size=1)
    whole = get_templated_dataset(rows, reference_dataset=[*reference, {"label": "1", "label_text": "n1"}])
    assert [row.label for row in alone if isinstance(row, Row)] == ["n0", "n2"]
    assert whole[0] == Row("x", "n1")


def test_a_number_with_two_names_is_refused() -> None:
    reference = [{"label": 0, "label_text": name} for name in ("a", "a", "b")]

    with pytest.raises(DatasetError, match="row 3: expected the name 'a' for 0, as in an earlier row, found 'b'"):
        get_templated_dataset(reference_dataset=reference)


def test_made_rows_have_the_order_of_the_names() -> None:
    rows = get_templated_dataset([Row("x", "b")], ["c", "b", "a"])

    assert list(rows.numbers.items()) == [("c", 0), ("b", 1), ("a", 2)]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({}, UsageError, "either candidate_labels or reference_dataset"),
        ({"candidate_labels": ["a"], "reference_dataset": "x.jsonl"}, UsageError, "either candidate_labels or"),
        ({"candidate_labels": []}, UsageError, "at least one label"),
        ({"candidate_labels": ["a"], "template": "None"}, UsageError, "a template with {}"),
        ({"candidate_labels": ["a"], "sample_size": 0}, UsageError, "a sample_size from 1"),
        (
            {"candidate_labels": ["a"], "dataset": [Row("x", "a")], "multi_label": True},
            DatasetError,
            "row 1: expected a list of labels, found one label; pass multi_label=False",
        ),
        (
            {"candidate_labels": ["a"], "dataset": [MultiLabelRow("x", ("a",))]},
            DatasetError,
            "row 1: expected one label, found a list of labels; pass multi_label=True",
        ),
    ],
)
def test_what_cannot_be_made(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        get_templated_dataset(**options)
