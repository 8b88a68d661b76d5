"""Labelled texts in any form, as rows."""

from collections.abc import Mapping, Sequence

from setfuse.runtime import DatasetError, MultiLabelRow, Row, to_multi_label_row, to_row

from ._label_names import LabelNames, kind_of, plain
from ._labelled_rows import AnyLabelledRows, AnyRow, LabelledRows
from ._sources import Columns, Data, open_source


def read_data(
    data: Data, *, columns: Mapping[str, str] | None = None, label_names: Sequence[str] | None = None
) -> AnyLabelledRows:
    """Read labelled texts in any form.

    A label is a text or a whole number; in multi-label data it is a list of texts or a multi-hot list, a 0 or a 1 for
    each label. Numbers become names where there are names: those of `label_names`, else those of a `ClassLabel`
    feature (of which a list holds numbers, as `datasets` has it). Without names, a number becomes its digits.

    The labels' order is that of the names, where there are names; whole numbers (texts of digits, too) are in numeric
    order, other labels in alphabetical order. `LabelledRows` keep the order that they have.

    Args:
        data: See `Data`.
        columns: What the columns that are not called `text` and `label` stand for, as in SetFit's `column_mapping`:
            `{"sentence": "text", "category": "label"}`.
        label_names: The names of the labels 0, 1, 2, …. Labels that are texts must then be among them, or be the
            digits of a number that has a name, as in CSV.

    Returns:
        The rows in the data's order, as a sequence that has the labels' order, too; each knows where it came from.

    Raises:
        UsageError: `columns` or `label_names` is not what is expected.
        DatasetError: The data cannot be read, is empty, lacks a column, or has labels of several kinds; or a row has
            no usable text or label.
        HubError: The Hub did not give the data set.
        MissingExtra: It takes `datasets`, which is not installed.
    """
    named = LabelNames(tuple(label_names or ()))
    where = Columns.from_mapping(columns)
    rows: list[Row] = []
    multi_label_rows: list[MultiLabelRow] = []
    kinds: dict[str, str] = {}
    with open_source(data, (where.text, where.label), where.label) as source:
        if source.class_names and not label_names:
            named = LabelNames(tuple(source.class_names), multi_hot=False)
        for origin, record in source.records:
            label = plain(record[where.label])
            row = {"text": record[where.text], "label": named.of(label, origin)}
            if isinstance(row["label"], list):
                multi_label_rows.append(to_multi_label_row(row, origin))
            else:
                rows.append(to_row(row, origin))
            kinds.setdefault(kind_of(label), origin)
            if len(kinds) > 1:
                raise DatasetError(
                    f"expected labels of one kind, found {' and '.join(f'{kind} ({at})' for kind, at in kinds.items())}"
                )
        if not kinds:
            raise DatasetError(f"{source.name}: expected at least one labelled text, found none")
    return _numbered(multi_label_rows, data, named) if multi_label_rows else _numbered(rows, data, named)


def _numbered(rows: Sequence[AnyRow], data: Data, named: LabelNames) -> LabelledRows[AnyRow]:
    if isinstance(data, LabelledRows) and not named.names:
        return LabelledRows(tuple(rows), data.numbers)
    return LabelledRows.of(rows, named.names)


def read_single_label(
    data: Data, *, columns: Mapping[str, str] | None = None, label_names: Sequence[str] | None = None
) -> LabelledRows[Row]:
    """Read texts of one label each: `read_data`, where lists of labels are of no use.

    Raises:
        UsageError: As `read_data`.
        DatasetError: As `read_data`; or a row has a list of labels.
        HubError: As `read_data`.
        MissingExtra: As `read_data`.
    """
    found = read_data(data, columns=columns, label_names=label_names)
    rows: list[Row] = []
    for row in found:
        if isinstance(row, MultiLabelRow):
            raise DatasetError(f"{row.origin}: expected one label a row, found a list of {len(row.labels)}")
        rows.append(row)
    return LabelledRows(tuple(rows), found.numbers)


def read_unlabelled(data: Data, *, columns: Mapping[str, str] | None = None) -> list[MultiLabelRow]:
    """Read the texts of data in any form, whether or not they have labels.

    Args:
        data: See `Data`; a plain text in place of a record is one, too.
        columns: As in `read_data`.

    Returns:
        Rows without labels, in the data's order; none is blank.

    Raises:
        UsageError: `columns` is not what is expected.
        DatasetError: The data cannot be read, is empty, or lacks a text.
        HubError: The Hub did not give the data set.
        MissingExtra: It takes `datasets`, which is not installed.
    """
    where = Columns.from_mapping(columns)
    with open_source(data, (where.text,), where.label) as source:
        texts = [
            to_multi_label_row({"text": record[where.text], "label": []}, origin) for origin, record in source.records
        ]
        if not texts:
            raise DatasetError(f"{source.name}: expected at least one text, found none")
    return texts
