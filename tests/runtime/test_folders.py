"""Output folders: whole or not at all, and nothing that stood there is lost."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from setfuse.runtime import OutputExists, new_folder

ENDS = [RuntimeError, KeyboardInterrupt, SystemExit]


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    """A folder from an earlier run."""
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "earlier.txt").write_text("earlier", encoding="utf-8")
    return folder


def names(folder: Path) -> list[str]:
    """List what is in a folder, hidden files too."""
    return sorted(path.name for path in folder.iterdir())


def write_and_raise(path: Path, end: type[BaseException], *, overwrite: bool = False) -> None:
    """Fail with the folder half written."""
    with new_folder(path, overwrite=overwrite) as folder:
        (folder / "file").write_text("half", encoding="utf-8")
        raise end


def fail_to_rename(monkeypatch: pytest.MonkeyPatch, *calls: int, error: Callable[[], BaseException] = OSError) -> None:
    """Let these calls of `Path.rename`, counted from 1, fail."""
    rename = Path.rename
    count = 0

    def failing(self: Path, target: Path) -> Path:
        nonlocal count
        count += 1
        if count in calls:
            raise error()
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)


def test_a_folder_gets_its_name_when_it_is_complete(tmp_path: Path) -> None:
    final = tmp_path / "out"

    with new_folder(final) as folder:
        (folder / "file").write_text("content", encoding="utf-8")
        (folder / "inner").mkdir()
        (folder / "inner" / "file").write_text("more", encoding="utf-8")
        assert not final.exists()
        assert folder.parent == tmp_path  # the same file system: one rename

    assert names(tmp_path) == ["out"]
    assert names(final) == ["file", "inner"]
    assert (final / "inner" / "file").read_text(encoding="utf-8") == "more"


@pytest.mark.parametrize("end", ENDS)
def test_an_exception_leaves_nothing_behind(end: type[BaseException], tmp_path: Path) -> None:
    with pytest.raises(end):
        write_and_raise(tmp_path / "a" / "b", end)

    assert names(tmp_path) == []


@pytest.mark.parametrize("end", ENDS)
def test_an_exception_leaves_the_earlier_folder_as_it_was(end: type[BaseException], earlier: Path) -> None:
    with pytest.raises(end):
        write_and_raise(earlier, end, overwrite=True)

    assert names(earlier.parent) == ["out"]
    assert names(earlier) == ["earlier.txt"]


def test_an_existing_folder_is_refused_before_any_work(earlier: Path) -> None:
    with pytest.raises(OutputExists, match="pass --overwrite") as caught, new_folder(earlier):
        pytest.fail("the block was entered")

    assert str(earlier) in str(caught.value)
    assert names(earlier.parent) == ["out"]
    assert names(earlier) == ["earlier.txt"]


def test_overwrite_replaces_the_folder_whole(earlier: Path) -> None:
    with new_folder(earlier, overwrite=True) as folder:
        (folder / "file").write_text("new", encoding="utf-8")
        assert names(earlier) == ["earlier.txt"]

    assert names(earlier) == ["file"]
    assert names(earlier.parent) == ["out"]


def test_overwrite_needs_no_earlier_folder(tmp_path: Path) -> None:
    with new_folder(tmp_path / "out", overwrite=True):
        pass

    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_file_is_refused(overwrite: bool, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine", encoding="utf-8")

    with (
        pytest.raises(OutputExists, match="expected a folder to write to, found a file"),
        new_folder(tmp_path / "out", overwrite=overwrite),
    ):
        pytest.fail("the block was entered")

    assert (tmp_path / "out").read_text(encoding="utf-8") == "mine"


def test_a_name_below_a_file_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine", encoding="utf-8")

    for name in ("file/out", "file/a/b/out"):
        with pytest.raises(OutputExists, match="found a file") as caught, new_folder(tmp_path / name):
            pytest.fail("the block was entered")
        assert str(tmp_path / "file") in str(caught.value)

    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("out", [".", "..", "../..", "/", "../../project"])
def test_the_working_directory_is_never_replaced(
    out: str, overwrite: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "project" / "data"
    here.mkdir(parents=True)
    (here / "file").write_text("mine", encoding="utf-8")
    monkeypatch.chdir(here)

    with pytest.raises(OutputExists, match="would replace"), new_folder(out, overwrite=overwrite):
        pytest.fail("the block was entered")

    assert names(tmp_path) == ["project"]
    assert names(here) == ["file"]


@pytest.mark.parametrize("out", ["~", "~/..", "{home}"])
def test_the_home_directory_is_never_replaced(out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "above" / "home"
    home.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))

    with pytest.raises(OutputExists, match="would replace"), new_folder(out.format(home=home), overwrite=True):
        pytest.fail("the block was entered")

    assert home.is_dir()


@pytest.mark.parametrize("kept", ["out", "out/inner", "out/inner/file", "link", "link/inner"])
def test_what_must_be_kept_is_never_replaced(kept: str, earlier: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (earlier / "inner").mkdir()
    (earlier / "inner" / "file").write_text("mine", encoding="utf-8")
    (earlier.parent / "link").symlink_to(earlier, target_is_directory=True)
    work = earlier.parent / "work"
    work.mkdir()
    monkeypatch.chdir(work)

    for path in (earlier.parent / kept, f"../{kept}"):
        with (
            pytest.raises(OutputExists, match="would replace") as caught,
            new_folder(earlier, overwrite=True, keep=("elsewhere", path)),
        ):
            pytest.fail("the block was entered")
        assert str(path) in str(caught.value)

    assert names(earlier) == ["earlier.txt", "inner"]


@pytest.mark.parametrize("kept", [".", "out2", "ou", "missing"])
def test_what_is_kept_may_stand_above_or_beside(kept: str, earlier: Path) -> None:
    for name in ("out2", "ou"):
        (earlier.parent / name).mkdir()

    with new_folder(earlier, overwrite=True, keep=(earlier.parent / kept,)):
        pass

    assert names(earlier) == []


def test_missing_parents_are_made_at_the_end(tmp_path: Path) -> None:
    with new_folder(tmp_path / "a" / "b" / "out"):
        assert not (tmp_path / "a").exists()

    assert names(tmp_path) == ["a"]
    assert names(tmp_path / "a" / "b") == ["out"]


def test_a_folder_that_appears_meanwhile_is_refused(tmp_path: Path) -> None:
    theirs = tmp_path / "out" / "theirs"

    with pytest.raises(OutputExists, match="pass --overwrite"), new_folder(tmp_path / "out"):
        theirs.mkdir(parents=True)

    assert names(tmp_path) == ["out"]
    assert theirs.is_dir()


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_file_that_appears_meanwhile_is_refused(overwrite: bool, tmp_path: Path) -> None:
    theirs = tmp_path / "out"

    with pytest.raises(OutputExists, match="found a file"), new_folder(theirs, overwrite=overwrite):
        theirs.touch()

    assert names(tmp_path) == ["out"]
    assert theirs.is_file()


@pytest.mark.parametrize("call", [1, 2], ids=["moving the earlier folder away", "moving the new one in"])
@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_an_overwrite_that_fails_midway_restores_the_earlier_folder(
    call: int, error: type[BaseException], earlier: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_to_rename(monkeypatch, call, error=error)

    with pytest.raises(error), new_folder(earlier, overwrite=True) as folder:
        (folder / "file").touch()

    assert names(earlier) == ["earlier.txt"]
    assert names(earlier.parent) == ["out"]


def test_an_earlier_folder_that_cannot_be_restored_is_not_deleted(
    earlier: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_to_rename(monkeypatch, 2, 3)  # the new one in, and the earlier one back

    with pytest.raises(OSError), new_folder(earlier, overwrite=True):  # noqa: PT011 - it has no message
        pass

    assert [path.read_text(encoding="utf-8") for path in earlier.parent.rglob("earlier.txt")] == ["earlier"]


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o755), (0o027, 0o750), (0o002, 0o775), (0o077, 0o700)])
def test_the_mode_follows_the_umask(umask: int, mode: int, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        with new_folder(tmp_path / "new"):
            pass
        with new_folder(tmp_path / "new", overwrite=True):
            pass
    finally:
        os.umask(before)

    assert (tmp_path / "new").stat().st_mode & 0o777 == mode


@pytest.mark.parametrize("out", ["out", "out/", "./out", "a/../out", "../here/out//"])
def test_a_relative_path(out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)

    with new_folder(out) as folder:
        monkeypatch.chdir(tmp_path)  # the folder is where it was asked for, not where the process happens to be
        (folder / "file").touch()

    assert names(here) == ["out"]
    assert names(here / "out") == ["file"]


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_link_to_a_folder_stays_a_link(slash: str, earlier: Path) -> None:
    link = earlier.parent / "link"
    link.symlink_to(earlier, target_is_directory=True)

    with pytest.raises(OutputExists, match="pass --overwrite"), new_folder(f"{link}{slash}"):
        pytest.fail("the block was entered")
    with new_folder(f"{link}{slash}", overwrite=True) as folder:
        (folder / "file").touch()

    assert link.is_symlink()
    assert names(earlier) == names(link) == ["file"]
    assert names(earlier.parent) == ["link", "out"]


def test_a_link_to_nothing_yet(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "later")

    with new_folder(link) as folder:
        (folder / "file").touch()

    assert names(tmp_path) == ["later", "link"]
    assert names(link) == ["file"]


def test_a_name_of_any_script(tmp_path: Path) -> None:
    with new_folder(tmp_path / "späť 你好 .x"):
        pass

    assert names(tmp_path) == ["späť 你好 .x"]
