"""`python -m benchmarks.card`: the way from a card's rows to its accuracy, on a small model."""

import json
from pathlib import Path

import pytest

from benchmarks.card import main

ROWS = [
    {"text": text, "label": label}
    for label, texts in {"late": ["it is late", "so late"], "lost": ["it is lost", "all lost"]}.items()
    for text in texts
]


@pytest.fixture
def card(tmp_path: Path) -> Path:
    folder = tmp_path / "card"
    folder.mkdir()
    lines = "".join(json.dumps(row) + "\n" for row in ROWS)
    (folder / "train.jsonl").write_text(lines, encoding="utf-8")
    (folder / "golden.json").write_text('{"test_accuracy": 0.75}', encoding="utf-8")
    return folder


def arguments(card: Path, base: Path, out: Path) -> list[str]:
    paths = {"--card": card, "--base": base, "--texts": card / "train.jsonl", "--out": out}
    return [str(part) for pair in paths.items() for part in pair]


def test_a_card_is_trained_exported_and_compared(
    card: Path, tiny_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"

    assert main(arguments(card, tiny_base, out)) == 0

    found = json.loads((out / "card.json").read_text(encoding="utf-8"))
    assert list(found["accuracy"]) == ["card", "checkpoint", "fp32", "int8", "fp16"]
    assert found["accuracy"]["card"] == 0.75
    assert found["accuracy"]["fp32"] == found["accuracy"]["checkpoint"]
    assert found["texts"] == len(ROWS)
    assert "card        0.7500" in capsys.readouterr().out
    trained = (out / "checkpoint" / "training.json").stat().st_mtime_ns

    assert main(arguments(card, tiny_base, out)) == 0
    assert (out / "checkpoint" / "training.json").stat().st_mtime_ns == trained, "it was there"

    assert main([*arguments(card, tiny_base, out), "--fresh"]) == 0
    assert (out / "checkpoint" / "training.json").stat().st_mtime_ns > trained


@pytest.mark.parametrize("golden", [None, "[]", "{}", "no json"])
def test_a_card_without_its_accuracy_is_told_before_any_work(
    golden: str | None, card: Path, tiny_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (card / "golden.json").unlink()
    if golden is not None:
        (card / "golden.json").write_text(golden, encoding="utf-8")

    assert main(arguments(card, tiny_base, tmp_path / "out")) == 1

    assert 'golden.json: expected JSON with the card\'s "test_accuracy"' in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
