"""Training from rows to checkpoint."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import StaticEmbedding
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from setfuse.runtime import DatasetError, OutputExists, Row, UsageError
from setfuse.train import BaseModelNotFound, RunNotSaved, TrainingArguments, TrainingResult, train
from tests.models import write_rows

ROWS = [Row(f"{word} parcel {number}", word) for word in ("late", "refund", "best") for number in range(4)]
QUICK = TrainingArguments(max_steps=3, body_learning_rate=1e-3)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"base": object()},
            "^base: expected a folder or a Hub id, got object; save a model into a folder, and give that",
        ),
        ({"out": None}, "^out: expected a folder to write, got NoneType"),
        ({"args": {"max_steps": 2}}, "^args: expected TrainingArguments, got dict"),
    ],
    ids=["base", "out", "args"],
)
def test_what_is_of_another_type_is_refused_by_name(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        train([Row("a", "b"), Row("c", "d")], **{"base": "b", "out": "o"} | given)


def test_a_checkpoint_is_a_sentence_transformers_folder_with_the_head_beside_it(
    tiny_base: Path, tmp_path: Path
) -> None:
    result = train(ROWS, base=tiny_base, out=tmp_path / "out", args=QUICK, eval_rows=ROWS)

    body = SentenceTransformer(str(result.checkpoint), device="cpu")
    head = safetensors.numpy.load_file(result.checkpoint / "head.safetensors")
    config = json.loads((result.checkpoint / "head.json").read_text(encoding="utf-8"))
    setfit = json.loads((result.checkpoint / "config_setfit.json").read_text(encoding="utf-8"))
    decisions = body.encode([row.text for row in ROWS]) @ head["coef"].T + head["intercept"]
    given = [config["classes"][column] for column in decisions.argmax(axis=1)]
    assert config["classes"] == setfit["labels"] == ["best", "late", "refund"]
    assert result.accuracy == np.mean([label == row.label for label, row in zip(given, ROWS, strict=True)])
    assert result.steps == len(result.losses) == 3
    assert not [path for path in result.checkpoint.rglob("*") if path.suffix in {".pkl", ".joblib", ".bin"}]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_the_same_seed_gives_the_same_checkpoint_and_another_does_not(tiny_base: Path, tmp_path: Path) -> None:
    first, again, other = (
        train(ROWS, base=tiny_base, out=tmp_path / name, args=TrainingArguments(max_steps=3, seed=seed))
        for name, seed in (("first", 42), ("again", 42), ("other", 7))
    )

    # training.json and the card hold the seconds
    same = {"model.safetensors", "head.safetensors", "head.json", "tokenizer.json", "config_setfit.json"}
    assert {name: files(first.checkpoint)[name] for name in same} == {
        name: files(again.checkpoint)[name] for name in same
    }
    assert files(first.checkpoint)["model.safetensors"] != files(other.checkpoint)["model.safetensors"]


def test_rows_may_come_as_a_file_as_mappings_or_as_rows(tiny_base: Path, tmp_path: Path) -> None:
    path = write_rows(tmp_path / "data.jsonl", [(row.text, row.label) for row in ROWS])
    mappings = [{"text": row.text, "label": row.label} for row in ROWS]

    heads = [
        (train(rows, base=tiny_base, out=tmp_path / str(i), args=QUICK).checkpoint / "head.safetensors").read_bytes()
        for i, rows in enumerate((path, mappings, ROWS))
    ]

    assert heads[0] == heads[1] == heads[2]


@pytest.mark.parametrize(("head", "name"), [("LogisticRegression", "coef"), ("differentiable", "weight")])
def test_max_length_cuts_texts_in_both_phases_and_is_kept_in_the_checkpoint(
    base_without_dropout: Path, tmp_path: Path, head: str, name: str
) -> None:
    # Each word is one token, and two more are put around them.
    words = "parcel order refund money card account app page late good bad great".split()
    rows = [Row(" ".join(words[number:] + words[:number]), "ab"[number % 2]) for number in range(8)]
    cut = [Row(" ".join(row.text.split()[:7]), row.label) for row in rows]
    body = SentenceTransformer(str(base_without_dropout), device="cpu")
    assert {len(ids) for ids in body.tokenizer([row.text for row in cut])["input_ids"]} == {9}

    def trained(rows: list[Row], out: str, **given: Any) -> tuple[TrainingResult, Any]:
        args = TrainingArguments(max_steps=3, num_epochs=(1, 2), body_learning_rate=1e-3, **given)
        result = train(rows, base=base_without_dropout, out=tmp_path / out, args=args, head=head, eval_rows=rows)
        return result, safetensors.numpy.load_file(tmp_path / out / "head.safetensors")[name]

    (ours, our_head), (by_hand, cut_head), (whole, whole_head) = (
        trained(rows, "ours", max_length=9),
        trained(cut, "by hand"),
        trained(rows, "whole"),
    )

    # Not to the last bit: texts are embedded by length, as written, so that float32 sums have another order.
    assert ours.losses == pytest.approx(by_hand.losses, rel=1e-5)
    assert ours.losses != pytest.approx(whole.losses, rel=1e-2)
    np.testing.assert_allclose(our_head, cut_head, rtol=1e-3, atol=1e-5)
    assert np.abs(our_head - whole_head).max() > 1e-2
    assert ours.metrics == by_hand.metrics
    assert SentenceTransformer(str(ours.checkpoint), device="cpu").max_seq_length == 9


def test_max_length_beyond_the_bodys_is_refused(tiny_base: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="max_length: expected at most the body's 48 tokens, got 1000"):
        train(ROWS, base=tiny_base, out=tmp_path / "out", args=TrainingArguments(max_length=1000))
    assert not list(tmp_path.iterdir())


@pytest.fixture
def static_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base model of one table: the mean of its words' vectors."""
    words = {word: number for number, word in enumerate("[UNK] late refund best parcel 0 1 2 3".split())}
    tokenizer = Tokenizer(WordLevel(words, unk_token="[UNK]"))  # noqa: S106 - a token of text
    tokenizer.pre_tokenizer = Whitespace()
    folder = tmp_path_factory.mktemp("static")
    SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_dim=8)], device="cpu").save(str(folder))
    return folder


