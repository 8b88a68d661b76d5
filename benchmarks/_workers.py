"""Contenders' processes that are told the same number of threads and ended together."""

import contextlib
from collections.abc import Sequence

from ._process import Limits, Worker, start


class Workers(contextlib.ExitStack):
    """The processes by their contenders' names; all end with the block. One works at a time: see `Worker`."""

    def __init__(self, threads: int) -> None:
        """Start nothing yet.

        Args:
            threads: What each is told.
        """
        super().__init__()
        self._threads = threads
        self._workers: dict[str, Worker] = {}

    def __getitem__(self, contender: str) -> Worker:
        return self._workers[contender]

    def begin(self, command: Sequence[str], limits: Limits) -> Worker:
        """Start a process, and do not wait until it is loaded.

        Args:
            command: What starts it.
            limits: How long it may take.
        """
        return self.enter_context(start(command, self._threads, limits))

    @staticmethod
    def ready(worker: Worker) -> None:
        """Wait until a process is loaded, and stop it until it is asked.

        Raises:
            ContenderFailed: It cannot be loaded.
        """
        worker.wait()
        worker.pause()
