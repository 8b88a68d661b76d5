"""Read CSV and TSV files strictly: every value as the text that stands there, every record with its line.

Python's own reader, not that of `datasets`, which is pandas': it takes the texts `NA` and `None` for nothing and `1.0`
for a number, gives no line numbers, and where the first record has a field more than the header it moves every column
by one without a word, so that texts with a comma and no quotes become other texts.
"""

import csv
from collections.abc import Iterator
from pathlib import Path

from setfuse.runtime import DatasetError

SEPARATORS = {".csv": ",", ".tsv": "\t"}
"""By the ending of the file."""


def read_csv_file(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Read a file whose first line names the columns, record by record.

    Args:
        path: A UTF-8 file, with or without a byte order mark, that ends in .csv or .tsv; values may stand in double
            quotes, and must where they hold the separator, a quote or a line break. Blank lines are ignored. A value of
            more than 131,072 characters (`csv.field_size_limit`) is taken for a quote that is not closed.

    Yields:
        Where the record begins, as `file.csv:17`, and its values by column.

    Raises:
        DatasetError: The file cannot be read, is not UTF-8, has no header or the same column twice, or a record does
            not have as many fields as the header.
    """
    separator = SEPARATORS[path.suffix.lower()]
    begins = 1
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(file, delimiter=separator, strict=True)
            header: list[str] = []
            for fields in lines:
                origin, begins = f"{path}:{begins}", lines.line_num + 1
                if not fields:
                    continue
                if not header:
                    header = _header(fields, origin)
                elif len(fields) == len(header):
                    yield origin, dict(zip(header, fields, strict=True))
                else:
                    raise DatasetError(
                        f"{origin}: expected {len(header)} fields, as in the first line, found {len(fields)}; "
                        f"put values that hold a {'comma' if separator == ',' else 'tab'} into double quotes"
                    )
    except UnicodeDecodeError as error:
        raise DatasetError(
            f"{path}: expected UTF-8, found byte 0x{error.object[error.start]:02x}; save the file as UTF-8"
        ) from error
    except csv.Error as error:
        raise DatasetError(
            f"{path}:{begins}: expected a record of a CSV or TSV file, but it cannot be read: {error}; "
            "a quote may be missing at the beginning or the end of a value"
        ) from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = error.strerror if isinstance(error, OSError) else error
        raise DatasetError(
            f"{path}: expected a CSV or TSV file of labelled texts, but it cannot be read: {reason}"
        ) from error


def _header(fields: list[str], origin: str) -> list[str]:
    if len(set(fields)) != len(fields):
        raise DatasetError(f"{origin}: expected columns with different names, found {', '.join(fields)}")
    return fields
