"""Contenders of known behaviour, in a process as the real ones: `python -m tests.benchmarks.fakes KIND`."""

import importlib
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks._contenders import Contender, Quality, System
from benchmarks._contenders._contender import Batching
from benchmarks._worker import serve

FLOOD = 1 << 20
"""Bytes; sixteen times what a pipe holds."""
LABELS = ("late", "lost", "refund")


class Right(System):
    """Labels a text by its length: what all but the wrong ones say."""

    def __init__(self) -> None:
        """Load nothing."""

    def answer(self, texts: list[str]) -> list[str]:
        return [LABELS[len(text) % 3] for text in texts]


class Slow(Right):
    """Takes five milliseconds a call."""

    def answer(self, texts: list[str]) -> list[str]:
        time.sleep(0.005)
        return super().answer(texts)


class Likely(Right):
    """Has probabilities."""

    def probabilities(self, texts: list[str]) -> npt.NDArray[np.float64]:
        return np.eye(3)[[len(text) % 3 for text in texts]]


class Chatty(Right):
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


class NeverLoads(Right):
    """Lacks a package."""

    def __init__(self) -> None:
        importlib.import_module("no_such_package")


class Fails(Right):
    """Loads, and fails at several texts in one call."""

    def answer(self, texts: list[str]) -> list[str]:
        if len(texts) > 1:
            raise ValueError("cannot answer this\n\n")
        return super().answer(texts)


class Killed(Right):
    """Is killed at the first call, as by a kernel out of memory."""

    def answer(self, texts: list[str]) -> list[str]:
        os.kill(os.getpid(), 9)
        return super().answer(texts)


class Hangs(Right):
    """Answers one call and then no more."""

    def __init__(self) -> None:
        self._calls = 0

    def answer(self, texts: list[str]) -> list[str]:
        self._calls += 1
        if self._calls > 1:
            time.sleep(3600)
        return super().answer(texts)


class Wrong(Right):
    """Gives another label for every fourth text."""

    def answer(self, texts: list[str]) -> list[str]:
        given = super().answer(texts)
        return ["lost" if number % 4 == 0 else label for number, label in enumerate(given)]


class Short(Right):
    """Leaves out the last label."""

    def answer(self, texts: list[str]) -> list[str]:
        return super().answer(texts)[:-1]


class Restless(Right):
    """Spins in a thread, and in a process of its own, whenever it may."""

    def __init__(self) -> None:
        threading.Thread(target=self._spin, daemon=True).start()
        program = "\nwhile True: pass"
        self._child = subprocess.Popen([sys.executable, "-c", program])
        Path(os.environ["FAKE_CHILD"]).write_text(str(self._child.pid), encoding="ascii")

    @staticmethod
    def _spin() -> None:
        while True:
            pass


KINDS = (Right, Slow, Likely, Chatty, NeverLoads, Fails, Killed, Hangs, Wrong, Short, Restless)


def command(kind: str) -> list[str]:
    """Give what starts one."""
    return [sys.executable, "-m", "tests.benchmarks.fakes", kind]


def contender(name: str, quality: Quality = Quality.SAME) -> Contender:
    """Give a line of the registry for one."""
    return Contender(
        name=name,
        description=f"a stand-in: {name}",
        environment="sentence-transformers",
        system="_nowhere:Nothing",
        quality=quality,
        arithmetic="fp32",
        batching=Batching.SORTED,
        loads=("bundle/bundle.json",),
    )


if __name__ == "__main__":
    serve({kind.__name__: kind for kind in KINDS}[sys.argv[1]], threads=1)
