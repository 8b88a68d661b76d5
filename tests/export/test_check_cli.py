"""`setfuse check` and `setfuse inspect` on the command line: exit statuses, one line on stderr, JSON."""

import json
import re
from pathlib import Path

import pytest

from setfuse.export import check, export
from setfuse.export._check._cli import _output_lines
from setfuse.runtime.__main__ import main
from tests.models import DATA, TEXTS, make_body, make_checkpoint, write_rows

SETFIT = DATA / "setfit_export"


@pytest.fixture
def data(tmp_path: Path) -> str:
    return str(write_rows(tmp_path / "data.jsonl", [(text, "late") for text in TEXTS if text]))


def test_equal_is_exit_status_0(
    tiny_bundle: Path, tiny_checkpoint: Path, data: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status = main(["check", str(tiny_bundle / "model.onnx"), "--against", str(tiny_checkpoint), "--check-on", data])

    out, err = capsys.readouterr()
    assert status == 0
    assert "11 texts: equal" in out
    assert "same label         100.0%" in out
    assert "why:" not in out
    assert err.count("setfuse") == 0


def test_different_is_exit_status_1_with_the_reason(data: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["check", str(SETFIT / "model.onnx"), "--against", str(SETFIT / "checkpoint"), "--check-on", data]

    status = main(arguments)

    out, err = capsys.readouterr()
    assert status == 1
    assert "NOT EQUAL" in out
    assert "why: Normalize is missing" in out
    assert "worst text" in out
    assert err.splitlines()[-1].startswith("setfuse check: ")
    assert "Normalize is missing" not in err  # once is enough

    assert main([*arguments, "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["equal"] is False
    assert [reason["name"] for reason in report["reasons"]] == ["normalize_missing"]


def test_of_int8_the_tolerance_that_fits_is_named(
    data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # A head that spreads the probabilities: they are further off than the embeddings.
    checkpoint = make_checkpoint(tmp_path, make_body(tmp_path), ("late", "lost", "refund"), scale=100.0)
    export(checkpoint, tmp_path / "bundle", ("int8",), allow_mismatch=True)
    graph = str(tmp_path / "bundle" / "model.int8.onnx")
    arguments = ["check", graph, "--against", str(checkpoint), "--check-on", data]

    assert main(arguments) == 1
    out = capsys.readouterr().out
    assert "the graph's weights are int8" in out
    both = re.search(
        r"with --tolerance (\S+) the two are equal, and so they are with --output (\S+) --tol\w+ (\S+)", out
    )
    assert both is not None
    assert main([*arguments, "--tolerance", both[1]]) == 0
    assert main([*arguments, "--output", both[2], "--tolerance", both[3]]) == 0


def test_texts_need_no_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "texts.jsonl").write_text('{"text": "where is it"}\n', encoding="utf-8")
    data = str(tmp_path / "texts.jsonl")

    assert main(["check", str(SETFIT / "model.onnx"), "--against", str(SETFIT / "checkpoint"), "--check-on", data]) == 1
    assert "worst text         where is it" in capsys.readouterr().out


@pytest.mark.parametrize(("text", "shown"), [("", "(the empty text)"), (" \n", "(blanks only)")])
def test_a_text_that_cannot_be_seen_is_named(text: str, shown: str) -> None:
    report = check(SETFIT / "model.onnx", SETFIT / "checkpoint", texts=[text])

    assert f"  worst text         {shown}" in _output_lines(report.outputs[0])


def test_the_help_says_the_exit_statuses(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["check", "--help"])

    words = " ".join(capsys.readouterr().out.split())
    assert "texts to compare on, labelled or not" in words
    assert words.endswith("exit status: 0 equal, 1 different, 2 could not be compared")


def test_a_prompt_of_the_users_own(
    tiny_bundle: Path, tiny_checkpoint: Path, data: str, capsys: pytest.CaptureFixture[str]
) -> None:
    graph = str(tiny_bundle / "model.onnx")

    assert main(["check", graph, "--against", str(tiny_checkpoint), "--check-on", data, "--prompt", "the "]) == 1
    assert "why: 'the ' is put before each text for the graph" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"model": "none.onnx"}, "none.onnx: expected an ONNX file"),
        ({"against": "none"}, "--against: none: expected a checkpoint"),
        ({"--tolerance": "-1"}, "tolerance: expected a number from 0 on"),
        ({"--max-length": "0"}, "max_length: expected a number of tokens"),
        ({"--tokenizer": "none.json"}, "none.json: expected a tokenizers file"),
        ({"--output": "nothing"}, "expected an output 'nothing'"),
    ],
    ids=str,
)
def test_what_cannot_be_compared_is_exit_status_2(
    changed: dict[str, str], message: str, data: str, capsys: pytest.CaptureFixture[str]
) -> None:
    values = {"model": str(SETFIT / "model.onnx"), "against": str(SETFIT / "checkpoint"), **changed}
    options = [word for name, value in changed.items() if name.startswith("--") for word in (f"{name}={value}",)]

    status = main(["check", values["model"], "--against", values["against"], "--check-on", data, *options])

    assert status == 2
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_inspect_says_what_is_in_a_bundle_and_draws_it(
    tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "graphs.svg"

    assert main(["inspect", str(tiny_bundle), "--picture", str(picture)]) == 0

    out = capsys.readouterr().out
    assert "model.onnx  fp32/cpu" in out
    assert "multiply-adds  16.4 k a token" in out
    assert "com.microsoft.BiasGelu" in out
    assert picture.read_text(encoding="utf-8").startswith("<svg")


def test_inspect_gives_json(tiny_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(tiny_bundle / "model.onnx"), "--json"]) == 0

    value = json.loads(capsys.readouterr().out)
    assert value["graphs"][0]["multiply_adds"] == {"per_text": 96, "per_token": 16384, "per_pair": 128}


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--variant", "fp16"], 2, "variant: expected one of fp32/cpu"),
        (["--picture", "no/such/folder/x.svg"], 1, "no/such/folder/x.svg"),
    ],
    ids=["variant", "picture"],
)
def test_inspect_fails_in_one_line(
    arguments: list[str], status: int, message: str, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", str(tiny_bundle), *arguments]) == status
    assert message in capsys.readouterr().err
