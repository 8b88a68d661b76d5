"""The report in Markdown, the table for a terminal, and the files of both."""

import dataclasses
import re
from pathlib import Path

import pytest

from benchmarks import report
from benchmarks._ahead import find_leads
from benchmarks._output import write_report
from benchmarks._reading import Run, digits
from benchmarks._report import WIDTH, escaped, markdown, summary
from benchmarks._results import Results, Status
from tests.benchmarks.results_fixture import AHEAD, HANGS, LARGE, ODD, OTHER, SMALL, TIED, WRONG, make_results


@pytest.fixture(scope="module")
def results() -> Results:
    return make_results()


@pytest.fixture(scope="module")
def text(results: Results) -> str:
    return markdown(results, ())


def tables(text: str) -> list[list[list[str]]]:
    """Give each table of a Markdown text as rows of cells, still escaped."""
    found: list[list[list[str]]] = [[]]
    for line in text.splitlines():
        if line.startswith("| "):
            found[-1].append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
        elif found[-1]:
            found.append([])
    return [table for table in found if table]


def of_contenders(text: str) -> list[list[list[str]]]:
    """Give those with a row a contender: not that of who is ahead, nor of settings."""
    return [table for table in tables(text) if table[0][0] == "contender" and table[0][1] != "where"]


def test_every_contender_is_in_every_table_in_the_order_of_the_run(results: Results, text: str) -> None:
    expected = [escaped(entrant.contender) for entrant in results.contenders]
    found = of_contenders(text)

    assert len(found) == 9, "p50, closed, open, ratios, two numbers of threads, quality, footprint, contenders"
    for table in found:
        assert [row[0].strip("*") for row in table[2:]] == expected


def test_every_row_of_a_table_has_as_many_cells_as_its_head_whatever_the_names(text: str) -> None:
    for table in tables(text):
        assert {len(row) for row in table} == {len(table[0])}


def test_the_sections_come_in_the_order_in_which_a_reader_asks(text: str) -> None:
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)

    assert headings == [
        "Who is ahead of setfuse",
        "Latency",
        "Real texts",
        "Ratios",
        "Throughput",
        "Quality",
        "Footprint",
        "The roof",
        "Contenders",
        "Settings and environment",
    ]
    assert text.index("# bge-small-en-v1.5, 2 labels") < text.index("AMD EPYC") < text.index("[!WARNING]")
    assert text.index("the load was 1.7") < text.index("## Who is ahead")


def test_the_opening_says_what_was_measured_on_what(results: Results, text: str) -> None:
    assert text.splitlines()[2] == (
        "8 contenders, measured for latency, throughput, footprint on AMD EPYC 9B45 \\<128-Core\\> "
        "(2 of 2 cores usable), 1 thread(s) each (throughput also with 2), 2026-11-24."
    )
    quick = dataclasses.replace(results, throughput=(), settings={**results.settings, "quick": True})
    assert markdown(quick, ()).splitlines()[2].endswith("1 thread(s) each, 2026-11-24; a quick run, of few rounds.")


def test_what_was_not_measured_is_left_out(results: Results) -> None:
    none = dataclasses.replace(results, rows=(), throughput=(), footprint=(), roof={}, warnings=())
    cases = {
        "rows": {"Latency", "Real texts", "Ratios"},
        "throughput": {"Throughput"},
        "footprint": {"Footprint"},
        "roof": {"The roof"},
    }
    always = {"Who is ahead of setfuse", "Quality", "Contenders", "Settings and environment"}

    for measure, titles in cases.items():
        one = dataclasses.replace(none, **{measure: getattr(results, measure)})
        assert {*re.findall(r"^## (.*)$", markdown(one, ()), re.MULTILINE)} == always | titles
        summary(one)

    assert "No times were measured" in markdown(none, ())
    assert "WARNING" not in markdown(none, ())


def test_who_was_struck_out_is_struck_out_and_who_failed_has_a_row_and_its_reason(text: str) -> None:
    latency = of_contenders(text)[0]
    struck = next(row for row in latency if row[0] == WRONG)
    failed = next(row for row in latency if row[0] == HANGS)

    assert all(re.fullmatch(r"~~[\d.,]+~~", cell) for cell in struck[1:-1])
    assert struck[-1] == "struck out: gives 51.2 % of torch's labels"
    assert set(failed[1:-1]) == {"-"}
    assert failed[-1] == r"failed: did not answer within 60 s \| \<killed\>"
    for table in of_contenders(text):
        assert "~~" not in " ".join(cell for row in table if row[0] != WRONG for cell in row)


