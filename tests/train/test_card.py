"""The model card of a checkpoint: SetFit's sections, true figures, and texts that stay texts."""

import argparse
import dataclasses
import html
import re
import shlex
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from huggingface_hub import ModelCard
from markdown_it import MarkdownIt
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from setfuse.runtime import MultiLabelRow, Row
from setfuse.train import LabelledRows, TrainingArguments, TrainingResult, train
from setfuse.train._card import CardFacts, model_card
from setfuse.train._head import fit_head
from setfuse.train._head_settings import HeadSettings
from setfuse.train._markdown import LONGEST, fenced, literal
from setfuse.train._reproduce import Call, command
from setfuse.train.cli import _add_train, _train

ROWS = [
    Row("where is my parcel", "late", "d.jsonl:1"),
    Row("it is late", "late", "d.jsonl:2"),
    Row("so late", "late", "d.jsonl:3"),
    Row("late again and again and again", "late", "d.jsonl:4"),
    Row("it is lost", "lost", "d.jsonl:5"),
]
SETFITS_SECTIONS = [
    "## Model Details",
    "### Model Description",
    "### Model Sources",
    "### Model Labels",
    "## Evaluation",
    "### Metrics",
    "## Uses",
    "### Direct Use for Inference",
    "### Downstream Use",
    "### Out-of-Scope Use",
    "## Bias, Risks and Limitations",
    "### Recommendations",
    "## Training Details",
    "### Training Set Metrics",
    "### Training Hyperparameters",
    "### Training Results",
    "### Framework Versions",
    "## Citation",
    "### BibTeX",
    "## Glossary",
    "## Model Card Authors",
    "## Model Card Contact",
]
OURS = ["### Training Time", "### Reproduction"]

HOSTILE = (
    "| a`b`<script>x</script> **b** [l](http://e.vil) ![i](y) $$z$$ &amp; --- \\ @you www.evil.com\n# Head\n---\n```"
)


def facts(rows: Sequence[Any] = tuple(ROWS), settings: HeadSettings | None = None, **changes: Any) -> CardFacts:
    """Give what a card is written from, of a head that is fitted to random embeddings."""
    embeddings = np.random.default_rng(0).normal(size=(len(rows), 4)).astype(np.float32)
    labels = [row.label if isinstance(row, Row) else row.labels for row in rows]
    result = TrainingResult(
        checkpoint=Path("checkpoint"),
        seconds=12.34,
        steps=70,
        pairs=220,
        labels=LabelledRows.of(rows).counts(),
        losses=(),
        metrics={"accuracy": 0.8715, "matthews_correlation": 0.5},
        evaluations=(),
        best_step=None,
    )
    given: dict[str, Any] = {
        "base_model": "BAAI/bge-small-en-v1.5",
        "rows": rows,
        "head": fit_head(embeddings, labels, settings or HeadSettings()),
        "args": TrainingArguments(batch_size=32, num_epochs=10),
        "result": result,
        "log": [],
        "eval_rows": 1821,
        "max_length": 512,
        "parameters": 33_360_000,
        "size": 133_500_000,
        "command": "setfuse train d.jsonl",
        "for_setfit": False,
        "teacher": None,
    }
    return CardFacts(**{**given, **changes})


def section(card: str, heading: str) -> list[str]:
    """Give the lines of a section, the blank ones left out."""
    _, _, rest = card.partition(f"\n{heading}\n")
    return [line for line in re.split(r"\n#{2,3} ", rest)[0].splitlines() if line]


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_sections_are_setfits_in_its_order_and_two_more() -> None:
    card = model_card(facts())

    found = [line for line in card.splitlines() if line.startswith(("## ", "### "))]
    assert [line for line in found if line not in OURS] == SETFITS_SECTIONS
    assert [line for line in found if line in OURS] == OURS


def test_the_sections_are_those_of_a_published_card(shared: Path) -> None:
    published = (shared / "card" / "model_card.md").read_text(encoding="utf-8")

    assert [line for line in published.splitlines() if re.match("#{2,3} ", line)] == SETFITS_SECTIONS


