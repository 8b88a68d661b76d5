"""The classifier: texts in, labels, probabilities and embeddings out."""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Self, TypeVar, overload

import numpy as np
import numpy.typing as npt

from ._batching import plan_batches
from ._errors import InvalidText, UsageError
from ._manifest import EMBEDDING, PROBABILITIES, Manifest, Precision, Target, Variant
from ._processor import int8_is_fast
from ._session import Session
from ._tokenizer import Tokenizer

MAX_BATCH_TOKENS = 1024
"""Bound on texts x tokens in one run: bigger batches leave the processor's caches and gain nothing."""

MAX_TEXTS_AT_ONCE = 1024
"""How many texts are tokenized, sorted by length and answered together: bounds the memory of a long input."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answer to one text.

    Attributes:
        label: The most probable label.
        score: Its probability, 0 to 1.
        scores: The probability of every label, in the order of `Classifier.labels`.
    """

    label: str
    score: float
    scores: Mapping[str, float] = field(repr=False)

    def __repr__(self) -> str:
        return f"Prediction(label={self.label!r}, score={self.score:.4f})"


class Classifier:
    """A bundle, loaded: answers texts without torch.

    >>> clf = Classifier.load("bundle")  # doctest: +SKIP
    >>> clf("where is my parcel?")  # doctest: +SKIP
    Prediction(label='order_status', score=0.4120)
    """

    def __init__(self, manifest: Manifest, variant: Variant, tokenizer: Tokenizer, session: Session) -> None:
        """Put a classifier together from its parts; users call `Classifier.load`."""
        self.manifest = manifest
        self.variant = variant
        self._tokenizer = tokenizer
        self._session = session

    @classmethod
    def load(
        cls,
        bundle: str | Path,
        *,
        device: str = "auto",
        precision: str | None = None,
        threads: int | None = None,
    ) -> Self:
        """Load a bundle that `setfuse export` wrote. Each file is checked against its hash in the manifest.

        Args:
            bundle: The bundle folder.
            device: `cpu`, `cuda`, or `auto` for the CPU. CUDA graphs come with a later release.
            precision: `fp32`, `int8` or `fp16`; None takes the fastest that the bundle has for the device: int8 only
                on a processor that is known to be good at it.
            threads: Threads inside one run; None for as many processors as this process may use.

        Returns:
            The classifier. It may be called from several threads at once.

        Raises:
            UsageError: `device`, `precision` or `threads` is out of its range, or the device is not to be had.
            BundleError: The folder is no bundle, is damaged, is of a newer format, or has no such graph.
            MissingExtra: onnxruntime is not installed.
        """
        target = Target.CPU if device == "auto" else _choice(Target, "device", device, "auto")
        wanted = None if precision is None else _choice(Precision, "precision", precision)
        folder = Path(bundle)
        manifest = Manifest.read(folder)
        variant = manifest.variant(precision=wanted, target=target, int8_is_fast=int8_is_fast())
        tokenizer = Tokenizer(manifest.tokenizer.read(folder), manifest.max_length)
        session = Session(variant.file.read(folder), variant, threads=threads)
        return cls(manifest, variant, tokenizer, session)

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the labels, in the order of the columns of `predict_proba`."""
        return self.manifest.labels

    @property
    def max_length(self) -> int:
        """Tokens of the longest text, special tokens included; what is longer is cut."""
        return self.manifest.max_length

    def __repr__(self) -> str:
        return f"Classifier({self.variant}, labels={list(self.labels)})"

    @overload
    def __call__(self, texts: str) -> Prediction: ...  # type: ignore[overload-overlap]  # a str is iterable, too
    @overload
    def __call__(self, texts: Iterable[str]) -> list[Prediction]: ...
    def __call__(self, texts: str | Iterable[str]) -> Prediction | list[Prediction]:
        """Classify one text, or a list of texts.

        Args:
            texts: One text gives one `Prediction`; a list, a pandas Series or a numpy array of texts gives a list.

        Raises:
            InvalidText: Something among them is no string.
        """
        if isinstance(texts, str):
            return self._predictions(self._answer([texts], PROBABILITIES))[0]
        return self._predictions(self._answer(_texts(texts), PROBABILITIES))

    def predict(self, texts: Iterable[str]) -> list[str]:
        """Give the most probable label of each text.

        Raises:
            InvalidText: `texts` is one string, or something among them is none.
        """
        columns = self.predict_proba(texts).argmax(axis=1)
        return [self.labels[column] for column in columns]

    def predict_proba(self, texts: Iterable[str]) -> npt.NDArray[np.float32]:
        """Give the probability of every label for each text.

        Returns:
            float32 (texts, labels); columns in the order of `labels`, rows in the order of `texts`.

        Raises:
            InvalidText: `texts` is one string, or something among them is none.
        """
        return self._answer(_texts(texts), PROBABILITIES)

    def embed(self, texts: Iterable[str]) -> npt.NDArray[np.float32]:
        """Give the embedding of each text: what the body's last module puts out, and the head sees.

        Returns:
            float32 (texts, dim), rows in the order of `texts`.

        Raises:
            InvalidText: `texts` is one string, or something among them is none.
        """
        return self._answer(_texts(texts), EMBEDDING)

    def stream(self, texts: Iterable[str]) -> Iterator[Prediction]:
        """Classify any number of texts in bounded memory.

        Args:
            texts: Any iterable; read `MAX_TEXTS_AT_ONCE` at a time.

        Yields:
            One prediction a text, in the order of `texts`.

        Raises:
            InvalidText: `texts` is one string, or something among them is none.
        """
        iterator = _iterator(texts)
        for first in itertools.count(step=MAX_TEXTS_AT_ONCE):
            chunk = _texts(itertools.islice(iterator, MAX_TEXTS_AT_ONCE), first)
            if not chunk:
                return
            yield from self._predictions(self._answer(chunk, PROBABILITIES))

    def _answer(self, texts: list[str], output: str) -> npt.NDArray[np.float32]:
        width = self.manifest.embedding_dim if output == EMBEDDING else len(self.labels)
        answers = np.empty((len(texts), width), dtype=np.float32)
        for start in range(0, len(texts), MAX_TEXTS_AT_ONCE):
            token_ids = self._tokenizer.encode(texts[start : start + MAX_TEXTS_AT_ONCE])
            for batch in plan_batches([len(ids) for ids in token_ids], MAX_BATCH_TOKENS):
                (rows,) = self._session.run(np.stack([token_ids[index] for index in batch]), (output,))
                answers[[start + index for index in batch]] = rows
        return answers

    def _predictions(self, probabilities: npt.NDArray[np.float32]) -> list[Prediction]:
        predictions = []
        for row in probabilities.tolist():
            scores = dict(zip(self.labels, row, strict=True))
            score = max(row)
            predictions.append(Prediction(label=self.labels[row.index(score)], score=score, scores=scores))
        return predictions


_Choice = TypeVar("_Choice", bound=StrEnum)

_ONE_STRING = "expected a list of texts, got one string: pass [text], or call the classifier itself with it"


def _iterator(texts: Iterable[str]) -> Iterator[str]:
    if isinstance(texts, str):
        raise InvalidText(_ONE_STRING)
    if not isinstance(texts, Iterable):
        raise InvalidText(f"expected a text or a list of texts, got {type(texts).__name__}")
    return iter(texts)


def _texts(texts: Iterable[str], first: int = 0) -> list[str]:
    result = list(_iterator(texts))
    for index, text in enumerate(result, start=first):
        if not isinstance(text, str):
            raise InvalidText(f"text {index}: expected a string, got {type(text).__name__} ({text!r:.60})")
    return result


def _choice(kind: type[_Choice], name: str, value: str, *others: str) -> _Choice:
    try:
        return kind(value)
    except ValueError as error:
        expected = ", ".join([*others, *kind])
        raise UsageError(f"{name}: expected one of {expected}, got {value!r}") from error
