"""Environments: built once, whole or not at all, again when the pins change; failures are reasons in pip's words."""

import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from benchmarks import _environments
from benchmarks._environments import ENVIRONMENTS, Environment, last_reason, python_for
from benchmarks._errors import BenchmarkError

MISSING = "/no/such/package-1.0-py3-none-any.whl"
SIZE = 1000


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(_environments, "FOLDER", tmp_path / "environments of tests")
    return tmp_path / "environments of tests"


@pytest.fixture
def wheel(tmp_path: Path) -> str:
    """A package that pip can install without the network."""
    path = tmp_path / "tiny_one-1.5-py3-none-any.whl"
    info = "tiny_one-1.5.dist-info"
    with zipfile.ZipFile(path, "w") as package:
        package.writestr("tiny_one.txt", "x" * SIZE)
        package.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny_one\nVersion: 1.5\n")
        package.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        package.writestr(f"{info}/RECORD", "")
    return str(path)


def test_a_bare_environment_is_built_and_holds_nothing(folder: Path) -> None:
    environment = Environment("bare", ())
    assert environment.reason == "environment bare is not built; run python -m benchmarks.setup --only bare"
    assert environment.size_bytes() is None

    environment.build()

    assert environment.is_built
    assert environment.reason == ""
    assert python_for(environment) == folder / "bare" / "bin" / "python"
    assert environment.size_bytes() == 0
    assert environment.versions() == {}
    prefix = [str(environment.python), "-c", "import sys; print(sys.prefix)"]
    assert subprocess.run(prefix, capture_output=True, text=True, check=True).stdout.strip() == str(folder / "bare")


@pytest.mark.usefixtures("folder")
def test_versions_and_size_are_of_what_was_installed(wheel: str, tmp_path: Path) -> None:
    sources = tmp_path / "sources"
    sources.mkdir()
    (sources / "module.py").write_text("y" * 7)
    (sources / "link.py").symlink_to(sources / "module.py")
    plain = Environment("plain", (f"tiny-one @ file://{wheel}",))
    beside = Environment("beside", (f"tiny-one @ file://{wheel}",), sources=sources)
    plain.build()
    beside.build()

    assert plain.versions() == {"tiny-one": "1.5"}
    own, with_sources = plain.size_bytes(), beside.size_bytes()
    assert own is not None
    assert with_sources is not None
    assert SIZE < own < SIZE + 2000
    assert with_sources == own + 7


def test_a_changed_pin_makes_it_stale_and_building_brings_it_up_to_date(wheel: str, folder: Path) -> None:
    Environment("changing", ()).build()
    changed = Environment("changing", (wheel,))
    (folder / "changing" / "rest").write_text("of the old one")

    assert not changed.is_built
    assert "holds other versions than are pinned now" in changed.reason
    with pytest.raises(BenchmarkError, match="other versions"):
        python_for(changed)

    changed.build()

    assert changed.reason == ""
    assert not (folder / "changing" / "rest").exists()


def test_one_that_cannot_be_built_says_why_now_and_later(folder: Path) -> None:
    environment = Environment("bad", (MISSING,))
    why = "No such file or directory: '/no/such/package-1.0-py3-none-any.whl'"

    with pytest.raises(BenchmarkError, match=why):
        environment.build()

    assert not environment.is_built
    assert environment.reason.startswith("environment bad could not be built: ")
    assert why in environment.reason
    assert (folder / "bad.log").read_text().strip()
    assert Environment("bad", ()).reason.startswith("environment bad was broken off or holds other versions")


def test_a_build_that_was_interrupted_is_not_taken_for_a_whole_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = subprocess.run

    def interrupted(command: list[str], **options: Any) -> Any:
        if "pip" in command:
            raise KeyboardInterrupt
        return run(command, **options)

    environment = Environment("halfway", ("anything",))
    with monkeypatch.context() as patched:
        patched.setattr(subprocess, "run", interrupted)
        with pytest.raises(KeyboardInterrupt):
            environment.build()

    assert (folder / "halfway" / "bin" / "python").exists()
    assert not environment.is_built
    assert "was broken off" in environment.reason

    finished = Environment("halfway", ())
    finished.build()

    assert finished.is_built


@pytest.mark.parametrize(
    ("probe", "serves"), [(("json", "numpy"), True), (("json", "no_such_module"), False), ((), False)]
)
def test_the_suites_interpreter_serves_where_it_has_the_modules(
    probe: tuple[str, ...], serves: bool, folder: Path
) -> None:
    environment = Environment("probed", ("numpy",), probe=probe)

    if serves:
        assert python_for(environment) == Path(sys.executable)
        assert environment.versions().keys() == {"numpy"}
    else:
        with pytest.raises(BenchmarkError, match=r"^environment probed is not built; run .* --only probed$"):
            python_for(environment)
    assert environment.size_bytes() is None
    assert not folder.exists()


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (
            "Collecting x\nERROR: Could not find x\nERROR: No matching distribution\n[notice] new pip",
            "No matching distribution",
        ),
        ("note: This error originates from a subprocess\n\nerror: it broke\n\nhint: See above\n", "error: it broke"),
        ("Traceback\nValueError: no\n\n", "ValueError: no"),
        ("", "it said nothing"),
    ],
)
def test_the_reason_is_the_line_that_says_something(output: str, expected: str) -> None:
    assert last_reason(output) == expected


@pytest.mark.parametrize("environment", ENVIRONMENTS.values(), ids=ENVIRONMENTS)
def test_everything_is_pinned(environment: Environment) -> None:
    requirements = [line for line in environment.requirements if not line.startswith("-e ")]

    assert requirements
    assert all("==" in line for line in requirements)
    assert [line for line in requirements if line.startswith("torch")] in ([], ["torch==2.13.0"])
    names = [line.split("==")[0].split("[")[0] for line in requirements]
    assert len(set(names)) == len(names)
    assert "numpy" in names, "adapters need it in every environment"
