"""The contrastive losses."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from sentence_transformers.sentence_transformer.losses import CosineSimilarityLoss

from setfuse.runtime import UsageError


@dataclass(frozen=True, slots=True)
class Objective:
    """A loss on the embeddings of the distinct texts of a batch.

    Attributes:
        needs_pairs: Whether a batch is pairs of texts; else it is texts and their labels.
        label_grouped: Whether each batch must hold at least two texts of a label.
        loss: Takes float32 (distinct, dim) and the batch: `(sides, same)`, int64 (pairs, 2) into the embeddings and
            float32 (pairs,), or the labels, int64 (texts,). Gives a scalar.
    """

    needs_pairs: bool
    label_grouped: bool
    loss: Callable[[torch.Tensor, Any], torch.Tensor]


def make_objective(loss: object, *, distance_metric: object, margin: float, loss_kwargs: object) -> Objective:
    """Give the loss of that name.

    Raises:
        UsageError: There is no such loss.
    """
    del distance_metric, margin, loss_kwargs
    if loss != "CosineSimilarityLoss":
        raise UsageError(f"loss: expected CosineSimilarityLoss, got {loss!r}")
    function = CosineSimilarityLoss(torch.nn.Identity())  # type: ignore[arg-type] # never asked for embeddings

    def of_pairs(embeddings: torch.Tensor, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        sides, same = batch
        both = [embeddings[sides[:, 0]], embeddings[sides[:, 1]]]
        value: torch.Tensor = function.compute_loss_from_embeddings(both, same)
        return value

    return Objective(needs_pairs=True, label_grouped=False, loss=of_pairs)
