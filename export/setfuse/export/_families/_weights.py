"""Take a family's configuration values and tensors, each checked as it is taken."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors

from setfuse.export._encoder import FloatArray, Linear, Norm
from setfuse.export._errors import CheckpointError, UnsupportedCheckpoint
from setfuse.export._json import read_object

SAFETENSORS = "model.safetensors"
INDEX = "model.safetensors.index.json"
PICKLED = "pytorch_model.bin"


@dataclass(frozen=True, slots=True)
class Config:
    """A transformers `config.json`.

    Attributes:
        path: Where it was read from, for messages.
        values: Its content.
    """

    path: Path
    values: Mapping[str, Any]

    def integer(self, key: str, *, at_least: int = 1) -> int:
        """Give a whole number of 1 or more, or of another least.

        Raises:
            CheckpointError: It is missing or is something else.
        """
        value = self.values.get(key)
        if not isinstance(value, int) or isinstance(value, bool) or value < at_least:
            raise CheckpointError(
                f"{self.path}: expected {key} to be a whole number of {at_least} or more, found {value!r}"
            )
        return value

    def number(self, key: str) -> float:
        """Give a number.

        Raises:
            CheckpointError: It is missing or is something else.
        """
        value = self.values.get(key)
        if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) < sys.float_info.max:
            raise CheckpointError(f"{self.path}: expected {key} to be a number, found {value!r}")
        return float(value)

    def expect(self, **values: object) -> None:
        """Refuse a configuration that sets one of these keys to something else; a missing key is as expected.

        Raises:
            UnsupportedCheckpoint: It does.
        """
        for key, value in values.items():
            found = self.values.get(key, value)
            if found != value:
                raise UnsupportedCheckpoint(f"{self.path}: expected {key} {value!r}, found {found!r}: not supported")

    def choice(self, key: str, known: tuple[str, ...]) -> str:
        """Give one of the known names.

        Raises:
            UnsupportedCheckpoint: It is missing or is another.
        """
        value = self.values.get(key)
        if value not in known:
            raise UnsupportedCheckpoint(
                f"{self.path}: expected {key} to be one of {', '.join(known)}; found {value!r}: not supported"
            )
        return str(value)


class Weights:
    """The tensors of a checkpoint file."""

    def __init__(self, path: Path, tensors: Mapping[str, FloatArray]) -> None:
        self._path = path
        self._tensors = tensors

    @classmethod
    def read(cls, folder: Path, prefix: str = "") -> "Weights":
        """Read the weights of a transformers or sentence-transformers module folder.

        Args:
            folder: With `model.safetensors`, whole or in shards, or else `pytorch_model.bin`, which is read without
                running any code that it may hold.
            prefix: What a model with a task head puts before the names of the encoder's tensors; taken off.

        Raises:
            CheckpointError: There is no such file, or it is damaged.
        """
        path = next((folder / name for name in (SAFETENSORS, INDEX, PICKLED) if (folder / name).is_file()), None)
        if path is None:
            raise CheckpointError(f"{folder / SAFETENSORS}: expected the body's weights in this file, found none")
        if path.name == INDEX:
            shards = sorted(set(_shards(path)))
            tensors = {name: tensor for shard in shards for name, tensor in _safetensors(folder / shard).items()}
        else:
            tensors = _safetensors(path) if path.name == SAFETENSORS else _pickled(path)
        return cls(path, {name.removeprefix(prefix): tensor for name, tensor in tensors.items()})

    def has(self, name: str) -> bool:
        """Tell whether there is such a tensor."""
        return name in self._tensors

    def tensor(self, name: str, *shape: int) -> FloatArray:
        """Give a tensor.

        Raises:
            CheckpointError: It is missing, of another shape, or has values that are not finite.
        """
        tensor = self._tensors.get(name)
        if tensor is None or tensor.shape != shape:
            found = "none" if tensor is None else f"the shape {tensor.shape}"
            raise CheckpointError(f"{self._path}: expected a tensor {name} of the shape {shape}, found {found}")
        if not np.isfinite(tensor).all():
            raise CheckpointError(f"{self._path}: expected finite weights, found NaN or infinity in {name}")
        return tensor

    def linear(self, name: str, inputs: int, outputs: int, *, called: str, bias: bool = True) -> Linear:
        """Give a `torch.nn.Linear`; one without a bias gets zeros.

        Args:
            name: That of its tensors, without `.weight` and `.bias`.
            inputs: Width of what it reads.
            outputs: Width of what it gives.
            called: Its name in the graph.
            bias: Whether it has one.

        Raises:
            CheckpointError: As `tensor`.
        """
        weight = self.tensor(f"{name}.weight", outputs, inputs).T
        return Linear(called, weight, self.tensor(f"{name}.bias", outputs) if bias else np.zeros(outputs, np.float32))

    def norm(self, name: str, width: int, epsilon: float, *, called: str) -> Norm:
        """Give a `torch.nn.LayerNorm`.

        Args:
            name: That of its tensors, without `.weight` and `.bias`.
            width: Of what it reads.
            epsilon: Added to the variance.
            called: Its name in the graph.

        Raises:
            CheckpointError: As `tensor`.
        """
        return Norm(called, self.tensor(f"{name}.weight", width), self.tensor(f"{name}.bias", width), epsilon)


def _shards(path: Path) -> list[str]:
    shards = read_object(path).get("weight_map")
    if not isinstance(shards, dict) or any(Path(str(shard)).name != shard for shard in shards.values()):
        raise CheckpointError(f"{path}: expected a weight_map from tensors to files beside it, found {shards!r:.60}")
    return list(shards.values())


def _safetensors(path: Path) -> dict[str, FloatArray]:
    try:
        with safetensors.safe_open(path, framework="pt") as file:  # torch reads bfloat16 too, numpy does not
            return {name: file.get_tensor(name).float().numpy() for name in file.keys()}  # noqa: SIM118
    except (OSError, safetensors.SafetensorError) as error:
        raise CheckpointError(f"{path}: expected safetensors, found damage ({error})") from error


def _pickled(path: Path) -> dict[str, FloatArray]:
    import torch

    try:
        tensors = torch.load(path, map_location="cpu", weights_only=True)
        # Checkpoints of TensorFlow's time call a normalisation's weight gamma and its bias beta.
        return {
            name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias"): value
            for name, value in ((name, tensor.float().numpy()) for name, tensor in tensors.items())
        }
    except Exception as error:  # a damaged pickle makes torch raise nearly anything
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(
            f"{path}: expected tensors and nothing else in this pickle ({reason}); save the model as safetensors"
        ) from error
