"""What a manifest says of the files of a bundle: each one's size and hash, each graph's interface and its parity."""

import builtins
import dataclasses
import errno
import hashlib
import io
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from ._checks import check_figure, check_kind, check_text, check_whole, list_of
from ._errors import BundleCorrupt

INPUT_IDS = "input_ids"
ATTENTION_MASK = "attention_mask"
TEXT = "text"
EMBEDDING = "sentence_embedding"
LABEL = "label"
_INTERFACES = ([INPUT_IDS], [INPUT_IDS, ATTENTION_MASK], [TEXT])
_SHA256 = re.compile("[0-9a-f]{64}")


class Precision(StrEnum):
    """Arithmetic of the encoder's matrix products. Pooling, head and scores are float32 in all of them."""

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

    def __post_init__(self) -> None:
        check_text("the name of a tensor", self.name)
        check_text(f"the dtype of {self.name}", self.dtype)
        check_kind(f"the shape of {self.name}", self.shape, tuple)
        for size in self.shape:
            if isinstance(size, str):
                check_text(f"an axis of {self.name}", size)
            else:
                check_whole(f"an axis of {self.name}", size, at_least=1)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read what `Manifest.to_json` gives."""
        return cls(name=value["name"], dtype=value["dtype"], shape=tuple(list_of(value, "shape")))


@dataclass(frozen=True, slots=True)
class Parity:
    """How far a graph is from the torch checkpoint on the same texts.

    Where the bundle gives decision scores, "probability" stands for these.

    Attributes:
        texts: How many texts were compared.
        max_probability_difference: Largest absolute difference of a probability.
        mean_probability_difference: Mean absolute difference of the probabilities.
        max_embedding_difference: Largest absolute difference of a component of the embedding.
        label_agreement: Share of the texts that get the same label (multi-label: the same labels), 0 to 1.
        tolerance: What the export held the graph to: the largest difference of a probability in fp32, the mean
            difference in int8.
        torch_difference: Largest difference of a probability between torch and itself at another batch size.
        mean_embedding_difference: Mean absolute difference of a component of the embedding; None where not measured.
        accuracy: Share of the texts that the graph gives their own label, 0 to 1; None where they have none.
        torch_accuracy: The same of torch.
        checked_on: What the texts were: `built-in texts`, or the name of the data file.
        allowed_mismatch: What did not hold and was allowed, in a sentence; empty where all held.
    """

    texts: int
    max_probability_difference: float
    mean_probability_difference: float
    max_embedding_difference: float
    label_agreement: float
    tolerance: float
    torch_difference: float
    mean_embedding_difference: float | None = None
    accuracy: float | None = None
    torch_accuracy: float | None = None
    checked_on: str = "built-in texts"
    allowed_mismatch: str = ""

    def __post_init__(self) -> None:
        check_whole("texts", self.texts, at_least=1)
        for name in (
            "max_probability_difference",
            "mean_probability_difference",
            "max_embedding_difference",
            "tolerance",
            "torch_difference",
        ):
            check_figure(name, getattr(self, name))
        check_figure("label_agreement", self.label_agreement, at_most=1)
        if self.mean_embedding_difference is not None:
            check_figure("mean_embedding_difference", self.mean_embedding_difference)
        for name, share in (("accuracy", self.accuracy), ("torch_accuracy", self.torch_accuracy)):
            if share is not None:
                check_figure(name, share, at_most=1)
        check_text("checked_on", self.checked_on)
        check_text("allowed_mismatch", self.allowed_mismatch)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read what `Manifest.to_json` gives. Figures that this release does not know are left out."""
        check_kind("parity", value, dict)
        return cls(**{field.name: value[field.name] for field in dataclasses.fields(cls) if field.name in value})


