"""The texts of a training step are embedded as the body embeds them in use."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer import losses
from sentence_transformers.sentence_transformer.modules import StaticEmbedding
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from setfuse.runtime import Row, UsageError
from setfuse.train import TrainingArguments
from setfuse.train._checks import warn_of_cut_texts
from tests.models import make_body

from .recording import contrasted

DATA = ["late parcel", "lost refund", "best", "late refund", "lost parcel", "best of all"]
LABELS = ["a", "b", "a", "b", "a", "b"]
INDICES = np.arange(6)


@pytest.mark.parametrize(
    "given", [{}, {"distinct_batches": False}, {"loss": "SupConLoss"}], ids=["distinct", "both sides", "labels"]
)
@pytest.mark.parametrize("include_prompt", [True, False])
def test_texts_are_contrasted_as_they_will_be_used(tmp_path: Path, given: dict[str, Any], include_prompt: bool) -> None:
    body = make_body(tmp_path, prompt="refund of: ", include_prompt=include_prompt, truncate_dim=8, dropout=0.0)
    contrast = contrasted(body, DATA, LABELS, TrainingArguments(**given))

    loss = contrast.loss(body, contrast.batch(INDICES))

    used = torch.from_numpy(body.encode(DATA))
    assert loss.item() == pytest.approx(contrast.loss_on(used, INDICES).item(), rel=1e-5)  # float32 sums


class Own(losses.CosineSimilarityLoss):
    """A loss of the user's, which embeds by itself."""


def test_a_loss_of_the_users_gets_the_default_prompt(tmp_path: Path) -> None:
    body = make_body(tmp_path, prompt="refund of: ", dropout=0.0)
    own, by_name = (contrasted(body, DATA, LABELS, TrainingArguments(loss=loss)) for loss in (Own, "CosineSimilarity"))

    loss = own.loss(body, own.batch(INDICES))

    used = torch.from_numpy(body.encode(DATA))
    assert loss.item() == pytest.approx(by_name.loss_on(used, INDICES).item(), rel=1e-5)  # float32 sums


def test_a_loss_of_the_users_is_not_told_how_to_embed(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^distinct_batches: expected True with Own, which embeds by itself"):
        contrasted(make_body(tmp_path), DATA, LABELS, TrainingArguments(loss=Own, distinct_batches=False))


def test_the_prompt_counts_where_texts_are_cut(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    body = make_body(tmp_path, prompt="refund of: ", max_length=8)
    seen = body.preprocess(["late parcel late parcel late"], prompt="refund of: ")["input_ids"]
    assert seen.shape[1] == 8

    with caplog.at_level(logging.WARNING, "setfuse.train"):
        warn_of_cut_texts(body, [Row("late", "a", "1"), Row("late parcel late parcel late", "a", "2")])

    assert "1 of 2 texts are longer than 8 tokens and are cut, the first at 2" in caplog.messages


def test_a_body_that_reads_texts_of_any_length(caplog: pytest.LogCaptureFixture) -> None:
    tokenizer = Tokenizer(WordLevel({"late": 0, "[UNK]": 1}, unk_token="[UNK]"))  # noqa: S106 - no password
    body = SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_dim=4)], device="cpu")

    warn_of_cut_texts(body, [Row("late " * 1000, "a", "1")])

    assert not caplog.messages
