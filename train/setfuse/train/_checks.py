"""What is refused before anything is loaded, and what is worth a warning."""

import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

from setfuse.runtime import DatasetError, MultiLabelRow, UsageError

from ._arguments import TrainingArguments
from ._data_checks import SHOWN, Rows, contradictions, label_values, labels_of
from ._head_settings import DIFFERENTIABLE, HeadSettings, HeadTraining
from ._label_batches import check_label_batches
from ._labelled_rows import AnyLabelledRows
from ._loss_names import is_on_labels, said_name
from ._metrics import MetricOf, check_metric
from ._ranges import EMBEDDING_LOSS

logger = logging.getLogger("setfuse.train")


def check_types(args: object, *, base: object, **folders: object) -> None:
    """Refuse what SetFit's users may hand in at first: a model, a dictionary, nothing.

    Args:
        args: The hyperparameters.
        base: The base model.
        **folders: What is written, by the argument's name.

    Raises:
        UsageError: One is of another type than `train` takes.
    """
    if not isinstance(args, TrainingArguments):
        raise UsageError(f"args: expected TrainingArguments, got {type(args).__name__}")
    if not isinstance(base, str | Path):
        raise UsageError(
            f"base: expected a folder or a Hub id, got {type(base).__name__}; save a model into a folder, and give that"
        )
    for name, folder in folders.items():
        if not isinstance(folder, str | Path):
            raise UsageError(f"{name}: expected a folder to write, got {type(folder).__name__}")


def check_rows(rows: AnyLabelledRows, held_out: Rows, args: TrainingArguments) -> None:
    """Refuse rows that cannot be trained on, and warn of rows that look like mistakes.

    Args:
        rows: To train on.
        held_out: To evaluate on; possibly none.
        args: The hyperparameters.

    Raises:
        DatasetError: There is one label only, a label has one text and the loss needs two, the rows are of another kind
            than the held-out ones, or a held-out row has a label that training never sees.
        UsageError: The batches are too small for the loss.
    """
    counts = rows.counts()
    if len(counts) < 2:  # noqa: PLR2004 - one label leaves nothing to tell apart
        found = f"only {next(iter(counts))!r}" if counts else "none"
        raise DatasetError(f"{rows[0].origin}: expected rows of at least two labels, found {found} in {len(rows)} rows")
    if is_on_labels(args.loss):
        check_label_batches(label_values(rows), args.embedding_batch_size, said_name(args.loss))
    alone = [(row, label) for row in rows for label in labels_of(row) if counts[label] == 1]
    for row, label in alone[:SHOWN]:
        logger.warning("%s: the label %r has this text only; correct it if it is misspelt", row.origin, label)
    if len(alone) > SHOWN:
        logger.warning("%d more labels have one text only", len(alone) - SHOWN)
    _check_held_out(rows, held_out)
    if (contradicting := contradictions(rows)) is not None:
        logger.warning("%s", contradicting)


def _check_held_out(rows: AnyLabelledRows, held_out: Rows) -> None:
    counts = rows.counts()
    for row in held_out:
        if type(row) is not type(rows[0]):
            raise DatasetError(
                f"{row.origin}: expected held-out rows with labels like those of {rows[0].origin}: "
                "one label each, or lists of labels in both"
            )
        for label in labels_of(row):
            if label not in counts:
                raise DatasetError(
                    f"{row.origin}: expected one of the training labels ({', '.join(counts)}), found {label!r}"
                )


def make_head_settings(
    args: TrainingArguments,
    head: Any,
    head_params: Mapping[str, Any] | None,
    multi_target_strategy: str | None,
    freeze: str | None,
) -> tuple[HeadSettings, HeadTraining]:
    """Bring together what the hyperparameters and the other arguments say of the head.

    Args:
        args: The hyperparameters.
        head: As in `train`.
        head_params: As in `train`.
        multi_target_strategy: As in `train`.
        freeze: As in `train`.

    Raises:
        UsageError: A value is unknown, or two contradict each other.
    """
    settings = HeadSettings(
        head=head,
        head_params={} if head_params is None else head_params,
        class_weight=args.class_weight,
        multi_target_strategy=multi_target_strategy,
    )
    if settings.head != DIFFERENTIABLE:
        for name, given in (("end_to_end", args.end_to_end), ("freeze", freeze is not None)):
            if given:
                raise UsageError(
                    f"{name}: expected with head={DIFFERENTIABLE!r}, got it with another head; leave it out, or name "
                    "that"
                )
    training = HeadTraining(
        batch_size=args.classifier_batch_size,
        num_epochs=args.classifier_num_epochs,
        body_learning_rate=args.body_classifier_learning_rate,
        head_learning_rate=args.head_learning_rate,
        l2_weight=args.l2_weight or 0.0,
        end_to_end=args.end_to_end,
        freeze=freeze,
    )
    return settings, training


def check_evaluation(
    args: TrainingArguments, metric: MetricOf, metric_kwargs: Mapping[str, Any] | None, held_out: Rows
) -> None:
    """Refuse an evaluation that cannot be made.

    Args:
        args: The hyperparameters.
        metric: Of the classifier.
        metric_kwargs: Its further arguments.
        held_out: The rows to evaluate on; possibly none.

    Raises:
        UsageError: There is no such metric, its arguments have no names, there is nothing to evaluate on, or the best
            model is to be chosen by a metric that is not measured.
    """
    check_metric(metric, multi_label=bool(held_out) and isinstance(held_out[0], MultiLabelRow))
    if not isinstance(metric_kwargs, Mapping | None):
        raise UsageError(f"metric_kwargs: expected arguments by name, got {metric_kwargs!r:.80}")
    if metric != "accuracy" and not held_out:
        logger.warning("metric: %r has no effect without rows to measure on (eval_rows, --eval)", metric)
    if args.eval_strategy != "no" and not held_out:
        raise UsageError(
            f"eval_strategy: expected rows to evaluate on (eval_rows, --eval), got {args.eval_strategy!r} without any"
        )
    measured = tuple(dict.fromkeys((EMBEDDING_LOSS, "accuracy", metric)))
    wanted = args.metric_for_best_model.removeprefix("eval_")
    if args.eval_strategy != "no" and isinstance(metric, str) and wanted not in measured:
        raise UsageError(
            f"metric_for_best_model: expected one of {', '.join(map(str, measured))}, which are measured, "
            f"got {args.metric_for_best_model!r}; pass metric={wanted!r} if it is one"
        )


def warn_of_cut_texts(body: "SentenceTransformer", rows: Rows) -> None:
    """Say how many texts are longer than what the body reads of them.

    Args:
        body: Has the tokenizer and the maximal length.
        rows: The texts.
    """
    longest = body.max_seq_length
    if longest is None or math.isinf(longest):  # infinite, and another kind of tokenizer: sentence-transformers' tables
        return
    from ._embedding import default_prompt  # with torch, which whoever has a body has imported

    prompt = default_prompt(body)
    tokens = body.tokenizer([prompt + row.text for row in rows], truncation=False, verbose=False)["input_ids"]
    cut = [number for number, ids in enumerate(tokens) if len(ids) > longest]
    if cut:
        logger.warning(
            "%d of %d texts are longer than %d tokens and are cut, the first at %s",
            len(cut),
            len(rows),
            longest,
            rows[cut[0]].origin,
        )
