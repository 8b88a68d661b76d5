"""Losses taken on distinct embeddings, against sentence-transformers' own that embed every column."""

from functools import partial
from typing import Any

import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer import losses

from setfuse.runtime import UsageError
from setfuse.train._loss_names import DISTANCE_LOSSES, PAIR_LOSSES
from setfuse.train._losses import (
    Objective,
    OwnLoss,
    SupConLoss,
    loss_of_texts,
    make_objective,
)
from tests.models import TEXTS

DISTINCT = [text for text in TEXTS if text]
LABELS = torch.tensor([0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1])
SIDES = torch.tensor([[0, 3], [0, 1], [4, 4], [2, 7], [5, 8], [10, 3], [9, 0], [1, 2], [6, 9], [3, 0], [8, 10]])
SAME = (LABELS[SIDES[:, 0]] == LABELS[SIDES[:, 1]]).float()


@pytest.fixture
def body(tiny_base: Any) -> SentenceTransformer:
    """A body without dropout, whose every number is then decided by its inputs; not of unit length."""
    model = SentenceTransformer(str(tiny_base), device="cpu")
    model = SentenceTransformer(modules=[model[0], model[1]], device="cpu")
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    model[0].auto_model.config.attention_probs_dropout_prob = 0.0
    return model.train()


def value_and_gradients(body: SentenceTransformer, loss: torch.Tensor) -> tuple[float, dict[str, torch.Tensor]]:
    body.zero_grad()
    loss.backward()
    return loss.item(), {name: p.grad.clone() for name, p in body.named_parameters() if p.grad is not None}


def embed(body: SentenceTransformer, texts: list[str]) -> torch.Tensor:
    embeddings: torch.Tensor = body(body.preprocess(texts))["sentence_embedding"]
    return embeddings


def assert_same_step(body: SentenceTransformer, ours: torch.Tensor, theirs: torch.Tensor) -> None:
    our_value, our_gradients = value_and_gradients(body, ours)
    their_value, their_gradients = value_and_gradients(body, theirs)
    # float32 sums in another order
    assert our_value == pytest.approx(their_value, rel=1e-5)
    assert our_gradients.keys() == their_gradients.keys()
    size = max(gradient.abs().max().item() for gradient in their_gradients.values())
    assert size > 1e-4, "a loss without a gradient would prove nothing"
    for name, gradient in their_gradients.items():
        torch.testing.assert_close(our_gradients[name], gradient, rtol=1e-3, atol=1e-5 * size, msg=name)


@pytest.mark.parametrize("name", PAIR_LOSSES)
def test_a_pair_loss_on_distinct_texts_is_the_loss_that_embeds_both_sides(body: SentenceTransformer, name: str) -> None:
    objective = make_objective(name)
    assert isinstance(objective, Objective)
    assert (objective.name, objective.on_labels) == (name, False)

    ours = objective.loss(embed(body, DISTINCT), (SIDES, SAME))

    sides = [body.preprocess([DISTINCT[row] for row in SIDES[:, side]]) for side in (0, 1)]
    assert_same_step(body, ours, getattr(losses, name)(body)(sides, SAME))


@pytest.mark.parametrize("distance", ["cosine_distance", "euclidean_distance"])
@pytest.mark.parametrize("name", DISTANCE_LOSSES)
def test_a_triplet_loss_is_sentence_transformers(body: SentenceTransformer, name: str, distance: str) -> None:
    has_margin = name != "BatchHardSoftMarginTripletLoss"
    objective = make_objective(name, distance_metric=distance, **({"margin": 0.7} if has_margin else {}))
    assert isinstance(objective, Objective)
    assert objective.on_labels

    ours = objective.loss(embed(body, DISTINCT), LABELS)

    metric = getattr(losses.BatchHardTripletLossDistanceFunction, distance)
    settings = {"margin": 0.7} if has_margin else {}
    theirs = getattr(losses, name)(body, distance_metric=metric, **settings)
    assert_same_step(body, ours, theirs([body.preprocess(DISTINCT)], LABELS))


@pytest.mark.parametrize("name", DISTANCE_LOSSES)
def test_the_triplet_losses_defaults_are_setfits(body: SentenceTransformer, name: str) -> None:
    embeddings = embed(body, DISTINCT).detach()
    settings = {} if name == "BatchHardSoftMarginTripletLoss" else {"margin": 0.25}
    cosine = losses.BatchHardTripletLossDistanceFunction.cosine_distance

    theirs = getattr(losses, name)(body, distance_metric=cosine, **settings)
    expected = theirs.compute_loss_from_embeddings([embeddings], LABELS)

    assert make_objective(name).loss(embeddings, LABELS).item() == expected.item()  # type: ignore[union-attr]


def supervised_contrastive(embeddings: torch.Tensor, labels: list[int], temperature: float) -> torch.Tensor:
    """Equation 2 of the paper, sum by sum."""
    unit = [row / row.pow(2).sum().sqrt() for row in embeddings]
    anchors = []
    for i, label in enumerate(labels):
        others = [a for a in range(len(labels)) if a != i]
        positives = [p for p in others if labels[p] == label]
        if not positives:
            continue
        denominator = torch.stack([((unit[i] * unit[a]).sum() / temperature).exp() for a in others]).sum()
        terms = [(((unit[i] * unit[p]).sum() / temperature).exp() / denominator).log() for p in positives]
        anchors.append(-torch.stack(terms).sum() / len(positives))
    return torch.stack(anchors).mean()