def open_regular(path: Path) -> io.FileIO:
    """Open a file for reading, unbuffered.

    Raises:
        OSError: It cannot be opened, or is none: a pipe would be waited for, a device read for ever.
    """
    without_waiting = getattr(os, "O_NONBLOCK", 0)
    file = io.FileIO(path, opener=lambda name, flags: os.open(name, flags | without_waiting))
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    return file


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
        check_text("a file name", self.file)
        if Path(self.file).name != self.file or self.file in {"", ".."} or not self.file.isprintable():
            raise ValueError(f"expected a file name inside the bundle, found {self.file!r}")
        check_whole(f"the size of {self.file}", self.bytes, at_least=0)
        if not isinstance(self.sha256, str) or not _SHA256.fullmatch(self.sha256):
            raise ValueError(f"expected 64 hexadecimal digits as the sha256 of {self.file}, found {self.sha256!r:.80}")

    @classmethod
    def of(cls, path: Path) -> Self:
        """Describe a file that is there."""
        data = path.read_bytes()
        return cls(file=path.name, bytes=len(data), sha256=hashlib.sha256(data).hexdigest())

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read what `Manifest.to_json` gives."""
        return cls(file=value["file"], bytes=value["bytes"], sha256=value["sha256"])

    def read(self, folder: Path) -> builtins.bytes:
        """Read the file and check it.

        Raises:
            BundleCorrupt: It is missing, cannot be read, or is not what the manifest says.
        """
        path = folder / self.file
        try:
            with open_regular(path) as file:
                self.check_size(path, os.fstat(file.fileno()).st_size)
                data = file.read()
        except OSError as error:
            raise self.unreadable(path, error) from error
        self.check(path, data)
        return data

    def check_size(self, path: Path, size: int) -> None:
        """Compare a file's size with what it must be, before anything of it is read.

        Raises:
            BundleCorrupt: It is another.
        """
        if size != self.bytes:
            raise BundleCorrupt(f"{path}: expected {self.bytes} bytes, found {size}; export the bundle again")

    def check(self, path: Path, data: builtins.bytes) -> None:
        """Compare what was read with what it must be.

        Raises:
            BundleCorrupt: It is something else.
        """
        self.check_size(path, len(data))
        digest = hashlib.sha256(data).hexdigest()
        if digest != self.sha256:
            raise BundleCorrupt(
                f"{path}: expected sha256 {self.sha256[:12]}…, found {digest[:12]}…: the file was altered; "
                "export the bundle again"
            )

    def unreadable(self, path: Path, error: OSError) -> BundleCorrupt:
        """Say that the file cannot be read."""
        return BundleCorrupt(
            f"{path}: expected {self.bytes} bytes, but it cannot be read: {error.strerror}; export the bundle again"
        )


@dataclass(frozen=True, slots=True)
class Variant:
    """One fused graph of a bundle.

    Attributes:
        file: The ONNX file, its size and hash.
        precision: Arithmetic of the encoder's matrix products.
        target: Which kind of device the graph was laid out for.
        inputs: What it declares: `input_ids` and, at most, `attention_mask` (batch, sequence), int64 or int32; or
            `text` (batch,), strings. The runtime feeds these by name and no others.
        outputs: The scores (batch, labels), named as `Manifest.scores` says, and `sentence_embedding` (batch, dim),
            both float32. A graph that takes strings may give `label` (batch,), strings, as well.
        parity: The comparison that the export made.
        note: Why the graph repeats weights that another one has; empty where it does not.
    """

    file: BundleFile
    precision: Precision
    target: Target
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    parity: Parity | None = None
    note: str = ""

    def __post_init__(self) -> None:
        check_kind("file", self.file, BundleFile)
        check_kind("precision", self.precision, Precision)
        check_kind("target", self.target, Target)
        check_text("note", self.note)
        if self.parity is not None:
            check_kind("parity", self.parity, Parity)
        self._check_inputs()
        self._check_outputs()

    def _check_inputs(self) -> None:
        names = [tensor.name for tensor in self.inputs]
        if names not in _INTERFACES:
            raise ValueError(
                f"expected {INPUT_IDS} and, at most, {ATTENTION_MASK}, or {TEXT} alone, as inputs of {self.file.file}, "
                f"found {names}"
            )
        kinds, axes = ({"string"}, 1) if self.takes_strings else ({"int64", "int32"}, 2)
        for tensor in self.inputs:
            _check_tensor(tensor, kinds, axes, self.file)

    def _check_outputs(self) -> None:
        names = [tensor.name for tensor in self.outputs]
        if len(set(names)) != len(names):
            raise ValueError(f"expected outputs of different names of {self.file.file}, found {names}")
        for tensor in self.outputs:
            if tensor.name == LABEL and self.takes_strings:
                _check_tensor(tensor, {"string"}, 1, self.file)
            else:
                _check_tensor(tensor, {"float"}, 2, self.file)

    @property
    def takes_strings(self) -> bool:
        """Whether the tokenizer is inside, for onnxruntime-extensions: a graph for other programs."""
        return any(tensor.name == TEXT for tensor in self.inputs)

    @property
    def widths(self) -> dict[str, str | int]:
        """Columns of the outputs, by name; `label` has none."""
        return {tensor.name: tensor.shape[-1] for tensor in self.outputs if tensor.name != LABEL}

    def __str__(self) -> str:
        return f"{self.precision}/{self.target}{' (strings in)' if self.takes_strings else ''}"

    def to_json(self) -> dict[str, Any]:
        """Give the variant as `json.dump` takes it."""
        value = dataclasses.asdict(self)
        return {**value.pop("file"), **value}  # file, bytes and sha256 stand beside the precision

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read what `to_json` gives."""
        return cls(
            file=BundleFile.from_json(value),
            precision=Precision(value["precision"]),
            target=Target(value["target"]),
            inputs=tuple(Tensor.from_json(tensor) for tensor in list_of(value, "inputs")),
            outputs=tuple(Tensor.from_json(tensor) for tensor in list_of(value, "outputs")),
            parity=Parity.from_json(value["parity"]) if value["parity"] is not None else None,
            note=value.get("note", ""),
        )


def _check_tensor(tensor: Tensor, kinds: set[str], axes: int, file: BundleFile) -> None:
    if tensor.dtype not in kinds or len(tensor.shape) != axes:
        raise ValueError(
            f"expected {' or '.join(sorted(kinds))} of {axes} axes as {tensor.name} of {file.file}, "
            f"found {tensor.dtype} {list(tensor.shape)}"
        )
