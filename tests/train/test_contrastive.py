"""The contrastive phase, against sentence-transformers' own losses and transformers' own schedules."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.losses import CosineSimilarityLoss
from transformers import TrainerCallback, get_scheduler

from setfuse.train import OutOfMemory, TrainingArguments, TrainingDiverged
from setfuse.train import _contrast as contrast_module
from setfuse.train._batches import pair_batch
from setfuse.train._classify import encode
from setfuse.train._contrast import training_order
from setfuse.train._embedding import CHUNK
from setfuse.train._pairs import make_pairs
from tests.models import TEXTS
from tests.train.recording import AtStep, Recorder, contrasted, tune

ROWS = [text for text in TEXTS if text] * 3
LABELS = ["a", "b", "c"] * 11
FEW, FEW_LABELS = ROWS[:12], ["a"] * 5 + ["b"] * 7  # 86 pairs


def gradients(body: SentenceTransformer, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    body.zero_grad()
    loss.backward()
    return {name: value.grad.clone() for name, value in body.named_parameters() if value.grad is not None}


@pytest.mark.parametrize("distinct", [True, False], ids=["distinct texts", "both sides of every pair"])
def test_loss_and_gradient_are_those_of_embedding_both_sides(body: SentenceTransformer, distinct: bool) -> None:
    contrast = contrasted(body, ROWS, LABELS, TrainingArguments(distinct_batches=distinct))
    assert contrast.pairs is not None
    indices = np.arange(64)
    rows, same = contrast.pairs.rows_of(indices)
    assert len(np.unique(rows)) > CHUNK  # more than one chunk, or the test would prove less

    ours = contrast.loss(body, contrast.batch(indices))
    our_gradients = gradients(body, ours)
    sides = [body.preprocess([ROWS[row] for row in rows[:, side]]) for side in (0, 1)]
    theirs = CosineSimilarityLoss(body)(sides, torch.from_numpy(same))
    their_gradients = gradients(body, theirs)

    # float32 sums in another order
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-5)
    assert our_gradients.keys() == their_gradients.keys()
    for name, gradient in their_gradients.items():
        torch.testing.assert_close(our_gradients[name], gradient, rtol=1e-3, atol=1e-6, msg=name)


def test_a_batch_of_distinct_texts_embeds_each_once(body: SentenceTransformer) -> None:
    pairs = make_pairs(LABELS, "oversampling")
    rows, _ = pairs.rows_of(np.arange(64))

    batch = pair_batch(body, ROWS, pairs, np.arange(64), distinct=True)
    both = pair_batch(body, ROWS, pairs, np.arange(64), distinct=False)

    assert sum(len(chunk["input_ids"]) for chunk in batch["chunks"]) == len(np.unique(rows))
    assert [len(chunk["input_ids"]) for chunk in both["chunks"]] == [64, 64]


def test_both_kinds_of_batches_give_the_same_training(base_without_dropout: Path) -> None:
    runs = [
        tune(SentenceTransformer(str(base_without_dropout), device="cpu"), FEW, FEW_LABELS, distinct_batches=distinct)
        for distinct in (True, False)
    ]

    assert runs[0].losses == pytest.approx(runs[1].losses, rel=1e-4)


@pytest.mark.parametrize(
    ("schedule", "warmup"),
    [("linear", 0.1), ("linear", 0.0), ("linear", 1.0), ("cosine", 0.3), ("constant_with_warmup", 0.5)]
    + [(name, 0.2) for name in ("constant", "polynomial", "inverse_sqrt", "cosine_with_restarts")],
)
def test_learning_rates_are_those_of_transformers(body: SentenceTransformer, schedule: str, warmup: float) -> None:
    recorder = Recorder()
    steps = len(
        tune(
            body,
            FEW,
            FEW_LABELS,
            [recorder],
            body_learning_rate=3e-5,
            warmup_proportion=warmup,
            lr_scheduler_type=schedule,
            logging_steps=1,
        ).losses
    )
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=3e-5)
    rates = get_scheduler(schedule, optimizer, int(np.ceil(steps * warmup)), steps)
    expected = []
    for _ in range(steps):
        expected.append(rates.get_last_lr()[0])
        optimizer.step()
        rates.step()

    assert steps == 6
    assert recorder.of_steps("learning_rate") == pytest.approx(expected, rel=1e-12)


def test_the_cards_batches_and_learning_rates_are_those_that_setfit_had(
    shared: Path, body: SentenceTransformer, monkeypatch: pytest.MonkeyPatch
) -> None:
    golden = json.loads((shared / "card" / "golden.json").read_text(encoding="utf-8"))
    lines = (shared / "card" / "train.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    seen: list[int] = []

    def recorded(*args: Any, **kwargs: Any) -> Any:
        seen.extend(args[3].tolist())
        return pair_batch(*args, **kwargs)

    monkeypatch.setattr(contrast_module, "pair_batch", recorded)
    recorder = Recorder()
    texts, labels = [row["text"] for row in rows], [row["label"] for row in rows]
    tune(body, texts, labels, [recorder], batch_size=32, num_epochs=10, logging_steps=1)

    assert seen == [index for epoch in golden["epoch_permutations"] for index in epoch]
    assert recorder.of_steps("learning_rate") == pytest.approx(golden["learning_rates"], rel=1e-9)


def test_training_brings_texts_of_one_label_together(body: SentenceTransformer) -> None:
    texts = [f"{word} parcel {number}" for word in ("late", "refund") for number in range(6)]
    labels = ["late"] * 6 + ["refund"] * 6

    losses = tune(body, texts, labels, num_epochs=8, body_learning_rate=1e-3).losses

    assert np.mean(losses[-5:]) < 0.2 * np.mean(losses[:5])
    assert not body.training


@pytest.mark.parametrize(
    ("settings", "steps"),
    [
        ({"max_steps": 3}, 3),
        ({"max_steps": 40}, 40),
        ({"num_epochs": 2}, 10),
        ({"num_epochs": (2, 9), "batch_size": (50, 3)}, 4),
        ({"num_epochs": 2, "gradient_accumulation_steps": 2}, 6),
    ],
    ids=["fewer than an epoch", "more than an epoch", "epochs", "a short last batch", "accumulation"],
)
def test_number_of_steps(body: SentenceTransformer, settings: dict[str, Any], steps: int) -> None:
    pairs = len(make_pairs(FEW_LABELS, "oversampling"))
    assert pairs == 86

    assert len(tune(body, FEW, FEW_LABELS, **{"batch_size": -(-pairs // 5), **settings}).losses) == steps


def test_accumulated_batches_are_one_big_batch(base_without_dropout: Path) -> None:
    def losses(**given: int) -> tuple[float, ...]:
        body = SentenceTransformer(str(base_without_dropout), device="cpu")
        return tune(body, FEW, FEW_LABELS, max_steps=5, body_learning_rate=1e-3, **given).losses

    assert losses(batch_size=4, gradient_accumulation_steps=4) == pytest.approx(losses(batch_size=16), rel=1e-4)


def test_weight_decay_is_the_optimizers(base_without_dropout: Path) -> None:
    def weights(l2_weight: float | None) -> torch.Tensor:
        body = SentenceTransformer(str(base_without_dropout), device="cpu")
        tune(body, FEW, FEW_LABELS, max_steps=3, body_learning_rate=1e-3, l2_weight=l2_weight)
        return torch.cat([value.flatten() for value in body.state_dict().values() if value.is_floating_point()])

    none = weights(None)
    assert torch.equal(none, weights(0.0))
    assert weights(10.0).norm() < none.norm()


def test_bfloat16_is_for_the_training_only(base_without_dropout: Path) -> None:
    bodies = [SentenceTransformer(str(base_without_dropout), device="cpu") for _ in range(2)]
    exact, rounded = (
        tune(body, FEW, FEW_LABELS, max_steps=3, bf16=bf16).losses
        for body, bf16 in zip(bodies, (False, True), strict=True)
    )

    assert exact != rounded
    assert rounded == pytest.approx(exact, rel=0.05)  # 8 bits of mantissa
    assert {value.dtype for value in bodies[1].state_dict().values()} <= {torch.float32, torch.int64}
    float32 = SentenceTransformer(modules=list(bodies[1]), device="cpu").encode(FEW)
    np.testing.assert_array_equal(bodies[1].encode(FEW), float32)


def test_the_seed_decides_the_order_of_the_batches(base_without_dropout: Path) -> None:
    first, again, other = (
        tune(SentenceTransformer(str(base_without_dropout), device="cpu"), FEW, FEW_LABELS, seed=seed).losses
        for seed in (1, 1, 2)
    )

    assert first == again
    assert first != other


def test_a_loss_that_is_no_number_stops_the_training_before_it_reaches_the_weights(body: SentenceTransformer) -> None:
    def spoil() -> None:
        with torch.no_grad():
            next(body.parameters()).fill_(float("nan"))

    with pytest.raises(TrainingDiverged, match=r"step 3 of 6: expected a finite loss, found nan; lower body_learning"):
        tune(body, FEW, FEW_LABELS, [AtStep(2, spoil)])


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB."), MemoryError()], ids=repr
)
def test_running_out_of_memory_says_which_batch_size_was_tried(
    body: SentenceTransformer, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def too_much(*_: Any) -> torch.Tensor:
        raise error

    monkeypatch.setattr(contrast_module, "embed", too_much)
    message = "step 1: expected room for a batch_size of 24, ran out of memory; lower batch_size"
    with pytest.raises(OutOfMemory, match=re.escape(message)):
        tune(body, FEW, FEW_LABELS, batch_size=24)


@pytest.mark.parametrize("room", [8, 1, 0])
def test_texts_are_embedded_in_smaller_batches_where_memory_runs_out(
    body: SentenceTransformer, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    expected = body.eval().encode(ROWS)
    forward = body.forward

    def little_room(features: dict[str, torch.Tensor], **given: Any) -> Any:
        if len(features["input_ids"]) > room:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
        return forward(features, **given)

    monkeypatch.setattr(body, "forward", little_room)
    if room:
        np.testing.assert_allclose(encode(body, ROWS), expected, atol=1e-6)
    else:
        message = r"^embedding the texts for the head: expected room for one text .*; lower max_length \(now 48\)$"
        with pytest.raises(OutOfMemory, match=message):
            encode(body, ROWS)


def test_the_last_accumulated_group_is_the_mean_of_the_batches_it_has(body: SentenceTransformer) -> None:
    # 86 pairs in batches of 20: two groups of two, and the short one of 6 alone.
    before: list[dict[str, torch.Tensor]] = []
    found: list[dict[str, torch.Tensor]] = []

    def copy(of: Any) -> dict[str, torch.Tensor]:
        return {name: of(value).detach().clone() for name, value in body.named_parameters() if value.grad is not None}

    class Watch(TrainerCallback):
        def on_pre_optimizer_step(self, *_: Any, **__: Any) -> None:
            before.append({name: value.detach().clone() for name, value in body.state_dict().items()})
            found.append(copy(lambda value: value.grad))

    args = {"batch_size": 20, "gradient_accumulation_steps": 2, "num_epochs": 1}
    losses = tune(body, FEW, FEW_LABELS, [Watch()], **args).losses
    contrast = contrasted(body, FEW, FEW_LABELS, TrainingArguments(**args))
    batches = list(training_order(contrast, TrainingArguments(**args)))
    groups = [batches[0:2], batches[2:4], batches[4:]]

    assert [len(batch) for batch in groups[-1]] == [6]
    assert len(found) == len(losses) == 3
    body.train()
    for step, group in enumerate(groups):
        body.load_state_dict(before[step])
        body.zero_grad()
        value = torch.stack([contrast.loss(body, contrast.batch(np.asarray(batch))) for batch in group]).mean()
        value.backward()
        torch.nn.utils.clip_grad_norm_(body.parameters(), 1.0)
        assert value.item() == pytest.approx(losses[step], rel=1e-5)
        for name, gradient in copy(lambda value: value.grad).items():
            torch.testing.assert_close(found[step][name], gradient, rtol=1e-3, atol=1e-6, msg=name)