@pytest.mark.parametrize("labels", [LABELS.tolist(), [0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0]], ids=["three", "loners"])
@pytest.mark.parametrize("temperature", [0.07, 0.5])
def test_supcon_is_the_papers(body: SentenceTransformer, labels: list[int], temperature: float) -> None:
    objective = make_objective("SupCon", loss_kwargs={"temperature": temperature, "base_temperature": temperature})
    assert isinstance(objective, Objective)
    assert objective.on_labels

    ours = objective.loss(embed(body, DISTINCT), torch.tensor(labels))

    assert_same_step(body, ours, supervised_contrastive(embed(body, DISTINCT), labels, temperature))


def test_supcon_is_as_exact_in_mixed_precision() -> None:
    embeddings = torch.randn(6, 8, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 0, 1, 1, 2, 2])
    loss = make_objective("SupCon")
    assert isinstance(loss, Objective)

    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = loss.loss(embeddings, labels)

    assert mixed.item() == loss.loss(embeddings, labels).item()


def test_supcons_base_temperature_scales_it() -> None:
    embeddings = torch.randn(6, 8, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 0, 1, 1, 2, 2])

    half, whole = (
        SupConLoss(temperature=0.1, base_temperature=base).compute_loss_from_embeddings([embeddings], labels).item()
        for base in (0.2, 0.1)
    )

    assert half == pytest.approx(whole / 2)


@pytest.mark.parametrize(
    "loss",
    [losses.CoSENTLoss, "CoSENT", "CoSENTLoss"],
    ids=["class", "short name", "name"],
)
def test_a_loss_by_class_or_name(loss: Any) -> None:
    objective = make_objective(loss, loss_kwargs={"scale": 3.0})

    assert isinstance(objective, Objective)
    assert isinstance(objective.module, losses.CoSENTLoss)
    assert objective.module.scale == 3.0


def test_setfits_own_class_is_meant_by_its_name() -> None:
    class SupConLoss(torch.nn.Module):
        """Stands for SetFit's."""

    SupConLoss.__module__ = "setfit.losses"

    assert make_objective(SupConLoss).name == "SupConLoss"
    assert isinstance(make_objective(SupConLoss), Objective)


class Scaled(torch.nn.Module):
    """A loss as a user writes one: with an argument and a parameter of its own."""

    def __init__(self, model: SentenceTransformer, power: float = 2.0) -> None:
        super().__init__()
        self.model, self.power = model, power
        self.bias = torch.nn.Parameter(torch.tensor(0.5))

    def forward(self, sentence_features: list[dict[str, torch.Tensor]], labels: torch.Tensor) -> torch.Tensor:
        left, right = (self.model(features)["sentence_embedding"] for features in sentence_features)
        return ((torch.cosine_similarity(left, right) + self.bias - labels).abs() ** self.power).mean()


@pytest.mark.parametrize("wrapped", [False, True], ids=["class and arguments", "partial"])
def test_a_users_own_loss_embeds_both_sides(body: SentenceTransformer, wrapped: bool) -> None:
    own = make_objective(partial(Scaled, power=3.0)) if wrapped else make_objective(Scaled, loss_kwargs={"power": 3.0})
    assert isinstance(own, OwnLoss)
    assert not own.on_labels

    module = own.on(body)
    columns = [[DISTINCT[row] for row in SIDES[:, side]] for side in (0, 1)]
    ours = loss_of_texts(module, body, columns, SAME)

    embeddings = embed(body, DISTINCT)
    similarity = torch.cosine_similarity(embeddings[SIDES[:, 0]], embeddings[SIDES[:, 1]])
    assert_same_step(body, ours, ((similarity + 0.5 - SAME).abs() ** 3).mean())
    assert {id(module.bias)} == {id(p) for p in module.parameters()} - {id(p) for p in body.parameters()}


@pytest.mark.parametrize("wrapped", [False, True], ids=["class and arguments", "partial"])
def test_a_loss_made_from_one_on_labels_is_one_on_labels(body: SentenceTransformer, wrapped: bool) -> None:
    class Mine(losses.BatchHardTripletLoss):
        """Changes nothing."""

    own = make_objective(partial(Mine, margin=0.7)) if wrapped else make_objective(Mine, loss_kwargs={"margin": 0.7})
    assert isinstance(own, OwnLoss)
    assert own.on_labels

    ours = loss_of_texts(own.on(body), body, [DISTINCT], LABELS)

    theirs = losses.BatchHardTripletLoss(body, margin=0.7)([body.preprocess(DISTINCT)], LABELS)
    assert ours.item() == theirs.item()


def test_another_of_sentence_transformers_losses_embeds_by_itself(body: SentenceTransformer) -> None:
    own = make_objective(losses.MultipleNegativesRankingLoss)
    assert isinstance(own, OwnLoss)

    columns = [DISTINCT[:4], DISTINCT[4:8]]
    ours = loss_of_texts(own.on(body), body, columns, torch.ones(4))

    theirs = losses.MultipleNegativesRankingLoss(body)([body.preprocess(column) for column in columns], torch.ones(4))
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-6)


@pytest.mark.parametrize(
    ("loss", "settings", "message"),
    [
        (SupConLoss(), {}, "loss: expected the class, got a loss that is made already; pass SupConLoss"),
        ("CoSENT", {"loss_kwargs": {"scales": 1}}, r"arguments of CoSENTLoss \(scale, similarity_fct\), .*'scales'"),
        (Scaled, {"loss_kwargs": {"exponent": 1}}, r"arguments of Scaled \(power\), got others: .*'exponent'"),
    ],
)
def test_what_contradicts_itself_is_refused(loss: Any, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make_objective(loss, **settings)


def test_an_own_loss_that_is_no_module_is_refused(body: SentenceTransformer) -> None:
    own = make_objective(lambda model: 0.0 if model else 1.0)
    assert isinstance(own, OwnLoss)

    with pytest.raises(UsageError, match=r"loss: expected <lambda> to make a torch module, got float"):
        own.on(body)
