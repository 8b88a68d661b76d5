"""SetFit's differentiable head: its pickled torch module, read without importing setfit, and without torch."""

import io
import math
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from setfuse.export._errors import CheckpointError
from setfuse.runtime import Scores

from ._arrays import plain
from ._formulas import Array, Linear, Link
from ._head import Head
from ._opcodes import STORAGE, Limited, StorageReader
from ._record import Damaged, Name, Record, described, is_a

NAME = "SetFitHead"

MAGIC = 0x1950A86A20F9469CFC6C
MOST_OPCODES = 1000
CODES = {"DoubleStorage": "<f8", "FloatStorage": "<f4", "HalfStorage": "<f2"}


def differentiable_of(value: Record) -> "DifferentiableHead":
    """Make a SetFitHead of what a pickle says of it.

    Raises:
        CheckpointError: It has no linear layer.
        Damaged: Its numbers are of another form than torch's.
    """
    linear = _entry(value.state, "_modules", "linear")
    parameters = linear.state if is_a(linear, "Linear") else None
    weight, bias = (_entry(parameters, "_parameters", name) for name in ("weight", "bias"))
    if weight is None:
        raise CheckpointError(f"{NAME}: expected a linear layer with a weight of two axes, found none; train it first")
    numbers = _tensor(weight)
    divisor = plain(value.state.get("temperature", 1.0)) + plain(value.state.get("eps", 1e-5))
    return DifferentiableHead(
        numbers,
        np.zeros(len(numbers)) if bias is None else _tensor(bias),
        float(divisor),
        bool(plain(value.state.get("multitarget", False))),
    )


def _entry(state: Any, table: str, name: str) -> Any:
    """Look up an entry of one of a torch module's tables; None if there is none."""
    entries = state.get(table) if isinstance(state, dict) else None
    return entries.get(name) if isinstance(entries, dict) else None


def _tensor(value: Any) -> Array:
    """Read a tensor, float64 of any shape.

    Raises:
        Damaged: It is none, or its storage does not hold it in row order.
    """
    if is_a(value, "_rebuild_parameter") and value.arguments:
        value = value.arguments[0]
    if not is_a(value, "_rebuild_tensor_v2") or len(value.arguments) < 4:  # noqa: PLR2004 - where, and of what shape
        raise Damaged(f"{described(value)} where a tensor stands")
    storage, offset, size, stride = value.arguments[:4]
    if not is_a(storage, "_load_from_bytes") or not isinstance(size, tuple) or not isinstance(stride, tuple):
        raise Damaged("a tensor without storage or shape")
    if len(size) > 2 or not all(type(number) is int and number >= 0 for number in (offset, *size, *stride)):  # noqa: PLR2004 - a matrix
        raise Damaged("a tensor without a shape")
    numbers, count = _storage(*storage.arguments), math.prod(size)
    expected = tuple(math.prod(size[axis + 1 :]) for axis in range(len(size)))
    if not count or stride != expected or offset + count > len(numbers):
        raise Damaged("a tensor of a shape that its storage does not hold in row order")
    return numbers[offset : offset + count].reshape(size)


def _storage(data: Any) -> Array:
    """Read the numbers of a torch storage, float64 (count,).

    torch would unpickle it. This is its format before the zip files, which is what it pickles: a magic number, its
    version, the machine's, the storage's description and key, a pickle each; then how many numbers, and they.

    Raises:
        Damaged: It is another, or as many numbers as it says are not there.
        Refused: It asks for what no storage needs.
    """
    if type(data) is not bytes:
        raise Damaged("a torch storage that is no bytes")
    file = io.BytesIO(data)
    opcodes = Limited(StorageReader.dispatch, MOST_OPCODES)
    magic, _, machine, storage, keys = (StorageReader(file, opcodes).load() for _ in range(5))
    if magic != MAGIC or type(machine) is not dict or machine.get("little_endian") is not True:
        raise Damaged("a torch storage of another format than torch's")
    kind, key, count = (storage.arguments[at] for at in (1, 2, 4)) if is_a(storage, STORAGE) else (None, None, None)
    code = CODES.get(kind.name) if isinstance(kind, Name) else None
    if code is None or type(key) is not str or keys != [key]:
        raise Damaged("a torch storage without a type")
    (written,) = struct.unpack("<q", file.read(8))
    numbers = file.read()
    if written != count or len(numbers) != count * np.dtype(code).itemsize:
        raise Damaged("a torch storage with other numbers than it says")
    return np.frombuffer(numbers, code).astype(np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class DifferentiableHead:
    """What SetFit's `SetFitHead.forward` computes, by torch.

    Attributes:
        weight: float64 (labels, width).
        bias: float64 (labels,).
        divisor: The temperature, and SetFit's epsilon on top.
        multi_target: Sigmoids instead of a softmax.
    """

    weight: Array
    bias: Array
    divisor: float
    multi_target: bool

    def predict_proba(self, x: Array) -> npt.NDArray[np.float64]:
        """Give probabilities, float64 (texts, labels)."""
        import torch

        linear = torch.nn.functional.linear(*(torch.from_numpy(array) for array in (x, self.weight, self.bias)))
        logits = linear / self.divisor
        answers: npt.NDArray[np.float64] = (
            torch.sigmoid(logits) if self.multi_target else torch.nn.functional.softmax(logits, dim=-1)
        ).numpy()
        return answers


def differentiable_head(head: DifferentiableHead) -> Head:
    """Read what `SetFitHead.forward` computes.

    Raises:
        CheckpointError: Its weights are misshapen or not finite, or there is one label only.
    """
    if head.weight.ndim != 2:  # noqa: PLR2004 - a matrix
        raise CheckpointError(f"{NAME}: expected a weight of two axes, found {head.weight.ndim}")
    if head.bias.shape != head.weight.shape[:1]:
        raise CheckpointError(f"{NAME}: expected a bias ({len(head.weight)},), found {head.bias.shape}")
    if len(head.bias) < 2:  # noqa: PLR2004 - the softmax over one is always 1
        raise CheckpointError(f"{NAME}: expected two labels or more, found {len(head.bias)}")
    if not (np.isfinite(head.weight).all() and np.isfinite(head.bias).all() and 0 < head.divisor < math.inf):
        raise CheckpointError(f"{NAME}: expected finite weights and a temperature above 0, found others")
    labels, width = head.weight.shape
    link = Link.SIGMOID if head.multi_target else Link.SOFTMAX
    return Head(
        kind=NAME,
        classes=tuple(str(label) for label in range(labels)),
        numbers=tuple(range(labels)),
        width=width,
        multi_label=head.multi_target,
        scores=Scores.PROBABILITIES,
        has_steps=False,
        formula=Linear(head.weight / head.divisor, head.bias / head.divisor, link),
        estimator=head,
    )
