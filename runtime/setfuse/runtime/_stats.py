"""What a classifier has done, in numbers that a service can publish."""

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
        rejected: Texts that were refused, as it was full; later texts of `classify_many` wait and do not count.
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