def test_whoever_is_ahead_is_named_with_all_cases_and_a_tie_is_told_as_a_tie(results: Results, text: str) -> None:
    ahead = next(table for table in tables(text) if table[0][1] == "where")[2:]
    by_name = {name: [row for row in ahead if row[0] == name] for name in (TIED, AHEAD, OTHER)}

    assert {row[0] for row in ahead} == {TIED, AHEAD, OTHER}
    assert all(len(rows) == 11 for rows in by_name.values()), "nine cases, two numbers of threads"
    assert {row[-1] for row in by_name[TIED]} == {"a tie: the interval includes 1"}
    assert by_name[AHEAD][0][1:] == [
        "1 x 8",
        "1.45 ms",
        "1.64 ms",
        "setfuse int8",
        r"0.88 \[0.87, 0.89\]",
        "12.2% less time",
    ]
    assert by_name[AHEAD][-1][-1] == "13.9% more texts"
    assert by_name[OTHER][0][-1] == "1/83.3 of the time; another model"
    assert f"Running the same model: {AHEAD}, in 11 case(s); 11 tie(s)" in text
    assert f"With another model, of another accuracy: {OTHER}, in 11 case(s)." in text
    assert WRONG not in {lead.contender for lead in find_leads(Run(results))}, "struck out: no times of the same work"


def test_nobody_ahead_is_said_in_so_many_words() -> None:
    behind = [spec for spec in SMALL if spec[0] not in {TIED, AHEAD, OTHER}]

    assert "Nobody, of the contenders that run the same model." in markdown(make_results(behind), ())
    tied = markdown(make_results([*behind, SMALL[3]]), ())
    assert "Nobody, of the contenders that run the same model; 11 tie(s)" in tied
    alone = dataclasses.replace(make_results(SMALL[2:3]), footprint=())
    assert "Nobody can say: no variant of setfuse was measured" in markdown(alone, ())


def test_a_variant_of_setfuse_that_nobody_is_compared_with_is_not_ahead_of_setfuse() -> None:
    specs = [*SMALL[:2], ("setfuse fp16", "same", "fp16", 0.5, 0.871)]
    run = Run(make_results(specs))

    assert run.ours == {"setfuse fp32", "setfuse int8", "setfuse fp16"}
    assert find_leads(run) == []


def test_without_its_reference_a_contender_is_named_as_not_comparable(results: Results) -> None:
    rows = tuple(
        dataclasses.replace(row, ratio=None, ratio_low=None, ratio_high=None) if row.contender == AHEAD else row
        for row in results.rows
        if row.contender != "setfuse int8"
    )
    text = markdown(dataclasses.replace(results, rows=rows, throughput=()), ())

    assert f"in brackets was not measured: {AHEAD} (setfuse int8)." in text


def test_what_is_ahead_in_memory_size_start_or_accuracy_is_named_too(results: Results) -> None:
    contenders = tuple(
        dataclasses.replace(entrant, accuracy=0.9) if entrant.contender == ODD else entrant
        for entrant in results.contenders
    )
    footprint = tuple(
        dataclasses.replace(row, cold_start_s=0.25, cold_rss_mb=100.0, idle_cpu_ms=0.1) if row.contender == ODD else row
        for row in results.footprint
    )
    text = markdown(dataclasses.replace(results, contenders=contenders, footprint=footprint), ())

    assert f"Start faster: {escaped(ODD)} (0.25 s against 0.50 s)." in text
    assert f"Take less memory at the start: {escaped(ODD)} (100 MB against 324 MB)." in text
    assert f"Right more often: {escaped(ODD)} (0.9000 against 0.8704)." in text