def test_a_body_that_reads_texts_whole_is_trained(static_base: Path, tmp_path: Path) -> None:
    result = train(ROWS, base=static_base, out=tmp_path / "out", args=QUICK, eval_rows=ROWS)

    before, after = (SentenceTransformer(str(folder), device="cpu") for folder in (static_base, tmp_path / "out"))
    assert not np.allclose(before.encode("late parcel"), after.encode("late parcel"))
    assert np.isfinite(result.losses).all()


def test_max_length_is_refused_where_texts_are_read_whole(static_base: Path, tmp_path: Path) -> None:
    message = r"^max_length: expected none with a StaticEmbedding, which reads texts whole, got 3; leave it out$"
    with pytest.raises(UsageError, match=message):
        train(ROWS, base=static_base, out=tmp_path / "out", args=TrainingArguments(max_length=3))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("a", "x"), ("b", "x")], r"data.jsonl:1: expected rows of at least two labels, found only 'x' in 2 rows"),
        (
            [("a", "x"), ("b", "y"), (" \t", "y")],
            r"data.jsonl:3: expected a .text. that is a string and not blank",
        ),
    ],
    ids=["one label only", "a blank text"],
)
def test_rows_that_cannot_be_trained_on(
    tmp_path: Path, tiny_base: Path, rows: list[tuple[str, str]], message: str
) -> None:
    path = write_rows(tmp_path / "data.jsonl", rows)

    with pytest.raises(DatasetError, match=message):
        train(path, base=tiny_base, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_held_out_rows_with_a_label_that_training_never_saw_are_refused_first(tiny_base: Path, tmp_path: Path) -> None:
    held_out = write_rows(tmp_path / "held_out.jsonl", [("a", "late"), ("b", "lost")])

    with pytest.raises(DatasetError, match=r"held_out.jsonl:2: expected one of .*best, late, refund.*, found 'lost'"):
        train(ROWS, base=tiny_base, out=tmp_path / "out", eval_rows=held_out)


@pytest.mark.parametrize("base", ["no-such-model", "no/such-model", "not a hub id", "/no/such/folder", "../x/../y"])
def test_a_base_that_is_nowhere_to_be_had(tmp_path: Path, base: str) -> None:
    with pytest.raises(BaseModelNotFound, match=f"^{re.escape(base)}: expected a model folder or a Hub id"):
        train(ROWS, base=base, out=tmp_path / "out")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [{}, {"config.json": "{}"}, {"config.json": "{"}, {"modules.json": "[]"}])
