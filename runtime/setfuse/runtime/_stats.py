"""What a classifier has done, in numbers that a service can publish."""

import threading
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stats:
    """Counts since the classifier was loaded (in a forked process: since the fork); `waiting` is of this moment.

    Attributes:
        texts: Texts that the graph answered.
        tokens: Their tokens, special ones included.
        batches: Runs of the graph.
        failed: Runs that failed.
        queued: Texts of asyncio's callers that left the queue to be answered.
        queue_seconds: How long these waited, all together, in seconds.
        waiting: Texts in the queue.
        rejected: Texts that found it full.
        cancelled: Texts whose callers gave up before they were begun.
        expired: Texts whose deadline passed before they were begun.
    """

    texts: int = 0
    tokens: int = 0
    batches: int = 0
    failed: int = 0
    queued: int = 0
    queue_seconds: float = 0.0
    waiting: int = 0
    rejected: int = 0
    cancelled: int = 0
    expired: int = 0


class Counters:
    """What threads count together."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, float] = {}

    def add(self, **amounts: float) -> None:
        """Add to counts, named as in `Stats`."""
        with self._lock:
            for name, amount in amounts.items():
                self._counts[name] = self._counts.get(name, 0) + amount

    def snapshot(self) -> Stats:
        """Give the counts of one moment."""
        with self._lock:
            return Stats(**self._counts)  # type: ignore[arg-type]  # only seconds are added as fractions