def test_no_text_of_a_run_is_read_as_markdown_or_html(text: str) -> None:
    assert "<b>" not in text.replace(r"\<b\>", "")
    assert escaped("a|b <c> *d* `e` [f](g) ~~h~~ \\ #\ni_j") == (
        r"a\|b \<c\> \*d\* \`e\` \[f\](g) \~\~h\~\~ \\ \# i\_j"
    )


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "-"),
        (0.0, "0.00"),
        (0.01234, "0.0123"),
        (1.0, "1.00"),
        (9.999, "10.0"),
        (99.96, "100"),
        (12345.6, "12,346"),
    ],
)
def test_figures_have_three_digits_that_count(value: float | None, shown: str) -> None:
    assert digits(value) == shown


def test_the_summary_has_a_line_a_contender_in_columns_that_line_up(results: Results) -> None:
    lines = summary(results).splitlines()
    table, reasons = lines[: 2 + len(SMALL)], lines[3 + len(SMALL) :]

    assert {len(line) for line in table} == {len(table[0])}
    assert table[2].split()[:2] == ["setfuse", "fp32"]
    assert table[2].split()[-2:] == ["100.0%", "0.8704"]
    assert "(3.81)" in next(line for line in table if line.startswith(WRONG))
    assert set(next(line for line in table if line.startswith(HANGS)).split()[1:]) == {"-"}
    assert reasons == [
        f"{WRONG}: struck out: gives 51.2 % of torch's labels",
        f"{HANGS}: failed: did not answer within 60 s | <killed>",
    ]


def test_a_reason_of_many_lines_is_one_line_of_the_summary_and_whole_in_the_report(results: Results) -> None:
    reason = "Traceback:\n" + "\n".join(f"  line {number} | <of it>" for number in range(100))
    contenders = tuple(
        dataclasses.replace(entrant, reason=reason) if entrant.contender == HANGS else entrant
        for entrant in results.contenders
    )
    changed = dataclasses.replace(results, contenders=contenders)
    last = summary(changed).splitlines()[-1]

    assert last.startswith(f"{HANGS}: failed: Traceback: line 0 | <of it> line 1")
    assert last.endswith(" ...")
    assert len(last) < 2 * WIDTH + 20
    rows = [row for row in of_contenders(markdown(changed, ()))[0] if row[0] == HANGS]
    assert rows[0][-1].endswith(r"line 99 \| \<of it\>")


def test_the_summary_leaves_lengths_out_where_a_terminal_is_too_narrow() -> None:
    few = dataclasses.replace(make_results(), throughput=(), footprint=())
    wide, narrow = summary(few), summary(make_results(LARGE))

    assert max(map(len, wide.splitlines())) <= WIDTH
    assert "256" in narrow.split("setfuse")[0]
    assert "64" in wide.split("setfuse")[0]


def test_the_report_is_written_again_from_its_results(
    results: Results, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "results.json"
    results.write(path)

    assert report.main([str(path)]) == 0

    printed = capsys.readouterr()
    assert printed.err == ""
    assert summary(results) in printed.out
    plots = ["latency", "accuracy", "distribution", "throughput"]
    expected = {
        "results.json",
        "report.md",
        "report.html",
        *(f"{name}.{kind}" for name in plots for kind in ("png", "svg")),
    }
    assert {left.name for left in tmp_path.iterdir()} == expected
    linked = re.findall(r"!\[[^\]]*\]\(([^)]*)\)", (tmp_path / "report.md").read_text(encoding="utf-8"))
    assert sorted(linked) == sorted(f"{name}.png" for name in plots)

    write_report(results, tmp_path / "other")
    for left in (tmp_path / "other").iterdir():
        assert left.read_bytes() == (tmp_path / left.name).read_bytes(), "the same run, the same files"


def test_a_file_that_is_no_run_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert report.main([str(tmp_path / "none.json")]) == 1

    printed = capsys.readouterr()
    assert printed.out == ""
    assert (
        printed.err == f"benchmarks.report: {tmp_path}/none.json: expected the results of a run, found no such file\n"
    )
    with pytest.raises(SystemExit) as stopped:
        report.main([])
    assert stopped.value.code == 2


def test_the_fixture_has_everything_that_can_go_wrong(results: Results) -> None:
    assert {entrant.status for entrant in results.contenders} == set(Status)
    assert {entrant.quality for entrant in results.contenders} == {"same", "rounded", "other"}
