"""The bundle's manifest, `bundle.json`: what the folder holds, and how each graph compares with the checkpoint."""

import builtins
import dataclasses
import hashlib
import json
import operator
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from ._errors import BundleCorrupt, BundleNotFound, UnsupportedFormat, VariantNotFound

MANIFEST_NAME = "bundle.json"
INPUT_IDS = "input_ids"
ATTENTION_MASK = "attention_mask"
EMBEDDING = "sentence_embedding"
PROBABILITIES = "probabilities"
FORMAT_VERSION = 1
"""Raised by one when an older reader would misread a bundle; see "Raising the format version" in runtime/README.md."""


class Precision(StrEnum):
    """Arithmetic of the encoder's matrix products. Pooling, head and probabilities are float32 in all of them."""

    FP32 = "fp32"
    INT8 = "int8"
    FP16 = "fp16"


class Scores(StrEnum):
    """What the head gives for each label, and the name of the graph's output."""

    PROBABILITIES = "probabilities"
    DECISION = "decision_scores"
    """Of an estimator without `predict_proba`: any number; the highest wins, or, multi-label, those above 0."""


class Target(StrEnum):
    """The kind of device that a graph was laid out for."""

    CPU = "cpu"
    CUDA = "cuda"


@dataclass(frozen=True, slots=True)
class Tensor:
    """One input or output of a graph.

    Attributes:
        name: Its name in the graph.
        dtype: The ONNX element type in lower case, such as `int64` or `float`.
        shape: One entry an axis: a size, or the name of an axis that varies (`batch`, `sequence`).
    """

    name: str
    dtype: str
    shape: tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Parity:
    """How far a graph is from the torch checkpoint on the same texts.

    Attributes:
        texts: How many texts were compared.
        max_probability_difference: Largest absolute difference of a probability.
        mean_probability_difference: Mean absolute difference of the probabilities.
        max_embedding_difference: Largest absolute difference of a component of the embedding.
        label_agreement: Share of the texts that get the same label, 0 to 1.
        tolerance: What the export held the graph to: the largest difference of a probability in fp32, the mean
            difference in int8.
        torch_difference: Largest difference of a probability between torch and itself at another batch size.
    """

    texts: int
    max_probability_difference: float
    mean_probability_difference: float
    max_embedding_difference: float
    label_agreement: float
    tolerance: float
    torch_difference: float


@dataclass(frozen=True, slots=True)
class BundleFile:
    """A file of the bundle and what it must be.

    Attributes:
        file: Name inside the bundle folder; never a path.
        bytes: Its size.
        sha256: Its SHA-256 in hexadecimal digits.
    """

    file: str
    bytes: int
    sha256: str

    def __post_init__(self) -> None:
        if Path(self.file).name != self.file or self.file in {"", ".."}:
            raise ValueError(f"expected a file name inside the bundle, found {self.file!r}")

    @classmethod
    def of(cls, path: Path) -> Self:
        """Describe a file that is there."""
        data = path.read_bytes()
        return cls(file=path.name, bytes=len(data), sha256=hashlib.sha256(data).hexdigest())

    def read(self, folder: Path) -> builtins.bytes:
        """Read the file and check it.

        Raises:
            BundleCorrupt: It is missing, cannot be read, or is not what the manifest says.
        """
        path = folder / self.file
        try:
            data = path.read_bytes()
        except OSError as error:
            raise BundleCorrupt(
                f"{path}: expected {self.bytes} bytes, but it cannot be read: {error.strerror}; export the bundle again"
            ) from error
        if len(data) != self.bytes:
            raise BundleCorrupt(f"{path}: expected {self.bytes} bytes, found {len(data)}; export the bundle again")
        digest = hashlib.sha256(data).hexdigest()
        if digest != self.sha256:
            raise BundleCorrupt(
                f"{path}: expected sha256 {self.sha256[:12]}…, found {digest[:12]}…: the file was altered; "
                "export the bundle again"
            )
        return data


