"""The READMEs' generated tables are those of today's code."""

import dataclasses
import re
from pathlib import Path

import pytest

from benchmarks import tables
from benchmarks._errors import BenchmarkError
from benchmarks._files import read_json
from benchmarks._report import escaped
from tests.benchmarks.results_fixture import HANGS, ODD, SMALL, WRONG, make_results


def test_no_table_is_stale(capsys: pytest.CaptureFixture[str]) -> None:
    status = tables.main(["--check"])

    assert (status, capsys.readouterr().out) == (0, ""), "run `make results`"


def test_a_table_goes_between_its_marks_and_nothing_else_changes() -> None:
    text = "a\n<!-- x: how -->\nold\n<!-- end of x -->\nb\n"

    assert tables.with_table(text, "x", "new") == "a\n<!-- x: how -->\n\nnew\n\n<!-- end of x -->\nb\n"
    with pytest.raises(ValueError, match="expected the marks of the table 'y' once, found them 0 times"):
        tables.with_table(text, "y", "new")


def test_what_the_code_supports_is_in_the_table() -> None:
    table = next(table for (_, name), table in tables.tables().items() if name == "supported")

    for name in ("xlm-roberta", "mean_sqrt_len_tokens", "LeakyReLU", "LinearSVC", "RandomForestClassifier", "fp16"):
        assert name in table


def cells(table: str) -> list[list[str]]:
    lines = [line for line in table.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def test_the_peers_have_a_row_each_of_at_most_eight_columns_and_the_reasons_below() -> None:
    table = tables.peers_table(make_results())
    head, _, *rows = cells(table)

    assert head == [
        "contender",
        "1 x 16, ms",
        "1 x 64, ms",
        "1 x 256, ms",
        "real texts, ms (ratio)",
        "texts/s, 2 threads",
        "torch's labels, accuracy",
        "cold start, s",
    ]
    assert {len(row) for row in rows} == {8}
    assert [row[0].strip("*") for row in rows] == [escaped(name) for name, *_ in SMALL]
    by_name = {row[0]: row[1:] for row in rows}
    assert by_name["**setfuse fp32**"] == ["5.61", "15.7", "56.0", "7.56 (1.00)", "279", "100.0%, 0.8704", "0.500"]
    assert by_name[WRONG][0] == "~~2.83~~"
    assert by_name[WRONG][3] == "~~3.81 (1.22)~~"
    assert by_name[HANGS] == ["-"] * 7
    assert by_name["tied"][5] == "100.0%", "without labels there is no accuracy"
    assert r"hangs: failed: did not answer within 60 s \| \<killed\>." in table
    assert "wrong int8: struck out: gives 51.2 % of torch's labels." in table
    assert "model2vec: another model." in table
    assert "<b>" not in table.replace(r"\<b\>", "")
    assert escaped(ODD) in by_name


def test_what_the_run_did_not_measure_has_no_column() -> None:
    run = make_results()

    assert cells(tables.peers_table(dataclasses.replace(run, footprint=())))[0][-1] == "torch's labels, accuracy"
    assert cells(tables.peers_table(dataclasses.replace(run, rows=(), throughput=())))[0] == [
        "contender",
        "torch's labels, accuracy",
        "cold start, s",
    ]


@pytest.mark.parametrize("readme", ["README.md", "train/README.md"])
def test_the_sentences_on_training_say_what_was_measured(readme: str) -> None:
    ratios = read_json(tables.RESULTS / "training" / "training.json")["against_setfit"]
    said = " ".join((tables.ROOT / readme).read_text(encoding="utf-8").split())

    time, memory = ratios["time"], ratios["memory"]
    spread = f"({time['least']:.2f} to {time['most']:.2f}"
    assert f"SetFit takes {time['median']:.2f} times setfuse's time {spread}" in said
    assert f"{memory['median']:.2f} times its memory" in said


@pytest.mark.parametrize(("name", "folder"), tables.RUNS.items())
def test_the_peers_are_in_the_readme_once_a_run_is_committed(
    name: str, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / folder / "results.json"
    path.parent.mkdir()
    key = tables.ROOT / "README.md", name
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    assert key not in tables.tables()

    make_results().write(path)
    assert tables.tables()[key] == tables.peers_table(make_results())

    path.write_text("{}", encoding="utf-8")
    with pytest.raises(BenchmarkError, match="expected results of schema version"):
        tables.tables()
    assert tables.main(["--check"]) == 1
    assert capsys.readouterr().err.startswith(f"benchmarks.tables: {path}: expected results of schema version")
