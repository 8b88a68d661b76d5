"""SetFit's recipe: fine-tune the body on pairs, fit the head on its embeddings, measure, and write it all down."""

import copy
import dataclasses
import importlib.metadata
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from transformers import TrainerCallback

from setfuse.runtime import UsageError, new_folder

from ._arguments import TrainingArguments
from ._batches import LabelledTexts
from ._body import load_body
from ._callbacks import logger
from ._card import CardFacts, model_card
from ._checkpoint import write_checkpoint
from ._checks import warn_of_cut_texts
from ._classify import HeldOut, encode
from ._contrast import Contrast, items, make_contrast
from ._contrastive import FineTuned, Progress, fine_tune
from ._data_checks import Rows, label_values
from ._drawing import draw_held_out_pairs
from ._errors import RunNotSaved
from ._head import FittedHead, check_head, fit_head, train_head
from ._head_settings import DIFFERENTIABLE, HeadSettings, HeadTraining
from ._label_batches import check_held_out_labels
from ._labelled_rows import AnyLabelledRows
from ._losses import Objective, OwnLoss, make_objective
from ._memory import out_of_memory_told
from ._metrics import MetricOf, metric_of, rehearse
from ._pairs import Pairs
from ._ranges import EMBEDDING_LOSS
from ._reports import bars_hidden, check_reports
from ._result import TrainingResult
from ._runs import Run, Saved, hold_output_dir, read_run, write_run
from ._step_errors import writing
from ._trainer import Judge, Step

