"""What the processor can do."""

import functools
from pathlib import Path

from ._choice import has_vnni


@functools.cache
def processor_flags(cpuinfo: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """Give what the processor can do, as Linux names it on x86.

    Args:
        cpuinfo: Where Linux lists it.

    Returns:
        Nothing where it is not known: on other systems, and on other processors, which have names of their own.
    """
    try:
        with cpuinfo.open(encoding="utf-8") as lines:  # to the first processor's: a large machine lists hundreds
            return frozenset(next((line.partition(":")[2] for line in lines if line.startswith("flags")), "").split())
    except OSError:
        return frozenset()


def int8_is_fast() -> bool:
    """Tell whether products of 8-bit integers are exact and faster than float32 here.

    x86 processors without VNNI add such products up in 16 bits, which overflow; onnxruntime can avoid it, at a price.
    Other processors have not been measured, so the answer for them is no.
    """
    return has_vnni(processor_flags())