def test_the_hubs_library_reads_the_metadata() -> None:
    data = ModelCard(model_card(facts())).data

    assert data.base_model == "BAAI/bge-small-en-v1.5"
    assert data.pipeline_tag == "text-classification"
    assert data.library_name == "setfuse"
    assert data.metrics == ["accuracy", "matthews_correlation"]
    assert {"setfit", "setfuse"} <= set(data.tags or [])
    assert [widget["text"] for widget in data.widget] == [row.text for row in ROWS]
    assert data.eval_results is not None
    values = {result.metric_type: result.metric_value for result in data.eval_results}
    assert values == {"accuracy": 0.8715, "matthews_correlation": 0.5}


def test_a_loss_on_labels_counts_texts() -> None:
    card = model_card(facts(args=TrainingArguments(loss="SupCon")))

    assert section(card, "### Training Time") == ["12.3 s for 70 steps and the head, 220 texts an epoch."]


def test_a_base_model_from_a_folder_is_no_link() -> None:
    card = model_card(facts(base_model="my_own model"))

    assert ModelCard(card).data.base_model is None
    assert "my_own model" in card
    assert "huggingface.co/my" not in card


def test_what_was_measured() -> None:
    card = model_card(facts())

    assert [cells(line) for line in section(card, "### Metrics")[:3:2]] == [
        ["Label", "Accuracy", "Matthews Correlation"],
        ["**all**", "0.8715", "0.5000"],
    ]
    assert "On 1821 held-out texts." in card
    assert section(card, "### Training Time") == ["12.3 s for 70 steps and the head, 220 pairs an epoch."]
    assert "33.4 million parameters in the body, 133.5 MB of weights" in card
    assert "- **Maximum Sequence Length:** 512 tokens" in card


def test_without_held_out_rows_there_is_no_evaluation() -> None:
    card = model_card(facts(result=facts().result.__class__(Path(), 1.0, 1, 1, {}, (), {}, (), None)))

    assert "## Evaluation" not in card
    assert ModelCard(card).data.eval_results is None


def test_words_are_counted_and_the_median_is_one() -> None:
    lines = section(model_card(facts()), "### Training Set Metrics")

    words = [4, 3, 2, 6, 3]
    assert cells(lines[2]) == ["Word count", "2", f"{statistics.median(words)}", "6"]
    assert statistics.median(words) != sum(words) / len(words), "SetFit shows the mean"
    assert [cells(line) for line in lines[5:]] == [["late", "4"], ["lost", "1"]]


def test_each_label_has_up_to_three_texts() -> None:
    lines = section(model_card(facts()), "### Model Labels")

    late, lost = (cells(line) for line in lines[2:])
    assert (late[0], lost[0]) == ("late", "lost")
    assert re.findall("<li>(.*?)</li>", late[1]) == ["where is my parcel", "it is late", "so late"]
    assert re.findall("<li>(.*?)</li>", lost[1]) == ["it is lost"]


def test_several_labels_a_text() -> None:
    rows = [
        MultiLabelRow("it is late and lost", ("late", "lost"), "d.jsonl:1"),
        MultiLabelRow("it is late", ("late",), "d.jsonl:2"),
        MultiLabelRow("hello", (), "d.jsonl:3"),
    ]
    card = model_card(facts(rows, HeadSettings(multi_target_strategy="one-vs-rest")))

    assert "2 classes, of which any number applies to a text" in card
    assert "a OneVsRestClassifier (one-vs-rest)" in card
    assert "Texts by their number of labels: 1 with 0, 1 with 1, 1 with 2." in card
    assert "scikit-learn's LogisticRegression with C 1.0" in card
    assert "| late | <ul><li>it is late and lost</li><li>it is late</li></ul> |" in card
    assert ModelCard(card).data.widget[0] == {"text": "it is late and lost"}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (HeadSettings(), "LogisticRegression with C 1.0, l1_ratio 0.0, max_iter 100 (C is the inverse of the"),
        (HeadSettings(head_params={"C": 0.25}), "LogisticRegression with C 0.25"),
        (HeadSettings(head=make_pipeline(StandardScaler(), LinearSVC(C=3.0))), "LinearSVC with C 3.0"),
        (HeadSettings(head=RandomForestClassifier(max_depth=2)), "RandomForestClassifier with max_depth 2"),
    ],
    ids=["default", "C", "pipeline", "forest"],
)
def test_the_heads_regularisation(settings: HeadSettings, said: str) -> None:
    assert f"- **Regularisation of the head:** scikit-learn's {said}" in model_card(facts(settings=settings))


