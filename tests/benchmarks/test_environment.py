"""What a results file says of the machine, and of who else used it."""

import json
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import _environment
from benchmarks._environment import Usage, cpu_flags, environment, noise, usable_cores, usage
from benchmarks._results import LatencyRow
from benchmarks._warnings import warnings_of


def test_the_environment_names_machine_interpreter_and_packages() -> None:
    found = environment()

    assert isinstance(found["cpu"], str)
    assert found["cpu"].strip()
    assert {"time", "cpu", "cpu_flags", "cores", "cores_usable", "governor", "memory_gib", "load_1min"} <= set(found)
    assert 1 <= found["cores_usable"] <= found["cores"]
    assert found["memory_gib"] > 0
    assert datetime.fromisoformat(found["time"]).tzinfo is not None
    assert found["versions"]["numpy"] == np.__version__
    assert {"setfuse", "onnxruntime", "scikit-learn"} <= set(found["versions"])
    assert json.loads(json.dumps(found)) == found


@pytest.mark.parametrize(
    ("info", "cpu", "flags"),
    [
        ({"model name": "Some CPU", "flags": "fpu avx2 avx512_vnni"}, "Some CPU", ["avx2", "avx512_vnni"]),
        ({"Features": "fp asimddp i8mm"}, None, ["asimddp", "i8mm"]),
        ({}, None, []),
    ],
    ids=["x86", "arm", "no-cpuinfo"],
)
def test_processors_of_other_kinds_are_described(
    info: dict[str, str], cpu: str | None, flags: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_environment, "_cpuinfo", lambda: info)

    found = environment()

    assert found["cpu"]
    assert cpu in {found["cpu"], None}
    assert found["cpu_flags"] == flags
    assert set(flags) <= cpu_flags()


def test_a_package_that_is_not_installed_has_no_version() -> None:
    assert _environment._version("no-such-package-anywhere") is None


def test_what_our_own_processes_use_is_not_noise() -> None:
    before = usage()
    subprocess.run([sys.executable, "-c", "for _ in range(10**7): pass"], check=True)
    after = usage()

    assert before is not None
    assert after is not None
    assert after.own - before.own > 0.05, "a child that has ended counts"
    assert after.busy >= before.busy
    shares = noise(before, after)
    assert shares["others_share"] is not None
    assert 0 <= shares["others_share"] <= 1


def test_noise_is_what_others_used_and_what_the_host_took() -> None:
    before = Usage(busy=100, stolen=5, total=1000, own=10)
    after = Usage(busy=160, stolen=15, total=1200, own=50)

    assert noise(before, after) == {"others_share": 0.1, "stolen_share": 0.05}


def test_a_system_without_counters_has_no_shares(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(_environment, "_STAT", tmp_path / "nothing")

    assert usage() is None
    assert noise(usage(), usage()) == {"others_share": None, "stolen_share": None}


def test_the_cores_that_may_be_used_are_those_of_the_affinity_mask() -> None:
    program = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); "
        "from benchmarks._environment import usable_cores; print(usable_cores())"
    )

    done = subprocess.run([sys.executable, "-c", program], cwd=_environment.Path.cwd(), capture_output=True, check=True)

    assert done.stdout == b"1\n"
    assert usable_cores() >= 1


def row(kind: str, *rounds: float) -> LatencyRow:
    return LatencyRow("a", "1 x 8", kind, 1, 8, 9, 1, 1, 1, 1, None, None, None, 1.0, None, rounds)


QUIET: dict[str, Any] = {"load_1min": 0.4, "cores_usable": 2, "others_share": 0.01, "stolen_share": 0.0}


def test_a_quiet_machine_needs_no_warning() -> None:
    assert warnings_of(QUIET, [row("length", 1.0, 1.1), row("closed", 1.0, 9.0)]) == ()
    assert warnings_of({**QUIET, "others_share": None, "stolen_share": None}, []) == ()


@pytest.mark.parametrize(
    ("changed", "rounds", "expected"),
    [
        ({"load_1min": 1.2}, (1.0, 1.0), "the machine was busy before the run: a load of 1.2"),
        ({"others_share": 0.2}, (1.0, 1.0), "others used 20% of the processors during the run"),
        ({"stolen_share": 0.1}, (1.0, 1.0), "the host took 10% of the processors away during the run"),
        ({}, (1.0, 1.5), "times drifted: the slowest round took 1.50 times as long as the fastest"),
    ],
)
def test_a_noisy_machine_is_told(changed: dict[str, Any], rounds: tuple[float, ...], expected: str) -> None:
    (warning,) = warnings_of({**QUIET, **changed}, [row("length", *rounds)])

    assert warning.startswith(expected)
