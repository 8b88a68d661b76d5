"""Records of texts and labels, from whatever holds them: files, Hugging Face data sets, data frames, mappings."""

import contextlib
import functools
import importlib
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Self

from setfuse.runtime import DatasetError, HubError, MissingExtra, MultiLabelRow, Row, UsageError, read_records

from ._csv_file import SEPARATORS, read_csv_file

Data = str | Path | Iterable[object]
"""What labelled texts may come as.

- A JSON lines, CSV, TSV or Parquet file, known by its ending; a file with another ending is read as JSON lines.
- `org/name` or `org/name:split`: a data set on the Hub, the split `train` if none is given.
- A `datasets.Dataset` or `IterableDataset`, or a `DatasetDict` of a single split; a `pandas.DataFrame`.
- `Row`s, `MultiLabelRow`s or mappings; plain texts where labels are not wanted.
"""

_JSON_LINES = {".jsonl", ".ndjson", ".json"}
_PARQUET = ".parquet"
_PARQUET_ROWS = 1000
"""Rows read at a time. The default is the first group of rows: often the whole file, and an error where it has none."""

_HUB_NAME = re.compile(r"(?P<name>[\w-][\w.-]*/[\w-][\w.-]*)(:(?P<split>.+))?")


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns, or keys, hold the texts and the labels."""

    text: str
    label: str

    @classmethod
    def from_mapping(cls, columns: Mapping[str, str] | None) -> Self:
        """Take SetFit's `column_mapping`, such as `{"sentence": "text", "category": "label"}`.

        Raises:
            UsageError: It is no mapping, a column stands for something else, or two for the same.
        """
        if not isinstance(columns, Mapping | None):
            raise UsageError(f"columns: expected a mapping such as {{'sentence': 'text'}}, got {columns!r:.80}")
        named = {meaning: name for name, meaning in (columns or {}).items()}
        if len(named) != len(columns or {}) or not named.keys() <= {"text", "label"}:
            raise UsageError(
                f"columns: expected at most one name each for text and label, as in "
                f"{{'sentence': 'text', 'category': 'label'}}, got {columns!r}"
            )
        return cls(text=named.get("text", "text"), label=named.get("label", "label"))


@dataclass(frozen=True, slots=True)
class Source:
    """Records that can be read once, one after the other.

    Attributes:
        name: For messages about all of it.
        records: Where each record stands, and the record, which has at least the wanted columns.
        class_names: The names of the labels' numbers, where the source has them (a `ClassLabel`).
    """

    name: str
    records: Iterator[tuple[str, Mapping[str, object]]]
    class_names: Sequence[str] | None = None


@contextlib.contextmanager
def open_source(data: Data, wanted: Sequence[str], label: str) -> Iterator[Source]:
    """Open data of any form; nothing is written but into a folder that is removed, and local files need no network.

    Args:
        data: See `Data`.
        wanted: The columns that every record must have.
        label: The one of them whose class names are looked for.

    Yields:
        Its records. They are read while the context is open, and never held.

    Raises:
        DatasetError: It cannot be read, or a column is missing; also raised while records are read.
        HubError: The Hub did not give it.
        MissingExtra: It takes `datasets`, which is not installed.
    """
    pandas, datasets = (sys.modules.get(name) for name in ("pandas", "datasets"))  # data of theirs has them imported
    if isinstance(data, str | Path):
        with _open_named(data, wanted, label) as source:
            yield source
    elif datasets and isinstance(data, datasets.DatasetDict | datasets.IterableDatasetDict):
        if len(data) != 1:
            raise DatasetError(
                f"the data set: expected one split, found {_listed(data)}; pass one, as in data['train']"
            )
        yield _from_dataset(next(iter(data.values())), wanted, label)
    elif datasets and isinstance(data, datasets.Dataset | datasets.IterableDataset):
        yield _from_dataset(data, wanted, label)
    elif pandas and isinstance(data, pandas.DataFrame):
        yield _from_frame(data, wanted)
    elif isinstance(data, Mapping):
        raise DatasetError(
            f"the rows: expected one after the other, found a mapping of {_listed(data)}; of columns, "
            "datasets.Dataset.from_dict makes rows"
        )
    else:
        yield Source("the rows", _with_keys(_from_rows(data, wanted, label), wanted))


@contextlib.contextmanager
def _open_named(name: str | Path, wanted: Sequence[str], label: str) -> Iterator[Source]:
    path = Path(name).expanduser()
    ending = path.suffix.lower()
    if ending == _PARQUET:
        with _open_parquet(path, wanted, label) as source:
            yield source
    elif ending in SEPARATORS:
        yield Source(str(path), _with_keys(read_csv_file(path), wanted))
    elif (
        isinstance(name, str)
        and (found := _HUB_NAME.fullmatch(name))
        and not path.exists()
        and ending not in _JSON_LINES
    ):
        yield _from_dataset(_load_from_hub(found["name"], found["split"] or "train"), wanted, label, name)
    else:
        yield Source(str(path), _with_keys(read_records(path), wanted))


def _from_rows(rows: Iterable[object], wanted: Sequence[str], label: str) -> Iterator[tuple[str, object]]:
    for number, row in enumerate(rows, start=1):
        origin = f"row {number}"
        if isinstance(row, Row | MultiLabelRow):
            labels = row.label if isinstance(row, Row) else list(row.labels)
            yield row.origin or origin, {name: labels if name == label else row.text for name in wanted}
        elif isinstance(row, str) and label not in wanted:
            yield origin, dict.fromkeys(wanted, row)
        else:
            yield origin, row


def _from_frame(frame: Any, wanted: Sequence[str]) -> Source:
    _expect_columns("the data frame", list(frame.columns), wanted)
    rows = zip(*(frame[name] for name in wanted), strict=True)
    return Source("the data frame", _numbered(dict(zip(wanted, row, strict=True)) for row in rows))


def _with_keys(
    records: Iterable[tuple[str, object]], wanted: Sequence[str]
) -> Iterator[tuple[str, Mapping[str, object]]]:
    for origin, record in records:
        if not isinstance(record, Mapping):
            raise DatasetError(f"{origin}: expected an object with {' and '.join(wanted)}, found {record!r:.60}")
        _expect_columns(origin, list(record), wanted)
        yield origin, record


def _expect_columns(name: str, found: Sequence[object], wanted: Sequence[str]) -> None:
    if not set(wanted) <= set(found):
        raise DatasetError(
            f"{name}: expected {' and '.join(wanted)}, found {_listed(found)}; "
            "say which hold the text and the label with columns={'sentence': 'text', 'category': 'label'} "
            "(--columns sentence=text,category=label)"
        )


def _listed(names: Iterable[object]) -> str:
    return ", ".join(str(name) for name in names) or "none"


def _numbered(records: Iterable[Mapping[str, object]], prefix: str = "") -> Iterator[tuple[str, Mapping[str, object]]]:
    return ((f"{prefix}row {number}", record) for number, record in enumerate(records, start=1))


@contextlib.contextmanager
def _open_parquet(path: Path, wanted: Sequence[str], label: str) -> Iterator[Source]:
    datasets = _import_datasets(f"{path}: a Parquet file")
    verbosity = datasets.utils.logging.get_verbosity()
    # The folder, since opening makes one for a cache, used or not; the verbosity, since errors are logged and raised.
    with tempfile.TemporaryDirectory() as cache:
        datasets.utils.logging.set_verbosity(datasets.utils.logging.CRITICAL)
        try:
            path.open("rb").close()
            open_table = functools.partial(
                datasets.IterableDataset.from_parquet, str(path), cache_dir=cache, batch_size=_PARQUET_ROWS
            )
            _expect_columns(str(path), open_table().column_names, wanted)
            yield _from_dataset(open_table(columns=list(wanted)), wanted, label, str(path))
        except (OSError, ValueError) as error:  # ValueError: what Arrow's errors are
            reason = error.strerror if isinstance(error, OSError) and error.strerror else _first_line(error)
            raise DatasetError(f"{path}: expected a Parquet file, but it cannot be read: {reason}") from error
        finally:
            datasets.utils.logging.set_verbosity(verbosity)


def _load_from_hub(name: str, split: str) -> Any:
    failure = f"{name}: expected a file, or a data set on the Hub with the split {split}"
    datasets = _import_datasets(failure)
    try:
        return datasets.load_dataset(name, split=split)
    except Exception as error:  # also its HTTP library's own exceptions
        raise HubError(f"{failure}; there is no such file, and the Hub gave none: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0].rstrip(".")


def _from_dataset(data: Any, wanted: Sequence[str], label: str, name: str = "") -> Source:
    if data.column_names is not None:  # an IterableDataset may learn them from its first record only
        _expect_columns(name or "the data set", data.column_names, wanted)
        data = data.select_columns(list(wanted))
    feature = (data.features or {}).get(label)
    class_names = getattr(getattr(feature, "feature", feature), "names", None)
    records = _numbered(data.with_format(None), f"{name}: " if name else "")
    return Source(name or "the data set", _with_keys(records, wanted), class_names)


def _import_datasets(needed_by: str) -> ModuleType:
    try:
        return importlib.import_module("datasets")
    except ImportError as error:
        raise MissingExtra(f'{needed_by} needs datasets: pip install "setfuse[train]"') from error
