"""Every argument of the loss and of the pairs, as it takes effect in a run."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.losses import BatchAllTripletLoss, CoSENTLoss, CosineSimilarityLoss
from sklearn.linear_model import LogisticRegression

from setfuse.runtime import DatasetError, MultiLabelRow, Row, UsageError
from setfuse.train import TrainingArguments, TrainingResult, _train, train
from setfuse.train._loss_names import LABEL_LOSSES, LOSSES
from tests.train.recording import AtStep

ROWS = [Row(f"{word} parcel {number}", word) for word in ("late", "refund", "best") for number in range(4)]
QUICK: dict[str, Any] = {"max_steps": 3, "save_strategy": "no", "body_learning_rate": 1e-3, "warmup_proportion": 0.0}


def run(
    base: Path,
    out: str = "out",
    rows: Any = ROWS,
    eval_rows: Any = None,
    head: str = "LogisticRegression",
    **given: Any,
) -> TrainingResult:
    args = TrainingArguments(**QUICK | given)
    return train(rows, base=base, out=out, args=args, eval_rows=eval_rows, head=head, overwrite=True)


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_trains_and_is_evaluated(base_without_dropout: Path, loss: str) -> None:
    result = run(base_without_dropout, loss=loss, eval_steps=1, eval_rows=ROWS)

    values = [found["embedding_loss"] for found in result.evaluations]
    assert len(result.losses) == 3
    assert np.isfinite([*result.losses, *values]).all()
    assert len(set(values)) == 3
    assert result.pairs == (len(ROWS) if loss in LABEL_LOSSES else 3 * 16)


def test_a_class_means_the_loss_of_its_name(base_without_dropout: Path) -> None:
    by_class, by_name, default = (
        run(base_without_dropout, **given).losses
        for given in ({"loss": CosineSimilarityLoss}, {"loss": "CosineSimilarity"}, {})
    )

    assert by_class == by_name == default


def test_arguments_of_the_loss_reach_it(base_without_dropout: Path) -> None:
    plain, scaled = (
        run(base_without_dropout, loss=CoSENTLoss, loss_kwargs=kwargs).losses for kwargs in (None, {"scale": 1.0})
    )

    assert plain[0] != scaled[0]


@pytest.mark.parametrize(
    "given", [{"margin": 2.0}, {"distance_metric": "euclidean_distance"}, {"distance_metric": torch.cdist}], ids=str
)
def test_margin_and_distance_of_triplets_take_effect(base_without_dropout: Path, given: dict[str, Any]) -> None:
    loss = "BatchHardTripletLoss"
    if callable(given.get("distance_metric")):
        given = {"distance_metric": lambda embeddings: torch.cdist(embeddings, embeddings)}

    assert run(base_without_dropout, loss=loss, **given).losses[0] != run(base_without_dropout, loss=loss).losses[0]


class Scaled(torch.nn.Module):
    """A loss of a caller's own: it has a parameter, and embeds by itself."""

    def __init__(self, model: SentenceTransformer, start: float = 2.0) -> None:
        super().__init__()
        self.model = model
        self.scale = torch.nn.Parameter(torch.tensor([start]))

    def forward(self, features: list[dict[str, torch.Tensor]], labels: torch.Tensor) -> torch.Tensor:
        left, right = (self.model(side)["sentence_embedding"] for side in features)
        similarity = torch.cosine_similarity(left, right)
        return (self.scale * (similarity - labels) ** 2).mean() + (self.scale - 1).square().sum()


def test_a_loss_of_the_callers_own_is_trained_with_its_parameters(base_without_dropout: Path) -> None:
    ours = run(base_without_dropout, loss=Scaled, loss_kwargs={"start": 3.0}, eval_steps=3, eval_rows=ROWS)
    plain = run(base_without_dropout)

    assert ours.losses[0] == pytest.approx(3 * plain.losses[0] + 4, rel=1e-5)
    assert ours.losses[-1] < ours.losses[0]
    assert np.isfinite(ours.evaluations[0]["embedding_loss"])


def test_the_parameters_of_a_loss_are_resumed(base_without_dropout: Path) -> None:
    given = QUICK | {"loss": Scaled, "max_steps": 6, "body_learning_rate": 1e-2}
    whole = run(base_without_dropout, "whole", **given)
    args = TrainingArguments(**given | {"save_strategy": "steps", "save_steps": 3, "output_dir": "run"})

    def stop() -> None:
        raise RuntimeError("the machine stopped")

    with pytest.raises(RuntimeError, match="the machine stopped"):
        train(ROWS, base=base_without_dropout, out="out", args=args, callbacks=[AtStep(4, stop)])
    resumed = train(ROWS, base=base_without_dropout, out="out", args=args, resume=True)

    assert load_file("run/checkpoint-6/loss.safetensors").keys() == {"scale"}
    assert resumed.losses == whole.losses


def test_batches_of_a_loss_on_labels_hold_several_texts_of_a_label(base_without_dropout: Path) -> None:
    class Counting(torch.nn.Module):
        seen: list[list[int]] = []  # noqa: RUF012 - one list for the instance that the training makes

        def __init__(self, model: SentenceTransformer) -> None:
            super().__init__()
            self.model = model

        def forward(self, features: list[dict[str, torch.Tensor]], labels: torch.Tensor) -> torch.Tensor:
            self.seen.append(labels.tolist())
            return self.model(features[0])["sentence_embedding"].square().mean()

    from setfuse.train import _losses

    class OnLabels(Counting, _losses.SupConLoss):
        def __init__(self, model: SentenceTransformer) -> None:
            Counting.__init__(self, model)

    run(base_without_dropout, loss=OnLabels, batch_size=4, max_steps=-1, num_epochs=3)

    assert len(OnLabels.seen) == 9
    for labels in OnLabels.seen:
        assert sorted(np.unique(labels, return_counts=True)[1].tolist()) == [2, 2]
    assert OnLabels.seen[:3] != OnLabels.seen[3:6]


