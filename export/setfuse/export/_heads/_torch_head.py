"""SetFit's differentiable head: its pickled torch module, read without importing setfit."""

import io
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from setfuse.export._errors import CheckpointError
from setfuse.runtime import Scores

from ._arrays import Damaged
from ._formulas import Array, Linear, Link
from ._head import Head

NAME = "SetFitHead"


@dataclass(slots=True)
class Module:
    """Stands for a torch module in a pickle: what its state says, and none of its code."""

    state: dict[str, Any] = field(default_factory=dict)

    def take(self, state: object) -> None:
        """Take over the attributes.

        Raises:
            Damaged: They are none.
        """
        if not isinstance(state, dict):
            raise Damaged("a torch module of another state than a dict")
        self.state = state


@dataclass(frozen=True, slots=True, eq=False)
class Storage:
    """The numbers of a tensor, float64 (count,)."""

    numbers: Array


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """A tensor, float64 of any shape."""

    numbers: Array


def new_storage(data: Any) -> Storage:
    """Stand for torch's `_load_from_bytes`, which would unpickle anything.

    Raises:
        Damaged: torch finds no storage there, or something else.
    """
    import pickle

    import torch

    if not isinstance(data, bytes):
        raise Damaged("a torch storage that is no bytes")
    try:
        storage = torch.load(io.BytesIO(data), weights_only=True, map_location="cpu")
        numbers = torch.empty(0, dtype=storage.dtype).set_(storage).double().numpy().copy()
    except (AttributeError, EOFError, OSError, RuntimeError, TypeError, ValueError, pickle.UnpicklingError) as error:
        raise Damaged(f"a torch storage that torch refuses ({error!s:.200})") from error
    return Storage(numbers)


def new_tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: object) -> Tensor:
    """Stand for torch's `_rebuild_tensor_v2`.

    Raises:
        Damaged: The storage holds fewer numbers, or they are not in row order.
    """
    whole = [*size, *stride, offset] if isinstance(size, tuple) and isinstance(stride, tuple) else [None]
    if not isinstance(storage, Storage) or not all(isinstance(number, int) and number >= 0 for number in whole):
        raise Damaged("a torch tensor without storage or shape")
    count = math.prod(size)
    expected = tuple(math.prod(size[axis + 1 :]) for axis in range(len(size)))
    if stride != expected or offset + count > len(storage.numbers):
        raise Damaged(f"a torch tensor of the shape {size} that its storage does not hold in row order")
    return Tensor(storage.numbers[offset : offset + count].reshape(size))


def new_parameter(tensor: Any, *_: object) -> Tensor:
    """Stand for torch's `_rebuild_parameter`.

    Raises:
        Damaged: It is of no tensor.
    """
    if not isinstance(tensor, Tensor):
        raise Damaged("a torch parameter that is no tensor")
    return tensor


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


def read_differentiable(module: Module) -> Head:
    """Read a SetFitHead.

    Raises:
        CheckpointError: Its weights are missing, misshapen or not finite, or there is one label only.
    """
    return differentiable_head(_head(module))


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


def _head(module: Module) -> DifferentiableHead:
    linear = module.state.get("_modules", {}).get("linear")
    parameters = linear.state.get("_parameters", {}) if isinstance(linear, Module) else {}
    weight = parameters.get("weight")
    if not isinstance(weight, Tensor) or weight.numbers.ndim != 2:  # noqa: PLR2004 - a matrix
        raise CheckpointError(f"{NAME}: expected a linear layer with a weight of two axes, found none; train it first")
    bias = parameters.get("bias")
    numbers = bias.numbers if isinstance(bias, Tensor) else np.zeros(len(weight.numbers))
    divisor = module.state.get("temperature", 1.0) + module.state.get("eps", 1e-5)
    return DifferentiableHead(weight.numbers, numbers, float(divisor), bool(module.state.get("multitarget", False)))
