"""The losses by name, and which arguments belong to which; costs no import of torch."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from setfuse.runtime import UsageError

PAIR_LOSSES = ("CosineSimilarityLoss", "ContrastiveLoss", "OnlineContrastiveLoss", "CoSENTLoss", "AnglELoss")
"""Losses on pairs of texts, by the names of their classes in sentence-transformers."""

MARGIN_LOSSES = ("BatchAllTripletLoss", "BatchHardTripletLoss", "BatchSemiHardTripletLoss")
"""Losses on labels that take `margin`."""

DISTANCE_LOSSES = (*MARGIN_LOSSES, "BatchHardSoftMarginTripletLoss")
"""Losses on labels that take `distance_metric`."""

LABEL_LOSSES = (*DISTANCE_LOSSES, "SupConLoss")
"""Losses on texts and their labels: they find the pairs in the batch themselves."""

LOSSES = (*PAIR_LOSSES, *LABEL_LOSSES)

DISTANCE_METRICS = ("cosine_distance", "euclidean_distance", "eucledian_distance")
"""By the names on model cards; sentence-transformers spelt one of them so for years."""

DEFAULT_DISTANCE = "cosine_distance"
DEFAULT_MARGIN = 0.25
"""SetFit's; sentence-transformers' own are the Euclidean distance and 5."""

_OF_PAIRS = ("sampling_strategy", "num_iterations", "pair_seed", "self_pairs", "distinct_batches")
"""Arguments that a loss on labels has no use for."""

_LIBRARIES = ("sentence_transformers", "setfit", "setfuse")
"""Whose loss classes are meant by their names."""

Loss = str | Callable[..., Any]
"""A name, with or without its ending, or a class."""


def full_name(loss: str) -> str:
    """Give the name of a loss with its ending: `CoSENT` is `CoSENTLoss`."""
    return loss if loss.endswith("Loss") else f"{loss}Loss"


def said_name(loss: Loss) -> str:
    """Give the name of a loss for messages."""
    if isinstance(loss, str):
        return full_name(loss)
    loss = _unwrapped(loss)
    return str(getattr(loss, "__name__", type(loss).__name__))


def known_name(loss: Loss) -> str | None:
    """Give the name of one of `LOSSES`, said by name or by its class in sentence-transformers or SetFit.

    Returns:
        The name; None for a class of another, which embeds by itself.
    """
    if not isinstance(loss, str) and not (isinstance(loss, type) and loss.__module__.partition(".")[0] in _LIBRARIES):
        return None
    name = said_name(loss)
    return name if name in LOSSES else None


def is_on_labels(loss: Loss) -> bool:
    """Say whether a loss is one of `LABEL_LOSSES` or a class that is made from one; else it is on pairs."""
    if isinstance(loss, str):
        return full_name(loss) in LABEL_LOSSES
    classes = getattr(_unwrapped(loss), "__mro__", ())
    return any(known_name(one) in LABEL_LOSSES for one in classes)


def items_of(loss: Loss) -> str:
    """Say what an epoch is made of."""
    return "texts" if is_on_labels(loss) else "pairs"


def check_loss_arguments(loss: Loss, given: Mapping[str, Any]) -> None:
    """Refuse what a loss makes no use of.

    Args:
        loss: A name or a class.
        given: The arguments that are not the default, by name.

    Raises:
        UsageError: The loss has no use for one of them, or it is among its own `loss_kwargs` once more.
    """
    name, known, on_labels = said_name(loss), known_name(loss), is_on_labels(loss)
    for field, takers in (("margin", MARGIN_LOSSES), ("distance_metric", DISTANCE_LOSSES)):
        if field in given and known not in takers:
            raise UsageError(
                f"{field}: expected it only with {', '.join(takers)}, got it with {name}; leave it out, or put it into "
                "loss_kwargs if this loss has an argument of that name"
            )
        if known in takers and field in given.get("loss_kwargs", ()):
            raise UsageError(f"loss_kwargs: expected arguments of {name} other than {field}, which has its own field")
    for field in _OF_PAIRS if on_labels else ():
        if field in given:
            raise UsageError(f"{field}: expected with a loss on pairs, got it with {name}; leave it out")
    if known is None and "distinct_batches" in given:
        raise UsageError(f"distinct_batches: expected True with {name}, which embeds by itself, got False")


def _unwrapped(loss: Loss) -> Loss:
    while isinstance(loss, partial):
        loss = loss.func
    return loss