def test_labels_are_counted_in_their_order() -> None:
    base = facts()
    result = dataclasses.replace(base.result, labels={"positive": 7, "negative": 3})

    lines = section(model_card(facts(result=result)), "### Training Set Metrics")

    assert [cells(line) for line in lines[-2:]] == [["positive", "7"], ["negative", "3"]]


def test_the_results_of_the_steps_and_the_best_of_them() -> None:
    log: list[Mapping[str, float]] = [
        {"step": 1, "epoch": 0.142857, "embedding_loss": 0.2093, "learning_rate": 0.0},
        {"step": 50, "epoch": 7.142857, "embedding_loss": 0.0896},
        {"step": 50, "epoch": 7.142857, "eval_embedding_loss": 0.1, "eval_accuracy": 0.9},
        {"step": 60, "epoch": 8.0, "eval_embedding_loss": 0.2},
        {"step": 70, "epoch": 10.0, "train_runtime": 1.0},
    ]
    base = facts()
    result = base.result.__class__(Path(), 1.0, 70, 220, {}, (), {}, (), 50)

    lines = section(model_card(facts(log=log, result=result)), "### Training Results")

    assert [cells(line) for line in lines[2:5]] == [
        ["0.1429", "1", "0.2093", "-"],
        ["**7.1429**", "**50**", "**0.0896**", "**0.1000**"],
        ["8.0000", "60", "-", "0.2000"],
    ]
    assert lines[5:] == ["The bold row is the checkpoint that was kept."]


def test_hyperparameters_have_setfits_names_and_no_folders() -> None:
    lines = section(model_card(facts()), "### Training Hyperparameters")

    assert lines[:3] == ["- batch_size: (32, 32)", "- num_epochs: (10, 10)", "- max_steps: -1"]
    assert "- body_learning_rate: (2e-05, 1e-05)" in lines
    assert not any("_dir" in line for line in lines)


# Texts stay texts


def rendered(markdown: str) -> str:
    return MarkdownIt("gfm-like", {"linkify": False, "html": True}).render(markdown)


def test_a_hostile_text_and_label_become_no_markup() -> None:
    rows = [Row(HOSTILE, HOSTILE, "d.jsonl:6"), *ROWS]
    card = model_card(facts(rows, base_model=HOSTILE.replace("/", ""), command=f"setfuse train '{HOSTILE}'"))

    loaded = ModelCard(card)
    assert loaded.data.widget[0]["text"].startswith("| a`b`<script>")
    shown = rendered(loaded.text)
    assert "<script" not in shown
    assert "<img" not in shown
    assert 'e.vil"' not in shown
    assert "<strong>b</strong>" not in shown
    harmless = rendered(ModelCard(model_card(facts([Row("a", "b", ""), *ROWS], base_model="x"))).text)
    for tag in ("<h1", "<h2", "<h3", "<table", "<tr", "<td", "<li", "<hr", "<pre", "<a "):
        assert shown.count(tag) == harmless.count(tag), tag


@pytest.mark.parametrize("text", [HOSTILE, "a\u2028b", "x\x00y", "\ud800", "abc\u202edef", "1. a", "~~s~~ _e_"])
def test_a_text_is_shown_as_it_is(text: str) -> None:
    written = literal(text)

    written.encode("utf-8")
    assert "\n" not in written
    shown = MarkdownIt("gfm-like", {"linkify": False}).renderInline(written)
    expected = " ".join(text.split())
    for unseen in "\x00\ud800\u202e":
        expected = expected.replace(unseen, "\N{REPLACEMENT CHARACTER}")
    assert html.unescape(shown) == expected


def test_a_long_text_is_cut() -> None:
    assert len(literal("a" * 5000)) == LONGEST


def test_a_fence_is_longer_than_any_in_the_code() -> None:
    assert fenced("", "a\n````\nb").splitlines()[0] == "`````"


# The command


