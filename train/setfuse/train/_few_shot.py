"""A few rows of each label out of many, and rows made from the labels' names alone: both as SetFit makes them."""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from setfuse.runtime import DatasetError, MultiLabelRow, Row, UsageError

from ._data import read_data, read_single_label
from ._labelled_rows import AnyLabelledRows, AnyRow, LabelledRows
from ._sources import Data, open_source


def sample_dataset(
    dataset: Data,
    label_column: str = "label",
    num_samples: int = 8,
    seed: int = 42,
    *,
    text_column: str = "text",
    label_names: Sequence[str] | None = None,
) -> LabelledRows[Row]:
    """Take the same number of rows of each label: the rows, and their order, of SetFit's `sample_dataset`.

    Args:
        dataset: Rows of one label each, in any form of `Data`.
        label_column: Which column holds the labels.
        num_samples: Rows of each label; all there are where a label has fewer.
        seed: Of the choice and of the order.
        text_column: Which column holds the texts.
        label_names: As in `read_data`.

    Returns:
        The rows, shuffled; their labels have the order that the data has.

    Raises:
        UsageError: `num_samples` or `seed` is out of its range.
        DatasetError: The data cannot be read, or has several labels a row.
        HubError: The Hub did not give the data set.
    """
    if num_samples < 1 or seed < 0:
        raise UsageError(f"expected num_samples from 1 and a seed from 0, got {num_samples} and {seed}")
    columns = {text_column: "text", label_column: "label"}
    rows = read_single_label(dataset, columns=columns, label_names=label_names)
    # The generator of `datasets.Dataset.shuffle`, which SetFit calls before and after it takes the first of each label.
    taken: list[Row] = []
    counts: Counter[str] = Counter()
    for number in np.random.default_rng(seed).permutation(len(rows)):
        row = rows[number]
        counts[row.label] += 1
        if counts[row.label] <= num_samples:
            taken.append(row)
    order = np.random.default_rng(seed).permutation(len(taken))
    return LabelledRows(tuple(taken[number] for number in order), rows.numbers)


def get_templated_dataset(
    dataset: Data | None = None,
    candidate_labels: Sequence[str] | None = None,
    reference_dataset: Data | None = None,
    template: str = "This sentence is {}",
    sample_size: int = 2,
    *,
    text_column: str = "text",
    label_column: str = "label",
    multi_label: bool = False,
    label_names_column: str = "label_text",
) -> AnyLabelledRows:
    """Make rows from the names of labels, for training without any labelled text: SetFit's `get_templated_dataset`.

    Args:
        dataset: Rows that the made ones are added to, in any form of `Data`; None for none.
        candidate_labels: The labels' names.
        reference_dataset: In place of `candidate_labels`: data with a `ClassLabel` column, or with a column of
            numbers and one of their names.
        template: The text of each row; the label's name takes the place of `{}`.
        sample_size: Rows of each label, all with the same text.
        text_column: Which column of `dataset` holds the texts.
        label_column: Which column of `dataset`, and of `reference_dataset`, holds the labels.
        multi_label: Whether rows have lists of labels.
        label_names_column: Which column of `reference_dataset` names the labels, where there is no `ClassLabel`.

    Returns:
        The rows of `dataset`, then `sample_size` rows of each label; the labels' order is that of their names.

    Raises:
        UsageError: Not exactly one of `candidate_labels` and `reference_dataset` is given, the template has no `{}`,
            `sample_size` is below 1, or there are no labels.
        DatasetError: The data cannot be read, or its rows have one label where they should have lists, or lists where
            they should have one; or the reference gives a number several names, or leaves numbers out, so that those
            of `dataset` cannot be named.
        HubError: The Hub did not give the data set.
    """
    if (candidate_labels is None) == (reference_dataset is None):
        raise UsageError("expected either candidate_labels or reference_dataset, got both or neither")
    if "{}" not in template or sample_size < 1:
        raise UsageError(f"expected a template with {{}} and a sample_size from 1, got {template!r} and {sample_size}")
    if reference_dataset is not None:
        candidate_labels = _names_in(reference_dataset, label_column, label_names_column, gaps_allowed=dataset is None)
    labels = list(candidate_labels or [])
    if not labels:
        raise UsageError("expected at least one label to make rows of, got none")
    texts = [(template.replace("{}", label), label) for label in labels for _ in range(sample_size)]
    if multi_label:
        several = [
            *_given(dataset, MultiLabelRow, text_column, label_column, labels),
            *(MultiLabelRow(text, (label,), origin="template") for text, label in texts),
        ]
        return LabelledRows.of(several, labels)
    rows = [
        *_given(dataset, Row, text_column, label_column, labels),
        *(Row(text, label, origin="template") for text, label in texts),
    ]
    return LabelledRows.of(rows, labels)


def _given(
    dataset: Data | None, kind: type[AnyRow], text_column: str, label_column: str, labels: Sequence[str]
) -> Iterator[AnyRow]:
    if dataset is None:
        return
    for row in read_data(dataset, columns={text_column: "text", label_column: "label"}, label_names=labels):
        if not isinstance(row, kind):
            one, several = "one label", "a list of labels"
            expected, found, right = (one, several, True) if kind is Row else (several, one, False)
            raise DatasetError(f"{row.origin}: expected {expected}, found {found}; pass multi_label={right}")
        yield row


def _names_in(reference: Data, label_column: str, label_names_column: str, *, gaps_allowed: bool) -> list[str]:
    with open_source(reference, (label_column,), label_column) as source:
        if source.class_names:
            return list(source.class_names)
    names: dict[int, str] = {}
    with open_source(reference, (label_column, label_names_column), label_column) as source:
        for origin, record in source.records:
            number = str(record[label_column])
            if not number.isdecimal():
                raise DatasetError(
                    f"{origin}: expected a number, with its name in {label_names_column}, found {number!r}; "
                    "pass the names as candidate_labels"
                )
            name = str(record[label_names_column])
            if names.setdefault(int(number), name) != name:
                raise DatasetError(
                    f"{origin}: expected the name {names[int(number)]!r} for {number}, as in an earlier row, found "
                    f"{name!r}; correct it, or pass the names as candidate_labels"
                )
    unnamed = next(number for number in range(len(names) + 1) if number not in names)
    if unnamed < len(names) and not gaps_allowed:  # SetFit closes the gap: numbers of `dataset` then mean other labels
        raise DatasetError(
            f"{source.name}: expected a name for each number from 0 to {max(names)}, found none for {unnamed}; "
            "pass the names of all labels as candidate_labels"
        )
    return [names[number] for number in sorted(names)]
