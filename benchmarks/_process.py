"""A contender's process, seen from outside: start it, ask it, stop it while others work, end it."""

import contextlib
import json
import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import numpy.typing as npt

from ._contenders import Models
from ._errors import ContenderFailed
from ._files import ROOT

END_S = 5
"""Seconds that a process may take to end by itself once it answers no more."""

CHUNK = 256
"""Texts a request where all of them are labelled: so that a limit on a call means the same for any number of texts."""

_THREAD_SETTINGS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS")


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a contender may take before it is killed.

    Attributes:
        load_s: From the start of its process until its model is loaded.
        call_s: For an answer, beyond what it was asked to spend.
    """

    load_s: float = 600
    call_s: float = 120


DEFAULT_LIMITS = Limits()


class Worker:
    """A contender in its process; it speaks the protocol of `_worker`. Only while it is asked does it run.

    Between two requests the whole process group is stopped, so that no thread of it that waits in a loop takes a
    processor from the others. Every method raises ContenderFailed where the process died, did not answer in time, or
    gave something that is no answer.
    """

    def __init__(self, process: "subprocess.Popen[bytes]", errors: IO[bytes], limits: Limits) -> None:
        """Put it together from its parts; callers use `start`."""
        self._process = process
        self._errors = errors
        self._limits = limits
        self._unread = b""

    def wait(self) -> None:
        """Wait until the model is loaded."""
        self._read(self._limits.load_s)

    def labels(self, texts: Sequence[str]) -> list[str]:
        """Ask for the label of each text."""
        given: list[str] = []
        for start in range(0, len(texts), CHUNK):
            chunk = texts[start : start + CHUNK]
            labels = self.ask(0, do="labels", texts=list(chunk))["labels"]
            if not isinstance(labels, list) or len(labels) != len(chunk):
                raise ContenderFailed(f"expected {len(chunk)} labels, one a text, got {labels!r:.80}")
            given += map(str, labels)
        return given

    def probabilities(self, texts: Sequence[str]) -> npt.NDArray[np.float64] | None:
        """Ask for the probabilities (texts, labels); None where the contender has none."""
        given = []
        for start in range(0, len(texts), CHUNK):
            chunk = list(texts[start : start + CHUNK])
            rows = self.ask(0, do="probabilities", texts=chunk)["probabilities"]
            if rows is None:
                return None
            try:
                found = np.asarray(rows, dtype=np.float64)
            except ValueError as error:
                raise ContenderFailed(f"expected a probability for each label, got {rows!r:.80}") from error
            if found.ndim != 2 or len(found) != len(chunk):
                raise ContenderFailed(f"expected probabilities of {len(chunk)} texts, got an array of {found.shape}")
            given.append(found)
        return np.concatenate(given)

    def repeat(self, texts: Sequence[str], seconds: float, calls: int) -> list[float]:
        """Have a call repeated for some seconds, and so often at least; give each one's wall time in milliseconds."""
        return self.milliseconds(self.ask(seconds, do="repeat", texts=list(texts), seconds=seconds, calls=calls))

    def each(self, texts: Sequence[str]) -> list[float]:
        """Have the texts labelled one after the other; give the wall time of each in milliseconds."""
        return self.milliseconds(self.ask(0, do="each", texts=list(texts)))

    def arrivals(self, texts: Sequence[str], at_s: Sequence[float]) -> list[float]:
        """Have texts arrive at given seconds; give the milliseconds from the arrival of each to its answer."""
        return self.milliseconds(self.ask(at_s[-1], do="arrivals", texts=list(texts), at_s=list(at_s)))

    def once(self, texts: Sequence[str]) -> tuple[float, float]:
        """Have all texts labelled in one call; give wall seconds and CPU-seconds of all its threads."""
        answer = self.ask(0, do="once", texts=list(texts))
        return float(answer["s"]), float(answer["cpu_s"])

    def idle(self, texts: Sequence[str]) -> float:
        """Give the CPU-milliseconds that it burns in the second after a call."""
        return float(self.ask(0, do="idle", texts=list(texts))["cpu_ms"])

    def memory(self) -> tuple[float, float]:
        """Give its resident memory now and at most so far, in megabytes (10^6)."""
        answer = self.ask(0, do="memory")
        return float(answer["rss_mb"]), float(answer["peak_rss_mb"])

    def pause(self) -> None:
        """Stop the process until it is asked again."""
        self._signal(signal.SIGSTOP)

    @staticmethod
    def milliseconds(answer: Mapping[str, Any]) -> list[float]:
        """Read the times of an answer, in milliseconds."""
        times = [float(ms) for ms in answer["ms"]]
        if not times or not all(ms > 0 for ms in times):
            raise ContenderFailed(f"expected times above 0 ms, got {times!r:.80}")
        return times

    def ask(self, spend_s: float, /, **request: object) -> dict[str, Any]:
        """Send a request and give its answer.

        Args:
            spend_s: How long it was asked to spend, in seconds.
            request: As the table in `_worker` has it.

        Raises:
            ContenderFailed: As every method; also where the answer is {"failed": reason}, which leaves it alive.
        """
        self._signal(signal.SIGCONT)
        with contextlib.suppress(BrokenPipeError):  # told by what it does not answer
            requests = cast("IO[bytes]", self._process.stdin)
            requests.write(json.dumps(request).encode() + b"\n")
            requests.flush()
        answer = self._read(self._limits.call_s + spend_s)
        self.pause()
        if "failed" in answer:
            raise ContenderFailed(str(answer["failed"]))
        return answer

    def _read(self, seconds: float) -> dict[str, Any]:
        answers = cast("IO[bytes]", self._process.stdout).fileno()
        end = time.monotonic() + seconds
        while b"\n" not in self._unread:
            if not select.select([answers], [], [], max(0.0, end - time.monotonic()))[0]:
                self._signal(signal.SIGKILL)
                raise ContenderFailed(f"no answer within {seconds:.1f} s: killed")
            piece = os.read(answers, 1 << 20)
            if not piece:  # nothing, or an answer cut short
                with contextlib.suppress(subprocess.TimeoutExpired):  # it may hang at its end, too
                    self._process.wait(END_S)
                self._signal(signal.SIGKILL)
                status = self._process.wait()
                raise ContenderFailed(f"its process ended with status {status}: {self._last_words()}")
            self._unread += piece
        line, _, self._unread = self._unread.partition(b"\n")
        try:
            answer = json.loads(line)
        except ValueError as error:
            raise ContenderFailed(f"expected an answer in JSON, got {line!r:.80}") from error
        if not isinstance(answer, dict):
            raise ContenderFailed(f"expected an answer, got {answer!r:.80}")
        return answer

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def _last_words(self) -> str:
        self._errors.seek(0)
        lines = self._errors.read().decode("utf-8", errors="replace").splitlines()
        return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")


