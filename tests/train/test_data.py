"""Labelled texts in any form: what becomes of them, and what is refused in which words."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pytest

from setfuse.runtime import DatasetError, HubError, MissingExtra, MultiLabelRow, Row, UsageError
from setfuse.train import LabelledRows, sample_dataset
from setfuse.train._data import read_data, read_unlabelled

TEXTS = ["late, again", 'the "best"\nparcel', "NA"]
LABELS = ["lost", "None", "1"]
ROWS = [Row(text, label) for text, label in zip(TEXTS, LABELS, strict=True)]
NAMES = ["negative", "positive", "neutral"]


def table(labels: list[Any] = LABELS, text: str = "text", label: str = "label") -> dict[str, list[Any]]:
    return {"id": [7, 8, 9], text: TEXTS, label: labels}


def as_jsonl(content: dict[str, list[Any]], folder: Path) -> Path:
    path = folder / "data.jsonl"
    rows = [dict(zip(content, values, strict=True)) for values in zip(*content.values(), strict=True)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def as_csv(content: dict[str, list[Any]], folder: Path) -> Path:
    path = folder / "data.csv"
    pd.DataFrame(content).to_csv(path, index=False)
    return path


def as_tsv(content: dict[str, list[Any]], folder: Path) -> Path:
    path = folder / "data.TSV"
    pd.DataFrame(content).to_csv(path, index=False, sep="\t", encoding="utf-8-sig")
    return path


def as_parquet(content: dict[str, list[Any]], folder: Path) -> Path:
    path = folder / "data.parquet"
    pd.DataFrame(content).to_parquet(path)
    return path


def as_dataset(content: dict[str, list[Any]], _: Path) -> datasets.Dataset:
    return datasets.Dataset.from_dict(content)


def as_iterable_dataset(content: dict[str, list[Any]], _: Path) -> datasets.IterableDataset:
    return datasets.Dataset.from_dict(content).to_iterable_dataset()


def as_generated_dataset(content: dict[str, list[Any]], folder: Path) -> datasets.IterableDataset:
    """One that knows neither columns nor features before it is read."""
    return datasets.IterableDataset.from_generator(lambda: iter(as_mappings(content, folder)))


def as_split(content: dict[str, list[Any]], folder: Path) -> datasets.DatasetDict:
    return datasets.DatasetDict({"train": as_dataset(content, folder)})


def as_frame(content: dict[str, list[Any]], _: Path) -> pd.DataFrame:
    return pd.DataFrame(content)


def as_mappings(content: dict[str, list[Any]], _: Path) -> list[dict[str, Any]]:
    return [dict(zip(content, values, strict=True)) for values in zip(*content.values(), strict=True)]


Form = Callable[[dict[str, list[Any]], Path], Any]
WITH_LISTS: list[Form] = [
    as_jsonl, as_parquet, as_dataset, as_iterable_dataset, as_generated_dataset, as_split, as_frame, as_mappings
]  # fmt: skip
FORMS: list[Form] = [*WITH_LISTS, as_csv, as_tsv]

any_form = pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
forms_with_lists = pytest.mark.parametrize("form", WITH_LISTS, ids=lambda form: form.__name__)


@any_form
def test_texts_and_labels_are_those_of_the_data_to_the_letter(form: Form, tmp_path: Path) -> None:
    assert list(read_data(form(table(), tmp_path))) == ROWS


@any_form
def test_columns_of_other_names(form: Form, tmp_path: Path) -> None:
    data = form(table(text="sentence", label="category"), tmp_path)

    assert list(read_data(data, columns={"sentence": "text", "category": "label"})) == ROWS


@any_form
def test_numbers_without_names_become_their_digits(form: Form, tmp_path: Path) -> None:
    assert [row.label for row in read_data(form(table([0, 2, 11]), tmp_path))] == ["0", "2", "11"]  # type: ignore[union-attr]


@any_form
def test_numbers_with_names_become_the_names(form: Form, tmp_path: Path) -> None:
    rows = read_data(form(table([1, 0, 2]), tmp_path), label_names=NAMES)

    assert [row.label for row in rows] == ["positive", "negative", "neutral"]  # type: ignore[union-attr]


@any_form
@pytest.mark.parametrize("number", [3, -1])
def test_a_number_without_a_name_is_refused(form: Form, number: int, tmp_path: Path) -> None:
    with pytest.raises(
        DatasetError, match=rf"(row 2|:[23]): expected one of the labels .* 0 to 2, found '?{number}'?$"
    ):
        read_data(form(table([1, number, 2]), tmp_path), label_names=NAMES)


@any_form
def test_a_text_that_is_none_of_the_names_is_refused(form: Form, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"(row 2|:[23]): expected one of the labels negative, .*, found 'postive'$"):
        read_data(form(table(["negative", "postive", "neutral"]), tmp_path), label_names=NAMES)


@forms_with_lists
def test_lists_of_texts_make_multi_label_rows(form: Form, tmp_path: Path) -> None:
    data = form(table([["lost", "late"], [], ["late"]]), tmp_path)

    expected = [("lost", "late"), (), ("late",)]
    assert list(read_data(data)) == [MultiLabelRow(text, names) for text, names in zip(TEXTS, expected, strict=True)]


@forms_with_lists
def test_multi_hot_lists_with_names(form: Form, tmp_path: Path) -> None:
    rows = read_data(form(table([[1, 0, 1], [0, 0, 0], [0, 1, 0]]), tmp_path), label_names=NAMES)

    assert [row.labels for row in rows] == [("negative", "neutral"), (), ("positive",)]  # type: ignore[union-attr]


@pytest.mark.parametrize("values", [[[True, False, True]] * 3, [np.array([1.0, 0.0, 1.0], np.float32)] * 3])
def test_multi_hot_lists_of_booleans_and_floats(values: list[Any]) -> None:
    rows = read_data(pd.DataFrame(table(values)), label_names=NAMES)

    assert {row.labels for row in rows} == {("negative", "neutral")}  # type: ignore[union-attr]


@forms_with_lists
@pytest.mark.parametrize(
    ("labels", "names", "message"),
    [
        ([[1, 0]] * 3, None, r"1: expected names for a list of 2 numbers, found none; pass label_names"),
        ([[1, 0]] * 3, NAMES, r"1: expected a 0 or a 1 for each of negative, positive, neutral, found \[1, 0\]"),
        ([[1, 0, 2]] * 3, NAMES, r"1: expected a 0 or a 1 for each of .*, found \[1, 0, 2\]"),
        ([["a", "a"]] * 3, None, r'1: expected a "label" that is a list of different strings'),
    ],
)
def test_lists_that_name_no_labels(
    form: Form, labels: list[Any], names: list[str] | None, message: str, tmp_path: Path
) -> None:
    with pytest.raises(DatasetError, match=message):
        read_data(form(table(labels), tmp_path), label_names=names)


FEATURES = {"id": datasets.Value("int64"), "text": datasets.Value("string")}


@pytest.mark.parametrize("way", ["memory", "parquet", "stream"])
def test_class_labels_bring_their_names(way: str, tmp_path: Path) -> None:
    names = datasets.ClassLabel(names=NAMES)

    def data(labels: list[Any], feature: object) -> object:
        made = datasets.Dataset.from_dict(table(labels), features=datasets.Features({**FEATURES, "label": feature}))
        if way == "parquet":
            made.to_parquet(tmp_path / "data.parquet")
            return tmp_path / "data.parquet"
        return made.to_iterable_dataset() if way == "stream" else made

    one = read_data(data([2, 0, 1], names))  # type: ignore[arg-type]
    several = read_data(data([[2, 0], [], [1]], datasets.List(names)))  # type: ignore[arg-type]
    renamed = read_data(data([2, 0, 1], names), label_names=["a", "b", "c"])  # type: ignore[arg-type]

    assert [row.label for row in one] == ["neutral", "negative", "positive"]  # type: ignore[union-attr]
    assert [row.labels for row in several] == [("neutral", "negative"), (), ("positive",)]  # type: ignore[union-attr]
    assert [row.label for row in renamed] == ["c", "a", "b"]  # type: ignore[union-attr]
    with pytest.raises(DatasetError, match=r"row 2: expected one of the labels .* found -1"):
        read_data(data([2, -1, 1], names))  # type: ignore[arg-type]  # how the Hub marks rows without a label


def numbers_of(data: Any, names: list[str] | None = None) -> list[tuple[str, int]]:
    return list(read_data(data, label_names=names).numbers.items())


@any_form
def test_labels_are_numbered_as_setfit_has_them(form: Form, tmp_path: Path) -> None:
    by_name = list(zip(NAMES, range(3), strict=True))

    assert numbers_of(form(table([2, 1, 2]), tmp_path), NAMES) == by_name  # the order of the names, a missing one too
    assert numbers_of(form(table(["neutral", "positive", "neutral"]), tmp_path), NAMES) == by_name
    assert numbers_of(form(table([10, 2, 0]), tmp_path)) == [("0", 0), ("2", 2), ("10", 10)]
    assert numbers_of(form(table(["b", "10", "a"]), tmp_path)) == [("10", 0), ("a", 1), ("b", 2)]


def test_a_class_labels_order_is_that_of_its_names() -> None:
    for labels, feature in (([2, 1, 2], datasets.ClassLabel(names=NAMES)), ([[2], [], [1]], None)):
        features = datasets.Features({**FEATURES, "label": feature or datasets.List(datasets.ClassLabel(names=NAMES))})

        assert list(read_data(datasets.Dataset.from_dict(table(labels), features=features)).numbers) == NAMES


@pytest.mark.parametrize(
    ("labels", "order"),
    [
        (["3", "-1", "10"], [("-1", -1), ("3", 3), ("10", 10)]),
        (["01", "1", "2"], [("01", 0), ("1", 1), ("2", 2)]),  # no number is written so: it would be 1, too
        (["2", "1", "9" * 30], [("1", 0), ("2", 1), ("9" * 30, 2)]),  # more than int64 holds
        (["٣", "2", "1"], [("1", 0), ("2", 1), ("٣", 2)]),
        (["10", "2", "-"], [("-", 0), ("10", 1), ("2", 2)]),
    ],
)
def test_texts_that_are_numbers_and_texts_that_are_not(labels: list[str], order: list[tuple[str, int]]) -> None:
    assert numbers_of([Row("text", label) for label in labels]) == order


def test_rows_that_were_read_keep_their_labels_order() -> None:
    rows = read_data([Row("x", "b"), Row("y", "a"), Row("z", "c")], label_names=["c", "d", "b", "a"])

    order = [("c", 0), ("d", 1), ("b", 2), ("a", 3)]
    assert numbers_of(rows) == numbers_of(rows[1:]) == numbers_of(sample_dataset(rows, num_samples=1)) == order
    assert (list(rows[1:]), len(rows[1:])) == ([Row("y", "a"), Row("z", "c")], 2)
    assert numbers_of(rows, ["a", "b", "c"]) == numbers_of(list(rows)) == [("a", 0), ("b", 1), ("c", 2)]


def test_every_label_of_a_row_has_a_number() -> None:
    with pytest.raises(UsageError, match=r"^f:2: expected one of the labels b, c, got 'a'; name all labels"):
        LabelledRows.of([Row("x", "b", "f:1"), Row("y", "a", "f:2")], ["b", "c"])
    with pytest.raises(UsageError, match=r"^the rows: expected one of the labels b, got 'a'"):
        LabelledRows((MultiLabelRow("x", ("b", "a")),), {"b": 0})


def test_the_format_of_a_dataset_does_not_matter() -> None:
    data = datasets.Dataset.from_dict(table([1, 0, 2])).with_format("numpy")

    assert [row.label for row in read_data(data)] == ["1", "0", "2"]  # type: ignore[union-attr]


def test_rows_know_where_they_stand(tmp_path: Path) -> None:
    def origins(form: Form) -> list[str]:
        return [row.origin for row in read_data(form(table(), tmp_path))]

    assert origins(as_jsonl) == [f"{tmp_path}/data.jsonl:{line}" for line in (1, 2, 3)]
    assert origins(as_csv) == [f"{tmp_path}/data.csv:{line}" for line in (2, 3, 5)]  # the second text has two lines
    assert origins(as_parquet) == [f"{tmp_path}/data.parquet: row {row}" for row in (1, 2, 3)]
    assert origins(as_dataset) == origins(as_frame) == origins(as_mappings) == ["row 1", "row 2", "row 3"]
    assert [row.origin for row in read_data([Row("a", "b", "here"), Row("a", "c")])] == ["here", "row 2"]


def test_rows_stay_rows() -> None:
    several = [MultiLabelRow("a", ("b", "c")), MultiLabelRow("d", ())]

    assert list(read_data(ROWS)) == ROWS
    assert list(read_data(iter(several))) == several


@any_form
def test_a_column_that_is_missing_is_named_with_those_that_exist(form: Form, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r": expected sentence and label, found id, text, label; say which"):
        read_data(form(table(), tmp_path), columns={"sentence": "text"})


@pytest.mark.parametrize("form", [form for form in FORMS if form is not as_iterable_dataset])  # it has always rows
def test_data_without_rows(form: Form, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"expected .*, found none"):
        read_data(form({"text": [], "label": []}, tmp_path))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("data.csv", b"", "expected at least one labelled text, found none"),
        ("data.csv", b"text,label,text\na,b,c\n", ":1: expected columns with different names, found text, label, text"),
        ("data.csv", b"text,label\nlate, again,lost\n", ":2: expected 2 fields, as in the first line, found 3; put"),
        ("data.csv", b'text,label\n"a\nb",c\n\nonly\n', ":5: expected 2 fields, as in the first line, found 1; put"),
        (
            "data.csv",
            b'text,label\n"a,b\nc,d\n',
            ":2: .*cannot be read: unexpected end of data; a quote may be missing",
        ),
        ("data.csv", b'text,label\n"a"b,c\n', ":2: .*cannot be read: ',' expected after"),
        (
            "data.csv",
            b'text,label\na,b\n"' + b"x\n" * 70_000,
            r":3: .*field larger than field limit \(131072\); a quote",
        ),
        ("data.csv", b"text,label\n ,b\n", ':2: expected a "text" that is a string and not blank'),
        ("data.csv", b"text,label\na,\n", ':2: expected a "label" that is a string'),
        ("data.csv", "text,label\nüber,b\n".encode("latin-1"), ": expected UTF-8, found byte 0xfc; save the file"),
        ("data.tsv", b"text,label\na,b\n", ":2: expected text and label, found text,label;"),
        ("data.parquet", b"text,label\na,b\n", "expected a Parquet file, but it cannot be read: .*magic bytes"),
        ("data.jsonl", b'["a"]\n', r"data.jsonl:1: expected an object with text and label, found \['a'\]"),
    ],
)
def test_files_that_cannot_be_used(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)

    with pytest.raises(DatasetError, match=message) as raised:
        read_data(tmp_path / name)
    assert str(raised.value).startswith(str(tmp_path / name))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["data.csv", "data.tsv", "data.parquet", "data.jsonl", "data.txt", "folder/data.csv"])
def test_files_that_are_not_there(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for path in (name, Path(name)):
        with pytest.raises(DatasetError, match=f"^{name}: expected a .* file.* cannot be read: No such file"):
            read_data(path)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"text": None, "label": "a"}], 'row 1: expected a "text" that is a string and not blank, found null'),
        ([{"text": float("nan"), "label": "a"}], 'row 1: expected a "text" .*, found NaN'),
        ([{"text": "a", "label": None}], 'row 1: expected a "label" .*, found null'),
        ([{"text": "a", "label": 1.0}], 'row 1: expected a "label" .*, found 1.0'),
        ([{"text": "a", "label": True}], 'row 1: expected a "label" .*, found true'),
        ([{"text": "a", "label": "x"}, {"text": "b", "label": 1}], r"of one kind, found a text \(row 1\) and a number"),
        ([{"text": "a", "label": ["x"]}, {"text": "b", "label": "x"}], r"found a list \(row 1\) and a text \(row 2\)"),
        (["a"], "row 1: expected an object with text and label, found 'a'"),
        ([], "the rows: expected at least one labelled text, found none"),
    ],
)
def test_rows_that_cannot_be_used(rows: list[object], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        read_data(rows)


@pytest.mark.parametrize(
    "options",
    [
        {"columns": {"a": "text", "b": "text"}},
        {"columns": {"text": "sentence"}},
        {"label_names": ["a", "a"]},
        {"label_names": ["a", " "]},
        {"label_names": [1]},
    ],
)
def test_options_that_contradict_themselves(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"^{next(iter(options))}: expected "):
        read_data(ROWS, **options)


def test_a_dataset_of_several_splits_is_refused_with_their_names() -> None:
    data = datasets.DatasetDict({name: datasets.Dataset.from_dict(table()) for name in ("train", "test")})

    with pytest.raises(DatasetError, match=r"expected one split, found train, test; pass one, as in data\['train'\]"):
        read_data(data)
    assert list(read_data(data["test"])) == ROWS


def test_texts_without_labels(tmp_path: Path) -> None:
    for form in FORMS:
        rows = read_unlabelled(form({"sentence": TEXTS}, tmp_path), columns={"sentence": "text"})
        assert [row.text for row in rows] == TEXTS
    assert [row.text for row in read_unlabelled(iter(TEXTS))] == [row.text for row in read_unlabelled(ROWS)] == TEXTS
    with pytest.raises(DatasetError, match='row 2: expected a "text" that is a string and not blank'):
        read_unlabelled(["a", " "])
    with pytest.raises(DatasetError, match="the rows: expected at least one text, found none"):
        read_unlabelled([])


@pytest.mark.parametrize(("name", "split"), [("org/name", "train"), ("org/name:test[:10]", "test[:10]")])
def test_a_name_on_the_hub(name: str, split: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def load_dataset(name: str, split: str) -> datasets.Dataset:
        asked.append((name, split))
        return datasets.Dataset.from_dict(table())

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)

    rows = read_data(name)

    assert list(rows) == ROWS
    assert rows[1].origin == f"{name}: row 2"
    assert asked == [("org/name", split)]


def test_a_name_on_the_hub_without_a_network() -> None:
    with pytest.raises(
        HubError, match=r"^org/name: expected a file, or a data set on the Hub with the split dev; .*Offline"
    ):
        read_data("org/name:dev")


def test_only_parquet_files_need_datasets_and_say_so(tmp_path: Path) -> None:
    code = f"""
