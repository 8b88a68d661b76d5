"""How many processors a process may use, as the files of its control groups say."""

import os
from pathlib import Path

import pytest

from setfuse.runtime._cpus import available_cpus, cgroup_quota, parse_quota


def lay_out(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return root


def v1(quota: str, folder: str) -> dict[str, str]:
    return {f"{folder}/cpu.cfs_quota_us": f"{quota}\n", f"{folder}/cpu.cfs_period_us": "100000\n"}


V1_NAMES = "9:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n3:cpuset:/docker/abc\n1:name=systemd:/docker/abc\n"

CASES = {
    "no files": ({}, None),
    "version 2, in the container's own root": (
        {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "150000 100000\n"},
        1.5,
    ),
    "version 2, no quota": ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, None),
    "version 2, a parent allows less": (
        {
            "proc/self/cgroup": "0::/pod/web\n",
            "sys/fs/cgroup/pod/web/cpu.max": "800000 100000\n",
            "sys/fs/cgroup/pod/cpu.max": "300000 100000\n",
        },
        3.0,
    ),
    "version 2, a child allows less": (
        {
            "proc/self/cgroup": "0::/pod/web\n",
            "sys/fs/cgroup/pod/web/cpu.max": "50000 100000\n",
            "sys/fs/cgroup/pod/cpu.max": "300000 100000\n",
        },
        0.5,
    ),
    "version 2, another's group is none of ours": (
        {"proc/self/cgroup": "0::/web\n", "sys/fs/cgroup/other/cpu.max": "100000 100000\n"},
        None,
    ),
    "version 1, the host's name of the group is not to be seen": (
        {"proc/self/cgroup": V1_NAMES, **v1("250000", "sys/fs/cgroup/cpu,cpuacct")},
        2.5,
    ),
    "version 1, mounted as cpu": (
        {"proc/self/cgroup": V1_NAMES, **v1("400000", "sys/fs/cgroup/cpu/docker/abc")},
        4.0,
    ),
    "version 1, no quota": ({"proc/self/cgroup": V1_NAMES, **v1("-1", "sys/fs/cgroup/cpu,cpuacct")}, None),
    "both, of which version 1 has the processors": (
        {"proc/self/cgroup": f"{V1_NAMES}0::/unified\n", **v1("200000", "sys/fs/cgroup/cpu,cpuacct")},
        2.0,
    ),
    "damage": ({"proc/self/cgroup": "\0\n:::\nx\n0::/\n", "sys/fs/cgroup/cpu.max": "a lot\n"}, None),
}


@pytest.mark.parametrize(("files", "expected"), CASES.values(), ids=CASES)
def test_the_quota_is_the_lowest_of_the_group_and_its_parents(
    files: dict[str, str], expected: float | None, tmp_path: Path
) -> None:
    assert cgroup_quota(lay_out(tmp_path, files)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("200000 100000", 2.0),
        ("10000 100000", 0.1),
        ("max 100000", None),
        ("-1 100000", None),
        ("0 100000", None),
        ("100000 0", None),
        ("100000", None),
        ("", None),
        ("² 100000", None),
        ("1e5 100000", None),
    ],
)
def test_what_is_no_quota_is_none(text: str, expected: float | None) -> None:
    assert parse_quota(text) == expected


@pytest.mark.parametrize(
    ("quota", "affinity", "expected"),
    [("max", 8, 8), ("150000", 8, 1), ("250000", 8, 2), ("30000", 8, 1), ("3200000", 8, 8), ("400000", 2, 2)],
)
def test_threads_are_the_affinity_masks_and_no_more_than_the_quota_pays_for(
    quota: str, affinity: int, expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(affinity)))
    root = lay_out(tmp_path, {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": f"{quota} 100000\n"})

    assert available_cpus(root) == expected


def test_where_there_are_no_masks_the_processors_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 6)

    assert available_cpus(tmp_path) == 6


def test_here_there_is_one_at_least() -> None:
    assert 1 <= available_cpus() <= len(os.sched_getaffinity(0))