def worker_command(python: str, contender: str, models: Models, threads: int) -> list[str]:
    """Give the command line that serves one of `CONTENDERS`."""
    paths = {"bundle": models.bundle, "checkpoint": models.checkpoint, "artefacts": models.artefacts}
    return serve_command(python, "benchmarks._worker", contender, paths | {"train": models.train}, threads)


def serve_command(
    python: str, module: str, contender: str, paths: Mapping[str, Path | None], threads: int
) -> list[str]:
    """Give the command line of a module that serves a contender.

    Args:
        python: The interpreter.
        module: Run in the project's root.
        contender: Its name.
        paths: By the option that takes each; without those that are None.
        threads: What it is told.
    """
    given = [part for name, path in paths.items() if path is not None for part in (f"--{name}", str(path.resolve()))]
    return [python, "-m", module, contender, *given, "--threads", str(threads)]


@contextlib.contextmanager
def start(command: Sequence[str], threads: int, limits: Limits) -> Iterator[Worker]:
    """Start a contender's process, and end it with all that it started, whatever happens.

    Args:
        command: What starts it, run in the project's root.
        threads: What the libraries that read it from the environment are told.
        limits: How long it may take.

    Yields:
        The contender, which may be still loading: see `Worker.wait`.
    """
    # A file: nobody reads a pipe while calls are timed, and a contender that fills one would stand still for ever.
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd=ROOT,
            # Modules are compiled once, as those of an installed package are: no contender starts by compiling its own.
            env=child_environment(threads) | {"PYTHONDONTWRITEBYTECODE": ""},
            start_new_session=True,  # a process group of its own, to be stopped and ended as one
        )
        try:
            yield Worker(process, errors, limits)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()  # closes the pipes and waits


def child_environment(threads: int) -> dict[str, str]:
    """Give this process's environment with every library told the same number of threads, and none to ask the Hub."""
    settings = dict.fromkeys(_THREAD_SETTINGS, str(threads))
    return {**os.environ, **settings, "TOKENIZERS_PARALLELISM": "true", "HF_HUB_OFFLINE": "1"}
