"""Read and write the files of a measurement, and end with whoever wanted them."""

import contextlib
import ctypes
import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ._errors import BenchmarkError

ROOT = Path(__file__).resolve().parent.parent
"""The project's folder."""


_PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """Have the kernel end this process with its parent: one that is stopped would not see its stdin close."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def read_json(path: Path) -> Any:
    """Read a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def write_json(path: Path, value: object) -> None:
    """Write a JSON file, whole or not at all."""
    with whole_file(path) as partial:
        partial.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a path to write to; when the block ends well, the file gets its final name in one rename.

    When the block raises, what was written is removed and what stood at `path` before is as it was.

    Args:
        path: The final name; missing folders are made.

    Yields:
        A path in the same folder.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial-{os.getpid()}")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def check_writable(folder: Path) -> None:
    """Make sure, before minutes of work, that results can be written into a folder. Nothing is made yet.

    Raises:
        BenchmarkError: It is a file, lies below one, or may not be written to.
    """
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not there.is_dir():
        raise BenchmarkError(f"{folder}: expected a folder to write to, but {there} is a file; choose another --out")
    if not os.access(there, os.W_OK | os.X_OK):
        raise BenchmarkError(f"{folder}: expected a folder to write to, but {there} is read-only; choose another --out")
