"""One output of a graph beside what the checkpoint answers: what the explanations work on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ._batches import Batch, BatchMaker
from ._reference import Pooled, Recipe, Reference, Tokens
from ._roles import FloatArray, InputRole, OutputRole
from ._subject import Output, Subject, Values


@dataclass(frozen=True, slots=True)
class Case:
    """An output's values, and the checkpoint's.

    Attributes:
        subject: The graph.
        roles: What its inputs are fed with.
        output: Which output.
        tolerance: Largest difference that counts as equal.
        texts: The texts compared on.
        own: Makes batches as the checkpoint does; the graph's own are made by `subject.maker`.
        expected: float64 (texts, labels) or (texts, dim), the checkpoint's answers.
        alone: The graph's, each text by itself.
        in_batch: The graph's in batches: padded where it has a mask, beside a text of the same length where not.
        is_padded: Which of the two `in_batch` is.
        batches: What `alone` was run on.
        padded: What `in_batch` was run on, where it is padded.
        on_own_embedding: Whether `expected` is what the head answers to the graph's own embedding.
    """

    subject: Subject
    roles: Mapping[str, InputRole]
    output: Output
    tolerance: float
    texts: Sequence[str]
    own: BatchMaker
    expected: FloatArray
    alone: Values
    in_batch: Values
    is_padded: bool
    batches: Sequence[Batch]
    padded: Sequence[Batch]
    on_own_embedding: bool = False

    @property
    def reference(self) -> Reference:
        """The checkpoint, taken apart."""
        return self.subject.reference

    @property
    def ran(self) -> npt.NDArray[np.bool_]:
        """Whether the graph answered each text, (texts,)."""
        ran: npt.NDArray[np.bool_] = np.logical_not(np.isnan(self.alone.rows).any(axis=1))
        return ran

    def predict(self, tokens: Sequence[Tokens], recipe: Recipe) -> FloatArray | None:
        """Give what the output would hold, were the graph made by a recipe; None if its parts do not fit together."""
        return self.predict_from(self.reference.pool(tokens, recipe), recipe)

    def predict_from(self, pooled: Pooled, recipe: Recipe) -> FloatArray | None:
        """The same from what the pooling gives."""
        embedding = self.reference.finish(pooled, recipe)
        if embedding is None:
            return None
        if self.output.role is not OutputRole.SCORES:
            result: FloatArray = embedding.astype(np.float64)
            return result
        if embedding.shape[1] != self.reference.dim:
            return None
        return self.reference.classify(embedding).astype(np.float64)

    def difference(self, found: FloatArray, expected: FloatArray) -> float:
        """Largest absolute difference on the texts that the graph answered."""
        if found.shape != expected.shape:
            return float(np.inf)
        both = ~np.isnan(found).any(axis=1)
        return float(np.abs(found[both] - expected[both]).max()) if both.any() else float(np.inf)

    def lengths(self) -> npt.NDArray[np.int64]:
        """Tokens of each text, as the graph got it, padding apart; (texts,)."""
        return np.asarray([int(batch.mask.sum()) for batch in self.batches])
