"""What a results file says of the machine."""

import json
from datetime import datetime

import numpy as np
import pytest

from benchmarks import _environment
from benchmarks._environment import environment


def test_the_environment_names_machine_interpreter_and_packages() -> None:
    found = environment()

    assert isinstance(found["cpu"], str)
    assert found["cpu"].strip()
    assert set(found) == {
        "time",
        "cpu",
        "cpu_flags",
        "cores",
        "cores_usable",
        "memory_gib",
        "load_1min",
        "platform",
        "python",
        "versions",
    }
    assert 1 <= found["cores_usable"] <= found["cores"]
    assert found["memory_gib"] > 0
    assert datetime.fromisoformat(found["time"]).tzinfo is not None
    assert found["versions"]["numpy"] == np.__version__
    assert {"setfuse", "onnxruntime", "torch", "sentence-transformers", "scikit-learn"} <= set(found["versions"])
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


def test_a_package_that_is_not_installed_has_no_version() -> None:
    assert _environment._version("no-such-package-anywhere") is None
