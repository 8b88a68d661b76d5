"""What is refused before anything is loaded, and what is worth a warning."""

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

from setfuse.runtime import DatasetError, Row, UsageError

from ._arguments import TrainingArguments
from ._data_checks import contradictions, label_counts
from ._label_batches import check_label_batches
from ._metrics import METRICS, MetricOf
from ._ranges import EMBEDDING_LOSS, LABEL_LOSSES, full_name

logger = logging.getLogger("setfuse.train")


def check_rows(rows: Sequence[Row], held_out: Sequence[Row], args: TrainingArguments) -> None:
    """Refuse rows that cannot be trained on, and warn of rows that look like mistakes.

    Args:
        rows: To train on.
        held_out: To evaluate on; possibly none.
        args: The hyperparameters.

    Raises:
        DatasetError: There is one label only, a label has one text and the loss needs two, or a held-out row has a
            label that training never sees.
        UsageError: `class_weight` names a label that no row has, or the batches are too small for the loss.
    """
    counts = label_counts(rows)
    if len(counts) < 2:  # noqa: PLR2004 - one label leaves nothing to tell apart
        raise DatasetError(
            f"{rows[0].origin}: expected rows of at least two labels, found only {rows[0].label!r} in {len(rows)} rows"
        )
    if isinstance(args.loss, str) and full_name(args.loss) in LABEL_LOSSES:
        check_label_batches([row.label for row in rows], args.embedding_batch_size, full_name(args.loss))
    for row in rows:
        if counts[row.label] == 1:
            logger.warning("%s: the label %r has this text only; correct it if it is misspelt", row.origin, row.label)
    for row in held_out:
        if row.label not in counts:
            raise DatasetError(
                f"{row.origin}: expected one of the training labels ({', '.join(sorted(counts))}), found {row.label!r}"
            )
    if isinstance(args.class_weight, Mapping) and (unknown := sorted(set(args.class_weight) - set(counts))):
        raise UsageError(
            f"class_weight: expected labels of the rows ({', '.join(sorted(counts))}), got {', '.join(unknown)}"
        )
    if (found := contradictions(rows)) is not None:
        logger.warning("%s", found)


def check_evaluation(args: TrainingArguments, metric: MetricOf, *, held_out: bool) -> None:
    """Refuse an evaluation that cannot be made.

    Args:
        args: The hyperparameters.
        metric: Of the classifier.
        held_out: Whether there are rows to evaluate on.

    Raises:
        UsageError: There is no such metric, nothing to evaluate on, or the best model is to be chosen by a metric that
            is not measured.
    """
    if isinstance(metric, str) and metric not in METRICS:
        raise UsageError(f"metric: expected one of {', '.join(METRICS)}, or a function, got {metric!r}")
    if args.eval_strategy != "no" and not held_out:
        raise UsageError(
            f"eval_strategy: expected rows to evaluate on (eval_rows, --eval), got {args.eval_strategy!r} without any"
        )
    measured = tuple(dict.fromkeys((EMBEDDING_LOSS, "accuracy", metric)))
    wanted = args.metric_for_best_model.removeprefix("eval_")
    if args.load_best_model_at_end and isinstance(metric, str) and wanted not in measured:
        raise UsageError(
            f"metric_for_best_model: expected one of {', '.join(map(str, measured))}, which are measured, "
            f"got {args.metric_for_best_model!r}; pass metric={wanted!r} if it is one"
        )


def warn_of_cut_texts(body: "SentenceTransformer", rows: Sequence[Row]) -> None:
    """Say how many texts are longer than what the body reads of them.

    Args:
        body: Has the tokenizer and the maximal length.
        rows: The texts.
    """
    longest = body.max_seq_length
    if longest is None:
        return
    tokens = body.tokenizer([row.text for row in rows], truncation=False, verbose=False)["input_ids"]
    cut = [row for row, ids in zip(rows, tokens, strict=True) if len(ids) > longest]
    if cut:
        logger.warning(
            "%d of %d texts are longer than %d tokens and are cut, the first at %s",
            len(cut),
            len(rows),
            longest,
            cut[0].origin,
        )