_LIBRARIES = ("setfuse", "torch", "sentence-transformers", "transformers", "scikit-learn")


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is trained on what, and how.

    Attributes:
        rows: To train on.
        held_out: To measure on; possibly none.
        pairs: Of indices into `rows`; None for a loss on labels.
        base_name: What the card calls the base model.
        args: The hyperparameters.
        head: Which head.
        head_training: How a differentiable head is trained.
        run: What the checkpoints of the run belong to.
        metric: Of the classifier on `held_out`.
        metric_kwargs: Further arguments of the metric.
        command: That trains the same again; None where no command line can.
        for_setfit: Whether SetFit is to be able to load the checkpoint.
        teacher_name: What the card calls the classifier that labelled the rows; None if people did.
    """

    rows: AnyLabelledRows
    held_out: Rows
    pairs: Pairs | None
    base_name: str
    args: TrainingArguments
    head: HeadSettings
    head_training: HeadTraining
    run: Run
    metric: MetricOf
    metric_kwargs: Mapping[str, Any]
    command: str | None = None
    for_setfit: bool = False
    teacher_name: str | None = None

    def follow(
        self,
        base: Path,
        out: Path,
        *,
        inputs: tuple[Path, ...],
        resume_from: Path | None,
        overwrite: bool,
        callbacks: Sequence[TrainerCallback],
        progress: bool,
    ) -> TrainingResult:
        """Train, and write the checkpoint.

        Args:
            base: The base model's folder.
            out: The checkpoint folder to write.
            inputs: What `out` must not replace.
            resume_from: The checkpoint of the run to go on from.
            overwrite: `out`, and another run in `args.output_dir`, may be replaced.
            callbacks: Of the contrastive phase.
            progress: Show progress bars on stderr.

        Raises:
            TrainingError: Loading or training failed.
            DatasetError: The held-out rows cannot be evaluated on.
            OutputExists: Another run saves to `args.output_dir`, or has written to `out` in the meantime.
            UsageError: The arguments contradict the body or the machine, or the metric cannot be taken.
        """
        check_machine(self.args)
        with hold_output_dir(self.args), _randomness_kept(), bars_hidden(not progress):
            check_head(self.head, label_values(self.rows), tuple(self.rows.numbers))
            torch.manual_seed(self.args.seed)
            objective = self._objective()
            held_out = self._held_out()
            held_out_pairs = self._held_out_pairs(objective)
            body = load_body(base, self.args.max_length, self.args.device)
            warn_of_cut_texts(body, self.rows)
            start = time.perf_counter() - (0.0 if resume_from is None else read_run(resume_from).seconds)
            data = _labelled(self.rows)
            contrast = make_contrast(body, data, self.pairs, objective, distinct=self.args.distinct_batches)
            tuned = fine_tune(
                body,
                contrast,
                self.args,
                judge=self._judge(contrast, held_out, held_out_pairs),
                fit_head=lambda: self._head_so_far(body, data),
                make_step=lambda head, done: self._make_step(
                    body, head, done, self._result(out, time.perf_counter() - start, items(contrast), done, _now(done))
                ),
                resume_from=resume_from,
                overwrite=overwrite,
                callbacks=callbacks,
                progress=progress,
            )
            trained = time.perf_counter() - start
            with self._last_step_kept(body, tuned, trained):
                head = self._make_head(body, data, progress=progress)
                seconds = time.perf_counter() - start
                metrics = (
                    {}
                    if held_out is None
                    else held_out.judge(head, encode(body, held_out.data.texts, progress=progress))
                )
                result = self._result(out, seconds, items(contrast), tuned, metrics)
                resumable = self.args.save_strategy != "no"
                with (
                    writing(out, f"make room, then {'go on with resume' if resumable else 'train again'}"),
                    new_folder(out, overwrite=overwrite, keep=inputs) as staging,
                ):
                    self._write(staging, body, head, result, tuned)
        return result

    def _make_head(self, body: SentenceTransformer, data: LabelledTexts, *, progress: bool) -> FittedHead:
        if self.head.head != DIFFERENTIABLE:
            return fit_head(encode(body, data.texts), data.labels, self.head, tuple(self.rows.numbers))
        return self._train_head(body, data, self.head_training, progress=progress)

    def _train_head(
        self, body: SentenceTransformer, data: LabelledTexts, training: HeadTraining, *, progress: bool
    ) -> FittedHead:
        size = training.batch_size
        message = (
            f"the head: expected room for a batch_size of {size}, ran out of memory; lower it (the second of the two "
            "that batch_size may have), or max_length"
        )
        with out_of_memory_told(lambda: message):
            order = tuple(self.rows.numbers)
            return train_head(body, data.texts, data.labels, self.head, training, order=order, progress=progress)[0]

    def _head_so_far(self, body: SentenceTransformer, data: LabelledTexts) -> FittedHead:
        """Make a head on the body as it is, and leave the body and the run's random numbers alone."""
        with _randomness_kept():
            if self.head.head != DIFFERENTIABLE:
                return self._make_head(body, data, progress=False)
            frozen = dataclasses.replace(self.head_training, end_to_end=False, freeze=None)
            return self._train_head(body, data, frozen, progress=False)

    @contextmanager
    def _last_step_kept(self, body: SentenceTransformer, tuned: FineTuned, seconds: float) -> Iterator[None]:
        """Save the last step, without a head, if the block fails: the training is not to be paid for twice."""
        weights = copy.deepcopy(body.state_dict()) if self.head_training.end_to_end else None
        try:
            with _randomness_kept():
                yield
        except BaseException:
            if weights is not None:
                body.load_state_dict(weights)
            # The best step's weights are in a checkpoint of their own, and are not the last step's.
            if self.args.save_strategy != "no" and tuned.best_step is None:
                self._keep(body, tuned, seconds)
            raise

    def _keep(self, body: SentenceTransformer, tuned: FineTuned, seconds: float) -> None:
        def write(folder: Path) -> None:
            body.save(str(folder), create_model_card=False)
            write_run(folder, Saved(self.run, tuned.losses, seconds))

        try:
            saved = tuned.last_step if tuned.last_step.exists() else tuned.write_step(write)
        except RunNotSaved as error:
            logger.warning("the training cannot be kept: %s", error)
        else:
            logger.warning("the training is kept: %s; go on with resume", saved)

    def _objective(self) -> Objective | OwnLoss:
        args = self.args
        return make_objective(
            args.loss, distance_metric=args.distance_metric, margin=args.margin, loss_kwargs=args.loss_kwargs
        )

    def _held_out(self) -> HeldOut | None:
        if not self.held_out:
            return None
        held_out = HeldOut(_labelled(self.held_out), metric_of(self.rows, self.metric, self.metric_kwargs))
        measured = (EMBEDDING_LOSS, *rehearse(held_out.metric, held_out.data.labels))
        wanted = self.args.metric_for_best_model.removeprefix("eval_")
        if self.args.eval_strategy != "no" and wanted not in measured:
            raise UsageError(
                f"metric_for_best_model: expected one of {', '.join(measured)}, which are measured, got {wanted!r}"
            )
        return held_out

    def _held_out_pairs(self, objective: Objective | OwnLoss) -> Pairs | None:
        """Pair the held-out texts, if the body is evaluated on them and the loss takes pairs.

        Raises:
            DatasetError: They make none, or no batch for a loss on labels.
        """
        if self.args.eval_strategy == "no":
            return None
        labels = label_values(self.held_out)
        if not objective.on_labels:
            return draw_held_out_pairs(labels, self.args)
        check_held_out_labels(labels, objective.name)
        return None

    def _judge(self, contrast: Contrast, held_out: HeldOut | None, pairs: Pairs | None) -> Judge | None:
        if held_out is None or self.args.eval_strategy == "no":
            return None
        return Judge(held_out, contrast.with_data(held_out.data, pairs))

    def _make_step(self, body: SentenceTransformer, head: FittedHead, done: Progress, so_far: TrainingResult) -> Step:
        def write(folder: Path) -> None:
            self._write(folder, body, head, so_far, done)
            write_run(folder, Saved(self.run, done.losses, so_far.seconds))

        return write

    def _write(
        self, folder: Path, body: SentenceTransformer, head: FittedHead, result: TrainingResult, tuned: Progress
    ) -> None:
        write_checkpoint(folder, body, head, self._training(result), for_setfit=self.for_setfit)
        facts = CardFacts(
            base_model=self.base_name,
            rows=self.rows,
            head=head,
            args=self.args,
            result=result,
            log=tuned.log,
            eval_rows=len(self.held_out),
            max_length=body.max_seq_length,
            parameters=sum(parameter.numel() for parameter in body.parameters()),
            size=sum(path.stat().st_size for path in folder.rglob("*") if path.suffix in {".safetensors", ".onnx"}),
            command=self.command,
            for_setfit=self.for_setfit,
            teacher=self.teacher_name,
        )
        (folder / "README.md").write_text(model_card(facts), encoding="utf-8")

    def _result(
        self, out: Path, seconds: float, number: int, tuned: Progress, metrics: Mapping[str, float]
    ) -> TrainingResult:
        return TrainingResult(
            checkpoint=out,
            seconds=seconds,
            steps=len(tuned.losses),
            pairs=number,
            labels=self.rows.counts(),
            losses=tuned.losses,
            metrics=metrics,
            evaluations=tuned.evaluations,
            best_step=tuned.best_step,
        )

    def _training(self, result: TrainingResult) -> dict[str, Any]:
        """Give the content of `training.json`."""
        return {
            "base_model": self.base_name,
            "teacher": self.teacher_name,
            "rows": dict(result.labels),
            "eval_rows": len(self.held_out),
            "accuracy": result.accuracy,
            "metrics": dict(result.metrics),
            "evaluations": [dict(found) for found in result.evaluations],
            "best_step": result.best_step,
            # Without folders of this machine: checkpoints and bundles are passed on.
            "arguments": {name: value for name, value in self.args.to_json().items() if not name.endswith("_dir")},
            "pairs": result.pairs,
            "steps": result.steps,
            "first_loss": result.losses[0],
            "last_loss": result.losses[-1],
            "seconds": result.seconds,
            "versions": {name: importlib.metadata.version(name) for name in _LIBRARIES},
        }