def parsed(line: str) -> Any:
    """Read a command as the program does, and give what `train` is called with."""
    parser = argparse.ArgumentParser()
    _add_train(parser)
    program, subcommand, *words = shlex.split(line)
    assert (program, subcommand) == ("setfuse", "train")
    return parser.parse_args(words)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"batch_size": (32, 4), "num_epochs": 10, "body_learning_rate": (1e-5, 3e-6), "l2_weight": 0.5},
        {"distinct_batches": False, "bf16": True, "eval_steps": 5, "class_weight": {"a b": 2.0, "c=d": 0.5}},
        {"loss": "AnglELoss", "loss_kwargs": {"scale": 10}, "lr_scheduler_type": "cosine", "pair_seed": 7},
    ],
    ids=["defaults", "pairs", "flags", "names"],
)
def test_the_command_gives_the_same_arguments(arguments: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    args = TrainingArguments(**arguments, output_dir="somewhere", run_name="here")
    options = {
        "columns": {"sentence": "text"},
        "label_names": ["no", "it's"],
        "head_params": {"C": 2},
        "metric": "f1",
        "for_setfit": True,
        "freeze": None,
    }
    line = command(Call(rows="d.csv", base="org/name", eval_rows="org/data:test", args=args, options=options))
    assert line is not None
    called: dict[str, Any] = {}

    def take(rows: Any, **given: Any) -> Any:
        called.update(given, rows=rows)
        raise InterruptedError

    monkeypatch.setattr("setfuse.train.cli.train", take)
    with pytest.raises(InterruptedError):
        _train(parsed(line))

    assert called["args"] == TrainingArguments(**arguments)
    assert (called["rows"], called["base"], called["eval_rows"]) == ("d.csv", "org/name", "org/data:test")
    assert {name: called[name] for name in options} == options


def test_files_are_called_by_their_names_and_other_rows_by_a_stand_in(tmp_path: Path) -> None:
    (tmp_path / "my rows.jsonl").write_text("", encoding="utf-8")
    call = Call(rows=tmp_path / "my rows.jsonl", base=tmp_path, eval_rows=[1], args=TrainingArguments(), options={})

    line = command(call)

    assert line is not None
    assert shlex.split(line)[2:] == [
        *["my rows.jsonl", "--base", tmp_path.name, "--out", "CHECKPOINT", "--eval", "DATA.jsonl"]
    ]


@pytest.mark.parametrize(
    "options",
    [
        {"metric": len},
        {"head": LinearSVC()},
        {"label_names": ["a,b"]},
        {"metric_kwargs": {"a": object()}},
        {"callbacks": [object()]},
    ],
    ids=["function", "classifier", "comma", "object", "callback"],
)
def test_what_no_command_line_can_name(options: dict[str, Any]) -> None:
    assert command(Call(rows="d", base="b", eval_rows=None, args=TrainingArguments(), options=options)) is None
    assert "an object that no command line can name" in model_card(facts(command=None))


def test_a_student_names_its_teacher() -> None:
    card = model_card(facts(teacher="a_b|c", command=None))

    assert "on 5 texts that a_b&#124;c labelled." in card
    assert section(card, "### Reproduction") == [
        "`setfuse.train.distill` was called with an object that no command line can name."
    ]


def test_a_checkpoint_has_its_card(tiny_base: Path, tmp_path: Path) -> None:
    result = train(
        ROWS,
        base=tiny_base,
        out=tmp_path / "checkpoint",
        eval_rows=ROWS[:2],
        args=TrainingArguments(save_strategy="no", max_steps=3, eval_steps=2, batch_size=4),
    )

    card = (result.checkpoint / "README.md").read_text(encoding="utf-8")
    assert ModelCard(card).data.metrics == ["accuracy"]
    first, second = (cells(line) for line in section(card, "### Training Results")[2:4])
    assert first[1:] == ["1", f"{result.losses[0]:.4f}", "-"]
    assert second[1:] == ["2", "-", f"{result.evaluations[0]['embedding_loss']:.4f}"]
    (line,) = [line for line in card.splitlines() if line.startswith("setfuse train DATA.jsonl")]
    assert parsed(line).batch_size == 4
    size = (result.checkpoint / "model.safetensors").stat().st_size
    size += (result.checkpoint / "head.safetensors").stat().st_size
    assert f"{size / 1e6:.1f} MB of weights" in card
