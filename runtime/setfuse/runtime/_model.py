"""A bundle's tokenizer and graph together: texts to rows of numbers."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ._batching import useful_workers
from ._counters import Counters
from ._errors import DeviceUnavailable, SetfuseError
from ._graph import Runner
from ._manifest import Manifest
from ._tracing import span
from ._variant import EMBEDDING
from ._workers import Workers

if TYPE_CHECKING:
    from ._tokenizer import Tokenizer

Progress = Callable[[int], object]
"""Called with the number of texts that are done, in the thread of the call."""

MAX_TEXTS_AT_ONCE = 1024
"""How many texts are tokenized, sorted by length and answered together: bounds the memory of a long input."""


class Model:
    """What answers texts. Threads may share it: the tokenizer and the session may be called from several at once."""

    def __init__(
        self, manifest: Manifest, tokenizer: "Tokenizer", graph: Runner, counters: Counters, max_batch_tokens: int
    ) -> None:
        """Put the parts together.

        Args:
            manifest: It knows the widths of the outputs.
            tokenizer: Texts to ids.
            graph: Ids to rows.
            counters: Where runs are counted.
            max_batch_tokens: Upper bound on texts x tokens in one run.
        """
        self.tokenizer = tokenizer
        self.counters = counters
        self._graph = graph
        self._manifest = manifest
        self._max_batch_tokens = max_batch_tokens
        self._workers = Workers(graph.workers)

    def answer(
        self, texts: Sequence[str], output: str, first: int = 0, progress: Progress | None = None
    ) -> npt.NDArray[np.float32]:
        """Answer texts, in the batches that suit the device, several at a time.

        Args:
            texts: Any strings.
            output: Which of the graph's outputs.
            first: The number of the first text, for messages and for `progress`.
            progress: Told how many texts are done, those before `first` included.

        Returns:
            float32 (texts, width of the output), rows in the order of `texts`.

        Raises:
            BundleCorrupt: The tokenizer or the graph fails on a text; the message says on which.
        """
        if len(texts) == 1:
            return self._answer_one(texts, output, first, progress)
        width = self._manifest.embedding_dim if output == EMBEDDING else len(self._manifest.labels)
        answers = np.empty((len(texts), width), dtype=np.float32)
        for start in range(0, len(texts), MAX_TEXTS_AT_ONCE):
            chunk = slice(start, start + MAX_TEXTS_AT_ONCE)
            self._answer_chunk(texts[chunk], output, first + start, answers[chunk], progress)
        return answers

    def _answer_one(
        self, texts: Sequence[str], output: str, first: int, progress: Progress | None
    ) -> npt.NDArray[np.float32]:
        # What `_answer_chunk` does for many: there is nothing to plan, and no order to restore.
        try:
            answers = self.run(self.tokenizer.encode(texts), output)
        except SetfuseError as error:
            raise name_text(error, first) from error
        if progress is not None:
            progress(first + 1)
        return answers

    def _answer_chunk(
        self,
        texts: Sequence[str],
        output: str,
        first: int,
        answers: npt.NDArray[np.float32],
        progress: Progress | None,
    ) -> None:
        token_ids = self._tokenize(texts, first)
        done: list[int] = []

        def answer(batch: list[int], *, alone: bool = False) -> None:
            numbers = [first + index for index in batch]
            answers[batch] = self._named_run([token_ids[index] for index in batch], output, numbers, alone=alone)
            done.append(len(batch))

        def tell() -> None:
            if progress is not None and sum(done) < len(texts):
                progress(first + sum(done))

        lengths = [len(ids) for ids in token_ids]
        left = sum(lengths)
        batches = self._graph.plan(lengths, self._max_batch_tokens)
        # The others would wait for a run that takes longer than all of them: it goes first, on all threads.
        while batches and self._graph.goes_wide(size := sum(lengths[index] for index in batches[0])):
            if size * (self._workers.count - 1) <= 2 * (left - size):
                break
            answer(batches.pop(0), alone=True)
            tell()
            left -= size
        self._workers.do(batches, answer, tell, useful_workers(left, self._workers.count))
        if progress is not None:
            progress(first + len(texts))

    def run(
        self, token_ids: Sequence[npt.NDArray[np.int64]], output: str, links: Sequence[Any] = (), *, alone: bool = True
    ) -> npt.NDArray[np.float32]:
        """Run the graph once.

        Args:
            token_ids: Of texts of one bucket.
            output: Which of the graph's outputs.
            links: To the spans of those who asked.
            alone: Whether the caller has nothing else to run at the same time.

        Returns:
            float32 (texts, width of the output).

        Raises:
            BundleCorrupt: The graph fails.
        """
        tokens = sum(map(len, token_ids))
        with span("batch", links, texts=len(token_ids), tokens=tokens):
            try:
                rows = self._graph.run(token_ids, output, alone=alone)
            except BaseException:
                self.counters.add(batches=1, failed=1)
                raise
        self.counters.add(texts=len(token_ids), tokens=tokens, batches=1)
        return rows

    def bucket(self, token_ids: npt.NDArray[np.int64]) -> int:
        """Tell with which others a text can share a run: those of the same bucket."""
        return self._graph.bucket(len(token_ids))

    def take(self, bucket: int, waiting: int) -> int:
        """Tell how many of the texts of a bucket that wait, at least 1, are best run together."""
        return self._graph.take(bucket, waiting, self._max_batch_tokens)

    def _tokenize(self, texts: Sequence[str], first: int) -> list[npt.NDArray[np.int64]]:
        try:
            return self.tokenizer.encode(texts)
        except SetfuseError as error:
            if len(texts) == 1:
                raise name_text(error, first) from error
        # Which of them it was shows when each is alone.
        return [self._tokenize([text], number)[0] for number, text in enumerate(texts, start=first)]

    def _named_run(
        self, token_ids: Sequence[npt.NDArray[np.int64]], output: str, numbers: Sequence[int], *, alone: bool
    ) -> npt.NDArray[np.float32]:
        try:
            return self.run(token_ids, output, alone=alone)
        except DeviceUnavailable:  # no text is to blame
            raise
        except SetfuseError as error:
            if len(token_ids) == 1:
                raise name_text(error, numbers[0]) from error
        # Which of them it was shows when each runs alone.
        pairs = zip(token_ids, numbers, strict=True)
        return np.concatenate([self._named_run([ids], output, [number], alone=alone) for ids, number in pairs])


def name_text(error: Exception, number: int) -> Exception:
    """Say of which text an error is; one that is not our own, or that no text is to blame for, stays what it is."""
    blames = isinstance(error, SetfuseError) and not isinstance(error, DeviceUnavailable)
    return type(error)(f"text {number}: {error}") if blames else error
