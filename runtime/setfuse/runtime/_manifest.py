"""The bundle's manifest, `bundle.json`: what the folder holds, and how each graph compares with the checkpoint."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from ._checks import check_kind, check_text, check_whole, list_of, object_of
from ._errors import BundleCorrupt, BundleNotFound, UnsupportedFormat, VariantNotFound
from ._variant import EMBEDDING, BundleFile, Precision, Scores, Target, Variant, open_regular

MANIFEST_NAME = "bundle.json"
_LONGEST = 64 * 2**20
"""Bytes of a manifest that are read: what is longer is damage, or ill will."""

FORMAT_VERSION = 2
"""Raised by one when an older reader would misread a bundle; see "Raising the format version" in runtime/README.md."""


class Task(StrEnum):
    """How many labels a text has."""

    SINGLE_LABEL = "text-classification"
    """Exactly one: that with the highest score."""

    MULTI_LABEL = "multi-label-classification"
    """Any number: those with a probability above 0.5, or a decision score above 0."""


def naming_hint(labels: Sequence[str], checkpoint: str = "CHECKPOINT") -> str:
    """Say how to name labels that are the numbers of a head's classes.

    Args:
        labels: A bundle's.
        checkpoint: What it was exported from.

    Returns:
        A sentence without a stop; empty unless the labels are `0` to `n - 1`, in this order.
    """
    if list(labels) != [str(number) for number in range(len(labels))]:
        return ""
    shown = ", ".join([*labels[:2], *(["..."] if len(labels) > 2 else [])])  # noqa: PLR2004 - two show the pattern
    return (
        f'labels are {shown}: to name them write {{"labels": [...]}} to {checkpoint}/config_setfit.json, keeping what '
        "else is there, and export again"
    )


@dataclass(frozen=True, slots=True)
class Manifest:
    """What `bundle.json` says.

    Attributes:
        labels: Names of the labels, in the order of the scores' columns.
        max_length: Tokens of the longest text, prompt and special tokens included; longer texts are cut.
        embedding_dim: Width of the embedding.
        tokenizer: The `tokenizers` file.
        variants: At least one graph.
        provenance: Where the bundle came from: base model, checkpoint, library versions; whatever JSON can hold.
        task: Whether a text has one label or any number of them.
        scores: What the graphs give for each label.
        prompt: Put before each text before it is tokenized.
        format_version: Version of the form in which the manifest was read; what is written is always of today's.
    """

    labels: tuple[str, ...]
    max_length: int
    embedding_dim: int
    tokenizer: BundleFile
    variants: tuple[Variant, ...]
    provenance: Mapping[str, object] = field(default_factory=dict)
    task: Task = Task.SINGLE_LABEL
    scores: Scores = Scores.PROBABILITIES
    prompt: str = ""
    format_version: int = FORMAT_VERSION

    def __post_init__(self) -> None:
        check_whole("format_version", self.format_version, at_least=1, at_most=FORMAT_VERSION)
        check_kind("task", self.task, Task)
        check_kind("scores", self.scores, Scores)
        check_text("the prompt", self.prompt)
        for label in self.labels:
            check_text("a label", label)
        fewest = 1 if self.task is Task.MULTI_LABEL else 2
        if len(set(self.labels)) != len(self.labels) or len(self.labels) < fewest:
            raise ValueError(f"expected {fewest} labels or more, all different, found {list(self.labels)!r:.200}")
        check_whole("max_length", self.max_length, at_least=1)
        check_whole("embedding_dim", self.embedding_dim, at_least=1)
        check_kind("tokenizer", self.tokenizer, BundleFile)
        self._check_variants()
        try:
            json.dumps(dict(self.provenance), ensure_ascii=False, allow_nan=False).encode()
        except (TypeError, ValueError) as error:
            raise ValueError(f"expected as provenance what JSON can hold, found else: {error}") from error

    def _check_variants(self) -> None:
        if not self.variants:
            raise ValueError("expected at least one variant, found none")
        expected = {str(self.scores): len(self.labels), EMBEDDING: self.embedding_dim}
        for variant in self.variants:
            if variant.widths != expected:
                raise ValueError(f"expected the outputs and widths {expected} of {variant}, found {variant.widths}")
        kinds = [str(variant) for variant in self.variants]
        files = [MANIFEST_NAME, self.tokenizer.file, *(variant.file.file for variant in self.variants)]
        for what, names in (("graphs of different kinds", kinds), ("files of different names", files)):
            if len(set(names)) != len(names):
                raise ValueError(f"expected {what}, found {names}")

    def variant(self, *, precision: Precision | None, target: Target, int8_is_fast: bool = True) -> Variant:
        """Find the graph for a device: of the precision asked for, or the fastest there is.

        Graphs that take strings are for other programs and are never given.

        Args:
            precision: None for the fastest.
            target: The kind of device.
            int8_is_fast: Whether the device multiplies 8-bit integers exactly and fast; if not, int8 comes last.

        Returns:
            The graph.

        Raises:
            VariantNotFound: There is none; the message lists what there is.
        """
        fastest_first = [Precision.FP16, Precision.INT8, Precision.FP32]
        if not int8_is_fast:
            fastest_first.sort(key=lambda kind: kind is Precision.INT8)
        found = [
            variant
            for variant in self.variants
            if variant.target is target and precision in {None, variant.precision} and not variant.takes_strings
        ]
        if not found:
            has = ", ".join(str(variant) for variant in self.variants)
            strings = any(variant.takes_strings for variant in self.variants)
            note = "; strings in is for other programs, through onnxruntime-extensions" if strings else ""
            wanted = target if precision is None else f"{precision}/{target}"
            raise VariantNotFound(
                f"the bundle has no {wanted} graph (has: {has}{note}); {self._advice(precision, target)}"
            )
        return min(found, key=lambda variant: fastest_first.index(variant.precision))

    def _advice(self, precision: Precision | None, target: Target) -> str:
        """Say what to do where there is no graph of a precision for a device: name the device that has one."""
        for variant in self.variants:
            if variant.precision is precision and not variant.takes_strings:
                device = variant.target
                return f'{precision} is for {device}: pass --device {device} (device="{device}")'
        if target is Target.CUDA and precision in {None, Precision.FP16}:
            return "ask for one of these, or export one (setfuse export --precision fp16)"
        return "ask for one of these, or export the one you want"

    def to_json(self) -> dict[str, Any]:
        """Give the manifest as `json.dump` takes it, in the form of `FORMAT_VERSION`."""
        return {
            "format_version": FORMAT_VERSION,
            "task": self.task,
            "scores": self.scores,
            "labels": list(self.labels),
            "max_length": self.max_length,
            "prompt": self.prompt,
            "embedding_dim": self.embedding_dim,
            "tokenizer": dataclasses.asdict(self.tokenizer),
            "variants": [variant.to_json() for variant in self.variants],
            "provenance": dict(self.provenance),
        }

    def write(self, folder: Path) -> None:
        """Write `bundle.json` into the folder."""
        text = json.dumps(self.to_json(), ensure_ascii=False, indent=2) + "\n"
        (folder / MANIFEST_NAME).write_text(text, encoding="utf-8")

    @classmethod
    def read(cls, folder: str | Path) -> "Manifest":
        """Read `bundle.json` from a bundle folder. The files it names are checked when they are read.

        Raises:
            BundleNotFound: There is no such folder, or no `bundle.json` in it.
            BundleCorrupt: `bundle.json` is not what this release or an earlier one writes.
            UnsupportedFormat: It is of a format version that this release does not know.
        """
        path = Path(folder) / MANIFEST_NAME
        try:
            with open_regular(path) as file:
                data = file.read(_LONGEST)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise BundleNotFound(
                f"{folder}: expected a bundle folder with {MANIFEST_NAME}, found none; "
                "make one with: setfuse export CHECKPOINT --out BUNDLE"
            ) from error
        except (OSError, ValueError) as error:  # ValueError: a NUL in the name
            reason = error.strerror if isinstance(error, OSError) else error
            raise BundleNotFound(f"{path}: cannot be read: {reason}") from error
        try:
            value = json.loads(data)
            version = value["format_version"]
            check_whole("format_version", version, at_least=-(2**53))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise BundleCorrupt(f"{path}: expected a manifest with a format_version, found damage ({error})") from error
        if version not in _UPGRADES:
            newer = "upgrade setfuse" if version > FORMAT_VERSION else "export the bundle again"
            known = " or ".join(map(str, _UPGRADES))
            raise UnsupportedFormat(f"{path}: expected format version {known}, found {version}; {newer} to read it")
        try:
            return _from_json({**value, **_UPGRADES[version]})
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise BundleCorrupt(
                f"{path}: the manifest is damaged ({type(error).__name__}: {error}); export the bundle again"
            ) from error


_UPGRADES: dict[int, dict[str, object]] = {
    1: {"task": Task.SINGLE_LABEL, "scores": Scores.PROBABILITIES, "prompt": ""},  # there was nothing else then
    FORMAT_VERSION: {},
}
"""The versions that are read, each with what the keys that it did not have would say."""


def _from_json(value: Mapping[str, Any]) -> Manifest:
    return Manifest(
        format_version=value["format_version"],
        task=Task(value["task"]),
        scores=Scores(value["scores"]),
        prompt=value["prompt"],
        labels=tuple(list_of(value, "labels")),
        max_length=value["max_length"],
        embedding_dim=value["embedding_dim"],
        tokenizer=BundleFile.from_json(object_of(value, "tokenizer")),
        variants=tuple(Variant.from_json(variant) for variant in list_of(value, "variants")),
        provenance=object_of(value, "provenance"),
    )
