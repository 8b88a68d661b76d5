"""Teach a small classifier what a bigger one knows, on texts that nobody labelled."""

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from setfuse.runtime import DatasetError, MultiLabelRow, Row, UsageError

from ._arguments import TrainingArguments
from ._base import public_name
from ._checks import check_rows, check_types, make_head_settings
from ._data import read_single_label, read_unlabelled
from ._data_checks import Rows, label_values
from ._head_settings import LOGISTIC
from ._labelled_rows import LabelledRows
from ._loss_names import known_name
from ._metrics import MetricOf, metric_of, rehearse
from ._pairs import Pairs, make_pairs
from ._plan import Given, Lesson, Plan
from ._ranges import SamplingStrategy
from ._result import TrainingResult
from ._sources import Data
from ._teacher import Teacher, ask

if TYPE_CHECKING:
    from transformers import TrainerCallback

LOSSES = ("CosineSimilarityLoss", "CoSENTLoss", "AnglELoss")
"""Losses that compare the student's similarities with similarities, not with a yes or a no."""

_REHEARSED = 20
"""Rows of each label: more than the folds of any usual cross-validation."""

logger = logging.getLogger("setfuse.train")


@dataclass(frozen=True, slots=True)
class TaughtPairs(Pairs):
    """Pairs of texts and how similar the teacher finds them.

    Attributes:
        embeddings: float32 (texts, dim), the teacher's, each of length 1.
    """

    embeddings: npt.NDArray[np.float32]

    def rows_of(self, indices: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """Look pairs up, as `Pairs` does; in place of 1 or 0 stands the cosine of the teacher's embeddings."""
        rows, _ = Pairs.rows_of(self, indices)  # super() knows no classes with slots
        return rows, np.einsum("pd,pd->p", *(self.embeddings[side] for side in rows.T), dtype=np.float32)


def distill(
    teacher: str | Path | Teacher,
    texts: Data,
    *,
    base: str | Path,
    out: str | Path,
    args: TrainingArguments | None = None,
    columns: Mapping[str, str] | None = None,
    eval_rows: Data | None = None,
    label_names: Sequence[str] | None = None,
    head: Any = LOGISTIC,
    head_params: Mapping[str, Any] | None = None,
    freeze: str | None = None,
    metric: MetricOf = "accuracy",
    metric_kwargs: Mapping[str, Any] | None = None,
    callbacks: Sequence["TrainerCallback"] = (),
    resume: bool | str | Path = False,
    for_setfit: bool = False,
    overwrite: bool = False,
    progress: bool = False,
) -> TrainingResult:
    """Train a student on unlabelled texts: its body on the teacher's similarities, its head on the teacher's labels.

    The student's body learns, pair by pair, the cosine similarity of the teacher's embeddings. (SetFit 1.2.0's
    `DistillationTrainer` looks up the first text's similarity with itself for every pair, which is 1.) Every two texts
    make a pair, n(n-1)/2 of them; `max_steps`, or `num_iterations`, pairs a text, says how many to take.

    Args:
        teacher: A bundle's folder, of a checkpoint of ours or SetFit's with any head of one label a text; a checkpoint
            that `train` wrote with a LogisticRegression, as a folder or on the Hub; a `setfuse.runtime.Classifier`, or
            anything else with its `labels`, `predict` and `embed`.
        texts: Texts, or data of any form whose labels are not looked at: see `read_data`.
        base: The student's base model: a Hub id, or a sentence-transformers folder.
        out: The checkpoint folder to write, as `train` does.
        args: The hyperparameters; None for SetFit's defaults. `sampling_strategy` and `self_pairs` have no meaning
            here and are refused.
        columns: What the columns of `texts` and `eval_rows` stand for, as in `read_data`.
        eval_rows: Labelled rows to measure the student on, in any form. While training, `embedding_loss` compares the
            similarity of two of them with 1 for one label and 0 for two: the teacher is not asked about them.
        label_names: The names of the labels 0, 1, 2, … in `eval_rows`.
        head: As in `train`.
        head_params: As in `train`.
        freeze: As in `train`.
        metric: As in `train`.
        metric_kwargs: As in `train`.
        callbacks: As in `train`.
        resume: As in `train`. The teacher must be the same, too: its files, or, of an object, its embeddings.
        for_setfit: As in `train`.
        overwrite: As in `train`.
        progress: Show progress bars on stderr.

    Returns:
        The checkpoint's path and what was measured; `labels` counts the teacher's.

    Raises:
        DatasetError: The texts or rows cannot be read, the teacher gives all texts one label, or `eval_rows` have
            labels that it gives none of them.
        UsageError: The arguments contradict each other or the machine, or the teacher does not give each text one
            label.
        TeacherNotUsable: The teacher's head cannot be read.
        BaseModelNotFound: There is no such teacher or base model.
        OutputExists: As in `train`.
        TrainingError: As in `train`.
    """
    args = TrainingArguments() if args is None else args
    check_types(args, base=base, out=out)
    if known_name(args.loss) not in LOSSES:
        raise UsageError(f"loss: expected one of {', '.join(LOSSES)}, which take similarities, got {args.loss!r}")
    if args.sampling_strategy != SamplingStrategy.OVERSAMPLING or not args.self_pairs:
        raise UsageError(
            "sampling_strategy and self_pairs: expected neither, since every two texts make a pair once; leave them out"
        )
    settings, head_training = make_head_settings(args, head, head_params, None, freeze)
    unlabelled = read_unlabelled(texts, columns=columns)
    held_out: Rows = [] if eval_rows is None else read_single_label(eval_rows, columns=columns, label_names=label_names)
    pairs = _pair_all(len(unlabelled), args)
    plan = Plan(
        data=Given(rows=texts, teacher=teacher, eval_rows=eval_rows, columns=columns, label_names=label_names),
        base=base,
        out=Path(out),
        args=args,
        head=settings,
        head_training=head_training,
        held_out=held_out,
        metric=metric,
        metric_kwargs={} if metric_kwargs is None else metric_kwargs,
        callbacks=callbacks,
        resume=resume,
        for_setfit=for_setfit,
        overwrite=overwrite,
        progress=progress,
    )
    return plan.carry_out(lambda: _learn(teacher, unlabelled, pairs, plan))


def _learn(
    teacher: str | Path | Teacher,
    unlabelled: Sequence[MultiLabelRow],
    pairs: Pairs,
    plan: Plan,
) -> Lesson:
    from ._recipe import check_machine  # with torch, which the teacher takes

    # Before a teacher reads thousands of texts.
    check_machine(plan.args)
    taught = ask(
        teacher,
        [row.text for row in unlabelled],
        refuse=lambda known: _refuse(known, plan),
        device=plan.args.device,
        progress=plan.progress,
    )
    rows = LabelledRows.of(
        [Row(row.text, label, row.origin) for row, label in zip(unlabelled, taught.labels, strict=True)], taught.known
    )
    check_rows(rows, plan.held_out, plan.args)
    unknown = sorted(set(taught.known) - set(taught.labels))
    if unknown:
        logger.warning("the teacher gives no text the label %s: the student will not know it", ", ".join(unknown))
    return Lesson(
        rows=rows,
        pairs=TaughtPairs(pairs.positive, pairs.negative, taught.embeddings),
        given={"teacher": public_name(teacher), "labels": dict(rows.numbers)},
        hashes={"teacher": taught.sha256},
        teacher_name=public_name(teacher),
    )


def _refuse(known: Sequence[str], plan: Plan) -> None:
    """Refuse a head or a metric that could not be had even if the teacher gave all of its labels.

    Raises:
        UsageError: The head could not be fitted to such labels, or the metric not be taken of them.
    """
    from ._head import check_head

    rows = LabelledRows.of([Row("a text", label, "") for label in known for _ in range(_REHEARSED)], known)
    check_head(plan.head, label_values(rows), tuple(rows.numbers))
    given = label_values(plan.held_out)
    if given and set(given) <= set(known):  # others are refused by their line, once the teacher has answered
        rehearse(metric_of(rows, plan.metric, plan.metric_kwargs), given)


def _pair_all(texts: int, args: TrainingArguments) -> Pairs:
    """Pair every two texts, and take as many pairs as the arguments say.

    Raises:
        DatasetError: There is one text only.
    """
    if texts < 2:  # noqa: PLR2004 - a pair
        raise DatasetError(f"expected at least two texts to compare, found {texts}")
    steps = args.max_steps * args.embedding_batch_size * args.gradient_accumulation_steps
    pairs = make_pairs(
        [""] * texts,
        SamplingStrategy.UNIQUE,
        max_pairs=None if args.max_steps == -1 else 2 * steps,  # half of it of either kind, and there is only one
        self_pairs=False,  # a text is like itself, whatever a student learns
        seed=args.seed if args.pair_seed is None else args.pair_seed,
    )
    if args.num_iterations is None:
        return pairs
    return dataclasses.replace(pairs, positive=dataclasses.replace(pairs.positive, wanted=texts * args.num_iterations))
