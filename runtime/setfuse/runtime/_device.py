"""On which device a bundle runs: the GPU where it was asked for or can be used, else the CPU."""

import dataclasses
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from ._choice import Choice, choose_for_cpu
from ._engine import BF16, Engine
from ._errors import DeviceUnavailable, MissingExtra, UsageError, VariantNotFound
from ._manifest import Manifest
from ._variant import Precision, Target

if TYPE_CHECKING:
    from ._driver import Gpu

_CUDA = re.compile(r"cuda(?::(?P<index>[0-9]{1,4}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Device:
    """What was asked for.

    Attributes:
        target: The kind of device; None for what can be had.
        index: Of a GPU, its number.
    """

    target: Target | None
    index: int = 0

    @classmethod
    def parse(cls, name: object) -> Self:
        """Read `auto`, `cpu`, `cuda` or `cuda:1`.

        Raises:
            UsageError: It is something else.
        """
        found = _CUDA.fullmatch(name) if isinstance(name, str) else None
        if found:
            return cls(Target.CUDA, int(found["index"] or 0))
        if name == "auto" or name == "cpu":  # noqa: PLR1714 - it may be unhashable
            return cls(Target.CPU if name == "cpu" else None)
        raise UsageError(f"device: expected auto, cpu, cuda, or cuda:N for the Nth GPU from 0, got {name!r:.60}")


def choose(
    manifest: Manifest,
    *,
    device: Device,
    precision: str | None,
    engine: Engine | None,
    flags: frozenset[str],
    is_installed: Callable[[Engine], bool],
    find_gpu: "Callable[[int, Engine], Gpu]",
) -> Choice:
    """Choose the device, the graph and the engine.

    A GPU that was asked for is taken, or refused: what is asked for never runs on the CPU instead. Where nothing was,
    a GPU is taken if the bundle has a graph for it and it can be used; the choice's reason says why not.

    Args:
        manifest: The bundle's.
        device: What was asked for.
        precision: A `Precision`, `bf16`, or None.
        engine: None for the one that suits.
        flags: As of `choose_for_cpu`.
        is_installed: As of `choose_for_cpu`.
        find_gpu: Gives the GPU of a number if the engine can use it; asked only where it matters.

    Raises:
        DeviceUnavailable: The GPU that was asked for, or that the bundle is for, cannot be used.
        MissingExtra: The same, as onnxruntime is not installed.
        UsageError: The engine or the device is not for that precision.
        VariantNotFound: The bundle has no such graph.
    """

    def on_the_cpu() -> Choice:
        return choose_for_cpu(manifest, precision=precision, engine=engine, flags=flags, is_installed=is_installed)

    for_gpu = engine is Engine.TENSORRT or precision == Precision.FP16
    if device.target is Target.CPU and engine is Engine.TENSORRT:
        raise UsageError('engine: tensorrt is for GPUs, got device="cpu"; pass device="cuda", or another engine')
    if device.target is Target.CPU or (
        device.target is None and not for_gpu and not _free(manifest, precision, engine)
    ):
        return on_the_cpu()
    choice = _for_gpu(manifest, precision, engine or Engine.ONNXRUNTIME)
    try:
        gpu = find_gpu(device.index, choice.engine)
    except (DeviceUnavailable, MissingExtra) as error:
        if device.target is Target.CUDA or for_gpu:
            raise type(error)(_refusal(error, device, engine)) from error
        try:
            rest = on_the_cpu()
        except VariantNotFound:  # the bundle is for GPUs alone
            raise error from None
        why = str(error).partition(";")[0]  # what to do about it is for who asks for a GPU
        return dataclasses.replace(rest, reason=f"{rest.reason}; no GPU is used: {why}")
    return dataclasses.replace(choice, gpu=gpu)


def _refusal(error: Exception, device: Device, engine: Engine | None) -> str:
    """Say which argument asked for a GPU that cannot be had, and what can be passed instead."""
    if device.target is Target.CUDA:
        return f'device="cuda": {error}; or pass device="cpu"'
    if engine is Engine.TENSORRT:
        return f'engine="tensorrt": {error}; or leave the engine out'
    return f'precision="fp16": {error}; or leave the precision out'


def _free(manifest: Manifest, precision: str | None, engine: Engine | None) -> bool:
    """Tell whether nothing that was asked for speaks against the bundle's graph for GPUs."""
    has = any(variant.target is Target.CUDA and not variant.takes_strings for variant in manifest.variants)
    return has and precision is None and engine in {None, Engine.ONNXRUNTIME}


def _for_gpu(manifest: Manifest, precision: str | None, engine: Engine) -> Choice:
    if engine is Engine.OPENVINO or precision == BF16:
        raise UsageError(
            'engine: OpenVINO, and bf16 with it, is for the CPU, got device="cuda"; pass device="cpu", or '
            'engine="onnxruntime" or "tensorrt"'
        )
    wanted = None if precision is None else Precision(precision)
    if engine is Engine.ONNXRUNTIME:
        variant = manifest.variant(precision=wanted, target=Target.CUDA)
        reason = f"{variant.precision} is what the bundle has for GPUs" if wanted is None else f"{wanted} was asked for"
        return Choice(variant, engine, str(variant.precision), reason)
    if wanted is Precision.INT8:
        raise UsageError('precision: TensorRT computes in fp16 or fp32 here, got int8; pass precision="fp16"')
    variant = manifest.variant(precision=Precision.FP32, target=Target.CPU)
    reason = "TensorRT was asked for: it takes the graph of standard operators"
    return Choice(variant, engine, str(wanted or Precision.FP16), reason)
