"""The table, the plot and the files of a run."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks._errors import BenchmarkError
from benchmarks._files import check_writable, read_json, whole_file, write_json
from benchmarks._report import plot, table
from benchmarks._runner import Row

PNG = b"\x89PNG\r\n\x1a\n"


def rows(contenders: int = 2, lengths: tuple[int, ...] = (16, 64)) -> list[Row]:
    cases = [(f"1 x {length}", 1, length) for length in lengths] + [("32 x 8-40", 32, 700)]
    names = ["setfuse", "sentence-transformers", *(f"another contender {number}" for number in range(2, contenders))]
    return [
        Row(
            contender=names[number],
            case=case,
            texts=texts,
            tokens=tokens,
            samples=40 + number,
            p50_ms=tokens * 0.1234 * (number + 1),
            p90_ms=tokens * 0.2 * (number + 1),
            p99_ms=tokens * 0.31 * (number + 1),
            ratio=number + 1.0,
            label_agreement=1.0 - number / 1000,
        )
        for case, texts, tokens in cases
        for number in range(contenders)
    ]


def test_the_table_holds_every_number_and_each_case_once() -> None:
    lines = table(rows()).splitlines()

    assert len(lines) == 7
    assert lines[0].split("  ")[0] == "texts x tokens"
    assert lines[1].split() == ["1", "x", "16", "setfuse", "1.97", "3.20", "4.96", "40", "1.00", "100.0%"]
    assert lines[2].split() == ["sentence-transformers", "3.95", "6.40", "9.92", "41", "2.00", "99.9%"]
    assert [line[:10].strip() for line in lines[1:]] == ["1 x 16", "", "1 x 64", "", "32 x 8-40", ""]
    assert lines[6].split() == ["sentence-transformers", "172.76", "280.00", "434.00", "41", "2.00", "99.9%"]
    assert {len(line) for line in lines} == {len(lines[0])}, "expected columns that line up"


@pytest.mark.parametrize(
    ("contenders", "lengths"),
    [(2, (16, 64)), (2, (16,)), (8, (8, 16, 32, 64, 128, 256))],
    ids=["quick", "one-length", "more-contenders-than-colours"],
)
def test_the_plot_is_a_png(contenders: int, lengths: tuple[int, ...], tmp_path: Path) -> None:
    path = tmp_path / "new" / "latency.png"

    plot(rows(contenders, lengths), path, "some processor, 1 thread")

    data = path.read_bytes()
    assert data.startswith(PNG)
    assert len(data) > 10_000
    assert [left.name for left in path.parent.iterdir()] == ["latency.png"]


def test_the_plot_names_contenders_lengths_and_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    drawn: list[Figure] = []

    def kept(figure: Figure, path: Path, **_: object) -> None:
        drawn.append(figure)
        path.touch()

    monkeypatch.setattr(Figure, "savefig", kept)

    plot(rows(), tmp_path / "latency.png", "some processor, 1 thread")

    (figure,) = drawn
    single, batch = figure.axes
    assert "some processor, 1 thread" in figure.get_suptitle()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["setfuse", "sentence-transformers"]
    assert [np.asarray(line.get_ydata()).tolist() for line in single.get_lines()] == [
        pytest.approx([16 * 0.1234, 64 * 0.1234]),
        pytest.approx([16 * 0.2468, 64 * 0.2468]),
    ]
    assert [label.get_text() for label in single.get_xticklabels()] == ["16", "64"]
    assert [bar.get_height() for bar in batch.patches if isinstance(bar, Rectangle)] == pytest.approx(
        [700 * 0.1234, 700 * 0.2468]
    )
    low, high = single.get_ylim()
    assert any(low < tick < high for tick in single.get_yticks())
    assert "32 x 8-40" in batch.get_title(loc="left")


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
