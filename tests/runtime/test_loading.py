"""How files reach the engine: checked, by name, in a second thread that has ended when loading has."""

import os
import threading
from pathlib import Path

import onnx
import pytest
from onnx.external_data_helper import convert_model_to_external_data

from setfuse.runtime import BundleCorrupt, BundleFile, Classifier
from setfuse.runtime import _open_file as open_file
from setfuse.runtime._alongside import Alongside
from setfuse.runtime._open_file import OpenFile

from .damage import replace_file


def described(folder: Path, data: bytes) -> BundleFile:
    (folder / "graph").write_bytes(data)
    return BundleFile.of(folder / "graph")


def test_work_alongside_gives_its_result_and_ends_its_thread() -> None:
    before = threading.active_count()
    with Alongside(threading.get_ident) as work:
        assert work.result() != threading.get_ident()

    assert threading.active_count() == before


def test_work_alongside_hands_over_its_error() -> None:
    def fails() -> None:
        raise BundleCorrupt("as it is")

    with Alongside(fails) as work, pytest.raises(BundleCorrupt, match=r"^as it is$"):
        work.result()


def test_a_thread_has_ended_where_its_result_was_not_wanted() -> None:
    go_on, done = threading.Event(), threading.Event()

    def works() -> None:
        go_on.wait()
        done.set()

    def fails() -> None:
        with Alongside(works):
            go_on.set()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fails()
    assert done.is_set()


def test_where_no_thread_is_to_be_had_the_work_is_done_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(_self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuses)
    with Alongside(threading.get_ident) as work:
        assert work.result() == threading.get_ident()


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="open files have no names here")
def test_the_name_stays_that_of_the_file_that_was_checked(tmp_path: Path) -> None:
    with OpenFile(tmp_path, described(tmp_path, b"checked")) as file:
        name = file.checked(by_name=True)
        (tmp_path / "other").write_bytes(b"another")
        (tmp_path / "other").replace(tmp_path / "graph")

        assert isinstance(name, str)
        assert Path(name).read_bytes() == b"checked"
    assert not os.path.exists(name)  # noqa: PTH110 - the name itself, not a path in a folder


@pytest.mark.parametrize(("by_name", "names"), [(False, "/proc/self/fd"), (True, "/no/such/folder")])
def test_where_a_name_will_not_do_the_bytes_are_given(
    by_name: bool, names: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_file, "_OPEN_FILES", names)
    with OpenFile(tmp_path, described(tmp_path, b"checked")) as file:
        assert file.checked(by_name=by_name) == b"checked"


@pytest.mark.parametrize("data", [b"changed", b"longer than it was"])
def test_a_file_that_changes_while_it_is_loaded_is_refused(data: bytes, tmp_path: Path) -> None:
    def changes() -> None:
        with OpenFile(tmp_path, described(tmp_path, b"checked")) as file:
            file.checked(by_name=True)
            (tmp_path / "graph").write_bytes(data)
            os.utime(tmp_path / "graph", (1, 1))

    with pytest.raises(BundleCorrupt, match="expected a file that stays as it is, found it changed"):
        changes()


@pytest.mark.parametrize("names", ["/proc/self/fd", "/no/such/folder"], ids=["by name", "by bytes"])
def test_weights_outside_the_graphs_file_are_never_read(
    names: str, own_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = onnx.load(own_bundle / "model.onnx")
    convert_model_to_external_data(model, location="weights.bin", size_threshold=0)
    onnx.save(model, own_bundle / "model.onnx")
    replace_file(own_bundle, "model.onnx", (own_bundle / "model.onnx").read_bytes())
    monkeypatch.setattr(open_file, "_OPEN_FILES", names)

    with pytest.raises(BundleCorrupt, match=r"^model\.onnx: onnxruntime refuses the graph"):
        Classifier.load(own_bundle)


def test_loading_leaves_no_thread_and_no_open_file(own_bundle: Path) -> None:
    Classifier.load(own_bundle, threads=1)
    threads, files = threading.active_count(), len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - as is
    for _ in range(3):
        Classifier.load(own_bundle, threads=1)
    (own_bundle / "tokenizer.json").write_bytes(b"")
    with pytest.raises(BundleCorrupt):
        Classifier.load(own_bundle)

    assert threading.active_count() == threads
    assert len(os.listdir("/proc/self/fd")) == files  # noqa: PTH208 - as above
