"""The card's recipe without dropout, where nothing is random: equal to SetFit's own run, step by step."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from scipy.special import expit
from sentence_transformers import SentenceTransformer

from setfuse.runtime import read_rows
from setfuse.train import TrainingArguments, train
from tests.train.recording import Recorder

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def bge_without_dropout(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base") / "bge-small-en-v1.5"
    shutil.copytree(shared / "models" / "bge-small-en-v1.5", folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


@pytest.mark.parametrize("distinct", [True, False], ids=["distinct texts", "both sides of every pair"])
def test_the_cards_run_without_dropout_is_setfits(
    shared: Path, bge_without_dropout: Path, tmp_path: Path, distinct: bool
) -> None:
    golden = json.loads((shared / "card" / "golden_no_dropout.json").read_text(encoding="utf-8"))
    recorder = Recorder()

    result = train(
        shared / "card" / "train.jsonl",
        base=bge_without_dropout,
        out=tmp_path / "checkpoint",
        args=TrainingArguments(
            batch_size=32, num_epochs=10, logging_steps=1, save_strategy="no", distinct_batches=distinct
        ),
        eval_rows=shared / "data" / "sst2" / "test.jsonl",
        callbacks=[recorder],
    )

    first = [row.text for row in read_rows(shared / "data" / "sst2" / "test.jsonl")][:10]
    head = load_file(result.checkpoint / "head.safetensors")
    embeddings = SentenceTransformer(str(result.checkpoint), device="cpu").encode(first)
    positive = expit(embeddings @ head["coef"][0] + head["intercept"])
    recorded = np.array(golden["sst2_test_first_ten_probabilities"])[:, 1]
    right = round((result.accuracy or 0) * golden["sst2_test_total"])
    losses = _furthest(recorder.of_steps("embedding_loss"), golden["loss"])
    norms = _furthest(recorder.of_steps("grad_norm"), golden["grad_norm"])
    probabilities = np.abs(positive - recorded).max()
    found = f"losses: up to {losses:.1e} apart, norms: {norms:.1e}, probabilities: {probabilities:.1e}, right: {right}"
    print(found)  # noqa: T201 - how near, by pytest -s
    assert recorder.of_steps("learning_rate") == pytest.approx(golden["learning_rate"], rel=1e-9)
    assert list(result.losses) == pytest.approx(golden["loss"], rel=1e-3)
    assert losses < 1e-3
    assert norms < 1e-3
    assert abs(right - golden["sst2_test_correct"]) <= 2
    # The same sums in another order, as distinct texts are, moved them by 4e-7; so might another processor's kernels.
    assert probabilities < 1e-5


def _furthest(ours: list[float], theirs: list[float]) -> float:
    return max(abs(one / other - 1) for one, other in zip(ours, theirs, strict=True))
