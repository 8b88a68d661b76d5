"""Train the differentiable head, alone or together with the body: what SetFit does after its contrastive phase."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from tqdm.auto import tqdm

from setfuse.runtime import UsageError
from setfuse.train._embedding import preprocess
from setfuse.train._errors import TrainingDiverged
from setfuse.train._head_settings import DIFFERENTIABLE, Freeze, HeadSettings, HeadTraining

from ._class_weights import check_class_weight, label_weights
from ._fitted import FittedHead
from ._targets import Labels, make_targets
from ._torch_head import DifferentiableHead

STEP_EPOCHS, STEP_FACTOR = 5, 0.5
"""SetFit's StepLR."""


def train_head(
    body: SentenceTransformer,
    texts: Sequence[str],
    labels: Labels,
    settings: HeadSettings,
    training: HeadTraining,
    *,
    order: Sequence[str] | None = None,
    progress: bool = False,
) -> tuple[FittedHead, list[float]]:
    """Make a differentiable head and train it with SetFit's recipe: AdamW, rates that step down, no clipping.

    A body that is not trained still drops out while the head is: each epoch shows the head other embeddings of a text.
    Random numbers come from torch's global generator, in SetFit's order.

    Args:
        body: Texts are cut at its `max_seq_length`, and its default prompt is put before them, as it is in use. It is
            trained in place with `end_to_end`, else it stays as it is.
        texts: The training texts.
        labels: Of each text.
        settings: Those of the differentiable head.
        training: How.
        order: Of the labels, and so of the head's rows, as in `make_targets`.
        progress: Show a progress bar on stderr.

    Returns:
        The head, and the loss of each step.

    Raises:
        DatasetError: The labels are not those that a head can be trained on.
        UsageError: The settings are those of another head, or do not go with the labels.
        TrainingDiverged: The loss became NaN or infinite.
    """
    if settings.head != DIFFERENTIABLE:
        raise UsageError(f"head: expected {DIFFERENTIABLE}, got {settings.head!r:.80}, which is fitted, not trained")
    targets = make_targets(labels, order)
    check_class_weight(settings, targets)
    width = int(body.get_embedding_dimension() or 0)
    head = DifferentiableHead(width, len(targets.names), multi_label=targets.multi_label, **settings.head_params)
    head.to(body.device)
    losses = []
    numbers = torch.from_numpy(targets.values).to(body.device)
    by_label = label_weights(settings.class_weight, targets)
    weights = None if by_label is None else torch.from_numpy(by_label).to(body.device)
    rows: Any = range(len(texts))  # any sequence is a data set
    batches = torch.utils.data.DataLoader(rows, batch_size=training.batch_size, shuffle=True)
    optimizer = _optimizer(body, head, training)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=STEP_EPOCHS, gamma=STEP_FACTOR)
    with _trained(body, training.end_to_end), _trained(head, training.freeze != Freeze.HEAD):
        for epoch in range(training.num_epochs):
            # This tqdm asks the loader for two iterators, each of which draws a number: the order is SetFit's so.
            for batch in tqdm(batches, desc=f"head, epoch {epoch + 1}", disable=not progress, leave=False):
                optimizer.zero_grad()
                logits = head(_embed(body, [texts[row] for row in batch]))
                loss = head.loss(logits, numbers[batch], weights)
                losses.append(loss.item())
                if not math.isfinite(losses[-1]):
                    raise TrainingDiverged(
                        f"step {len(losses)} of the head: expected a finite loss, found {losses[-1]}; lower "
                        f"head_learning_rate (now {training.head_learning_rate})"
                    )
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
            schedule.step()
    return FittedHead(head, targets.names, targets.multi_label, settings.multi_target_strategy, _NO_PROBES), losses


_NO_PROBES = np.zeros((0, 0), dtype=np.float32)
"""A differentiable head is stored as it is."""


def _optimizer(body: SentenceTransformer, head: DifferentiableHead, training: HeadTraining) -> torch.optim.Optimizer:
    return torch.optim.AdamW(
        [
            {"params": list(body.parameters()), "lr": training.body_learning_rate},
            {"params": list(head.parameters()), "lr": training.head_learning_rate},
        ],
        weight_decay=training.l2_weight,
    )


@contextmanager
def _trained(module: torch.nn.Module, is_trained: bool) -> Iterator[None]:
    """Put a module into training mode, with gradients or without; afterwards it is as it was, in evaluation mode."""
    before = [parameter.requires_grad for parameter in module.parameters()]
    module.train()
    if not is_trained:
        module.requires_grad_(requires_grad=False)
    try:
        yield
    finally:
        for parameter, required in zip(module.parameters(), before, strict=True):
            parameter.requires_grad = required
        module.eval()


def _embed(body: SentenceTransformer, texts: list[str]) -> torch.Tensor:
    """Embed as `encode` does, with gradients: float32 (texts, width)."""
    features = {
        name: value.to(body.device) if isinstance(value, torch.Tensor) else value
        for name, value in preprocess(body, texts).items()
    }
    embeddings: torch.Tensor = body(features)["sentence_embedding"]
    return embeddings[:, : body.truncate_dim]