@dataclass(frozen=True, slots=True)
class Variant:
    """One fused graph of a bundle.

    Attributes:
        file: The ONNX file, its size and hash.
        precision: Arithmetic of the encoder's matrix products.
        target: Which kind of device the graph was laid out for.
        inputs: What it declares; the runtime feeds these by name and no others.
        outputs: `probabilities` (batch, labels) and `sentence_embedding` (batch, dim), both float32.
        parity: The comparison that the export made.
    """

    file: BundleFile
    precision: Precision
    target: Target
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    parity: Parity | None = None

    def __str__(self) -> str:
        return f"{self.precision}/{self.target}"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What `bundle.json` says.

    Attributes:
        labels: Names of the labels, in the order of the probabilities' columns.
        max_length: Tokens of the longest text, special tokens included; longer texts are cut.
        embedding_dim: Width of the embedding.
        tokenizer: The `tokenizers` file.
        variants: At least one graph.
        provenance: Where the bundle came from: base model, checkpoint, library versions.
        task: What the graph does.
        format_version: Version of this file's form.
    """

    labels: tuple[str, ...]
    max_length: int
    embedding_dim: int
    tokenizer: BundleFile
    variants: tuple[Variant, ...]
    provenance: Mapping[str, object] = field(default_factory=dict)
    task: str = "text-classification"
    format_version: int = FORMAT_VERSION

    def __post_init__(self) -> None:
        if len(set(self.labels)) != len(self.labels) or len(self.labels) < 2:  # noqa: PLR2004 - to tell apart
            raise ValueError(f"expected two labels or more, all different, found {list(self.labels)}")
        if not self.variants:
            raise ValueError("expected at least one variant, found none")
        for name, value in (("max_length", self.max_length), ("embedding_dim", self.embedding_dim)):
            if value < 1:
                raise ValueError(f"expected a {name} of 1 or more, found {value}")
        for variant in self.variants:
            widths = {tensor.name: tensor.shape[-1] for tensor in variant.outputs}
            expected = {PROBABILITIES: len(self.labels), EMBEDDING: self.embedding_dim}
            if widths != expected:
                raise ValueError(f"expected the outputs and widths {expected} of {variant}, found {widths}")
            names = {tensor.name for tensor in variant.inputs}
            if names not in ({INPUT_IDS}, {INPUT_IDS, ATTENTION_MASK}):
                raise ValueError(f"expected {INPUT_IDS} and, at most, {ATTENTION_MASK} of {variant}, found {names}")

    def variant(self, *, precision: Precision | None, target: Target, int8_is_fast: bool = True) -> Variant:
        """Find the graph for a device: of the precision asked for, or the fastest there is.

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
        found = [v for v in self.variants if v.target is target and precision in {None, v.precision}]
        if not found:
            has = ", ".join(str(variant) for variant in self.variants)
            wanted = f"{precision or 'any'}/{target}"
            raise VariantNotFound(
                f"the bundle has no {wanted} graph (has: {has}); ask for one of these, or export the one you want"
            )
        return min(found, key=lambda variant: fastest_first.index(variant.precision))

    def to_json(self) -> dict[str, Any]:
        """Give the manifest as `json.dump` takes it."""
        return {
            "format_version": self.format_version,
            "task": self.task,
            "labels": list(self.labels),
            "max_length": self.max_length,
            "embedding_dim": self.embedding_dim,
            "tokenizer": dataclasses.asdict(self.tokenizer),
            "variants": [_variant_to_json(variant) for variant in self.variants],
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
            BundleCorrupt: `bundle.json` is not what this release writes.
            UnsupportedFormat: It is of another format version.
        """
        path = Path(folder) / MANIFEST_NAME
        try:
            data = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError) as error:
            raise BundleNotFound(
                f"{folder}: expected a bundle folder with {MANIFEST_NAME}, found none; "
                "make one with: setfuse export CHECKPOINT --out BUNDLE"
            ) from error
        except OSError as error:
            raise BundleNotFound(f"{path}: cannot be read: {error.strerror}") from error
        try:
            value = json.loads(data)
            version = operator.index(value["format_version"])
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise BundleCorrupt(f"{path}: expected a manifest with a format_version, found damage ({error})") from error
        if version != FORMAT_VERSION:
            newer = "upgrade setfuse" if version > FORMAT_VERSION else "export the bundle again"
            raise UnsupportedFormat(
                f"{path}: expected format version {FORMAT_VERSION}, found {version}; {newer} to read it"
            )
        try:
            return _manifest_from_json(value)
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            raise BundleCorrupt(
                f"{path}: the manifest is damaged ({type(error).__name__}: {error}); export the bundle again"
            ) from error


def _variant_to_json(variant: Variant) -> dict[str, Any]:
    value = dataclasses.asdict(variant)
    return {**value.pop("file"), **value}  # file, bytes and sha256 stand beside the precision


def _manifest_from_json(value: Mapping[str, Any]) -> Manifest:
    return Manifest(
        format_version=value["format_version"],
        task=str(value["task"]),
        labels=tuple(str(label) for label in value["labels"]),
        max_length=int(value["max_length"]),
        embedding_dim=int(value["embedding_dim"]),
        tokenizer=_file_from_json(value["tokenizer"]),
        variants=tuple(_variant_from_json(variant) for variant in value["variants"]),
        provenance=dict(value["provenance"]),
    )


def _variant_from_json(value: Mapping[str, Any]) -> Variant:
    return Variant(
        file=_file_from_json(value),
        precision=Precision(value["precision"]),
        target=Target(value["target"]),
        inputs=tuple(_tensor_from_json(tensor) for tensor in value["inputs"]),
        outputs=tuple(_tensor_from_json(tensor) for tensor in value["outputs"]),
        parity=Parity(**value["parity"]) if value["parity"] is not None else None,
    )


def _file_from_json(value: Mapping[str, Any]) -> BundleFile:
    return BundleFile(file=str(value["file"]), bytes=int(value["bytes"]), sha256=str(value["sha256"]))


def _tensor_from_json(value: Mapping[str, Any]) -> Tensor:
    return Tensor(name=str(value["name"]), dtype=str(value["dtype"]), shape=tuple(value["shape"]))
