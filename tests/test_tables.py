"""The READMEs' generated tables are those of today's code."""

import pytest

from benchmarks import tables


def test_no_table_is_stale(capsys: pytest.CaptureFixture[str]) -> None:
    status = tables.main(["--check"])

    assert (status, capsys.readouterr().out) == (0, ""), "run `make tables`"


def test_a_table_goes_between_its_marks_and_nothing_else_changes() -> None:
    text = "a\n<!-- x: how -->\nold\n<!-- end of x -->\nb\n"

    assert tables.with_table(text, "x", "new") == "a\n<!-- x: how -->\n\nnew\n\n<!-- end of x -->\nb\n"
    with pytest.raises(ValueError, match="expected the marks of the table 'y' once, found them 0 times"):
        tables.with_table(text, "y", "new")


def test_what_the_code_supports_is_in_the_table() -> None:
    table = next(table for (_, name), table in tables.tables().items() if name == "supported")

    for name in ("xlm-roberta", "mean_sqrt_len_tokens", "LeakyReLU", "LinearSVC", "RandomForestClassifier", "fp16"):
        assert name in table
