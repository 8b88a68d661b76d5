"""Files are written whole or not at all, and a folder is looked at before minutes of work."""

import json
from pathlib import Path

import pytest

from benchmarks._errors import BenchmarkError
from benchmarks._files import check_writable, read_json, whole_file, write_json


def test_json_is_written_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "x.json"

    write_json(path, {"label": "réfund 中", "ms": 0.1})

    assert read_json(path) == {"label": "réfund 中", "ms": 0.1}
    assert "réfund 中" in path.read_text(encoding="utf-8")
    assert [left.name for left in path.parent.iterdir()] == ["x.json"]


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_json(path, {"first": 1})

    with pytest.raises(TypeError):
        write_json(path, {"second": object()})
    with pytest.raises(FileNotFoundError), whole_file(path) as partial:
        partial.with_name("no-such-file").rename(partial)
    with pytest.raises(UnicodeEncodeError), whole_file(path) as partial:
        partial.write_text("{\ud800", encoding="utf-8")

    assert json.loads(path.read_text(encoding="utf-8")) == {"first": 1}
    assert [left.name for left in tmp_path.iterdir()] == ["x.json"]


def test_a_folder_that_cannot_hold_results_is_refused_and_others_are_left_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.touch()
    monkeypatch.chdir(tmp_path)

    for path in (file, file / "below", Path("file")):
        with pytest.raises(BenchmarkError, match=r"expected a folder to write to, but .*/file is a file"):
            check_writable(path)
    for path in (tmp_path, tmp_path / "new" / "er", Path("new")):
        check_writable(path)

    assert [left.name for left in tmp_path.iterdir()] == ["file"]


def test_a_read_only_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda _path, _mode: False)  # root may write everywhere

    with pytest.raises(BenchmarkError, match="is read-only; choose another --out"):
        check_writable(tmp_path / "out")
