"""Where a classifier comes from, so that another process can load the same."""

import dataclasses
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from ._batching import Limits
from ._bundle import Bundle
from ._counters import Counters
from ._errors import UsageError
from ._manifest import Manifest
from ._model import Model
from ._processor import int8_is_fast
from ._session import Session
from ._tokenizer import Tokenizer
from ._variant import Precision, Target, Variant


@dataclass(frozen=True, slots=True)
class Source:
    """The arguments of `Classifier.load`.

    Attributes:
        bundle: The folder, or the Hub id.
        device: `auto` or a `Target`.
        precision: A `Precision`, or None for the fastest.
        threads: Threads inside one run, or None for as many as the process may use.
        revision: Of a bundle on the Hub; None for the main branch.
        limits: How texts share runs of the graph.
    """

    bundle: str | Path
    device: str
    precision: str | None
    threads: int | None
    revision: str | None
    limits: Limits

    def choose(self) -> tuple[Bundle, Variant]:
        """Find the bundle and the graph.

        Raises:
            UsageError: `device` or `precision` is out of its range, or `revision` is given for a folder.
            BundleError: It is no bundle, is damaged, is of a newer format, or has no such graph.
        """
        target = Target.CPU if self.device == "auto" else _choice(Target, "device", self.device, "auto")
        wanted = None if self.precision is None else _choice(Precision, "precision", self.precision)
        bundle = Bundle(self.bundle, self.revision)
        return bundle, bundle.manifest.variant(precision=wanted, target=target, int8_is_fast=int8_is_fast())

    def at(self, bundle: Bundle) -> "Source":
        """Give the source of the very bundle that was found, whatever the working folder or the branch become."""
        address, commit = bundle.address
        return dataclasses.replace(self, bundle=address, revision=commit)

    def load(self, bundle: Bundle, manifest: Manifest, variant: Variant, counters: Counters) -> Model:
        """Read the files and make them ready.

        Args:
            bundle: Where the files are.
            manifest: What they must be.
            variant: Which graph.
            counters: Where its runs are counted.

        Raises:
            UsageError: `threads` is out of its range, or the device is not to be had.
            BundleError: A file is not what the manifest says.
            HubError: The Hub did not give a file.
            MissingExtra: onnxruntime is not installed.
        """
        tokenizer = Tokenizer(bundle.read(manifest.tokenizer), manifest.max_length, manifest.prompt)
        session = Session(bundle.read(variant.file), variant, threads=self.threads)
        return Model(manifest, tokenizer, session, counters, self.limits.max_batch_tokens)


_Choice = TypeVar("_Choice", bound=StrEnum)


def _choice(kind: type[_Choice], name: str, value: str, *others: str) -> _Choice:
    try:
        return kind(value)
    except ValueError as error:
        expected = ", ".join([*others, *kind])
        raise UsageError(f"{name}: expected one of {expected}, got {value!r}") from error
