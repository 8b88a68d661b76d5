"""The data set of the demo: balanced, without doubles, and as its README says."""

import json
import re
import statistics
from collections import Counter
from pathlib import Path

import pytest

from setfuse.runtime import Row, read_rows

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks" / "data" / "support_desk"
A_LABEL = {"train.jsonl": 12, "test.jsonl": 25}


def rows(name: str) -> list[Row]:
    return read_rows(FOLDER / name)


def normalised(text: str) -> str:
    return " ".join(re.sub(r"[^\w\s]|_", "", text.lower()).split())


@pytest.mark.parametrize("name", A_LABEL)
def test_every_label_has_the_same_number_of_texts(name: str) -> None:
    counts = Counter(row.label for row in rows(name))

    assert len(counts) >= 6
    assert set(counts.values()) == {A_LABEL[name]}


def test_both_files_have_the_same_labels() -> None:
    train, test = ({row.label for row in rows(name)} for name in A_LABEL)

    assert train == test


@pytest.mark.parametrize("name", A_LABEL)
def test_a_line_has_a_text_and_a_label_and_nothing_else(name: str) -> None:
    data = (FOLDER / name).read_bytes()
    lines = [json.loads(line) for line in data.decode("utf-8").splitlines()]

    assert b"\r" not in data
    assert data.endswith(b"}\n")
    assert all(set(line) == {"text", "label"} for line in lines)
    assert all(isinstance(value, str) and value.strip() == value != "" for line in lines for value in line.values())
    assert [(line["text"], line["label"]) for line in lines] == [(row.text, row.label) for row in rows(name)]


def test_no_text_occurs_twice_in_either_file_or_both() -> None:
    counts = Counter(normalised(row.text) for name in A_LABEL for row in rows(name))

    assert normalised("Wait -- WHAT?!  it's_late ") == "wait what itslate"
    assert [text for text, count in counts.items() if count > 1] == []
    assert "" not in counts


def test_licence_and_readme_stand_beside_the_files() -> None:
    assert "CC0" in (FOLDER / "LICENSE").read_text(encoding="utf-8")
    assert "CC0-1.0" in (FOLDER / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", A_LABEL)
def test_the_readme_counts_what_is_there(name: str) -> None:
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    row = re.search(rf"^\| `{re.escape(name)}` \|(.*)\|$", readme, re.MULTILINE)
    assert row is not None
    lines, a_label, _near_misses, words = (cell.strip() for cell in row[1].split("|"))
    texts = [given.text for given in rows(name)]
    lengths = [len(text.split()) for text in texts]

    assert int(lines) == len(texts)
    assert int(a_label) == A_LABEL[name]
    assert words == f"{min(lengths)} / {statistics.median(lengths):.0f} / {max(lengths)}"


def test_the_readme_describes_every_label() -> None:
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    described = set(re.findall(r"^\| `(\w+)` \|", readme, re.MULTILINE))

    assert described == {row.label for name in A_LABEL for row in rows(name)}
    assert f"All {sum(len(rows(name)) for name in A_LABEL)} texts" in readme
