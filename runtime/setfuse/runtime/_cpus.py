"""How many processors this process may use."""

import os
from pathlib import Path

from ._errors import UsageError

MAX_THREADS = 256
"""More than any machine gains from; a slip of the pen must not start a hundred thousand."""

_V1_CONTROLLER = "cpu"


def check_threads(threads: int | None) -> None:
    """Check a number of threads; None stands for as many as there are processors.

    Raises:
        UsageError: It is no whole number from 1 to `MAX_THREADS`.
    """
    if threads is not None and (type(threads) is not int or not 1 <= threads <= MAX_THREADS):
        raise UsageError(f"threads: expected a whole number from 1 to {MAX_THREADS}, got {threads!r}")


def available_cpus(root: Path = Path("/")) -> int:
    """Count the processors that this process may use: its affinity mask, and no more than its control groups allow.

    A quota is rounded down, but to one at least: who runs more threads than the quota pays for is stopped for the
    rest of each period, and that shows in the slowest answers.

    Args:
        root: Where `proc` and `sys` are found.
    """
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cgroup_quota(root)
    return processors if quota is None else max(1, min(processors, int(quota)))


def cgroup_quota(root: Path) -> float | None:
    """Read how many processors' worth of time the control groups of this process allow, as containers set it.

    Each group's parents limit it, too. A container may see its own group as the root, whatever name it is told: a group
    that is not found is passed over.

    Args:
        root: Where `proc` and `sys` are found.

    Returns:
        The lowest quota, in processors; None where there is none.
    """
    quotas = []
    for line in _read(root / "proc/self/cgroup").splitlines():
        controllers, _, name = line.partition(":")[2].partition(":")
        for mount in _mounts(root / "sys/fs/cgroup", controllers):
            group = mount / name.strip().lstrip("/")
            quotas += [_group_quota(folder) for folder in (group, *group.parents) if folder.is_relative_to(mount)]
    return min((quota for quota in quotas if quota is not None), default=None)


def _mounts(cgroups: Path, controllers: str) -> list[Path]:
    if not controllers:  # version 2: one tree for all
        return [cgroups]
    if _V1_CONTROLLER not in controllers.split(","):
        return []
    return [cgroups / name for name in dict.fromkeys([controllers, _V1_CONTROLLER])]


def _group_quota(folder: Path) -> float | None:
    return parse_quota(_read(folder / "cpu.max")) or parse_quota(
        f"{_read(folder / 'cpu.cfs_quota_us')} {_read(folder / 'cpu.cfs_period_us')}"
    )


def parse_quota(text: str) -> float | None:
    """Read a quota and its period, in microseconds, as version 2 has them in `cpu.max` and version 1 in two files.

    Returns:
        Processors; None for `max`, -1, and whatever is no quota.
    """
    numbers = text.split()
    if len(numbers) != 2 or not all(number.isascii() and number.isdigit() and int(number) for number in numbers):  # noqa: PLR2004 - the two
        return None
    quota, period = map(int, numbers)
    return quota / period


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
