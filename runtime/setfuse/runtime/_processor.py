"""What the processor can do."""

import functools
from pathlib import Path

_BF16 = {"avx512_bf16", "amx_bf16"}
_EXACT_INT8 = {"avx512_vnni", "avx_vnni", "amx_int8"}


@functools.cache
def int8_is_fast(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Tell whether products of 8-bit integers are exact and faster than float32 here.

    x86 processors without VNNI add such products up in 16 bits, which overflow; onnxruntime can avoid it, at a price.
    Other processors have not been measured, so the answer for them is no.

    Args:
        cpuinfo: Where Linux lists the processor's flags; without it the answer is no.
    """
    return not _EXACT_INT8.isdisjoint(_flags(cpuinfo))


@functools.cache
def has_bf16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Tell whether the processor multiplies bfloat16; without it such products are slower than float32.

    Args:
        cpuinfo: As of `int8_is_fast`.
    """
    return not _BF16.isdisjoint(_flags(cpuinfo))


def _flags(cpuinfo: Path) -> list[str]:
    try:
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    return next((line.partition(":")[2] for line in lines if line.startswith("flags")), "").split()
