"""What the contrastive phase minimises: sentence-transformers' losses, taken on embeddings that are there already."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer import losses

from setfuse.runtime import UsageError

from ._embedding import preprocess
from ._loss_names import (
    DEFAULT_DISTANCE,
    DEFAULT_MARGIN,
    DISTANCE_LOSSES,
    MARGIN_LOSSES,
    Loss,
    is_on_labels,
    known_name,
    said_name,
)

PairBatch = tuple[torch.Tensor, torch.Tensor]
"""int64 (pairs, 2), rows of the embeddings; float32 (pairs,), 1 where the two have the same label, else 0."""

DistanceMetric = Callable[[torch.Tensor], torch.Tensor]
"""From embeddings (rows, dim) to the distances of all to all, (rows, rows)."""


class SupConLoss(torch.nn.Module):
    """The supervised contrastive loss: https://arxiv.org/abs/2004.11362, equation 2, one view a text.

    Each text that shares its label with another is an anchor: minus the mean log probability of those others among all
    texts of the batch, by the softmax of cosine similarities over the temperature. A text that is alone with its label
    is no anchor; SetFit's mean over none there makes the whole loss NaN.
    """

    def __init__(self, model: object = None, temperature: float = 0.07, base_temperature: float = 0.07) -> None:
        """Take SetFit's arguments.

        Args:
            model: Taken as every loss of sentence-transformers takes one; not needed.
            temperature: Cosine similarities are divided by it.
            base_temperature: The loss is multiplied by `temperature` and divided by it.
        """
        super().__init__()
        del model
        self.temperature = temperature
        self.scale = temperature / base_temperature

    def compute_loss_from_embeddings(self, embeddings: Sequence[torch.Tensor], labels: torch.Tensor) -> torch.Tensor:
        """Give the loss of a batch.

        Args:
            embeddings: One tensor, (rows, dim), of any length.
            labels: int64 (rows,); at least one of them twice.
        """
        itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
        unit = torch.nn.functional.normalize(embeddings[0].float(), dim=1)
        with torch.autocast(unit.device.type, enabled=False):  # sixteen bits are few for what is divided by 0.07
            similarity = (unit @ unit.T / self.temperature).masked_fill(itself, -torch.inf)
        log_probability = similarity - similarity.logsumexp(dim=1, keepdim=True)
        positive = (labels[:, None] == labels[None, :]) & ~itself
        positives = positive.sum(dim=1)
        total = log_probability.where(positive, 0.0).sum(dim=1)
        anchor = positives > 0
        return -self.scale * (total[anchor] / positives[anchor]).mean()


_DISTANCES = losses.BatchHardTripletLossDistanceFunction


@dataclass(frozen=True, slots=True, eq=False)
class Objective:
    """A loss on embeddings: how they were computed, and how often each is used, is the caller's business.

    Attributes:
        name: Its class.
        on_labels: Whether it is of texts and their labels, each batch holding several texts of several labels; else it
            is of pairs.
        module: sentence-transformers' own loss.
    """

    name: str
    on_labels: bool
    module: torch.nn.Module

    def loss(self, embeddings: torch.Tensor, batch: PairBatch | torch.Tensor) -> torch.Tensor:
        """Take the loss of a batch.

        Args:
            embeddings: float (rows, dim). For pairs each row may be named any number of times.
            batch: A `PairBatch`; or, of a loss on labels, those of the rows, int64 (rows,).

        Returns:
            A scalar, with the gradient's way back to `embeddings`.
        """
        if isinstance(batch, tuple):
            sides, targets = batch
            columns = [embeddings[sides[:, 0]], embeddings[sides[:, 1]]]
        else:
            columns, targets = [embeddings], batch
        value: torch.Tensor = self.module.compute_loss_from_embeddings(columns, targets)  # type: ignore[operator] # torch types every attribute of a module so
        return value


@dataclass(frozen=True, slots=True, eq=False)
class OwnLoss:
    """A loss class that embeds by itself: the user's, or one of sentence-transformers' that is not in the tables.

    Attributes:
        name: Its class.
        on_labels: As `Objective.on_labels`; false unless the class is made from one of `LABEL_LOSSES`.
        make: From the body to the loss.
    """

    name: str
    on_labels: bool
    make: Callable[[SentenceTransformer], torch.nn.Module]

    def on(self, body: SentenceTransformer) -> torch.nn.Module:
        """Construct the loss, on the body's device.

        Returns:
            A module whose parameters are those to train: the body's, and its own if it has any.

        Raises:
            UsageError: It is no torch module.
        """
        module = self.make(body)
        if not isinstance(module, torch.nn.Module):
            raise UsageError(f"loss: expected {self.name} to make a torch module, got {type(module).__name__}")
        return module.to(body.device)


def loss_of_texts(
    module: torch.nn.Module, body: SentenceTransformer, columns: Sequence[Sequence[str]], targets: torch.Tensor
) -> torch.Tensor:
    """Take an own loss of a batch, by sentence-transformers' protocol: the loss embeds each column.

    Args:
        module: What `OwnLoss.on` made.
        body: The same body.
        columns: Both sides of the pairs, or the texts of a loss on labels alone.
        targets: float32 (pairs,), 1 where the two have the same label, else 0; or int64 (rows,), the labels.

    Returns:
        A scalar.
    """
    features = [preprocess(body, column) for column in columns]
    on_device = [
        {name: value.to(body.device) if isinstance(value, torch.Tensor) else value for name, value in column.items()}
        for column in features
    ]
    value: torch.Tensor = module(on_device, targets.to(body.device))
    return value


def make_objective(
    loss: Loss,
    *,
    distance_metric: str | DistanceMetric = DEFAULT_DISTANCE,
    margin: float = DEFAULT_MARGIN,
    loss_kwargs: Mapping[str, Any] | None = None,
) -> Objective | OwnLoss:
    """Make what is minimised.

    Args:
        loss: A name such as `CosineSimilarityLoss` (`CosineSimilarity` will do), sentence-transformers' or SetFit's
            class of that name, or any other class that is constructed with the body and called with the features of
            the columns and the targets.
        distance_metric: Of triplet losses: `cosine_distance`, `euclidean_distance`, or a function.
        margin: Of triplet losses.
        loss_kwargs: Further arguments of the loss's constructor, such as `scale` of CoSENTLoss or `margin` of
            ContrastiveLoss, whose own default is not SetFit's.

    Raises:
        UsageError: It takes no such argument, or is a loss that is made already.
    """
    if isinstance(loss, torch.nn.Module):
        raise UsageError(
            f"loss: expected the class, got a loss that is made already; pass {said_name(loss)} and loss_kwargs"
        )
    name, known, on_labels = said_name(loss), known_name(loss), is_on_labels(loss)
    chosen: Any = loss if known is None else _class_of(known)
    arguments = dict(loss_kwargs or {})
    if known in DISTANCE_LOSSES:
        arguments["distance_metric"] = _distance(distance_metric)
    if known in MARGIN_LOSSES:
        arguments["margin"] = margin
    _check_arguments(name, chosen, arguments)
    if known is None:
        return OwnLoss(name, on_labels, partial(chosen, **arguments))
    # They get no body: what they are asked for here is computed from embeddings alone.
    return Objective(name, on_labels, chosen(None, **arguments))


def _class_of(name: str) -> Any:
    return SupConLoss if name == SupConLoss.__name__ else getattr(losses, name)


def _distance(metric: str | DistanceMetric) -> DistanceMetric:
    if not isinstance(metric, str):
        return metric
    return _DISTANCES.cosine_distance if metric == DEFAULT_DISTANCE else _DISTANCES.euclidean_distance


def _check_arguments(name: str, loss: Any, arguments: Mapping[str, Any]) -> None:
    try:
        signature = inspect.signature(loss)
    except (TypeError, ValueError):  # written in C: it will say so itself
        return
    try:
        signature.bind(None, **arguments)
    except TypeError as error:
        takes = ", ".join(list(signature.parameters)[1:]) or "none"
        raise UsageError(f"loss_kwargs: expected arguments of {name} ({takes}), got others: {error}") from error
