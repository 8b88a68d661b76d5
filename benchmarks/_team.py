"""The contenders' processes, loaded once for many measurements."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from ._environment import usable_cores
from ._errors import ContenderFailed
from ._process import Limits, Worker, start
from ._runner import Roster
from ._workers import Workers


@dataclass(frozen=True, slots=True)
class ColdStart:
    """From nothing to the first label.

    Attributes:
        seconds: From the start of the process.
        peak_rss_mb: Its largest resident memory until then, 10^6 bytes.
    """

    seconds: float
    peak_rss_mb: float


class Team(Workers):
    """Processes of many contenders that are loaded side by side."""

    def __init__(self, commands: Mapping[str, Sequence[str]], threads: int, limits: Limits) -> None:
        """Start nothing yet.

        Args:
            commands: What starts each contender.
            threads: What each is told.
            limits: How long each may take.
        """
        super().__init__(threads)
        self._commands = commands
        self._limits = limits

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
                    worker = self.begin(self._commands[name], self._limits)
                    waiting[name] = worker, pool.submit(self._load, worker, slots)
                for name, (worker, loaded) in waiting.items():
                    try:
                        loaded.result()
                        self._workers[name] = worker
                    except ContenderFailed as error:
                        roster.fail(name, str(error))
                    tick()
            except BaseException:
                self.close()  # the pool waits for its threads, and they for processes
                raise

    def cold_start(self, contender: str, text: str) -> ColdStart:
        """Start one more process of a contender, have it label a text, and end it."""
        begun = time.perf_counter()
        with start(self._commands[contender], self._threads, self._limits) as worker:
            worker.wait()
            worker.labels([text])
            seconds = time.perf_counter() - begun
            return ColdStart(seconds, worker.memory()[1])

    def _load(self, worker: Worker, slots: threading.Semaphore) -> None:
        try:
            self.ready(worker)
        finally:
            slots.release()
