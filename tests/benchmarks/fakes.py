"""Contenders of known behaviour, in a process as the real ones: `python -m tests.benchmarks.fakes NAME`."""

import importlib
import os
import sys

from benchmarks._contenders import Contender
from benchmarks._worker import serve

FLOOD = 1 << 20
"""Bytes; sixteen times what a pipe holds."""


class Upper(Contender):
    """Gives each text in capitals for its label."""

    def answer(self, texts: list[str]) -> list[str]:
        return [text.upper() for text in texts]


class Chatty(Upper):
    """Prints while it loads and at each call, more than a pipe holds, on both streams and past Python's own."""

    def __init__(self) -> None:
        self._print("loading")

    def answer(self, texts: list[str]) -> list[str]:
        self._print('{"labels": ["wrong"]}')
        return super().answer(texts)

    @staticmethod
    def _print(line: str) -> None:
        sys.stdout.write(f"{line}\n{'x' * FLOOD}\n")
        sys.stderr.write("y" * FLOOD)
        os.write(1, f"{line}\n".encode())


class NeverLoads(Upper):
    """Lacks a package."""

    def __init__(self) -> None:
        importlib.import_module("no_such_package")


class Fails(Upper):
    """Loads, and fails at the text "poison"."""

    def answer(self, texts: list[str]) -> list[str]:
        if "poison" in texts:
            raise ValueError("cannot answer this\n\n")
        return super().answer(texts)


class Killed(Upper):
    """Is killed at the first call, as by a kernel out of memory."""

    def answer(self, texts: list[str]) -> list[str]:
        os.kill(os.getpid(), 9)
        return super().answer(texts)


if __name__ == "__main__":
    serve({kind.__name__: kind for kind in (Upper, Chatty, NeverLoads, Fails, Killed)}[sys.argv[1]])
