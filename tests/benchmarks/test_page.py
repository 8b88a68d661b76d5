"""The HTML page: whole, closed, escaped, with everything inside and nothing to load."""

import base64
import dataclasses
import json
import re
from html.parser import HTMLParser

import pytest

from benchmarks._page import page
from benchmarks._results import SCHEMA_VERSION, Results
from benchmarks._sections import sections
from tests.benchmarks.results_fixture import HANGS, ODD, SMALL, WRONG, drawn, make_results

EMPTY = {"meta", "img", "input", "br"}


class Reader(HTMLParser):
    """Reads a page, and fails where a tag is closed that was not open."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.tables: list[list[list[str]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in EMPTY:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in {"td", "th"}:
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)
        if {"td", "th"} & {*self.open}:
            self.tables[-1][-1][-1] += data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def results() -> Results:
    return make_results()


@pytest.fixture(scope="module")
def html(results: Results) -> str:
    return page(results, drawn())


@pytest.fixture(scope="module")
def reader(html: str) -> Reader:
    return read(html)


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    return reader


def test_every_tag_is_closed_in_its_order(reader: Reader) -> None:
    assert reader.open == []
    assert len(reader.tags) > 1000


def test_nothing_is_loaded_from_anywhere(html: str, reader: Reader) -> None:
    assert "http://" not in html
    assert "https://" not in html
    assert "@import" not in html
    for _, attributes in reader.tags:
        for name in ("src", "href", "srcset", "action", "data"):
            assert (attributes.get(name) or "data:").startswith(("data:", "#"))
    assert not reader.of("link")
    policy = next(meta["content"] for meta in reader.of("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none';")


def test_what_a_run_says_of_itself_is_text_not_tags(results: Results) -> None:
    attack = "</td><script>alert(1)</script><img src=x onerror=y>\"'&"
    contenders = (
        dataclasses.replace(
            results.contenders[0], contender=attack, description=attack, batching=attack, versions={attack: attack}
        ),
        dataclasses.replace(results.contenders[6], reason=attack),
    )
    changed = dataclasses.replace(
        results,
        contenders=contenders,
        warnings=(attack,),
        environment={attack: attack, "cpu": attack, "time": attack},
        model={"labels": [attack], "provenance": {"training": {"base_model": attack}}},
    )
    found = read(page(changed, ()))

    assert found.open == []
    assert len(found.of("script")) == 1
    assert not found.of("img")
    assert "".join(found.text).count(attack) >= 8


def test_every_contender_is_in_every_table_and_the_figures_are_the_reports(results: Results, reader: Reader) -> None:
    expected = [table for section in sections(results) for table in section.tables]

    assert len(reader.tables) == len(expected)
    for found, table in zip(reader.tables, expected, strict=True):
        assert found[0] == list(table.columns)
        assert found[1:] == [[line.head, *(cell.text for cell in line.cells)] for line in table.lines]
    of_contenders = [table for table in reader.tables if table[0][0] == "contender" and table[0][1] != "where"]
    assert len(of_contenders) == 9
    for table in of_contenders:
        assert [row[0] for row in table[1:]] == [name for name, *_ in SMALL]


def test_tables_have_heads_and_captions_and_pictures_a_text(reader: Reader) -> None:
    tables = len(reader.tables)

    assert len(reader.of("caption")) == len(reader.of("table")) == tables
    assert {head["scope"] for head in reader.of("th")} == {"col", "row"}
    assert len([head for head in reader.of("th") if head["scope"] == "col"]) == sum(len(t[0]) for t in reader.tables)
    assert len(reader.of("img")) == 4
    for image in reader.of("img"):
        assert len(image["alt"] or "") > 40
    assert reader.of("html")[0]["lang"] == "en"
    assert reader.of("h1")
    assert any(meta.get("name") == "viewport" for meta in reader.of("meta"))


def test_the_links_of_the_page_lead_to_its_sections(results: Results, reader: Reader) -> None:
    anchors = {section["id"] for section in reader.of("section")}
    links = {(link["href"] or "")[1:] for link in reader.of("a") if (link["href"] or "").startswith("#")}

    assert links == anchors
    assert len(anchors) == len(sections(results))


def test_the_whole_run_can_be_downloaded(results: Results, reader: Reader) -> None:
    (link,) = [link for link in reader.of("a") if link.get("download")]
    kind, _, content = (link["href"] or "").partition(";base64,")
    found = json.loads(base64.b64decode(content))

    assert (kind, link["download"]) == ("data:application/json", "results.json")
    assert found == json.loads(json.dumps({"schema_version": SCHEMA_VERSION, **dataclasses.asdict(results)}))


def test_the_plots_are_inside(reader: Reader) -> None:
    sources = {(image["src"] or "").partition(",")[2] for image in reader.of("img")}

    assert {base64.b64decode(source) for source in sources} == {plot.svg for plot in drawn()}


def test_struck_out_times_are_struck_out_and_others_are_not(html: str) -> None:
    rows = re.findall(r"<tr[^>]*>.*?</tr>", html)

    assert any(WRONG in row and "<s>" in row for row in rows)
    assert not [row for row in rows if "<s>" in row and WRONG not in row]
    assert any(HANGS in row and "did not answer within 60 s | &lt;killed&gt;" in row for row in rows)


def test_rows_can_be_hidden_by_contender_and_figures_sorted(reader: Reader) -> None:
    boxes = [box["value"] for box in reader.of("input")]
    rows = [row["data-contender"] for row in reader.of("tr") if "data-contender" in row]
    values = [cell["data-value"] for cell in reader.of("td") if "data-value" in cell]

    assert boxes == [name for name, *_ in SMALL]
    assert set(rows) == {*boxes}
    assert ODD in rows
    assert all(value is not None and float(value) >= 0 for value in values)
    assert len(values) > 300


def test_the_warnings_stand_before_the_figures(html: str) -> None:
    assert html.index("the load was 1.7") < html.index("<table")
    assert 'class="warnings"' not in page(dataclasses.replace(make_results(), warnings=()), ())


def test_a_run_of_one_measure_has_a_page(results: Results) -> None:
    for name in ("rows", "throughput", "footprint"):
        rest = {other: () for other in ("rows", "throughput", "footprint") if other != name}
        assert read(page(dataclasses.replace(results, **rest), ())).open == []  # type: ignore[arg-type]
