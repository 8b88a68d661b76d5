"""The contrastive phase: fine-tune the body so that texts of one label come to lie together."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.losses import CosineSimilarityLoss
from tqdm import tqdm

from ._arguments import TrainingArguments
from ._errors import TrainingDiverged
from ._pairs import Pairs, batches

MAX_GRAD_NORM = 1.0
"""transformers' default, which SetFit uses."""


CHUNK = 16
"""Texts of like length in one forward pass: small enough to pad little, large enough to keep two cores busy."""


@dataclass(frozen=True, slots=True)
class Step:
    """What one step of training did.

    Attributes:
        loss: Before the step.
        learning_rate: Of the step.
    """

    loss: float
    learning_rate: float


def learning_rate(step: int, steps: int, highest: float, warmup_proportion: float) -> float:
    """Give the rate of a step: it rises from 0 in a straight line, then falls to 0 in another.

    Args:
        step: 0 for the first.
        steps: How many there are.
        highest: The rate at the end of the warm-up.
        warmup_proportion: Share of the steps in which the rate rises, rounded up to whole steps.
    """
    warmup = int(np.ceil(steps * warmup_proportion))
    if step < warmup:
        return highest * step / warmup
    return highest * (steps - step) / max(1, steps - warmup)


def fine_tune(
    body: SentenceTransformer, texts: Sequence[str], pairs: Pairs, args: TrainingArguments, *, progress: bool
) -> list[Step]:
    """Train the body in place on pairs of texts, with SetFit's recipe: AdamW, a linear schedule, clipped gradients.

    A batch of pairs names few distinct texts, so each is embedded once a step and the loss is taken on rows of that:
    the same gradient as embedding both sides of every pair, at a fraction of the time; only the dropout masks differ,
    which the occurrences of a text then share within a step.

    Args:
        body: Trained in place.
        texts: The training texts.
        pairs: Indices into `texts`.
        args: The hyperparameters.
        progress: Show a progress bar on stderr.

    Returns:
        One entry a step.

    Raises:
        TrainingDiverged: The loss became NaN or infinite.
    """
    size, epochs = args.embedding_batch_size, args.embedding_num_epochs
    steps = epochs * -(-len(pairs) // size)
    if args.max_steps != -1:
        steps = args.max_steps
        epochs = -(-steps // -(-len(pairs) // size))
    loss_function = CosineSimilarityLoss(body)
    optimizer = torch.optim.AdamW(body.parameters(), lr=args.body_embedding_learning_rate, weight_decay=0.0, fused=True)
    history: list[Step] = []
    body.train()
    order = batches(len(pairs), size, epochs, args.seed)
    with tqdm(total=steps, desc="contrastive steps", disable=not progress) as bar:
        for step, batch in zip(range(steps), order, strict=False):
            rate = learning_rate(step, steps, args.body_embedding_learning_rate, args.warmup_proportion)
            for group in optimizer.param_groups:
                group["lr"] = rate
            loss = _pair_loss(body, loss_function, texts, pairs, batch)
            value = loss.item()
            if not np.isfinite(value):
                raise TrainingDiverged(
                    f"step {step + 1} of {steps}: expected a finite loss, found {value}; "
                    f"lower body_learning_rate (now {args.body_embedding_learning_rate})"
                )
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(body.parameters(), MAX_GRAD_NORM)
            optimizer.step()
            history.append(Step(loss=value, learning_rate=rate))
            bar.update()
            bar.set_postfix(loss=f"{value:.4f}", refresh=False)
    body.eval()
    return history


def _pair_loss(
    body: SentenceTransformer,
    loss_function: CosineSimilarityLoss,
    texts: Sequence[str],
    pairs: Pairs,
    batch: np.ndarray[tuple[int], np.dtype[np.int64]],
) -> torch.Tensor:
    rows, same = pairs.rows_of(batch)
    distinct, positions = np.unique(rows, return_inverse=True)
    embeddings = _embed(body, [texts[row] for row in distinct])
    sides = torch.from_numpy(positions.reshape(-1, 2)).to(body.device)
    targets = torch.from_numpy(same).to(body.device)
    both = [embeddings[sides[:, 0]], embeddings[sides[:, 1]]]
    loss: torch.Tensor = loss_function.compute_loss_from_embeddings(both, targets)
    return loss


def _embed(body: SentenceTransformer, texts: Sequence[str]) -> torch.Tensor:
    """Embed with gradients, texts of like length together: one long text would pad all others to its length.

    Returns:
        float32 (texts, dim), in the order of `texts`.
    """
    by_length = sorted(range(len(texts)), key=lambda index: len(texts[index]))
    chunks = []
    for start in range(0, len(by_length), CHUNK):
        features = body.preprocess([texts[index] for index in by_length[start : start + CHUNK]])
        for name, value in features.items():
            if isinstance(value, torch.Tensor):
                features[name] = value.to(body.device)
        chunks.append(body(features)["sentence_embedding"])
    back = torch.from_numpy(np.argsort(by_length)).to(body.device)
    return torch.cat(chunks)[back]
