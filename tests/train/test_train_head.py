"""The differentiable head, against what SetFit's own did with the same rows and seed."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier

from setfuse.runtime import UsageError
from setfuse.train import TrainingDiverged
from setfuse.train._head import DifferentiableHead, train_head
from setfuse.train._head._class_weights import label_weights
from setfuse.train._head._targets import make_targets
from setfuse.train._head_settings import HeadSettings, HeadTraining
from tests.models import TEXTS, make_body

RECORDED = json.loads((Path(__file__).parent / "data" / "setfit_head.json").read_text(encoding="utf-8"))
DISTINCT = [text for text in TEXTS if text]
LABELS = ["abc"[i % 3] for i in range(len(DISTINCT))]
LABEL_SETS = [
    tuple(name for name, is_in in zip("abc", (i % 2 == 0, i % 3 == 0, i % 5 < 2), strict=True) if is_in)
    for i in range(len(DISTINCT))
]
DIFFERENTIABLE = HeadSettings(head="differentiable")
QUICK = HeadTraining(num_epochs=2, batch_size=4)


def training_of(case: dict[str, Any]) -> HeadTraining:
    """Say a recorded call of SetFit's in our words: there, None is 0.01, and the head's rate for the body."""
    fit = dict(case["fit"])
    if fit["l2_weight"] is None:
        fit["l2_weight"] = 0.01
    if fit["body_learning_rate"] is None:
        fit["body_learning_rate"] = fit["head_learning_rate"]
    return HeadTraining(freeze=case["freeze"], **fit)


def without_dropout(body: SentenceTransformer) -> SentenceTransformer:
    for module in body.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    body[0].auto_model.config.attention_probs_dropout_prob = 0.0
    return body


@pytest.fixture
def body(tiny_base: Path) -> SentenceTransformer:
    return without_dropout(SentenceTransformer(str(tiny_base), device="cpu"))


@pytest.fixture(autouse=True)
def _same_random_numbers() -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(7)
        yield


@pytest.mark.parametrize("name", RECORDED["cases"])
def test_the_probabilities_are_setfits(body: SentenceTransformer, name: str) -> None:
    case = RECORDED["cases"][name]
    if case["max_length"]:
        body.max_seq_length = case["max_length"]
    settings = HeadSettings(head="differentiable", head_params=case["head"])
    training = training_of(case)

    head, losses = train_head(body, DISTINCT, LABEL_SETS if case["multi_label"] else LABELS, settings, training)

    assert len(losses) == training.num_epochs * -(-len(DISTINCT) // training.batch_size)
    # recorded with six decimals; SetFit pads every text to max_length, which moves float32 sums
    found = head.predict_proba(body.encode(DISTINCT))
    np.testing.assert_allclose(found, case["probabilities"], rtol=0, atol=5e-6)


@pytest.mark.parametrize("name", ["frozen body", "several labels"])
def test_each_row_of_weights_is_the_label_that_setfit_gives_it(body: SentenceTransformer, name: str) -> None:
    """Recorded of the labels 0, 1, 2: what they are called must not matter."""
    case = RECORDED["cases"][name]
    names = {"a": "refund", "b": "best", "c": "late"}
    labels: Any = [
        tuple(names[label] for label in row) if case["multi_label"] else names[row[0]]
        for row in (LABEL_SETS if case["multi_label"] else LABELS)
    ]
    settings = HeadSettings(head="differentiable", head_params=case["head"])

    head, _ = train_head(
        body, DISTINCT, labels, settings, training_of(case), order=["refund", "unseen", "best", "late"]
    )

    assert head.labels == ("refund", "best", "late")
    np.testing.assert_allclose(head.predict_proba(body.encode(DISTINCT)), case["probabilities"], rtol=0, atol=5e-6)


def test_the_recorded_cases_differ(body: SentenceTransformer) -> None:
    """The comparison above would be worth nothing if another setting gave the same probabilities."""
    case = RECORDED["cases"]["end to end"]
    settings = HeadSettings(head="differentiable", head_params={"temperature": 0.6})

    head, _ = train_head(body, DISTINCT, LABELS, settings, training_of(case))

    assert np.abs(head.predict_proba(body.encode(DISTINCT)) - case["probabilities"]).max() > 1e-3


def state(module: torch.nn.Module) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in module.parameters()]


def same(before: list[torch.Tensor], after: list[torch.Tensor]) -> bool:
    return all(torch.equal(one, other) for one, other in zip(before, after, strict=True))


@pytest.mark.parametrize(
    ("training", "trains_body", "trains_head"),
    [
        (HeadTraining(num_epochs=1), False, True),
        (HeadTraining(num_epochs=1, freeze="body"), False, True),
        (HeadTraining(num_epochs=1, end_to_end=True), True, True),
        (HeadTraining(num_epochs=1, end_to_end=True, freeze="head"), True, False),
    ],
    ids=["default", "body frozen", "end to end", "head frozen"],
)
def test_what_is_trained_and_that_all_is_as_it_was_after(
    body: SentenceTransformer, training: HeadTraining, trains_body: bool, trains_head: bool
) -> None:
    body_before = state(body)
    with torch.random.fork_rng():
        head_before = state(DifferentiableHead(32, 3))

    head, _ = train_head(body, DISTINCT, LABELS, DIFFERENTIABLE, training)

    assert same(body_before, state(body)) is not trains_body
    assert same(head_before, state(head.estimator)) is not trains_head
    for module in (body, head.estimator):
        assert not module.training
        assert all(parameter.requires_grad for parameter in module.parameters())


@pytest.mark.parametrize(
    ("changed", "other"),
    [
        ({"l2_weight": 0.0}, {}),
        ({"head_learning_rate": 0.1}, {}),
        ({"batch_size": 3}, {}),
        ({"num_epochs": 3}, {}),
        ({"end_to_end": True, "body_learning_rate": 1e-2}, {"end_to_end": True}),
    ],
    ids=lambda value: ", ".join(value) or "default",
)
def test_every_setting_has_an_effect(tiny_base: Path, changed: dict[str, Any], other: dict[str, Any]) -> None:
    answers = []
    for settings in (changed, other):
        fresh = without_dropout(SentenceTransformer(str(tiny_base), device="cpu"))
        torch.manual_seed(7)
        head, _ = train_head(
            fresh, DISTINCT, LABELS, DIFFERENTIABLE, HeadTraining(**{"num_epochs": 2, "batch_size": 4, **settings})
        )
        answers.append(head.predict_proba(fresh.encode(DISTINCT)))

    assert np.abs(answers[0] - answers[1]).max() > 1e-5


def test_a_weight_decay_of_zero_is_none(body: SentenceTransformer) -> None:
    settings = HeadTraining(num_epochs=1, batch_size=len(DISTINCT), l2_weight=0.0, head_learning_rate=1e-2)
    with torch.random.fork_rng():
        before = state(DifferentiableHead(32, 3))

    head, _ = train_head(body, DISTINCT, LABELS, DIFFERENTIABLE, settings)

    # the first step of Adam is its rate in the direction of the gradient, whatever its size
    moved = (head.estimator.linear.weight.detach() - before[0]).abs()
    torch.testing.assert_close(moved, torch.full_like(moved, 1e-2), rtol=1e-3, atol=0)


def test_dropout_stays_on_while_a_frozen_body_feeds_the_head(tiny_base: Path) -> None:
    losses = []
    for dropout in (True, False):
        body = SentenceTransformer(str(tiny_base), device="cpu")
        torch.manual_seed(7)
        losses.append(
            train_head(body if dropout else without_dropout(body), DISTINCT, LABELS, DIFFERENTIABLE, QUICK)[1]
        )

    assert losses[0] != losses[1]


def test_the_default_prompt_is_put_before_the_texts(tmp_path: Path) -> None:
    plain = without_dropout(make_body(tmp_path / "plain"))
    prompted = without_dropout(make_body(tmp_path / "prompted", prompt="query: "))

    _, expected = train_head(plain, [f"query: {text}" for text in DISTINCT], LABELS, DIFFERENTIABLE, QUICK)
    torch.manual_seed(7)
    _, losses = train_head(prompted, DISTINCT, LABELS, DIFFERENTIABLE, QUICK)

    assert losses == pytest.approx(expected, rel=1e-6)


def test_a_shorter_embedding_gets_a_head_of_its_width(tmp_path: Path) -> None:
    body = make_body(tmp_path, truncate_dim=8, normalize=False)

    head, _ = train_head(body, DISTINCT, LABELS, DIFFERENTIABLE, QUICK)

    assert head.estimator.linear.in_features == 8
    assert head.predict_proba(body.encode(DISTINCT)).shape == (len(DISTINCT), 3)


def test_labels_come_back_by_name(body: SentenceTransformer) -> None:
    thorough = HeadTraining(
        num_epochs=30, batch_size=4, head_learning_rate=0.1, end_to_end=True, body_learning_rate=1e-3
    )

    head, losses = train_head(body, DISTINCT, LABELS, DIFFERENTIABLE, thorough)
    assert np.mean(losses[-3:]) < 0.2 * losses[0]
    assert head.predict(body.encode(DISTINCT)) == LABELS

    several, _ = train_head(body, DISTINCT, LABEL_SETS, DIFFERENTIABLE, thorough)
    assert several.predict(body.encode(DISTINCT)) == LABEL_SETS


FEW = ["a", *LABELS[1:4], "a", *LABELS[5:]]
"""Of each label another number."""

SEVERAL = np.array([[name in row for name in "abc"] for row in LABEL_SETS])
N = len(DISTINCT)
COUNTS = {name: FEW.count(name) for name in "abc"}


@pytest.mark.parametrize("batch_size", [N, 1])
@pytest.mark.parametrize(
    ("class_weight", "numbers"),
    [("balanced", [N / (3 * COUNTS[name]) for name in "abc"]), ({"b": 5.0}, [1.0, 5.0, 1.0])],
    ids=["balanced", "by label"],
)
def test_class_weights_are_those_of_torchs_cross_entropy(
    body: SentenceTransformer, class_weight: Any, numbers: list[float], batch_size: int
) -> None:
    with torch.random.fork_rng():
        start = DifferentiableHead(32, 3)
    settings = HeadSettings(head="differentiable", class_weight=class_weight)
    # A rate so small that the head stays as it starts: all losses are of that.
    still = HeadTraining(num_epochs=1, batch_size=batch_size, head_learning_rate=1e-12)

    _, losses = train_head(body, DISTINCT, FEW, settings, still)

    logits = start(torch.from_numpy(body.encode(DISTINCT)))
    truth = torch.tensor(["abc".index(label) for label in FEW])
    total = torch.nn.CrossEntropyLoss(weight=torch.tensor(numbers), reduction="sum")(logits, truth).item()
    assert sum(losses) * batch_size == pytest.approx(total, rel=1e-5)
    if class_weight == "balanced":  # its weights are 1 in the mean, so torch's own mean over all rows is the same
        mean = torch.nn.CrossEntropyLoss(weight=torch.tensor(numbers))(logits, truth).item()
        assert np.mean(losses) == pytest.approx(mean, rel=1e-5)


WITH, WITHOUT = SEVERAL.sum(axis=0), (~SEVERAL).sum(axis=0)


@pytest.mark.parametrize(
    ("class_weight", "pos_weight", "scale"),
    [("balanced", WITHOUT / WITH, N / (2 * WITHOUT)), ({"b": 5.0}, np.array([1.0, 5.0, 1.0]), np.ones(3))],
    ids=["balanced", "by label"],
)
def test_class_weights_of_several_labels_are_torchs_pos_weight(
    body: SentenceTransformer, class_weight: Any, pos_weight: Any, scale: Any
) -> None:
    with torch.random.fork_rng():
        start = DifferentiableHead(32, 3, multi_label=True)
    settings = HeadSettings(head="differentiable", class_weight=class_weight)

    _, losses = train_head(body, DISTINCT, LABEL_SETS, settings, HeadTraining(num_epochs=1, batch_size=N))

    logits = start(torch.from_numpy(body.encode(DISTINCT)))
    by_label = torch.nn.BCEWithLogitsLoss(pos_weight=torch.from_numpy(pos_weight).float(), reduction="none")
    expected = (by_label(logits, torch.from_numpy(SEVERAL).float()) * torch.from_numpy(scale)).mean().item()
    assert losses == [pytest.approx(expected, rel=1e-5)]


@pytest.mark.parametrize(
    ("labels", "class_weight"),
    [(FEW, "balanced"), (FEW, {"b": 5.0}), (LABEL_SETS, "balanced")],
    ids=["balanced", "by label", "several labels balanced"],
)
def test_the_weighted_loss_is_what_logistic_regression_minimises(labels: Any, class_weight: Any) -> None:
    targets = make_targets(labels)
    embeddings = np.random.default_rng(0).normal(size=(N, 4))
    one = LogisticRegression(class_weight=class_weight, tol=1e-10, max_iter=10_000)
    fitted = (OneVsRestClassifier(one) if targets.multi_label else one).fit(
        embeddings, targets.values if targets.multi_label else np.asarray(labels)
    )
    solved = fitted.estimators_ if targets.multi_label else [fitted]
    head = DifferentiableHead(4, 3, multi_label=targets.multi_label, eps=0.0).double()
    with torch.no_grad():
        head.linear.weight.copy_(torch.from_numpy(np.concatenate([found.coef_ for found in solved])))
        head.linear.bias.copy_(torch.from_numpy(np.concatenate([found.intercept_ for found in solved])))
    found = label_weights(class_weight, targets)
    assert found is not None
    weights = torch.from_numpy(found).double()

    loss = head.loss(head(torch.from_numpy(embeddings)), torch.from_numpy(targets.values), weights)

    # Its objective is the sum of the weighted losses and half the squared coefficients: at its solution, nothing is
    # left to gain. The weights are float32, and the solver stops at a gradient of about 1e-5.
    terms = targets.values.size
    (loss * terms + head.linear.weight.square().sum() / 2).backward()
    for parameter in head.parameters():
        assert parameter.grad is not None
        assert parameter.grad.abs().max() < 1e-4
    assert loss.item() != pytest.approx(
        head.loss(head(torch.from_numpy(embeddings)), torch.from_numpy(targets.values)).item(), rel=1e-3
    )


def test_a_loss_that_is_no_number_stops_the_training(body: SentenceTransformer) -> None:
    with torch.no_grad():
        next(body.parameters()).fill_(float("nan"))

    with pytest.raises(TrainingDiverged, match=r"step 1 of the head: expected a finite loss, found nan; lower head_"):
        train_head(body, DISTINCT, LABELS, DIFFERENTIABLE, QUICK)


def test_another_head_is_not_trained(body: SentenceTransformer) -> None:
    with pytest.raises(UsageError, match="head: expected differentiable, got 'LogisticRegression', which is fitted"):
        train_head(body, DISTINCT, LABELS, HeadSettings(), QUICK)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"freeze": "tail"}, "freeze: expected one of body, head, got 'tail'"),
        ({"freeze": "body", "end_to_end": True}, "freeze: expected head or nothing with end_to_end"),
        ({"freeze": "head"}, "freeze: expected head only with end_to_end, or nothing would be trained"),
    ],
)
def test_settings_that_contradict_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        HeadTraining(**settings)
