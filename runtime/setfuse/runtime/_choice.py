"""Which graph of a bundle runs in which engine on the CPU, and why: a rule on plain facts. Figures: the README."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ._engine import BF16, Engine
from ._errors import UsageError
from ._manifest import Manifest
from ._variant import Precision, Target, Variant

if TYPE_CHECKING:
    from ._driver import Gpu

BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16"})
"""Of a processor that multiplies bfloat16; without one such products are slower than float32."""

VNNI_FLAGS = frozenset({"avx512_vnni", "avx_vnni", "amx_int8"})
"""Of a processor that adds products of 8-bit integers in 32 bits. x86 without adds them in 16, which overflow."""


def has_vnni(flags: frozenset[str]) -> bool:
    """Tell from a processor's flags whether sums of 8-bit products are exact there, and faster than float32."""
    return not VNNI_FLAGS.isdisjoint(flags)


@dataclass(frozen=True, slots=True)
class Choice:
    """What runs.

    Attributes:
        variant: The graph.
        engine: What runs it.
        precision: What the matrix products are computed in: the graph's own precision, `bf16` in OpenVINO, or what
            TensorRT makes of fp32.
        reason: Why, in one sentence.
        gpu: Where; None for the CPU.
    """

    variant: Variant
    engine: Engine
    precision: str
    reason: str
    gpu: "Gpu | None" = None

    @property
    def target(self) -> Target:
        """The kind of device."""
        return Target.CPU if self.gpu is None else Target.CUDA


def choose_for_cpu(
    manifest: Manifest,
    *,
    precision: str | None,
    engine: Engine | None,
    flags: frozenset[str],
    is_installed: Callable[[Engine], bool],
) -> Choice:
    """Choose the graph and the engine.

    What is asked for is taken, or refused. Of the rest: int8 where the processor has VNNI, otherwise fp32; in
    onnxruntime, or in OpenVINO where that is the only engine. bfloat16, which the export does not compare with torch,
    is for who asks for it.

    Args:
        manifest: The bundle's.
        precision: A `Precision`, `bf16`, or None.
        engine: None for the one that suits.
        flags: What the processor can do, as /proc/cpuinfo names it; empty where that is not known.
        is_installed: Tells of an engine; asked only where it matters.

    Raises:
        UsageError: The engine or the processor is not for that precision.
        VariantNotFound: The bundle has no such graph.
    """
    if precision == BF16:
        return _asked_bf16(manifest, engine, flags)
    vnni = has_vnni(flags)
    wanted = None if precision is None else Precision(precision)
    variant = manifest.variant(precision=wanted, target=Target.CPU, int8_is_fast=vnni)
    free = precision is None and engine is None and variant.precision is Precision.FP32
    if engine is None:
        only_openvino = not is_installed(Engine.ONNXRUNTIME) and is_installed(Engine.OPENVINO)
        engine = Engine.OPENVINO if only_openvino else Engine.ONNXRUNTIME
    if engine is Engine.OPENVINO and variant.precision is Precision.INT8 and not vnni:
        raise UsageError(
            "precision: int8 in OpenVINO is for processors with VNNI: without, its sums of 8-bit products overflow "
            'and the bundle\'s parity does not hold; pass precision="fp32" or engine="onnxruntime"'
        )
    reason = _reason(manifest, variant, wanted, flags)
    if free and _multiplies_bf16(flags) and is_installed(Engine.OPENVINO):
        reason += f"; {_BF16_IS_FASTER}"
    return Choice(variant, engine, str(variant.precision), reason)


_BF16_IS_FASTER = (
    'precision="bf16" is faster on this processor, in OpenVINO, but the export did not compare it with torch'
)


def _asked_bf16(manifest: Manifest, engine: Engine | None, flags: frozenset[str]) -> Choice:
    if engine is Engine.ONNXRUNTIME:
        raise UsageError(
            f'precision: bf16 is the fp32 graph in OpenVINO, got engine="{engine}"; pass engine="openvino"'
        )
    if not _multiplies_bf16(flags):
        raise UsageError("precision: expected a processor with avx512_bf16 or amx_bf16 for bf16; pass another one")
    variant = manifest.variant(precision=Precision.FP32, target=Target.CPU)
    reason = "bf16 was asked for: it is the fp32 graph in OpenVINO"
    return Choice(variant, Engine.OPENVINO, BF16, reason)


def _multiplies_bf16(flags: frozenset[str]) -> bool:
    return not BF16_FLAGS.isdisjoint(flags)


def _reason(manifest: Manifest, variant: Variant, wanted: Precision | None, flags: frozenset[str]) -> str:
    vnni = ", ".join(sorted(VNNI_FLAGS & flags))
    if variant.precision is Precision.INT8 and not vnni:
        exact = "without VNNI onnxruntime must keep its sums from overflowing, which costs what it saves"
        return f"int8 was asked for: {exact}" if wanted else f"the bundle has nothing but int8: {exact}"
    if wanted is not None:
        return f"{wanted} was asked for"
    if variant.precision is Precision.INT8 and vnni:
        return f"the processor has {vnni}: products of 8-bit integers are exact, and faster than fp32"
    if variant.precision is Precision.FP32:
        return _why_not_int8(manifest, flags)
    return f"{variant.precision} is the fastest of the bundle's graphs for {variant.target}"


def _why_not_int8(manifest: Manifest, flags: frozenset[str]) -> str:
    if all(variant.precision is not Precision.INT8 or variant.takes_strings for variant in manifest.variants):
        return "the bundle has no int8 graph"
    if not flags:
        return "what the processor can do is not known here, and int8 is only taken where it is known to be exact"
    return "the processor has no VNNI: sums of 8-bit products would overflow, or cost what int8 saves"
