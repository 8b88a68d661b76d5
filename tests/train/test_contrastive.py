"""The contrastive phase, against sentence-transformers' own loss and transformers' own schedule."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.losses import CosineSimilarityLoss
from transformers import get_linear_schedule_with_warmup

from setfuse.train import TrainingArguments, TrainingDiverged
from setfuse.train._contrastive import CHUNK, _pair_loss, fine_tune, learning_rate
from setfuse.train._pairs import make_pairs
from tests.models import TEXTS

ROWS = [text for text in TEXTS if text] * 3
LABELS = ["a", "b", "c"] * 11


@pytest.fixture
def body(tiny_base: Path) -> SentenceTransformer:
    """A body without dropout, whose every number is then decided by its inputs."""
    model = SentenceTransformer(str(tiny_base), device="cpu")
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    model[0].auto_model.config.attention_probs_dropout_prob = 0.0
    return model.train()


def gradients(body: SentenceTransformer, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    body.zero_grad()
    loss.backward()
    return {name: value.grad.clone() for name, value in body.named_parameters() if value.grad is not None}


def test_distinct_texts_give_the_loss_and_gradient_of_embedding_both_sides(body: SentenceTransformer) -> None:
    pairs = make_pairs(LABELS, "oversampling")
    batch = np.arange(64)
    rows, same = pairs.rows_of(batch)
    assert len(np.unique(rows)) > CHUNK  # more than one chunk, or the test would prove less

    ours = _pair_loss(body, CosineSimilarityLoss(body), ROWS, pairs, batch)
    our_gradients = gradients(body, ours)
    sides = [body.preprocess([ROWS[row] for row in rows[:, side]]) for side in (0, 1)]
    theirs = CosineSimilarityLoss(body)(sides, torch.from_numpy(same))
    their_gradients = gradients(body, theirs)

    # float32 sums in another order
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-5)
    assert our_gradients.keys() == their_gradients.keys()
    for name, gradient in their_gradients.items():
        torch.testing.assert_close(our_gradients[name], gradient, rtol=1e-3, atol=1e-6, msg=name)


@pytest.mark.parametrize(("steps", "warmup"), [(70, 0.1), (10, 0.0), (7, 0.5), (1, 0.1), (5, 1.0)])
def test_learning_rates_are_those_of_transformers(steps: int, warmup: float) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=3e-5)
    schedule = get_linear_schedule_with_warmup(optimizer, int(np.ceil(steps * warmup)), steps)
    expected = []
    for _ in range(steps):
        expected.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()

    assert [learning_rate(step, steps, 3e-5, warmup) for step in range(steps)] == pytest.approx(expected, rel=1e-12)


def test_training_brings_texts_of_one_label_together(body: SentenceTransformer) -> None:
    texts = [f"{word} parcel {number}" for word in ("late", "refund") for number in range(6)]
    labels = ["late"] * 6 + ["refund"] * 6
    args = TrainingArguments(num_epochs=8, body_learning_rate=1e-3)

    steps = fine_tune(body, texts, make_pairs(labels, "oversampling"), args, progress=False)

    losses = [step.loss for step in steps]
    assert np.mean(losses[-5:]) < 0.2 * np.mean(losses[:5])
    assert not body.training


@pytest.mark.parametrize(
    ("settings", "steps"),
    [({"max_steps": 3}, 3), ({"max_steps": 40}, 40), ({"num_epochs": 2}, 10), ({"num_epochs": 2, "batch_size": 50}, 4)],
    ids=["fewer than an epoch", "more than an epoch", "epochs", "a short last batch"],
)
def test_number_of_steps(body: SentenceTransformer, settings: dict[str, int], steps: int) -> None:
    pairs = make_pairs(["a"] * 5 + ["b"] * 7, "oversampling")
    assert len(pairs) == 86
    args = TrainingArguments(**{"batch_size": -(-len(pairs) // 5), **settings})

    assert len(fine_tune(body, ROWS[:12], pairs, args, progress=False)) == steps


def test_a_loss_that_is_no_number_stops_the_training(body: SentenceTransformer) -> None:
    with torch.no_grad():
        next(body.parameters()).fill_(float("nan"))

    with pytest.raises(TrainingDiverged, match=r"step 1 of .*found nan"):
        fine_tune(body, ROWS[:4], make_pairs(["a", "a", "b", "b"], "oversampling"), TrainingArguments(), progress=False)
