"""A graph as a model runs it on the CPU: several runs at once, of one thread each; or a long one alone, on all."""

import threading
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ._batching import plan_batches, useful_workers
from ._engine import Runs
from ._errors import SetfuseError
from ._log import log

WIDE_TOKENS = 128
"""From so many tokens on, a run is faster on all threads than on one: below, they wait for each other too often.

Measured with bge-small on two processors; larger models may gain earlier.
"""


class Runner(Protocol):
    """A graph on some device: it knows which texts are best run together there. Threads may share it.

    Attributes:
        workers: How many runs at once are worth it.
    """

    workers: int

    def plan(self, lengths: Sequence[int], max_tokens: int) -> list[list[int]]:
        """Group texts of so many tokens into runs of at most `max_tokens`: their indices, the longest texts first."""

    def bucket(self, length: int) -> int:
        """Tell with which others a text of so many tokens can share a run: those of the same bucket."""

    def take(self, bucket: int, waiting: int, max_tokens: int) -> int:
        """Tell how many of the texts of a bucket that wait, at least 1, are best run together, in `max_tokens`."""

    def goes_wide(self, tokens: int) -> bool:
        """Tell whether a run of so many tokens takes all that there is, if it is alone."""

    def run(self, token_ids: Sequence[npt.NDArray[np.int64]], output: str, *, alone: bool) -> npt.NDArray[np.float32]:
        """Run one batch of texts.

        Args:
            token_ids: Of each text; of a run that was planned, or of one bucket.
            output: Which of the scores and `sentence_embedding` to compute.
            alone: Whether the caller has nothing else to run at the same time.

        Returns:
            float32 (texts, width of the output).
        """


class Graph:
    """Runs a graph, in batches of equal length, without padding. Threads may share it.

    Where several runs at once are faster than one on all threads, a run has one thread. Only a run that is alone and
    long has them all: for these the graph is loaded a second time, when the first of them comes.
    """

    def __init__(self, usual: Runs, load_wide: Callable[[], Runs], name: str, *, workers: int) -> None:
        """Take the graph.

        Args:
            usual: The graph, for runs of one thread each; with one worker, on all threads.
            load_wide: Loads it for runs on all threads.
            name: For messages.
            workers: How many runs at once are worth it.
        """
        self.workers = workers
        self._usual = usual
        self._load_wide = load_wide
        self._name = name
        self._lock = threading.Lock()
        self._wide: Runs | None = None

    def plan(self, lengths: Sequence[int], max_tokens: int) -> list[list[int]]:
        """Group texts into runs, small enough that all workers have some: their indices, the longest texts first."""
        tokens = sum(lengths)
        share = -(-tokens // useful_workers(tokens, self.workers))
        return plan_batches(lengths, min(max_tokens, share))

    def bucket(self, length: int) -> int:
        """Give the length: nothing is padded, so only texts of equal length share a run."""
        return length

    def take(self, bucket: int, waiting: int, max_tokens: int) -> int:
        """Tell how many of the texts of a length that wait may share a run."""
        return min(waiting, max(1, max_tokens // max(1, bucket)))

    def goes_wide(self, tokens: int) -> bool:
        """Tell whether a run of so many tokens has all threads, if it is alone."""
        return self.workers > 1 and tokens >= WIDE_TOKENS

    def run(self, token_ids: Sequence[npt.NDArray[np.int64]], output: str, *, alone: bool) -> npt.NDArray[np.float32]:
        """Run one batch of texts that all have the same number of tokens.

        Args:
            token_ids: Of each text.
            output: Which of the scores and `sentence_embedding` to compute.
            alone: Whether the caller has nothing else to run at the same time.

        Returns:
            float32 (texts, width of the output).
        """
        input_ids = np.array(token_ids)
        graph = self._on_all_threads() if alone and self.goes_wide(input_ids.size) else self._usual
        (rows,) = graph.run(input_ids, (output,))
        return rows

    def _on_all_threads(self) -> Runs:
        with self._lock:
            if self._wide is None:
                try:
                    self._wide = self._load_wide()
                except (SetfuseError, OSError) as error:  # the bundle's files may be others by now
                    message = f"long texts go on with one thread, as the graph cannot be loaded again: {error}"
                    log(message, self._name, warning=True)
                    self._wide = self._usual
            return self._wide
