"""What a measurement was made on, and who else used the machine meanwhile: written into every results file."""

import importlib.metadata
import os
import platform
import resource
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_PACKAGES = ("setfuse", "onnxruntime", "tokenizers", "numpy", "scikit-learn", "scipy")
_FLAGS = ("avx2", "avx512f", "avx_vnni", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16", "asimddp", "i8mm")
_GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
_STAT = Path("/proc/stat")

NOISY = 0.05
"""Share of the processors that others may use, or that the host may take away, before the figures are doubted."""


def environment() -> dict[str, Any]:
    """Describe the machine, the interpreter and the packages of the suite itself."""
    info = _cpuinfo()
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": info.get("model name") or platform.processor() or platform.machine(),
        "cpu_flags": [flag for flag in _FLAGS if flag in cpu_flags()],
        "cores": os.cpu_count(),
        "cores_usable": usable_cores(),
        "governor": _GOVERNOR.read_text(encoding="ascii").strip() if _GOVERNOR.is_file() else None,
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "load_1min": round(os.getloadavg()[0], 2),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in _PACKAGES},
    }


def usable_cores() -> int:
    """Give how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpu_flags() -> set[str]:
    """Give what the processor has, as /proc/cpuinfo names it; empty where there is no such file."""
    info = _cpuinfo()
    return set(info.get("flags", info.get("Features", "")).split())  # x86, Arm


def has_cuda() -> bool:
    """Tell whether an NVIDIA driver is loaded."""
    return Path("/proc/driver/nvidia/version").is_file()


@dataclass(frozen=True, slots=True)
class Usage:
    """Processor time since the machine started, in seconds over all processors.

    Attributes:
        busy: Anybody's.
        stolen: That the host of a virtual machine gave to others.
        total: That there was.
        own: Of this process and those that it has started and seen end.
    """

    busy: float
    stolen: float
    total: float
    own: float


def usage() -> Usage | None:
    """Read the counters; None where the system has none that we know."""
    if not _STAT.is_file():
        return None
    ticks = os.sysconf("SC_CLK_TCK")
    first = _STAT.read_text(encoding="ascii").split("\n", 1)[0].split()
    user, nice, system, idle, iowait, irq, softirq, stolen = (int(part) / ticks for part in first[1:9])
    busy = user + nice + system + irq + softirq
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    own = sum(one.ru_utime + one.ru_stime for one in spent)
    return Usage(busy, stolen, busy + idle + iowait + stolen, own)


def noise(before: Usage | None, after: Usage | None) -> dict[str, float | None]:
    """Give the shares of the processors that others used, and that a host took away, between two readings.

    All processes of the run must have ended by then: before that, what they used is not known.
    """
    if before is None or after is None or after.total <= before.total:
        return {"others_share": None, "stolen_share": None}
    total = after.total - before.total
    others = after.busy - before.busy - (after.own - before.own)
    return {
        "others_share": round(max(0.0, others) / total, 4),
        "stolen_share": round((after.stolen - before.stolen) / total, 4),
    }


def _cpuinfo() -> dict[str, str]:
    path = Path("/proc/cpuinfo")
    if not path.is_file():
        return {}
    pairs = (line.split(":", 1) for line in path.read_text(encoding="utf-8").splitlines() if ":" in line)
    return {key.strip(): value.strip() for key, value in pairs}


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
