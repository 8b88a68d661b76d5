"""What `train` and `distill` have in common: the refusals, in their order, and the recipe that is followed then."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from setfuse.runtime import check_new_folder

from ._arguments import TrainingArguments
from ._base import find_base, local_inputs, public_name
from ._checks import check_evaluation
from ._data_checks import Rows
from ._head_settings import LOGISTIC, HeadSettings, HeadTraining
from ._labelled_rows import AnyLabelledRows
from ._metrics import MetricOf
from ._pairs import Pairs
from ._reproduce import Call, command
from ._result import TrainingResult
from ._runs import Run, check_output_dir, check_same_run, find_step, make_run

if TYPE_CHECKING:
    from transformers import TrainerCallback


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """What is learnt.

    Attributes:
        rows: Texts and their labels.
        pairs: Of indices into `rows`; None for a loss on labels.
        given: What it was made with, as far as another run with other such is another run.
        hashes: SHA-256 of what it was made of, besides the rows, by what it is called in messages.
        teacher_name: What the card calls the classifier that labelled the rows; None if people did.
    """

    rows: AnyLabelledRows
    pairs: Pairs | None
    given: Mapping[str, Any] = field(default_factory=dict)
    hashes: Mapping[str, str] = field(default_factory=dict)
    teacher_name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What is read, as it was given.

    Attributes:
        rows: The training rows, or the texts that a teacher labels.
        teacher: The classifier that labels them; None if people did.
        eval_rows: The held-out rows; None for none.
        columns: Of both.
        label_names: Of the labels' numbers.
    """

    rows: Any
    teacher: Any = None
    eval_rows: Any
    columns: Mapping[str, str] | None
    label_names: Sequence[str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A training, but for what is learnt.

    Attributes:
        data: What is read.
        base: The base model: a Hub id or a folder.
        out: The checkpoint folder to write.
        args: The hyperparameters.
        head: Which head.
        head_training: How a differentiable one is trained.
        held_out: The rows to measure on; possibly none.
        metric: Of the classifier on them.
        metric_kwargs: Further arguments of the metric.
        callbacks: Of the contrastive phase.
        resume: Go on from the last checkpoint in `args.output_dir`, or from this one.
        for_setfit: Whether SetFit is to be able to load the checkpoint.
        overwrite: `out`, and a run that `args.output_dir` holds, may be replaced.
        progress: Show progress bars on stderr.
    """

    data: Given
    base: str | Path
    out: Path
    args: TrainingArguments
    head: HeadSettings
    head_training: HeadTraining
    held_out: Rows
    metric: MetricOf
    metric_kwargs: Mapping[str, Any]
    callbacks: Sequence["TrainerCallback"]
    resume: bool | str | Path
    for_setfit: bool
    overwrite: bool
    progress: bool

    def carry_out(self, learn: Callable[[], Lesson]) -> TrainingResult:
        """Train, and write the checkpoint.

        Args:
            learn: Gives what is learnt, once all is refused that can be refused without it.

        Raises:
            SetfuseError: As `train` has it.
        """
        check_evaluation(self.args, self.metric, self.metric_kwargs, self.held_out)
        resume_from = find_step(self.resume, self.args.output_dir) if self.resume else None
        inputs = local_inputs(self.data.rows, self.data.teacher, self.data.eval_rows, self.base)
        check_output_dir(self.args, out=self.out, inputs=inputs, resume_from=resume_from, overwrite=self.overwrite)
        check_new_folder(self.out, overwrite=self.overwrite, keep=inputs)
        folder = find_base(self.base)
        lesson = learn()
        run = self._run(lesson, folder)
        if resume_from is not None:
            check_same_run(resume_from, run)
        # Seconds of importing torch, after all that can be refused without it.
        from ._recipe import Recipe

        recipe = Recipe(
            rows=lesson.rows,
            held_out=self.held_out,
            pairs=lesson.pairs,
            base_name=public_name(self.base),
            args=self.args,
            head=self.head,
            head_training=self.head_training,
            run=run,
            metric=self.metric,
            metric_kwargs=self.metric_kwargs,
            command=self._command(),
            for_setfit=self.for_setfit,
            teacher_name=lesson.teacher_name,
        )
        return recipe.follow(
            folder,
            self.out,
            inputs=inputs,
            resume_from=resume_from,
            overwrite=self.overwrite,
            callbacks=self.callbacks,
            progress=self.progress,
        )

    def _run(self, lesson: Lesson, base: Path) -> Run:
        given: dict[str, Any] = {
            "head": self.head.head,
            "head_params": self.head.head_params,
            "multi_target_strategy": self.head.multi_target_strategy,
            "freeze": self.head_training.freeze,
        }
        held_out = None
        if self.args.eval_strategy != "no":
            given |= {"metric": self.metric, "metric_kwargs": self.metric_kwargs}
            held_out = self.held_out
        return make_run(
            self.args, {**given, **lesson.given}, lesson.rows, base, held_out=held_out, hashes=lesson.hashes
        )

    def _command(self) -> str | None:
        head = self.head
        options = {
            "columns": self.data.columns,
            "label_names": self.data.label_names,
            "head": None if isinstance(head.head, str) and head.head == LOGISTIC else head.head,
            "head_params": head.head_params or None,
            "multi_target_strategy": head.multi_target_strategy,
            "freeze": self.head_training.freeze,
            "metric": None if self.metric == "accuracy" else self.metric,
            "metric_kwargs": self.metric_kwargs or None,
            "for_setfit": self.for_setfit or None,
            "callbacks": list(self.callbacks) or None,
        }
        data = self.data
        return command(
            Call(
                rows=data.rows,
                teacher=data.teacher,
                base=self.base,
                eval_rows=data.eval_rows,
                args=self.args,
                options=options,
            )
        )
