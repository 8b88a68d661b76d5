"""Batches for losses on labels: each holds several texts of a label, of several labels."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from setfuse.runtime import DatasetError, UsageError

if TYPE_CHECKING:
    from sentence_transformers.base.sampler import GroupByLabelBatchSampler

SMALLEST_BATCH = 4
"""Two texts each of two labels."""


def check_label_batches(labels: Sequence[str | Sequence[str]], batch_size: int, loss: str) -> None:
    """Refuse what a loss on labels cannot be trained with; costs no import.

    Args:
        labels: Of each row; several of them where a text may have several.
        batch_size: Texts a step.
        loss: Its name, for the message.

    Raises:
        DatasetError: A label has one row, there is one label, or a text may have several.
        UsageError: The batch size is odd or below 4.
    """
    if not all(isinstance(label, str) for label in labels):
        raise DatasetError(
            f"{loss}: expected one label a text, found rows with several; use a loss on pairs such as "
            "CosineSimilarityLoss"
        )
    counts = Counter(labels)
    single = sorted(str(label) for label, count in counts.items() if count == 1)
    if single or len(counts) == 1:
        found = f"one row of {', '.join(map(repr, single))}" if single else f"only the label {next(iter(counts))!r}"
        raise DatasetError(
            f"{loss}: expected two labels or more and two rows or more of each, found {found}; add rows, or use a loss "
            "on pairs such as CosineSimilarityLoss"
        )
    if batch_size < SMALLEST_BATCH or batch_size % 2:
        raise UsageError(
            f"batch_size: expected an even number of at least {SMALLEST_BATCH} with {loss}, whose batches hold two "
            f"texts or more of a label, got {batch_size}"
        )


def check_held_out_labels(labels: Sequence[str | Sequence[str]], loss: str) -> None:
    """Refuse held-out rows that make no batch for a loss on labels.

    Args:
        labels: Of each row.
        loss: Its name, for the message.

    Raises:
        DatasetError: Fewer than two labels have two rows.
    """
    paired = sum(count > 1 for count in Counter(labels).values())
    if paired < 2:  # noqa: PLR2004 - texts to tell apart
        raise DatasetError(
            f"eval_rows: expected two labels or more with two rows or more of each, to take {loss} of while training, "
            f'found {paired}; add rows, or train with eval_strategy="no"'
        )


def make_label_batches(labels: Sequence[str], batch_size: int, seed: int) -> "GroupByLabelBatchSampler":
    """Make the order of the batches, sentence-transformers' own.

    Labels take turns at two texts each, in a new order every round, so that each label of a batch has two of its texts
    or more there, and each batch two labels or more. An epoch ends where fewer than two labels have texts left: of a
    label with an odd number of texts one is left out, and of one that outnumbers all others what they cannot match;
    every epoch leaves out others.

    SetFit means to do so, but compares the loss it made with the classes, so that its batches are of any labels.

    Args:
        labels: Of each row; `check_label_batches` has passed them.
        batch_size: Rows a batch; the last of an epoch may have fewer.
        seed: Every epoch has its own order, of the seed plus its number.

    Returns:
        A torch batch sampler: iterating gives lists of row numbers, `len` the batches of an epoch, and `set_epoch` the
        order of another.
    """
    import datasets
    import torch
    from sentence_transformers.base.sampler import GroupByLabelBatchSampler

    return GroupByLabelBatchSampler(
        datasets.Dataset.from_dict({"label": list(labels)}),
        batch_size=batch_size,
        drop_last=False,
        valid_label_columns=["label"],
        generator=torch.Generator(),
        seed=seed,
    )
