"""Teach a small classifier what a bigger one knows, on texts that nobody labelled."""

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from setfuse.runtime import DatasetError, Row, UsageError, new_folder

from ._arguments import TrainingArguments
from ._base import find_base, local_inputs, public_name
from ._checks import check_evaluation, check_head_arguments, check_rows
from ._data import read_single_label, read_unlabelled
from ._head_settings import HeadSettings
from ._labelled_rows import LabelledRows
from ._loss_names import known_name
from ._metrics import MetricOf
from ._pairs import Pairs, make_pairs
from ._ranges import SamplingStrategy
from ._result import TrainingResult
from ._runs import check_output_dir, check_same_run, find_step, make_run
from ._sources import Data
from ._teacher import Teacher, ask
from ._train import head_training_of

if TYPE_CHECKING:
    from transformers import TrainerCallback

LOSSES = ("CosineSimilarityLoss", "CoSENTLoss", "AnglELoss")
"""Losses that compare the student's similarities with similarities, not with a yes or a no."""

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
    metric: MetricOf = "accuracy",
    metric_kwargs: Mapping[str, Any] | None = None,
    callbacks: Sequence["TrainerCallback"] = (),
    resume: bool | str | Path = False,
    overwrite: bool = False,
    progress: bool = False,
) -> TrainingResult:
    """Train a student on unlabelled texts: its body on the teacher's similarities, its head on the teacher's labels.

    The student's body learns, pair by pair, the cosine similarity of the teacher's embeddings. (SetFit 1.2.0's
    `DistillationTrainer` looks up the first text's similarity with itself for every pair, which is 1.) Every two texts
    make a pair, n(n-1)/2 of them; `max_steps`, or `num_iterations`, pairs a text, says how many to take.

    Args:
        teacher: A checkpoint that `train` wrote, as a folder or on the Hub; or a `setfuse.runtime.Classifier`, or
            anything else with its `labels`, `predict` and `embed`.
        texts: Texts, or data of any form whose labels are not looked at: see `read_data`.
        base: The student's base model: a Hub id, or a sentence-transformers folder.
        out: The checkpoint folder to write, as `train` does.
        args: The hyperparameters; None for SetFit's defaults. `sampling_strategy` and `self_pairs` have no meaning
            here and are refused.
        columns: What the columns of `texts` and `eval_rows` stand for, as in `read_data`.
        eval_rows: Labelled rows to measure the student on, in any form.
        metric: As in `train`.
        metric_kwargs: As in `train`.
        callbacks: As in `train`.
        resume: As in `train`.
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
    args = args or TrainingArguments()
    if known_name(args.loss) not in LOSSES:
        raise UsageError(f"loss: expected one of {', '.join(LOSSES)}, which take similarities, got {args.loss!r}")
    if args.sampling_strategy != SamplingStrategy.OVERSAMPLING or not args.self_pairs:
        raise UsageError(
            "sampling_strategy and self_pairs: expected neither, since every two texts make a pair once; leave them out"
        )
    head = HeadSettings(class_weight=args.class_weight)
    head_training = head_training_of(args)
    check_head_arguments(head, head_training)
    taught = read_unlabelled(texts, columns=columns)
    held_out = [] if eval_rows is None else read_single_label(eval_rows, columns=columns)
    pairs = _pair_all(len(taught), args)
    check_evaluation(args, metric, metric_kwargs, held_out)
    inputs = local_inputs(teacher, texts, eval_rows, base)
    resume_from = find_step(resume, args.output_dir) if resume else None
    check_output_dir(args, out=Path(out), inputs=inputs, resume_from=resume_from, overwrite=overwrite)
    with new_folder(out, overwrite=overwrite, keep=inputs) as staging:
        folder = find_base(base)
        lesson = ask(teacher, taught, progress=progress)
        labelled = zip(taught, lesson.labels, strict=True)
        rows = LabelledRows.of(
            [Row(text, label, f"text {n}") for n, (text, label) in enumerate(labelled, 1)], lesson.known
        )
        check_rows(rows, held_out, args)
        unknown = sorted(set(lesson.known) - set(lesson.labels))
        if unknown:
            logger.warning("the teacher gives no text the label %s: the student will not know it", ", ".join(unknown))
        run = make_run(args, {"teacher": public_name(teacher)}, rows, folder)
        if resume_from is not None:
            check_same_run(resume_from, run)
        from ._recipe import Recipe

        recipe = Recipe(
            rows=rows,
            held_out=held_out,
            pairs=TaughtPairs(pairs.positive, pairs.negative, lesson.embeddings),
            base_name=public_name(base),
            args=args,
            head=head,
            head_training=head_training,
            run=run,
            metric=metric,
            metric_kwargs=metric_kwargs or {},
            teacher_name=public_name(teacher),
        )
        return recipe.follow(
            folder,
            staging,
            Path(out),
            resume_from=resume_from,
            overwrite=overwrite,
            callbacks=callbacks,
            progress=progress,
        )


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
