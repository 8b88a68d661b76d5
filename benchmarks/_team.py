"""The contenders' processes, loaded once for many measurements."""

import contextlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from ._environment import usable_cores
from ._errors import ContenderFailed
from ._process import Limits, Worker, start
from ._runner import Roster


@dataclass(frozen=True, slots=True)
class ColdStart:
    """From nothing to the first label.

    Attributes:
        seconds: From the start of the process.
        peak_rss_mb: Its largest resident memory until then, 10^6 bytes.
    """

    seconds: float
    peak_rss_mb: float


class Team:
    """Processes of many contenders that were told the same number of threads. One works at a time: see `Worker`."""

    def __init__(self, commands: Mapping[str, Sequence[str]], threads: int, limits: Limits) -> None:
        """Start nothing yet.

        Args:
            commands: What starts each contender.
            threads: What each is told.
            limits: How long each may take.
        """
        self._commands = commands
        self._threads = threads
        self._limits = limits
        self._workers: dict[str, Worker] = {}
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    def __getitem__(self, contender: str) -> Worker:
        return self._workers[contender]

    def load(self, roster: Roster, tick: Callable[[], object]) -> None:
        """Load those that are in the run and not loaded yet, as many at a time as there are processors.

        Those that cannot be loaded are taken out of the run.
        """
        missing = [name for name in roster.running if name not in self._workers]
        slots = threading.Semaphore(usable_cores())
        waiting: dict[str, tuple[Worker, Future[None]]] = {}
        with ThreadPoolExecutor(max_workers=usable_cores()) as pool:
            try:
                for name in missing:
                    slots.acquire()
                    # Started in this thread, and only waited for in the others: a worker ends with its parent's thread.
                    worker = self._stack.enter_context(start(self._commands[name], self._threads, self._limits))
                    waiting[name] = worker, pool.submit(_wait, worker, slots)
                for name, (worker, loaded) in waiting.items():
                    try:
                        loaded.result()
                        self._workers[name] = worker
                    except ContenderFailed as error:
                        roster.fail(name, str(error))
                    tick()
            except BaseException:
                self._stack.close()  # the pool waits for its threads, and they for processes
                raise

    def cold_start(self, contender: str, text: str) -> ColdStart:
        """Start one more process of a contender, have it label a text, and end it."""
        begun = time.perf_counter()
        with start(self._commands[contender], self._threads, self._limits) as worker:
            worker.wait()
            worker.labels([text])
            seconds = time.perf_counter() - begun
            return ColdStart(seconds, worker.memory()[1])


def _wait(worker: Worker, slots: threading.Semaphore) -> None:
    try:
        worker.wait()
        worker.pause()
    finally:
        slots.release()
