"""A contender's process: start it, ask it, end it."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, cast

from ._contenders import Models
from ._errors import BenchmarkError


class Worker:
    """A contender in its process; it speaks the protocol of `_worker`."""

    def __init__(self, contender: str, process: subprocess.Popen[str], errors: IO[bytes]) -> None:
        """Put it together from its parts; callers use `workers`."""
        self.contender = contender
        self._process = process
        self._requests = cast("IO[str]", process.stdin)
        self._answers = cast("IO[str]", process.stdout)
        self._errors = errors

    def wait(self) -> None:
        """Wait until the model is loaded.

        Raises:
            BenchmarkError: The process died.
        """
        self._read()

    def labels(self, texts: Sequence[str]) -> list[str]:
        """Ask for the labels of some texts.

        Raises:
            BenchmarkError: The process died.
        """
        return [str(label) for label in self._ask({"texts": list(texts)})["labels"]]

    def times(self, texts: Sequence[str], seconds: float) -> list[float]:
        """Have a call repeated for some seconds; give each one's wall time in milliseconds.

        Raises:
            BenchmarkError: The process died.
        """
        return [float(ms) for ms in self._ask({"texts": list(texts), "seconds": seconds})["ms"]]

    def _ask(self, request: dict[str, object]) -> dict[str, Any]:
        with contextlib.suppress(BrokenPipeError):  # told by what it does not answer
            print(json.dumps(request), file=self._requests, flush=True)
        return self._read()

    def _read(self) -> dict[str, Any]:
        line = self._answers.readline()
        if not line.endswith("\n"):  # nothing, or an answer cut short
            status = self._process.wait()
            raise BenchmarkError(f"{self.contender}: its process ended with status {status}: {self._last_words()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _last_words(self) -> str:
        self._errors.seek(0)
        lines = self._errors.read().decode("utf-8", errors="replace").splitlines()
        return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")


def worker_command(contender: str, models: Models, threads: int) -> list[str]:
    """Give the command line that serves one of `CONTENDERS`."""
    folders = ["--bundle", models.bundle.resolve(), "--checkpoint", models.checkpoint.resolve()]  # it runs in ROOT
    return [sys.executable, "-m", "benchmarks._worker", contender, *map(str, folders), "--threads", str(threads)]


@contextlib.contextmanager
def workers(commands: Mapping[str, Sequence[str]], threads: int) -> Iterator[list[Worker]]:
    """Start the contenders' processes, all at once, and end them whatever happens.

    Args:
        commands: What starts each contender, run in the project's root.
        threads: What the libraries that read it from the environment are told.

    Yields:
        The contenders, loaded, in the order of `commands`.

    Raises:
        BenchmarkError: One of them died while it loaded.
    """
    with contextlib.ExitStack() as stack:
        started = [stack.enter_context(_process(name, command, threads)) for name, command in commands.items()]
        for worker in started:
            worker.wait()
        yield started


@contextlib.contextmanager
def _process(contender: str, command: Sequence[str], threads: int) -> Iterator[Worker]:
    # A file: nobody reads a pipe while calls are timed, and a contender that fills one would stand still for ever.
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd=ROOT,
            env={**os.environ, **_settings(threads)},
            encoding="utf-8",
        )
        try:
            yield Worker(contender, process, errors)
        finally:
            process.kill()
            process.communicate()  # closes the pipes and waits


def _settings(threads: int) -> dict[str, str]:
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS")
    return {**dict.fromkeys(names, str(threads)), "TOKENIZERS_PARALLELISM": "true", "HF_HUB_OFFLINE": "1"}
