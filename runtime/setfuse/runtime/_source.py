"""Where a classifier comes from, so that another process can load the same."""

import dataclasses
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from ._alongside import Alongside
from ._batching import Limits
from ._bundle import Bundle
from ._choice import Choice, choose
from ._counters import Counters
from ._cpus import available_cpus, check_threads
from ._engine import BF16, Engine, Runs, import_engine, is_installed, load_graph
from ._errors import UsageError
from ._graph import Graph
from ._manifest import Manifest
from ._model import Model
from ._processor import processor_flags
from ._variant import Precision, Target


@dataclass(frozen=True, slots=True)
class Source:
    """The arguments of `Classifier.load`.

    Attributes:
        bundle: The folder, or the Hub id.
        device: `auto` or a `Target`.
        precision: A `Precision`, `bf16`, or None for the fastest.
        engine: An `Engine`, or None for the one that suits.
        threads: Threads at work for one call, or None for as many as the process may use.
        revision: Of a bundle on the Hub; None for the main branch.
        limits: How texts share runs of the graph.
    """

    bundle: str | Path
    device: str
    precision: str | None
    engine: str | None
    threads: int | None
    revision: str | None
    limits: Limits

    def choose(self) -> tuple[Bundle, Choice]:
        """Find the bundle, the graph and the engine.

        Raises:
            UsageError: `device`, `precision` or `engine` is out of its range or not to be had, the graph's precision is
                not for the engine on this processor, or `revision` is given for a folder.
            BundleError: It is no bundle, is damaged, is of a newer format, or has no such graph.
        """
        target = Target.CPU if self.device == "auto" else _member(Target, "device", self.device, "auto")
        engine = None if self.engine is None else _member(Engine, "engine", self.engine)
        if self.precision not in (None, BF16):  # no set: it may be unhashable
            _member(Precision, "precision", self.precision, BF16)
        bundle = Bundle(self.bundle, self.revision)
        choice = choose(
            bundle.manifest,
            target=target,
            precision=self.precision,
            engine=engine,
            flags=processor_flags(),
            is_installed=is_installed,
        )
        return bundle, choice

    def at(self, bundle: Bundle) -> "Source":
        """Give the source of the very bundle that was found, whatever the working folder or the branch become."""
        address, commit = bundle.address
        return dataclasses.replace(self, bundle=address, revision=commit)

    def load(self, bundle: Bundle, manifest: Manifest, choice: Choice, counters: Counters) -> Model:
        """Read the files and make them ready.

        Args:
            bundle: Where the files are.
            manifest: What they must be.
            choice: Which graph, and what runs it.
            counters: Where its runs are counted.

        Raises:
            UsageError: `threads` is out of its range, or the device is not to be had.
            BundleError: A file is not what the manifest says.
            HubError: The Hub did not give a file.
            MissingExtra: The engine is not installed.
        """
        check_threads(self.threads)
        threads = self.threads or available_cpus()
        engine, variant = choice.engine, choice.variant
        several = engine is Engine.ONNXRUNTIME and variant.target is Target.CPU
        workers = threads if several else 1

        def load(model: str | bytes, count: int) -> Runs:
            return load_graph(engine, model, variant, threads=count, bf16=choice.bf16)

        def load_wide() -> Runs:
            with bundle.open(variant.file) as file:
                return load(file.checked(by_name=engine.takes_names), threads)

        definition = bundle.read(manifest.tokenizer)
        with (
            bundle.open(variant.file) as file,
            Alongside(lambda: file.checked(by_name=engine.takes_names)) as check,
        ):
            import_engine(engine)
            from ._tokenizer import Tokenizer  # with its library, which takes a while to import

            tokenizer = Tokenizer(definition, manifest.max_length, manifest.prompt)
            usual = load(check.result(), 1 if workers > 1 else threads)
        graph = Graph(usual, load_wide, f"the classifier of {self.bundle}", workers=workers)
        return Model(manifest, tokenizer, graph, counters, self.limits.max_batch_tokens)


_Member = TypeVar("_Member", bound=StrEnum)


def _member(kind: type[_Member], name: str, value: object, *others: str) -> _Member:
    found = next((each for each in kind if isinstance(value, str) and each == value), None)
    if found is None:
        raise UsageError(f"{name}: expected one of {', '.join([*others, *kind])}, got {value!r}")
    return found