def test_a_base_folder_that_holds_no_model(tmp_path: Path, content: dict[str, str]) -> None:
    base = tmp_path / "base"
    base.mkdir()
    for name, text in content.items():
        (base / name).write_text(text, encoding="utf-8")

    with pytest.raises(BaseModelNotFound, match=f"^{re.escape(str(base))}: "):
        train(ROWS, base=base, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_output_folder_that_exists_is_refused_before_training(tiny_base: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "precious.txt").write_text("keep me", encoding="utf-8")

    with pytest.raises(OutputExists, match="the folder exists; pass --overwrite"):
        train(ROWS, base="no-such-model-is-looked-for", out=out)
    assert files(out) == {"precious.txt": b"keep me"}

    train(ROWS, base=tiny_base, out=out, args=QUICK, overwrite=True)
    assert "precious.txt" not in files(out)


def test_the_base_model_is_never_overwritten(tiny_base: Path) -> None:
    before = files(tiny_base)

    with pytest.raises(OutputExists, match="choose another output folder"):
        train(ROWS, base=tiny_base, out=tiny_base, args=QUICK, overwrite=True)
    assert files(tiny_base) == before


@pytest.mark.parametrize("name", ["head_params", "metric_kwargs"])
@pytest.mark.parametrize("value", [[1], 3, "C", []], ids=str)
def test_arguments_without_names_are_refused_first(tmp_path: Path, name: str, value: Any) -> None:
    with pytest.raises(UsageError, match=f"^{name}: expected arguments by name, got {re.escape(repr(value))}$"):
        train(ROWS, base="no-such-model-is-looked-for", out=tmp_path / "out", **{name: value})


@pytest.mark.parametrize("read", ["rows", "eval_rows", "base"])
def test_what_lies_in_the_output_folder_is_never_overwritten_wherever_home_is(
    tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    shutil.copytree(tiny_base, tmp_path / "exp" / "base")
    write_rows(tmp_path / "exp" / "rows.jsonl", [(row.text, row.label) for row in ROWS])
    before = files(tmp_path / "exp")
    here = {"rows": "~/exp/rows.jsonl", "eval_rows": "~/exp/rows.jsonl", "base": "~/exp/base"}[read]
    given: dict[str, Any] = {"rows": ROWS, "base": tiny_base, read: here}

    with pytest.raises(OutputExists, match="choose another output folder"):
        train(given.pop("rows"), out="~/exp", args=QUICK, overwrite=True, **given)
    assert files(tmp_path / "exp") == before


def test_a_base_below_home_is_called_by_its_name(
    tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    shutil.copytree(tiny_base, tmp_path / "small")

    checkpoint = train(ROWS, base="~/small", out=tmp_path / "out", args=QUICK).checkpoint

    assert json.loads((checkpoint / "training.json").read_text(encoding="utf-8"))["base_model"] == "small"


def test_a_failure_while_saving_leaves_what_was_there(
    tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = train(ROWS, base=tiny_base, out=tmp_path / "out", args=QUICK).checkpoint
    before = files(out)

    def full_disk(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("safetensors.numpy.save_file", full_disk)
    with pytest.raises(RunNotSaved, match=r"out: the checkpoint cannot be written: .*No space left"):
        train(ROWS, base=tiny_base, out=out, args=QUICK, overwrite=True)
    assert files(out) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoints", "out"]  # where the training is kept
