"""Read labelled texts from JSON lines: one object a line, with `text` and `label` (multi-label: a list of them)."""

import json
import numbers
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from ._errors import DatasetError
from ._text import without_lone_surrogates


@dataclass(frozen=True, slots=True)
class Row:
    """One labelled text.

    Attributes:
        text: What is to be classified; not blank.
        label: Its label; integers in a file become their decimal digits.
        origin: Where it stands, for error messages: `file.jsonl:17`, or `row 17` of rows that came from no file.
    """

    text: str
    label: str
    origin: str = field(default="", compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class MultiLabelRow:
    """One text with any number of labels.

    Attributes:
        text: What is to be classified; not blank.
        labels: Its labels, all different; possibly none.
        origin: Where it stands, as in `Row`.
    """

    text: str
    labels: tuple[str, ...]
    origin: str = field(default="", compare=False, repr=False)


def read_rows(path: str | Path) -> list[Row]:
    """Read a JSON lines file of labelled texts.

    Keys other than `text` and `label` are ignored, and so are blank lines and a byte order mark.

    Args:
        path: A UTF-8 file with one JSON object a line.

    Returns:
        The rows in the order of the file.

    Raises:
        DatasetError: The file is missing, not UTF-8, not JSON lines, or has no rows; or a row has no usable text or
            label. The message names the file and the line.
    """
    return _read(Path(path), to_row)


def read_multi_label_rows(path: str | Path) -> list[MultiLabelRow]:
    """Read a JSON lines file of texts whose `label` is a list of labels, possibly empty.

    Args:
        path: A UTF-8 file with one JSON object a line.

    Returns:
        The rows in the order of the file.

    Raises:
        DatasetError: As `read_rows`; or a row has a single label, or one label twice.
    """
    return _read(Path(path), to_multi_label_row)


def read_texts(path: str | Path) -> list[str]:
    """Read the texts of a JSON lines file, whatever their labels.

    Args:
        path: A UTF-8 file with one JSON object a line, each with a `text`.

    Returns:
        The texts in the order of the file.

    Raises:
        DatasetError: As `read_rows`, labels aside.
    """
    return _read(Path(path), lambda value, origin: _with_text(value, origin)[1])


def as_rows(rows: str | Path | Iterable[Row | Mapping[str, object]]) -> list[Row]:
    """Take labelled texts in any of the forms that the public functions accept.

    Args:
        rows: A JSON lines file, or `Row`s or mappings with `text` and `label`.

    Returns:
        The same, as rows that know where they came from.

    Raises:
        DatasetError: As `read_rows`.
    """
    if isinstance(rows, str | Path):
        return read_rows(rows)
    result = []
    for number, row in enumerate(rows, start=1):
        if isinstance(row, Row):
            result.append(to_row({"text": row.text, "label": row.label}, row.origin or f"row {number}"))
        else:
            result.append(to_row(row, f"row {number}"))
    if not result:
        raise DatasetError("expected at least one labelled text, got none")
    return result


def read_records(path: str | Path) -> Iterator[tuple[str, object]]:
    """Read a JSON lines file value by value, whatever the values are.

    Args:
        path: A UTF-8 file with one JSON value a line. Blank lines and a byte order mark are ignored.

    Yields:
        Where the value stands, as `file.jsonl:17`, and the value.

    Raises:
        DatasetError: The file is missing, not UTF-8 or not JSON lines.
    """
    for number, line in enumerate(_lines(Path(path)), start=1):
        origin = f"{path}:{number}"
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError as error:
            raise DatasetError(
                f"{origin}: expected UTF-8, found byte 0x{line[error.start]:02x} at column {error.start + 1}; "
                "save the file as UTF-8"
            ) from error
        if not text.strip():
            continue
        try:
            yield origin, json.loads(text)
        except (ValueError, RecursionError) as error:
            raise DatasetError(
                f'{origin}: expected one JSON object like {{"text": "…", "label": "…"}}, found {_shown(text)} ({error})'
            ) from error


_AnyRow = TypeVar("_AnyRow", Row, MultiLabelRow, str)


def _read(path: Path, parse: Callable[[object, str], _AnyRow]) -> list[_AnyRow]:
    rows = [parse(value, origin) for origin, value in read_records(path)]
    if not rows:
        raise DatasetError(f'{path}: expected at least one line like {{"text": "…", "label": "…"}}, found none')
    return rows


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file):
                yield (line if number else line.removeprefix(b"\xef\xbb\xbf")).removesuffix(b"\n")
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = error.strerror if isinstance(error, OSError) else error
        raise DatasetError(
            f"{path}: expected a JSON lines file of labelled texts, but it cannot be read: {reason}"
        ) from error


def to_row(value: object, origin: str) -> Row:
    """Take one object with a text and a label as a row.

    Args:
        value: A mapping with `text` and `label`; other keys are ignored.
        origin: Where it stands, for the row and for error messages.

    Returns:
        The row.

    Raises:
        DatasetError: It is no mapping, or has no usable text or label.
    """
    value, text = _with_text(value, origin)
    label = value.get("label")
    if not _is_label(label):
        found = _shown(label) if "label" in value else f"the keys {_shown(list(value))}"
        several = "; a list of labels is for a multi-label bundle" if isinstance(label, list) else ""
        raise DatasetError(f'{origin}: expected a "label" that is a string (or a whole number), found {found}{several}')
    return Row(text=text, label=without_lone_surrogates(str(label)), origin=origin)


def to_multi_label_row(value: object, origin: str) -> MultiLabelRow:
    """Take one object with a text and a list of labels as a row.

    Args:
        value: A mapping with `text` and `label`, a list of different labels; other keys are ignored.
        origin: Where it stands, for the row and for error messages.

    Returns:
        The row.

    Raises:
        DatasetError: It is no mapping, or has no usable text or list of labels.
    """
    value, text = _with_text(value, origin)
    labels = value.get("label")
    if not isinstance(labels, list) or not all(_is_label(label) for label in labels):
        found = _shown(labels) if "label" in value else f"the keys {_shown(list(value))}"
        raise DatasetError(f'{origin}: expected a "label" that is a list of strings, possibly empty, found {found}')
    names = tuple(without_lone_surrogates(str(label)) for label in labels)
    if len(set(names)) != len(names):
        raise DatasetError(f'{origin}: expected a "label" that is a list of different strings, found {_shown(labels)}')
    return MultiLabelRow(text=text, labels=names, origin=origin)


def _with_text(value: object, origin: str) -> tuple[Mapping[str, object], str]:
    if not isinstance(value, Mapping):
        raise DatasetError(f'{origin}: expected an object with "text" and "label", found {_shown(value)}')
    text = value.get("text")
    if not isinstance(text, str) or not text.strip():
        found = _shown(text) if "text" in value else f"the keys {_shown(list(value))}"
        raise DatasetError(f'{origin}: expected a "text" that is a string and not blank, found {found}')
    return value, without_lone_surrogates(text)


def _is_label(label: object) -> bool:
    if isinstance(label, bool) or not isinstance(label, str | numbers.Integral):
        return False
    return bool(str(label).strip())


def _shown(value: object) -> str:
    try:
        shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=repr)
    except (TypeError, ValueError, RecursionError):  # a key that is no string, a circle, too deep
        shown = f"a {type(value).__name__}"
    shown = " ".join(shown.split()) or repr(value)
    return shown if len(shown) <= 60 else shown[:57] + "..."  # noqa: PLR2004 - what fits into one line of a terminal
