"""The command line that builds environments."""

from pathlib import Path

import pytest

from benchmarks import _environments, setup
from benchmarks._environments import Environment

MISSING = "/no/such/package-1.0-py3-none-any.whl"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    environments = [
        Environment("one", ()),
        Environment("bad", (MISSING,)),
        Environment("two", ()),
        Environment("gpu", (), cuda=True),
    ]
    monkeypatch.setattr(_environments, "FOLDER", tmp_path)
    monkeypatch.setattr(setup, "FOLDER", tmp_path)
    monkeypatch.setattr(setup, "ENVIRONMENTS", {environment.name: environment for environment in environments})
    monkeypatch.setattr("shutil.which", lambda _: None)
    return tmp_path


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Give what stands on the terminal in the end: a line that was written over does not."""
    return [line.rpartition("\r")[2] for line in capsys.readouterr().out.splitlines()]


def test_one_that_fails_does_not_keep_the_others_from_being_built(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert setup.main([]) == 1

    told = lines(capsys)
    assert any(line.startswith("one  ") and "ready" in line and "built in" in line for line in told)
    assert any(line.startswith("bad  ") and "No such file or directory" in line for line in told)
    assert any(line.startswith("two  ") and "ready" in line for line in told)
    assert not (folder / "gpu").exists(), "there is no GPU here"

    assert setup.main(["--only", "one", "two"]) == 0
    assert not any("built in" in line for line in lines(capsys))


def test_again_builds_from_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert setup.main(["--only", "one"]) == 0
    (folder / "one" / "rest").touch()

    assert setup.main(["--only", "one", "--again"]) == 0

    assert not (folder / "one" / "rest").exists()
    assert "built in" in lines(capsys)[-1]


def test_list_says_what_is_there_and_builds_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert setup.main(["--list"]) == 0

    told = lines(capsys)
    assert len(told) == 4
    assert all("missing" in line and "python -m benchmarks.setup --only" in line for line in told)
    assert list(folder.iterdir()) == []


def test_an_unknown_name_is_bad_usage_and_told_with_the_names(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        setup.main(["--only", "one", "three"])

    assert exit_.value.code == 2
    assert "no environment 'three'; there are one, bad, two, gpu" in capsys.readouterr().err


def test_an_interrupt_is_one_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(_: Environment) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Environment, "build", interrupted)

    assert setup.main(["--only", "one"]) == 130
    assert capsys.readouterr().err.strip() == f"benchmarks.setup: interrupted; what is complete is kept in {folder}"


def test_a_folder_that_cannot_be_written_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setattr(_environments, "FOLDER", file)

    assert setup.main(["--only", "one"]) == 1
    assert capsys.readouterr().err.startswith("benchmarks.setup: ")
