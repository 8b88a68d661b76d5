"""A file of a bundle, open from before it is compared with its hash until a library has read it."""

import os
from pathlib import Path
from typing import Self

from ._errors import BundleCorrupt
from ._variant import BundleFile, open_regular

_OPEN_FILES = "/proc/self/fd"
"""Where Linux gives each open file a name, which stays that file's whatever takes its place in the folder."""


class OpenFile:
    """A file to hand to a library that takes names, which costs it less memory and time than bytes.

    The library reads it a second time. What is changed in between is told at the end of the `with` block.
    """

    def __init__(self, folder: Path, expected: BundleFile) -> None:
        """Open the file; `with` closes it.

        Args:
            folder: The bundle.
            expected: What it must be.

        Raises:
            BundleCorrupt: It is missing, or cannot be opened.
        """
        self._named = False
        self._path = folder / expected.file
        self._expected = expected
        try:
            self._file = open_regular(self._path)
        except OSError as error:
            raise expected.unreadable(self._path, error) from error
        self._before = self._state()

    def checked(self, *, by_name: bool) -> str | bytes:
        """Compare the file with its hash. Any thread may call; reading and hashing let go of Python's lock.

        Args:
            by_name: Whether a name will do.

        Returns:
            A name of the very file that was read, until the `with` block ends; its bytes where there is no such name,
            or it will not do.

        Raises:
            BundleCorrupt: It cannot be read, or is not what the manifest says.
        """
        self._expected.check_size(self._path, self._before[0])
        try:
            data = self._file.read()  # at once: between two pieces, a thread waits for Python's lock
        except OSError as error:
            raise self._expected.unreadable(self._path, error) from error
        self._expected.check(self._path, data)
        name = f"{_OPEN_FILES}/{self._file.fileno()}"
        self._named = by_name and Path(name).exists()
        return name if self._named else data

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            changed = self._named and self._state() != self._before  # of bytes it does not matter
        finally:
            self._file.close()
        if kind is None and changed:
            raise BundleCorrupt(
                f"{self._path}: expected a file that stays as it is, found it changed while it was read; load it again"
            )

    def _state(self) -> tuple[int, int]:
        status = os.fstat(self._file.fileno())
        return status.st_size, status.st_mtime_ns