import sys
sys.modules["datasets"] = sys.modules["pandas"] = None  # as if neither were installed
from setfuse.train._data import read_data
assert len(read_data([{{"text": "a", "label": "b"}}])) == 1
for file in {[str(form(table(), tmp_path)) for form in (as_jsonl, as_csv, as_tsv)]}:
    assert len(read_data(file)) == 3
try:
    read_data({str(as_parquet(table(), tmp_path))!r})
except ImportError as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == (
        f'{MissingExtra.__name__} {tmp_path}/data.parquet: a Parquet file needs datasets: pip install "setfuse[train]"'
    )


def test_local_files_are_read_without_network_traces_or_a_word(tmp_path: Path) -> None:
    files = [str(form(table(), tmp_path)) for form in (as_csv, as_tsv, as_parquet)]
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"PAR1")
    home = tmp_path / "home"
    home.mkdir()
    code = f"""
import socket
def refuse(*_): raise SystemExit("asked the network")
socket.socket.connect = socket.getaddrinfo = refuse
from setfuse.runtime import DatasetError
from setfuse.train._data import read_data
for file in {files}:
    assert len(read_data(file)) == 3
try:
    read_data({str(broken)!r})
except DatasetError:
    pass
else:
    raise SystemExit("was read")
"""
    places = {"HOME": str(home), "TMPDIR": str(home), "XDG_CACHE_HOME": str(home), "HF_HOME": str(home / "hf")}
    online = {name: value for name, value in os.environ.items() if not name.endswith("_OFFLINE")}

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=online | places
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not list(home.iterdir())


@pytest.mark.parametrize("form", [as_jsonl, as_csv, as_parquet], ids=lambda form: form.__name__)
def test_a_large_file_is_never_held_whole(form: Form, tmp_path: Path) -> None:
    count, ballast = 3000, "x" * 10_000
    path = form(
        {"text": [f"text {row}" for row in range(count)], "label": ["a"] * count, "ballast": [ballast] * count},
        tmp_path,
    )
    (tmp_path / "warm").mkdir()
    warm = form(table(), tmp_path / "warm")
    code = f"""
from pathlib import Path
from setfuse.train._data import read_data
def peak():
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
read_data({str(warm)!r})
before = peak()
print(len(read_data({str(path)!r})), (peak() - before) / 1024)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    rows, megabytes = (float(word) for word in done.stdout.split())
    assert rows == count
    # Held whole, the 30 MB of ballast alone would be more.
    assert 0 < megabytes < 25


def test_columns_by_name_are_no_rows() -> None:
    with pytest.raises(
        DatasetError, match=r"expected one after the other, found a mapping of text, label; .*from_dict"
    ):
        read_data({"text": ["a"], "label": ["b"]})
