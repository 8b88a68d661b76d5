"""SetFit's recipe: fine-tune the body on pairs, fit the head on its embeddings, measure, and write it all down."""

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

from setfuse.runtime import MultiLabelRow

from ._arguments import TrainingArguments
from ._batches import LabelledTexts
from ._body import load_body
from ._card import CardFacts, model_card
from ._checkpoint import write_checkpoint
from ._checks import warn_of_cut_texts
from ._classify import HeldOut, encode
from ._contrast import Contrast, items, make_contrast
from ._contrastive import FineTuned, fine_tune
from ._data_checks import Rows, label_counts, label_values
from ._drawing import draw_held_out_pairs
from ._head import FittedHead, check_head, fit_head, train_head
from ._head_settings import DIFFERENTIABLE, HeadSettings, HeadTraining
from ._losses import Objective, OwnLoss, make_objective
from ._metrics import MetricOf, make_metric
from ._pairs import Pairs
from ._reports import check_reports
from ._result import TrainingResult
from ._runs import Run, clear_output_dir, write_run
from ._trainer import Judge

_LIBRARIES = ("setfuse", "torch", "sentence-transformers", "transformers", "scikit-learn")


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is trained on what, and how.

    Attributes:
        rows: To train on.
        held_out: To measure on; possibly none.
        pairs: Of indices into `rows`.
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

    rows: Rows
    held_out: Rows
    pairs: Pairs
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
        staging: Path,
        out: Path,
        *,
        resume_from: Path | None,
        callbacks: Sequence[TrainerCallback],
        progress: bool,
    ) -> TrainingResult:
        """Train, and write the checkpoint.

        Args:
            base: The base model's folder.
            staging: An empty folder to write the checkpoint into.
            out: What it will be called.
            resume_from: The checkpoint of the run to go on from.
            callbacks: Of the contrastive phase.
            progress: Show progress bars on stderr.

        Raises:
            TrainingError: Loading or training failed.
            UsageError: The arguments contradict the body or the machine.
        """
        check_reports(self.args.report_to)
        check_head(self.head, label_values(self.rows))
        with _randomness_of_the_caller():
            torch.manual_seed(self.args.seed)
            objective = self._objective()
            body = load_body(base, self.args.max_length)
            warn_of_cut_texts(body, self.rows)
            if self.args.save_strategy != "no":  # not before: a body that cannot be loaded is to cost no earlier run
                clear_output_dir(self.args.output_dir, resume_from=resume_from)
            start = time.perf_counter()
            data = _labelled(self.rows)
            held_out = self._held_out()
            contrast = make_contrast(body, data, self.pairs, objective, distinct=self.args.distinct_batches)
            tuned = fine_tune(
                body,
                contrast,
                self.args,
                judge=self._judge(body, contrast, held_out),
                save_rest=lambda folder, losses: self._save_step(body, contrast, folder, losses),
                resume_from=resume_from,
                callbacks=callbacks,
                progress=progress,
            )
            head = self._make_head(body, data, progress=progress)
            seconds = time.perf_counter() - start
        metrics = {} if held_out is None else held_out.judge(head, encode(body, held_out.data.texts, progress=progress))
        result = self._result(out, seconds, items(contrast), tuned, metrics)
        self._write(staging, body, head, result, tuned)
        return result

    def _make_head(self, body: SentenceTransformer, data: LabelledTexts, *, progress: bool) -> FittedHead:
        if self.head.head != DIFFERENTIABLE:
            return fit_head(encode(body, data.texts), data.labels, self.head)
        return train_head(body, data.texts, data.labels, self.head, self.head_training, progress=progress)[0]

    def _head_so_far(self, body: SentenceTransformer, data: LabelledTexts) -> FittedHead:
        """Make a head on the body as it is, and leave the body and the run's random numbers alone."""
        if self.head.head != DIFFERENTIABLE:
            return self._make_head(body, data, progress=False)
        frozen = dataclasses.replace(self.head_training, end_to_end=False, freeze=None)
        with torch.random.fork_rng():
            return train_head(body, data.texts, data.labels, self.head, frozen)[0]

    def _objective(self) -> Objective | OwnLoss:
        args = self.args
        return make_objective(
            args.loss, distance_metric=args.distance_metric, margin=args.margin, loss_kwargs=args.loss_kwargs
        )

    def _held_out(self) -> HeldOut | None:
        if not self.held_out:
            return None
        metric = make_metric(
            self.metric,
            list(label_counts(self.rows)),
            self.metric_kwargs,
            multi_label=isinstance(self.rows[0], MultiLabelRow),
        )
        return HeldOut(_labelled(self.held_out), metric)

    def _judge(self, body: SentenceTransformer, contrast: Contrast, held_out: HeldOut | None) -> Judge | None:
        if held_out is None or self.args.eval_strategy == "no":
            return None
        pairs = None if contrast.pairs is None else draw_held_out_pairs(held_out.data.labels, self.args)
        return Judge(held_out, contrast.with_data(held_out.data, pairs), lambda: self._head_so_far(body, contrast.data))

    def _save_step(self, body: SentenceTransformer, contrast: Contrast, folder: Path, losses: Sequence[float]) -> None:
        tuned = FineTuned(tuple(losses), (), None)
        so_far = self._result(folder, 0.0, items(contrast), tuned, {})
        self._write(folder, body, self._head_so_far(body, contrast.data), so_far, tuned)
        write_run(folder, self.run, losses)

    def _write(
        self, folder: Path, body: SentenceTransformer, head: FittedHead, result: TrainingResult, tuned: FineTuned
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
            size=sum(path.stat().st_size for path in folder.rglob("*.safetensors")),
            command=self.command,
            for_setfit=self.for_setfit,
            teacher=self.teacher_name,
        )
        (folder / "README.md").write_text(model_card(facts), encoding="utf-8")

    def _result(
        self, out: Path, seconds: float, number: int, tuned: FineTuned, metrics: Mapping[str, float]
    ) -> TrainingResult:
        return TrainingResult(
            checkpoint=out,
            seconds=seconds,
            steps=len(tuned.losses),
            pairs=number,
            labels=label_counts(self.rows),
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


def _labelled(rows: Rows) -> LabelledTexts:
    return LabelledTexts([row.text for row in rows], label_values(rows))


@contextmanager
def _randomness_of_the_caller() -> Iterator[None]:
    """Put back every random state that transformers' Trainer seeds."""
    python, arrays = random.getstate(), np.random.get_state()  # noqa: NPY002 - the state that transformers sets
    try:
        with torch.random.fork_rng():
            yield
    finally:
        random.setstate(python)
        np.random.set_state(arrays)  # noqa: NPY002
