"""The classifier: texts in, labels, probabilities and embeddings out."""

import itertools
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar, overload

import numpy as np
import numpy.typing as npt

from ._async_calls import AsyncCalls
from ._batching import Limits
from ._bundle import Bundle
from ._choice import Choice
from ._errors import NoDecisionScores, NoProbabilities, UsageError
from ._inputs import as_list, check_text, iterate
from ._manifest import Manifest, Task
from ._model import MAX_TEXTS_AT_ONCE, Progress
from ._prediction import Prediction, Rule, Threshold
from ._processor import processor_flags
from ._resident import Resident
from ._source import Source
from ._text import without_lone_surrogates
from ._tracing import span
from ._variant import EMBEDDING, Scores, Variant

if TYPE_CHECKING:
    from ._about import About
    from ._cuda_options import CudaOptions
    from ._explain import Explanation
    from ._stats import Stats

WARMUP_TEXTS = ("warm up", "a text of some thirty words " * 5, "word " * 200)
"""A short text, one of middling length, and one that is long enough for all threads."""


class Classifier(AsyncCalls):
    """A bundle, loaded: answers texts without torch.

    Threads may share it. A forked process loads the model anew, from the same files, when it first needs it; a pickle
    holds the arguments of `load`, and is loaded from there. `with` closes it at the end, as `close` does.

    >>> clf = Classifier.load("bundle")  # doctest: +SKIP
    >>> clf("where is my parcel?")  # doctest: +SKIP
    Prediction(label='order_status', score=0.4120)
    """

    def __init__(self, source: Source, bundle: Bundle, choice: Choice) -> None:
        """Load what was chosen; users call `Classifier.load`."""
        self.manifest: Manifest = bundle.manifest
        self.variant: Variant = choice.variant
        self._choice = choice
        self._source = source
        load = partial(source.load, bundle, self.manifest, choice)
        resident = Resident(load, f"the classifier of {source.bundle}", self.manifest.scores, source.limits)
        super().__init__(resident, Rule.make(self.manifest))

    @classmethod
    def load(
        cls,
        bundle: str | Path,
        *,
        device: str = "auto",
        precision: str | None = None,
        engine: str | None = None,
        threads: int | None = None,
        revision: str | None = None,
        max_batch_tokens: int | None = None,
        max_wait_ms: float = 5.0,
        max_queue: int = 1024,
        cuda: "CudaOptions | None" = None,
    ) -> Self:
        """Load a bundle that `setfuse export` wrote. Each file is checked against its hash in the manifest.

        Args:
            bundle: The bundle folder; or, as a string, a Hub id like `org/name`, where there is no such folder. Of a
                bundle on the Hub only the files that are needed are downloaded, and found again without a network.
            device: `cpu`, `cuda`, or `cuda:1` for the second GPU; or `auto`: a GPU where the bundle has a graph for it
                and package, driver and libraries are there, else the CPU. `about` says what was taken, and why. What is
                asked for by name is had or refused: nothing that was to run on a GPU runs on the CPU.
            precision: `fp32`, `int8` or `fp16`; None takes the fastest that the bundle has for the device: int8 only
                on a processor that is known to be good at it. Also `bf16`: the fp32 graph in OpenVINO, on a processor
                that multiplies bfloat16.
            engine: `onnxruntime`, `openvino` (on the CPU) or `tensorrt` (on a GPU): which library runs the graph. The
                files are the same. None takes onnxruntime, except for bf16, or where OpenVINO is the only one.
            threads: Threads at work for one call; None for as many processors as this process may use: its affinity
                mask, and no more than the quota of its container. A list is shared among so many, a text of 128 tokens
                or more is spread over them; a shorter one has one thread.
            revision: A branch, tag or commit of a bundle on the Hub; None for the main branch.
            max_batch_tokens: Upper bound on texts x tokens in one run; a longer text is a run of its own. None for
                256 on the CPU, and 16,384 on a GPU.
            max_wait_ms: Of `aclassify` and `classify_many`: for how long a text may be passed over for fuller batches
                while the graph is busy. While it is idle, nothing waits.
            max_queue: Of the same: how many texts may wait; more are refused with `Overloaded`.
            cuda: How a GPU is used; None for the defaults.

        Returns:
            The classifier. It may be called from several threads at once.

        Raises:
            UsageError: `device`, `precision`, `engine`, `threads` or a limit is out of its range, or `revision` is
                given for a folder.
            DeviceUnavailable: A GPU was asked for and cannot be used; the message says what is missing.
            DeviceOutOfMemory: The graph does not fit into what is left of the GPU's memory.
            BundleError: It is no bundle, is damaged, is of a newer format, or has no such graph.
            HubError: The Hub gave the manifest but not the graph.
            MissingExtra: The engine is not installed.
        """
        limits = Limits(max_batch_tokens, max_wait_ms, max_queue)
        source = Source(bundle, device, precision, engine, threads, revision, limits, cuda)
        return _load(cls, source)

    def __reduce__(self) -> tuple[object, ...]:
        return _load, (type(self), self._source)

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

    @property
    def about(self) -> "About":
        """What runs here, and why it was chosen."""
        from ._about import About  # not needed by a process that only predicts

        return About.of(self._choice, self._source.threads, processor_flags())

    @property
    def stats(self) -> "Stats":
        """What was done since the classifier was loaded; a closed one still tells."""
        return self._resident.counters.snapshot()

    def __repr__(self) -> str:
        return f"Classifier({self.variant}, labels={list(self.labels)})"

    @overload
    def __call__(  # type: ignore[overload-overlap]  # a str is iterable, too
        self, texts: str, *, abstain: float | None = None, threshold: Threshold | None = None
    ) -> Prediction: ...
    @overload
    def __call__(
        self, texts: Iterable[str], *, abstain: float | None = None, threshold: Threshold | None = None
    ) -> list[Prediction]: ...
    def __call__(
        self, texts: str | Iterable[str], *, abstain: float | None = None, threshold: Threshold | None = None
    ) -> Prediction | list[Prediction]:
        """Classify one text, or a list of texts.

        Args:
            texts: One text gives one `Prediction`; a list, a pandas Series or a numpy array of texts gives a list.
            abstain: A text whose highest score is below gets no label. Not of multi-label bundles.
            threshold: The score above which a label applies: one for all, or by label. Of multi-label bundles only;
                None, and labels that are not named, for 0.5 (decision scores: 0).

        Raises:
            InvalidText: Something among them is no string; the message says which.
            UsageError: `abstain` or `threshold` is out of its range, or not for this bundle.
            ClassifierClosed: `close` was called.
            BundleCorrupt: The graph fails on a text; the message says on which.
        """
        rule = self._rule.changed(self.manifest, abstain, threshold)
        if isinstance(texts, str):
            return rule.predictions(self._answer([texts], self.manifest.scores))[0]
        return rule.predictions(self._answer(as_list(texts), self.manifest.scores))

    @overload
    def predict(
        self, texts: Iterable[str], *, threshold: Threshold | None = None, progress: Progress | None = None
    ) -> list[str] | list[tuple[str, ...]]: ...
    @overload
    def predict(
        self, texts: Iterable[str], *, abstain: float, progress: Progress | None = None
    ) -> list[str | None]: ...
    @overload
    def predict(
        self, texts: Iterable[str], *, abstain: float | None, progress: Progress | None = None
    ) -> list[str] | list[str | None] | list[tuple[str, ...]]: ...
    def predict(
        self,
        texts: Iterable[str],
        *,
        abstain: float | None = None,
        threshold: Threshold | None = None,
        progress: Progress | None = None,
    ) -> list[str] | list[str | None] | list[tuple[str, ...]]:
        """Give the label of each text, or, of a multi-label bundle, the labels.

        Args:
            texts: Any number of texts.
            abstain: As of a call.
            threshold: As of a call.
            progress: Called with the number of texts that are done, in this thread, after each of its runs and at the
                end, as `progress=print`. What it raises ends the call.

        Returns:
            A `Prediction`'s `label` a text; of a multi-label bundle its `labels`.

        Raises:
            InvalidText: `texts` is one string, or something among them is none.
            UsageError: `abstain` or `threshold` is out of its range, or not for this bundle.
            ClassifierClosed: `close` was called.
        """
        rule = self._rule.changed(self.manifest, abstain, threshold)
        scores = self._answer(as_list(texts), self.manifest.scores, progress=progress)
        if self.task is Task.MULTI_LABEL:
            return [rule.applying(row) for row in scores.tolist()]
        if abstain is not None:
            return [prediction.label for prediction in rule.predictions(scores)]
        return [self.labels[column] for column in scores.argmax(axis=1)]

    def predict_proba(self, texts: Iterable[str]) -> npt.NDArray[np.float32]:
        """Give the probability of every label for each text.

        Returns:
            float32 (texts, labels); columns in the order of `labels`, rows in the order of `texts`.

        Raises:
            InvalidText: `texts` is one string, or something among them is none.
            NoProbabilities: The bundle's head gives decision scores.
            ClassifierClosed: `close` was called.
        """
        if self.manifest.scores is not Scores.PROBABILITIES:
            head = self.manifest.provenance.get("head")
            named = f" ({head})" if isinstance(head, str) else ""
            raise NoProbabilities(
                f"predict_proba: expected a head with probabilities, but this bundle's{named} gives decision scores; "
                "call decision_function(texts), or calibrate the head and export it again"
            )
        return self._answer(as_list(texts), Scores.PROBABILITIES)

    def decision_function(self, texts: Iterable[str]) -> npt.NDArray[np.float32]:
        """Give the decision score of every label for each text: any number, the higher the more the label applies.

        Returns:
            float32 (texts, labels); columns in the order of `labels`, rows in the order of `texts`.

        Raises:
            InvalidText: `texts` is one string, or something among them is none.
            NoDecisionScores: The bundle's head gives probabilities.
            ClassifierClosed: `close` was called.
        """
        if self.manifest.scores is not Scores.DECISION:
            raise NoDecisionScores(
                "decision_function: expected a head with decision scores, but this bundle's gives probabilities; "
                "call predict_proba(texts)"
            )
        return self._answer(as_list(texts), Scores.DECISION)

    def embed(self, texts: Iterable[str]) -> npt.NDArray[np.float32]:
        """Give the embedding of each text: what the body's last module puts out, and the head sees.

        Returns:
            float32 (texts, dim), rows in the order of `texts`.

        Raises:
            InvalidText: `texts` is one string, or something among them is none.
            ClassifierClosed: `close` was called.
        """
        return self._answer(as_list(texts), EMBEDDING)

    def stream(
        self,
        texts: Iterable[str],
        *,
        abstain: float | None = None,
        threshold: Threshold | None = None,
        progress: Progress | None = None,
    ) -> Iterator[Prediction]:
        """Classify any number of texts in bounded memory.

        Args:
            texts: Any iterable; read `MAX_TEXTS_AT_ONCE` at a time.
            abstain: As of a call.
            threshold: As of a call.
            progress: As of `predict`; ahead of what was yielded by at most `MAX_TEXTS_AT_ONCE`.

        Yields:
            One prediction a text, in the order of `texts`.

        Raises:
            InvalidText: `texts` is one string, or something among them is none.
            UsageError: `abstain` or `threshold` is out of its range, or not for this bundle.
            ClassifierClosed: `close` was called.
        """
        rule = self._rule.changed(self.manifest, abstain, threshold)
        iterator = iterate(texts)
        for first in itertools.count(step=MAX_TEXTS_AT_ONCE):
            chunk = as_list(itertools.islice(iterator, MAX_TEXTS_AT_ONCE), first)
            if not chunk:
                return
            yield from rule.predictions(self._answer(chunk, self.manifest.scores, first, progress))

    def explain(self, text: str, label: str | None = None) -> "Explanation":
        """Say which words moved the score of a label, by leaving out one at a time: as many answers as words.

        Args:
            text: The text.
            label: The label; None for the one with the highest score.

        Raises:
            InvalidText: `text` is none.
            UsageError: The bundle has no such label.
            ClassifierClosed: `close` was called.
        """
        if label is not None and label not in self.labels:
            raise UsageError(f"label: expected one of {', '.join(self.labels)}, got {label!r:.60}")
        from ._explain import explain  # not needed by a process that only predicts

        model, text = self._resident.model(), without_lone_surrogates(check_text(text))
        column = None if label is None else self.labels.index(label)
        seen = model.tokenizer.seen(text)
        return explain(text, seen, column, self.labels, lambda texts: self._answer(texts, self.manifest.scores))

    def warmup(self, texts: Iterable[str] = WARMUP_TEXTS) -> None:
        """Answer some texts, each alone, so that no caller pays for what the first runs set up.

        Args:
            texts: Texts of the lengths that will come.

        Raises:
            InvalidText: `texts` is one string, or something among them is none.
            ClassifierClosed: `close` was called.
        """
        for text in as_list(texts):
            self._answer([text], self.manifest.scores)

    def close(self) -> None:
        """Let go of the model and its threads; later calls raise `ClassifierClosed`.

        Calls that are being answered still are. Of asyncio's callers, those whose texts are not begun get
        `ClassifierClosed`; `aclose` answers them first.
        """
        self._resident.close(finish=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _answer(
        self, texts: list[str], output: str, first: int = 0, progress: Progress | None = None
    ) -> npt.NDArray[np.float32]:
        with span("classify", texts=len(texts)):
            return self._resident.model().answer(texts, output, first, progress)


_Kind = TypeVar("_Kind", bound=Classifier)


def _load(kind: type[_Kind], source: Source) -> _Kind:
    bundle, choice = source.choose()
    return kind(source.at(bundle), bundle, choice)
