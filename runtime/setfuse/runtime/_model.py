"""A bundle's tokenizer and graph together: texts to rows of numbers."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ._batching import plan_batches
from ._counters import Counters
from ._engine import Runs
from ._errors import SetfuseError
from ._manifest import Manifest
from ._tracing import span
from ._variant import EMBEDDING

if TYPE_CHECKING:
    from ._tokenizer import Tokenizer

MAX_TEXTS_AT_ONCE = 1024
"""How many texts are tokenized, sorted by length and answered together: bounds the memory of a long input."""


class Model:
    """What answers texts. Threads may share it: the tokenizer and the session may be called from several at once."""

    def __init__(
        self, manifest: Manifest, tokenizer: "Tokenizer", graph: Runs, counters: Counters, max_batch_tokens: int
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

    def answer(self, texts: Sequence[str], output: str, first: int = 0) -> npt.NDArray[np.float32]:
        """Answer texts, in batches of equal length.

        Args:
            texts: Any strings.
            output: Which of the graph's outputs.
            first: The number of the first text, for messages.

        Returns:
            float32 (texts, width of the output), rows in the order of `texts`.

        Raises:
            BundleCorrupt: The tokenizer or the graph fails on a text; the message says on which.
        """
        width = self._manifest.embedding_dim if output == EMBEDDING else len(self._manifest.labels)
        answers = np.empty((len(texts), width), dtype=np.float32)
        for start in range(0, len(texts), MAX_TEXTS_AT_ONCE):
            token_ids = self._tokenize(texts[start : start + MAX_TEXTS_AT_ONCE], first + start)
            for batch in plan_batches([len(ids) for ids in token_ids], self._max_batch_tokens):
                rows = self._named_run(
                    [token_ids[index] for index in batch], output, [first + start + i for i in batch]
                )
                answers[[start + index for index in batch]] = rows
        return answers

    def run(
        self, token_ids: Sequence[npt.NDArray[np.int64]], output: str, links: Sequence[Any] = ()
    ) -> npt.NDArray[np.float32]:
        """Run the graph once.

        Args:
            token_ids: Of texts of equal length.
            output: Which of the graph's outputs.
            links: To the spans of those who asked.

        Returns:
            float32 (texts, width of the output).

        Raises:
            BundleCorrupt: The graph fails.
        """
        tokens = len(token_ids) * len(token_ids[0])
        with span("batch", links, texts=len(token_ids), tokens=tokens):
            try:
                (rows,) = self._graph.run(np.stack(token_ids), (output,))
            except BaseException:
                self.counters.add(batches=1, failed=1)
                raise
        self.counters.add(texts=len(token_ids), tokens=tokens, batches=1)
        return rows

    def _tokenize(self, texts: Sequence[str], first: int) -> list[npt.NDArray[np.int64]]:
        try:
            return self.tokenizer.encode(texts)
        except SetfuseError as error:
            if len(texts) == 1:
                raise name_text(error, first) from error
        # Which of them it was shows when each is alone.
        return [self._tokenize([text], number)[0] for number, text in enumerate(texts, start=first)]

    def _named_run(
        self, token_ids: Sequence[npt.NDArray[np.int64]], output: str, numbers: Sequence[int]
    ) -> npt.NDArray[np.float32]:
        try:
            return self.run(token_ids, output)
        except SetfuseError as error:
            if len(token_ids) == 1:
                raise name_text(error, numbers[0]) from error
        # Which of them it was shows when each runs alone.
        pairs = zip(token_ids, numbers, strict=True)
        return np.concatenate([self._named_run([ids], output, [number]) for ids, number in pairs])


def name_text(error: Exception, number: int) -> Exception:
    """Say of which text an error is; errors that are not our own stay what they are."""
    return type(error)(f"text {number}: {error}") if isinstance(error, SetfuseError) else error