class OnLabels(BatchAllTripletLoss):
    """A loss of the caller's own, on texts and their labels."""


ON_LABELS = pytest.mark.parametrize(
    "loss", ["BatchAllTriplet", BatchAllTripletLoss, OnLabels, partial(OnLabels, margin=1)]
)


@ON_LABELS
def test_a_label_with_one_text_is_refused_by_a_loss_that_compares_texts_of_a_label(loss: Any) -> None:
    rows = [*ROWS, Row("once upon a time", "rare")]

    with pytest.raises(DatasetError, match=r"(BatchAllTripletLoss|OnLabels): .*found one row of 'rare'"):
        run(Path("no-base-is-looked-for"), rows=rows, loss=loss)


@ON_LABELS
def test_batches_that_cannot_hold_two_texts_of_each_label_are_refused(loss: Any) -> None:
    with pytest.raises(UsageError, match=r"^batch_size: expected an even number of at least 4 with .*, got 5"):
        run(Path("no-base-is-looked-for"), loss=loss, batch_size=5)


@ON_LABELS
def test_a_loss_on_labels_refuses_lists_of_them(loss: Any) -> None:
    rows = [MultiLabelRow(row.text, (row.label,)) for row in ROWS]

    with pytest.raises(DatasetError, match="expected one label a text, found rows with several"):
        run(Path("no-base-is-looked-for"), rows=rows, loss=loss)


def test_no_pairs_are_drawn_for_a_loss_on_labels(tiny_base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_train, "draw_training_pairs", None)

    assert run(tiny_base, loss="BatchAllTriplet").pairs == len(ROWS)


def test_a_label_with_one_text_is_worth_a_warning(tiny_base: Path, caplog: pytest.LogCaptureFixture) -> None:
    result = run(tiny_base, rows=[*ROWS, Row("once upon a time", "rare", "rows.jsonl:13")])

    assert result.labels["rare"] == 1
    assert "rows.jsonl:13: the label 'rare' has this text only; correct it if it is misspelt" in caplog.text


def test_a_loss_of_the_wrong_kind_is_refused(tiny_base: Path) -> None:
    with pytest.raises(UsageError, match=r"^loss_kwargs: expected arguments of CoSENTLoss"):
        run(tiny_base, loss="CoSENT", loss_kwargs={"no_such": 1})


@pytest.mark.parametrize(
    ("given", "pairs"),
    [
        ({}, 96),
        ({"sampling_strategy": "undersampling"}, 60),
        ({"sampling_strategy": "unique"}, 78),
        ({"num_iterations": 2}, 48),
        ({"self_pairs": False}, 96),
        ({"self_pairs": False, "sampling_strategy": "unique"}, 66),
    ],
    ids=str,
)
def test_how_many_pairs_there_are(tiny_base: Path, given: dict[str, Any], pairs: int) -> None:
    # three labels of four texts: 18 pairs of one label, 12 of a text with itself, 48 of two labels
    assert run(tiny_base, **given | {"max_steps": -1}).pairs == pairs


def test_pairs_are_no_more_than_the_steps_take(tiny_base: Path) -> None:
    # as SetFit: at most half as many of each kind
    assert run(tiny_base, max_steps=2).pairs == 32
    assert run(tiny_base, max_steps=2, gradient_accumulation_steps=2).pairs == 64


def test_the_pairs_have_a_seed_of_their_own(base_without_dropout: Path) -> None:
    first, again, other, of_the_run = (
        run(base_without_dropout, **given).losses
        for given in ({}, {"pair_seed": 42}, {"pair_seed": 7}, {"pair_seed": None, "seed": 42})
    )

    assert first == again == of_the_run
    assert first != other


@pytest.mark.parametrize("class_weight", ["balanced", {"late": 5.0}])
def test_labels_have_their_weights_in_the_head(base_without_dropout: Path, class_weight: Any) -> None:
    rows = ROWS[:10]
    run(base_without_dropout, rows=rows, class_weight=class_weight)

    embeddings = SentenceTransformer("out", device="cpu").encode([row.text for row in rows])
    head = LogisticRegression(class_weight=class_weight).fit(embeddings, [row.label for row in rows])
    np.testing.assert_allclose(load_file("out/head.safetensors")["coef"], head.coef_, rtol=1e-5)


def test_labels_have_their_weights_in_a_differentiable_head(base_without_dropout: Path) -> None:
    biases = []
    for number, class_weight in enumerate((None, {"late": 9.0}, "balanced")):
        given = {"class_weight": class_weight, "num_epochs": (1, 2)}
        run(base_without_dropout, f"out{number}", rows=ROWS[:10], head="differentiable", **given)
        biases.append(load_file(f"out{number}/head.safetensors")["bias"])

    late = sorted({row.label for row in ROWS}).index("late")
    assert biases[1][late] > biases[0][late]
    assert not np.array_equal(biases[2], biases[0])


@pytest.mark.parametrize("head", ["LogisticRegression", "differentiable"])
def test_a_weight_for_a_label_that_no_row_has_is_refused(tiny_base: Path, head: str) -> None:
    message = r"class_weight: expected labels of the training rows \(best, late, refund\), got 'lost'"
    with pytest.raises(UsageError, match=message):
        run(tiny_base, head=head, class_weight={"lost": 2.0})
