"""Labelled texts: what is read, and what is refused with the line it stands on."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from setfuse.runtime import DatasetError, MultiLabelRow, Row, as_rows, read_multi_label_rows, read_rows

GOOD = b'{"text": "refund me", "label": "refund"}'


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(GOOD + b"\n", [("refund me", "refund")], id="one line"),
        pytest.param(GOOD, [("refund me", "refund")], id="no newline at the end"),
        pytest.param(b"\xef\xbb\xbf" + GOOD + b"\n" + GOOD, [("refund me", "refund")] * 2, id="byte order mark"),
        pytest.param(GOOD + b"\r\n" + GOOD + b"\r\n", [("refund me", "refund")] * 2, id="CRLF"),
        pytest.param(b'{"text": "a",\r"label": "b"}\r\n', [("a", "b")], id="a line ends with a line feed"),
        pytest.param(b"\n \t\n" + GOOD + b"\n\n\r\n" + GOOD + b"\n\n", [("refund me", "refund")] * 2, id="blank lines"),
        pytest.param(
            b'{"text": "a", "label": 0}\n{"text": "b", "label": -12}', [("a", "0"), ("b", "-12")], id="integers"
        ),
        pytest.param(
            b'{"id": [1, {}], "text": "a", "score": NaN, "label": "b", "label_text": null}',
            [("a", "b")],
            id="extra keys",
        ),
        pytest.param(b'{"text": " a  b ", "label": " c d "}', [(" a  b ", " c d ")], id="spaces stay"),
        pytest.param(b'{"text": "a\\u0000\\n\\t", "label": "b"}', [("a\0\n\t", "b")], id="control characters"),
        pytest.param(b'{"text": "\\ud83d\\ude00", "label": "b"}', [("😀", "b")], id="surrogate pair"),
        pytest.param(
            b'{"text": "a\\ud800b\\udfff", "label": "\\udc00c"}', [("a\ufffdb\ufffd", "\ufffdc")], id="lone surrogates"
        ),
        pytest.param(
            '{"text": "مرحبا שלום 你好 हिन्दी 😀", "label": "ελ"}'.encode(),
            [("مرحبا שלום 你好 हिन्दी 😀", "ελ")],
            id="any script",
        ),
        pytest.param(
            '{"text": "a\u2028b\u2029c\x85d\x7f", "label": "e"}'.encode(),
            [("a\u2028b\u2029c\x85d\x7f", "e")],
            id="line separators that are none of JSON lines",
        ),
    ],
)
def test_rows_are_read(content: bytes, expected: list[tuple[str, str]], tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(content)

    assert [(row.text, row.label) for row in read_rows(path)] == expected
    assert read_rows(str(path)) == read_rows(path)


def test_a_row_knows_the_line_it_stands_on(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"\n" + GOOD + b"\n\n\n" + GOOD)

    assert [row.origin for row in read_rows(path)] == [f"{path}:2", f"{path}:5"]


@settings(deadline=None)
@given(
    rows=st.lists(
        st.tuples(*[st.text(min_size=1).filter(lambda text: bool(text.strip()))] * 2), min_size=1, max_size=20
    ),
    ensure_ascii=st.booleans(),
)
def test_what_json_writes_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], *, ensure_ascii: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / "json.jsonl"
    lines = [json.dumps({"text": text, "label": label}, ensure_ascii=ensure_ascii) + "\n" for text, label in rows]
    path.write_bytes("".join(lines).encode())

    assert [(row.text, row.label) for row in read_rows(path)] == rows


def of(text: str = '"a"', label: str = '"b"') -> bytes:
    """Give one line of JSON with these values."""
    return f'{{"text": {text}, "label": {label}}}'.encode()


@pytest.mark.parametrize(
    ("line", "expected", "found"),
    [
        pytest.param(b"text,label", "one JSON object", "text,label", id="not JSON"),
        pytest.param(GOOD[:-9], "one JSON object", '{"text": "refund me", "label"', id="cut short"),
        pytest.param(GOOD + b" " + GOOD, "one JSON object", "Extra data", id="two objects"),
        pytest.param(b"[" * 100_000, "one JSON object", "[[[[[...", id="nested too deeply"),
        pytest.param(of(label="9" * 5000), "one JSON object", "4300", id="more digits than Python reads"),
        pytest.param(b'["a", "b"]', "an object", '["a", "b"]', id="list"),
        pytest.param(b'"a"', "an object", "found a", id="string"),
        pytest.param(b"3", "an object", "found 3", id="number"),
        pytest.param(b"null", "an object", "found null", id="null"),
        pytest.param(b"{}", 'a "text"', "the keys []", id="empty object"),
        pytest.param(b'{"txt": "a", "label": "b"}', 'a "text"', 'the keys ["txt", "label"]', id="missing text"),
        pytest.param(of(text='""'), 'a "text"', "found ''", id="empty text"),
        pytest.param(of(text='" \\t\\n\\u00a0"'), 'a "text"', r"found ' \t\n\xa0'", id="blank text"),
        pytest.param(of(text="12"), 'a "text"', "found 12", id="text is a number"),
        pytest.param(of(text="null"), 'a "text"', "found null", id="text is null"),
        pytest.param(of(text='["a"]'), 'a "text"', 'found ["a"]', id="text is a list"),
        pytest.param(b'{"text": "a", "labels": "b"}', 'a "label"', 'the keys ["text", "labels"]', id="missing label"),
        pytest.param(of(label="null"), 'a "label"', "found null", id="label is null"),
        pytest.param(of(label="true"), 'a "label"', "found true", id="label is a bool"),
        pytest.param(of(label="1.5"), 'a "label"', "found 1.5", id="label is a float"),
        pytest.param(of(label="1.0"), 'a "label"', "found 1.0", id="label is a whole float"),
        pytest.param(of(label="NaN"), 'a "label"', "found NaN", id="label is NaN"),
        pytest.param(of(label='["b", "c"]'), 'a "label"', 'found ["b", "c"]', id="label is a list"),
        pytest.param(of(label='{"b": 1}'), 'a "label"', 'found {"b": 1}', id="label is an object"),
        pytest.param(of(label='""'), 'a "label"', "found ''", id="empty label"),
        pytest.param(of(label='"  "'), 'a "label"', "found '  '", id="blank label"),
        pytest.param('{"text": "café"}'.encode("latin-1"), "UTF-8", "byte 0xe9 at column 14", id="Latin-1"),
        pytest.param(GOOD.decode().encode("utf-16"), "UTF-8", "byte 0xff at column 1", id="UTF-16"),
        pytest.param(b'{"text": "\xed\xa0\x80"}', "UTF-8", "byte 0xed at column 11", id="UTF-8 of a lone surrogate"),
    ],
)
def test_a_bad_line_is_named(line: bytes, expected: str, found: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(GOOD + b"\n\n" + line + b"\n" + GOOD + b"\n")

    with pytest.raises(DatasetError) as caught:
        read_rows(path)

    message = str(caught.value)
    assert message.startswith(f"{path}:3: expected {expected}")
    assert found in message
    assert len(message) < len(str(path)) + 300
    assert "\n" not in message


def test_no_depth_of_nesting_escapes(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    for depth in range(850, 1010):  # around Python's recursion limit: some can be read but not be written any more
        for nested in ("%s", '{"text": %s, "label": "a"}', '{"text": "a", "label": %s}'):
            path.write_text(nested % ("[" * depth + "]" * depth), encoding="utf-8")
            with pytest.raises(DatasetError, match=r":1: expected"):
                read_rows(path)


@pytest.mark.parametrize("content", [b"", b"\n\n \r\n", b"\xef\xbb\xbf"], ids=["empty", "blank lines", "only a mark"])
def test_a_file_without_rows_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(content)

    with pytest.raises(DatasetError, match="expected at least one line") as caught:
        read_rows(path)

    assert str(path) in str(caught.value)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="No such file") as caught:
        read_rows(tmp_path / "rows.jsonl")
    assert str(tmp_path / "rows.jsonl") in str(caught.value)

    with pytest.raises(DatasetError, match="Is a directory") as caught:
        read_rows(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_rows_come_in_any_form(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(GOOD + b"\n" + GOOD)
    expected = [Row("refund me", "refund")] * 2

    def one_by_one() -> Iterator[Row]:
        yield from expected

    assert as_rows(path) == as_rows(str(path)) == as_rows(expected) == as_rows(one_by_one()) == expected
    assert as_rows([{"text": "refund me", "label": "refund", "id": 1}, expected[1]]) == expected
    assert as_rows(({"text": "a", "label": 3},)) == [Row("a", "3")]


def test_rows_that_came_from_no_file_are_numbered() -> None:
    rows = as_rows([Row("a", "b", "file.jsonl:9"), Row("a", "b"), {"text": "a", "label": "b"}])

    assert [row.origin for row in rows] == ["file.jsonl:9", "row 2", "row 3"]


CIRCULAR: dict[str, object] = {}
CIRCULAR["self"] = CIRCULAR


@pytest.mark.parametrize(
    ("row", "found"),
    [
        pytest.param(Row("", "b"), "found ''", id="blank text in a Row"),
        pytest.param(Row("a", " "), "found ' '", id="blank label in a Row"),
        pytest.param({"label": "b"}, 'the keys ["label"]', id="missing text"),
        pytest.param({"text": b"a", "label": "b"}, "found \"b'a'\"", id="bytes"),
        pytest.param({"text": "a", "label": float("nan")}, "found NaN", id="NaN as pandas gives it"),
        pytest.param(("a", "b"), 'found ["a", "b"]', id="tuple"),
        pytest.param("a", "found a", id="string"),
        pytest.param({"text": CIRCULAR, "label": "b"}, "dict", id="what JSON cannot write: a circle"),
        pytest.param({"text": {(1, 2): 3}, "label": "b"}, "dict", id="what JSON cannot write: a key"),
        pytest.param({(1, 2): "a"}, "the keys [[1, 2]]", id="keys that are no strings"),
    ],
)
def test_a_bad_row_is_numbered(row: Row, found: str) -> None:
    with pytest.raises(DatasetError, match=r"^row 2: expected") as caught:
        as_rows([Row("a", "b"), row])

    assert found in str(caught.value)


def test_no_rows_are_refused() -> None:
    with pytest.raises(DatasetError, match="at least one labelled text"):
        as_rows([])


# Any number of labels


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ('["late", "lost"]', ("late", "lost")),
        ('["lost"]', ("lost",)),
        ("[]", ()),
        ('[0, "1", -2]', ("0", "1", "-2")),
        ('["späť", "你\\ud800"]', ("späť", "你\ufffd")),
    ],
)
def test_a_list_of_labels_is_read(label: str, expected: tuple[str, ...], tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(f'\ufeff{{"text": "a", "label": {label}, "id": 7}}\n\n', encoding="utf-8")

    (row,) = read_multi_label_rows(path)

    assert row == MultiLabelRow("a", expected)
    assert row.origin == f"{path}:1"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        pytest.param('{"text": "a", "label": "late"}', "a list of strings, possibly empty, found late", id="one label"),
        pytest.param('{"text": "a", "label": 3}', "a list of strings, possibly empty, found 3", id="a number"),
        pytest.param('{"text": "a", "label": null}', "possibly empty, found null", id="null"),
        pytest.param('{"text": "a"}', 'possibly empty, found the keys ["text"]', id="no label"),
        pytest.param('{"text": "a", "label": ["b", ""]}', "possibly empty, found", id="an empty label"),
        pytest.param('{"text": "a", "label": ["b", true]}', "possibly empty, found", id="a label that is true"),
        pytest.param('{"text": "a", "label": ["b", ["c"]]}', "possibly empty, found", id="a list of lists"),
        pytest.param('{"text": "a", "label": ["b", "b"]}', "different strings", id="a label twice"),
        pytest.param('{"text": "a", "label": [1, "1"]}', "different strings", id="labels alike as text"),
        pytest.param('{"text": " ", "label": ["b"]}', "not blank", id="a blank text"),
        pytest.param("[]", "an object with", id="a list"),
    ],
)
def test_a_bad_list_of_labels_is_named(line: str, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(f'{{"text": "a", "label": []}}\n{line}\n', encoding="utf-8")

    with pytest.raises(DatasetError) as caught:
        read_multi_label_rows(path)

    assert str(caught.value).startswith(f"{path}:2: expected ")
    assert expected in str(caught.value)


def test_a_list_of_labels_where_one_is_expected_says_what_it_is_for(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "a", "label": ["b"]}', encoding="utf-8")

    with pytest.raises(DatasetError, match=r'found \["b"\]; a list of labels is for a multi-label bundle'):
        read_rows(path)


def test_a_file_without_lists_of_labels_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").touch()

    with pytest.raises(DatasetError, match="at least one line"):
        read_multi_label_rows(tmp_path / "empty.jsonl")
    with pytest.raises(DatasetError, match="cannot be read"):
        read_multi_label_rows(tmp_path / "missing.jsonl")