def _now(done: Progress) -> Mapping[str, float]:
    """Give what the classifier's metric was at the step itself, if it was taken there."""
    last = done.evaluations[-1] if done.evaluations else {}
    if last.get("step") != len(done.losses):
        return {}
    return {name: value for name, value in last.items() if name not in {"step", "runtime", EMBEDDING_LOSS}}


def _labelled(rows: Rows) -> LabelledTexts:
    return LabelledTexts([row.text for row in rows], label_values(rows))


def check_machine(args: TrainingArguments) -> None:
    """Refuse what is not here to be used.

    Raises:
        UsageError: An integration to report to is missing, or a GPU.
    """
    check_reports(args.report_to)
    if args.device == "cuda" and not torch.cuda.is_available():
        raise UsageError('device: torch finds no GPU here; leave it out, or say "cpu"')
    if args.use_amp and not torch.cuda.is_available():
        raise UsageError("use_amp: expected a GPU for float16 arithmetic, found none; leave it out, or say bf16")


@contextmanager
def _randomness_kept() -> Iterator[None]:
    """Put back every random state that transformers' Trainer seeds, or that a head draws from."""
    python, arrays = random.getstate(), np.random.get_state()  # noqa: NPY002 - the state that transformers sets
    try:
        with torch.random.fork_rng():
            yield
    finally:
        random.setstate(python)
        np.random.set_state(arrays)  # noqa: NPY002
