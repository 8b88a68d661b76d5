"""Training: labelled rows in, checkpoint folder out."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._arguments import TrainingArguments
from ._checks import check_rows, check_types, make_head_settings
from ._data import read_data
from ._data_checks import Rows, label_values
from ._drawing import draw_training_pairs
from ._head_settings import LOGISTIC
from ._loss_names import is_on_labels
from ._metrics import MetricOf
from ._plan import Given, Lesson, Plan
from ._result import TrainingResult
from ._sources import Data

if TYPE_CHECKING:
    from transformers import TrainerCallback


def train(
    rows: Data,
    *,
    base: str | Path,
    out: str | Path,
    args: TrainingArguments | None = None,
    eval_rows: Data | None = None,
    columns: Mapping[str, str] | None = None,
    label_names: Sequence[str] | None = None,
    head: Any = LOGISTIC,
    head_params: Mapping[str, Any] | None = None,
    multi_target_strategy: str | None = None,
    freeze: str | None = None,
    metric: MetricOf = "accuracy",
    metric_kwargs: Mapping[str, Any] | None = None,
    callbacks: Sequence["TrainerCallback"] = (),
    resume: bool | str | Path = False,
    for_setfit: bool = False,
    overwrite: bool = False,
    progress: bool = False,
) -> TrainingResult:
    """Fine-tune a body contrastively on labelled rows, fit the head, and write the checkpoint.

    Two runs with the same rows, arguments, library versions and thread count give the same checkpoint. The logger
    `setfuse.train` is told of each log line and each warning.

    Args:
        rows: Labelled texts, in any form that `read_data` takes: a JSON lines, CSV, TSV or Parquet file, a data set of
            the Hub or of `datasets`, a data frame, `Row`s or mappings. At least two labels; a list of labels a text is
            multi-label data.
        base: A Hub id such as `BAAI/bge-small-en-v1.5`, or a sentence-transformers folder.
        out: The checkpoint folder to write.
        args: The hyperparameters; None for SetFit's defaults.
        eval_rows: Held-out rows to measure on, in any form that `rows` may have: at the end, and while training if
            `args.eval_strategy` says so. Their labels must be labels of `rows`: a label that was never trained is
            never predicted, so that what it measures is a mistake in the data.
        columns: What the columns that are not called `text` and `label` stand for: SetFit's `column_mapping`.
        label_names: The names of the labels 0, 1, 2, …. Theirs is the order of the head's columns.
        head: `LogisticRegression`; `differentiable`, which is SetFit's `use_differentiable_head`; or a classifier of
            scikit-learn's, which is cloned.
        head_params: Arguments of LogisticRegression, or `temperature`, `bias` and `eps` of the differentiable head.
        multi_target_strategy: For multi-label data: `one-vs-rest`, `multi-output` or `classifier-chain`.
        freeze: `body` or `head`: what stays as it is while a differentiable head is trained, as SetFit's `freeze`.
        metric: `accuracy`, `f1`, `precision`, `recall` or `matthews_correlation`, by scikit-learn, or a function of
            the predicted and the given labels that gives a number, or numbers by name, and is tried on the given ones
            before anything is trained. It is handed what SetFit hands it: int64 (rows,), positions in `label_names` or
            the `ClassLabel`, whole numbers as they are, or positions in alphabetical order; of multi-label data int64
            (rows, labels), 1 where a label applies. Of two labels, f1, precision and recall are those of the second in
            that order; of more, the mean over those that are given or predicted.
        metric_kwargs: Further arguments of the metric, such as `{"average": "micro"}`; labels in them are numbers, too.
        callbacks: transformers' `TrainerCallback`s, `EarlyStoppingCallback` among them, in the contrastive phase.
        resume: Go on from the last checkpoint in `args.output_dir`, or from this checkpoint of a run, as if it had
            never stopped.
        for_setfit: Add `model_head.pkl`, so that `SetFitModel.from_pretrained` loads the checkpoint.
        overwrite: Replace an existing `out`, whole, and a run that `args.output_dir` holds.
        progress: Show progress bars on stderr.

    Returns:
        The checkpoint's path and what was measured.

    Raises:
        DatasetError: The rows cannot be read or cannot be trained on.
        UsageError: The arguments contradict each other, the rows or the machine.
        BaseModelNotFound: `base` is no folder and cannot be had from the Hub.
        OutputExists: `out` exists and `overwrite` is false, or it must not be replaced; or `args.output_dir` holds
            another run.
        RunNotResumable: There is no checkpoint to go on from, or it is of a run with other arguments, rows or base.
        RunNotSaved: A checkpoint of the run, or the one at the end, cannot be written.
        TrainingDiverged: The loss, a gradient or a weight is no longer a number.
        OutOfMemory: A step, the head or the embedding needs more memory than there is.
    """
    args = TrainingArguments() if args is None else args
    check_types(args, base=base, out=out)
    settings, head_training = make_head_settings(args, head, head_params, multi_target_strategy, freeze)
    training_rows = read_data(rows, columns=columns, label_names=label_names)
    held_out: Rows = [] if eval_rows is None else read_data(eval_rows, columns=columns, label_names=label_names)
    check_rows(training_rows, held_out, args)
    pairs = None if is_on_labels(args.loss) else draw_training_pairs(label_values(training_rows), args)
    lesson = Lesson(rows=training_rows, pairs=pairs, given={"labels": dict(training_rows.numbers)})
    plan = Plan(
        data=Given(rows=rows, eval_rows=eval_rows, columns=columns, label_names=label_names),
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
    return plan.carry_out(lambda: lesson)
