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
from ._bundle import Bundle
from ._errors import InvalidText, NoDecisionScores, NoProbabilities, UsageError
from ._manifest import Manifest, Task
from ._processor import int8_is_fast
from ._session import Session
from ._tokenizer import Tokenizer
from ._variant import EMBEDDING, Precision, Scores, Target, Variant

MAX_BATCH_TOKENS = 1024
"""Bound on texts x tokens in one run: bigger batches leave the processor's caches and gain nothing."""

MAX_TEXTS_AT_ONCE = 1024
"""How many texts are tokenized, sorted by length and answered together: bounds the memory of a long input."""

THRESHOLDS = {Scores.PROBABILITIES: 0.5, Scores.DECISION: 0.0}
"""The score above which a label applies, of several that may: where scikit-learn's own `predict` draws the line."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answer to one text.

    Attributes:
        label: The label with the highest score.
        score: Its probability, 0 to 1; of a bundle with decision scores, its decision score, which may be any number.
        scores: The score of every label, in the order of `Classifier.labels`.
        labels: The labels that apply: of a multi-label bundle, those with a probability above 0.5 (a decision score
            above 0), in the order of `Classifier.labels`, possibly none; of any other, `label` alone.
    """

    label: str
    score: float
    scores: Mapping[str, float] = field(repr=False)
    labels: tuple[str, ...]

    def __repr__(self) -> str:
        if self.labels != (self.label,):
            return f"Prediction(labels={self.labels!r}, label={self.label!r}, score={self.score:.4f})"
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
        revision: str | None = None,
    ) -> Self:
        """Load a bundle that `setfuse export` wrote. Each file is checked against its hash in the manifest.

        Args:
            bundle: The bundle folder; or, as a string, a Hub id like `org/name`, where there is no such folder. Of a
                bundle on the Hub only the files that are needed are downloaded, and found again without a network.
            device: `cpu`, `cuda`, or `auto` for the CPU. CUDA graphs come with a later release.
            precision: `fp32`, `int8` or `fp16`; None takes the fastest that the bundle has for the device: int8 only
                on a processor that is known to be good at it.
            threads: Threads inside one run; None for as many processors as this process may use.
            revision: A branch, tag or commit of a bundle on the Hub; None for the main branch.

        Returns:
            The classifier. It may be called from several threads at once.

        Raises:
            UsageError: `device`, `precision` or `threads` is out of its range, the device is not to be had, or
                `revision` is given for a folder.
            BundleError: It is no bundle, is damaged, is of a newer format, or has no such graph.
            HubError: The Hub gave the manifest but not the graph.
            MissingExtra: onnxruntime is not installed.
        """
        target = Target.CPU if device == "auto" else _choice(Target, "device", device, "auto")
        wanted = None if precision is None else _choice(Precision, "precision", precision)
        files = Bundle(bundle, revision)
        manifest = files.manifest
        variant = manifest.variant(precision=wanted, target=target, int8_is_fast=int8_is_fast())
        tokenizer = Tokenizer(files.read(manifest.tokenizer), manifest.max_length, manifest.prompt)
        session = Session(files.read(variant.file), variant, threads=threads)
        return cls(manifest, variant, tokenizer, session)

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the labels, in the order of the columns of `predict_proba` or `decision_function`."""
        return self.manifest.labels

    @property
    def task(self) -> Task:
        """Whether a text has one label or any number of them."""
        return self.manifest.task

    @property
    def max_length(self) -> int:
        """Tokens of the longest text, prompt and special tokens included; what is longer is cut."""
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
            return self._predictions(self._answer([texts], self.manifest.scores))[0]
        return self._predictions(self._answer(_texts(texts), self.manifest.scores))

    def predict(self, texts: Iterable[str]) -> list[str] | list[tuple[str, ...]]:
        """Give the label of each text, or, of a multi-label bundle, the labels.

        Returns:
            A `Prediction`'s `label` a text; of a multi-label bundle its `labels`.

        Raises:
            InvalidText: `texts` is one string, or something among them is none.
        """
        scores = self._answer(_texts(texts), self.manifest.scores)
        if self.task is Task.MULTI_LABEL:
            return [self._applying(row) for row in scores.tolist()]
        return [self.labels[column] for column in scores.argmax(axis=1)]

    def predict_proba(self, texts: Iterable[str]) -> npt.NDArray[np.float32]:
        """Give the probability of every label for each text.

        Returns:
            float32 (texts, labels); columns in the order of `labels`, rows in the order of `texts`.

        Raises:
            InvalidText: `texts` is one string, or something among them is none.
            NoProbabilities: The bundle's head gives decision scores.
        """
        if self.manifest.scores is not Scores.PROBABILITIES:
            head = self.manifest.provenance.get("head")
            named = f" ({head})" if isinstance(head, str) else ""
            raise NoProbabilities(
                f"predict_proba: expected a head with probabilities, but this bundle's{named} gives decision scores; "
                "call decision_function(texts), or calibrate the head and export it again"
            )
        return self._answer(_texts(texts), Scores.PROBABILITIES)

    def decision_function(self, texts: Iterable[str]) -> npt.NDArray[np.float32]:
        """Give the decision score of every label for each text: any number, the higher the more the label applies.

        Returns:
            float32 (texts, labels); columns in the order of `labels`, rows in the order of `texts`.

        Raises:
            InvalidText: `texts` is one string, or something among them is none.
            NoDecisionScores: The bundle's head gives probabilities.
        """
        if self.manifest.scores is not Scores.DECISION:
            raise NoDecisionScores(
                "decision_function: expected a head with decision scores, but this bundle's gives probabilities; "
                "call predict_proba(texts)"
            )
        return self._answer(_texts(texts), Scores.DECISION)

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
            yield from self._predictions(self._answer(chunk, self.manifest.scores))

    def _answer(self, texts: list[str], output: str) -> npt.NDArray[np.float32]:
        width = self.manifest.embedding_dim if output == EMBEDDING else len(self.labels)
        answers = np.empty((len(texts), width), dtype=np.float32)
        for start in range(0, len(texts), MAX_TEXTS_AT_ONCE):
            token_ids = self._tokenizer.encode(texts[start : start + MAX_TEXTS_AT_ONCE])
            for batch in plan_batches([len(ids) for ids in token_ids], MAX_BATCH_TOKENS):
                (rows,) = self._session.run(np.stack([token_ids[index] for index in batch]), (output,))
                answers[[start + index for index in batch]] = rows
        return answers

    def _predictions(self, scores: npt.NDArray[np.float32]) -> list[Prediction]:
        predictions = []
        for row in scores.tolist():
            score = max(row)
            label = self.labels[row.index(score)]
            applying = self._applying(row) if self.task is Task.MULTI_LABEL else (label,)
            named = dict(zip(self.labels, row, strict=True))
            predictions.append(Prediction(label=label, score=score, scores=named, labels=applying))
        return predictions

    def _applying(self, scores: list[float]) -> tuple[str, ...]:
        threshold = THRESHOLDS[self.manifest.scores]
        return tuple(label for label, score in zip(self.labels, scores, strict=True) if score > threshold)


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
