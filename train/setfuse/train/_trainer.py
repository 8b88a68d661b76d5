"""transformers' Trainer, on the distinct texts of a batch: its schedules, accumulation, callbacks and reports."""

import contextlib
import itertools
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from sentence_transformers import SentenceTransformer
from torch.utils.data import DataLoader
from transformers import PrinterCallback, ProgressCallback, Trainer, TrainerCallback, TrainerState
from transformers import TrainingArguments as TransformersArguments
from transformers.trainer_callback import ExportableState
from transformers.trainer_utils import rotate_checkpoints

from setfuse.runtime import new_folder

from ._arguments import TrainingArguments
from ._batches import Batch
from ._body import load_body
from ._callbacks import ProgressBar
from ._classify import HeldOut, encode
from ._contrast import Contrast, held_out_order, items, training_order
from ._errors import TrainingDiverged
from ._head import FittedHead
from ._ranges import EMBEDDING_LOSS
from ._runs import step_folders
from ._step_errors import reading, writing

_LOSS_FILE = "loss.safetensors"

Step = Callable[[Path], None]
"""Writes into a checkpoint's folder what is not the trainer's own."""


@dataclass(frozen=True, slots=True)
class Judge:
    """What the body is evaluated on while it is trained.

    Attributes:
        held_out: The rows and the classifier's metric.
        contrast: The same rows and the contrastive loss.
    """

    held_out: HeldOut
    contrast: Contrast


class ContrastiveTrainer(Trainer):
    """Trains a body in place.

    Args:
        body: Trained in place.
        contrast: What on.
        args: The hyperparameters.
        arguments: The same in transformers' words.
        judge: How to evaluate it on the way; None for not at all.
        fit_head: Makes a head on the body as it is.
        make_step: Makes what is not the trainer's own in a checkpoint, given that head, the losses and the log so far.
        earlier_losses: Of the steps before a checkpoint that the training goes on from.
        callbacks: As transformers has them.

    Attributes:
        losses: Of each step, those before a checkpoint that the training went on from included.
    """

    loss_is_scaled_for_ga = False

    def __init__(
        self,
        body: SentenceTransformer,
        contrast: Contrast,
        args: TrainingArguments,
        arguments: TransformersArguments,
        *,
        judge: Judge | None,
        fit_head: Callable[[], FittedHead],
        make_step: Callable[[FittedHead, Sequence[float], Sequence[Mapping[str, Any]]], Step],
        earlier_losses: Sequence[float],
        callbacks: Sequence[TrainerCallback],
    ) -> None:
        self.losses = list(earlier_losses)
        self._body = body
        self._contrast = contrast
        self._ours = args
        self._folder = Path(args.output_dir).expanduser().absolute()
        self._judge = judge
        self._fit_head = fit_head
        self._make_step = make_step
        self._head: tuple[int, FittedHead] | None = None
        self._micro_losses: list[float] = []
        missing = [folder for folder in (self._folder, *self._folder.parents) if not folder.exists()]
        super().__init__(
            model=body,
            args=arguments,
            train_dataset=range(items(contrast)),
            eval_dataset=None if judge is None else range(items(judge.contrast)),
            callbacks=list(callbacks),
        )
        with contextlib.suppress(OSError):  # an integration has written there
            for folder in missing:
                folder.rmdir()  # transformers makes them at once; here the first save does
        self.remove_callback(PrinterCallback)
        if self.pop_callback(ProgressCallback) is not None:
            self.add_callback(ProgressBar)

    def get_train_dataloader(self) -> DataLoader[Batch]:
        """Give the batches of an epoch in SetFit's order."""
        loader: DataLoader[Batch] = DataLoader(
            range(items(self._contrast)),  # type: ignore[arg-type] # a length and items: all that a data loader asks for
            batch_sampler=training_order(self._contrast, self._ours),
            collate_fn=lambda indices: self._contrast.batch(np.asarray(indices, np.int64)),
            pin_memory=self.args.dataloader_pin_memory,
        )
        return self.accelerator.prepare(loader)  # type: ignore[no-any-return]

    def create_optimizer(self, model: torch.nn.Module | None = None) -> torch.optim.Optimizer:
        """Make the optimizer of all that the loss depends on."""
        return super().create_optimizer(model or self._contrast.trained)

    def create_scheduler(
        self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None
    ) -> torch.optim.lr_scheduler.LRScheduler:
        """Make the schedule, its warm-up a share of the steps: transformers reads a share of 1 as one step."""
        self.args.warmup_steps = math.ceil(num_training_steps * self._ours.warmup_proportion)
        return super().create_scheduler(num_training_steps, optimizer)

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> torch.Tensor:
        """Take the loss on the embeddings of the texts of a batch."""
        del return_outputs, num_items_in_batch  # transformers' signature
        return self._contrast.loss(model, inputs)

    def training_step(
        self, model: torch.nn.Module, inputs: dict[str, Any], num_items_in_batch: torch.Tensor | int | None = None
    ) -> torch.Tensor:
        """Do one batch, and stop at a loss that is no number, before it reaches the weights.

        Raises:
            TrainingDiverged: The loss is NaN or infinite.
        """
        if not self._micro_losses:  # transformers clears the body's gradients only, not those of the loss's parameters
            self._contrast.trained.zero_grad()
        loss: torch.Tensor = super().training_step(model, inputs, num_items_in_batch)
        value = loss.item()
        if not math.isfinite(value):
            raise self._diverged(f"step {self.state.global_step + 1}", "a finite loss", value)
        self._micro_losses.append(value)
        if self.accelerator.sync_gradients:
            self.losses.append(sum(self._micro_losses))
            self._micro_losses.clear()
        return loss

    def _clip_grad_norm(self, model: torch.nn.Module) -> torch.Tensor:
        """Clip, and stop at gradients that are no numbers: a finite loss can have them, and clipping spreads them.

        Raises:
            TrainingDiverged: Their norm is NaN or infinite.
        """
        norm: torch.Tensor = super()._clip_grad_norm(model)  # type: ignore[no-untyped-call] # not typed there
        # With float16 the scaler leaves out such a step, and takes a smaller scale for the next.
        if self.accelerator.scaler is None and not math.isfinite(norm):
            raise self._diverged(f"step {self.state.global_step + 1}", "finite gradients", f"a norm of {float(norm)}")
        return norm

    def check_weights(self) -> None:
        """See that there is something worth saving, evaluating or fitting a head to.

        Raises:
            TrainingDiverged: A weight is NaN or infinite.
        """
        for parameter in (*self._body.parameters(), *self._contrast.trained.parameters()):
            if not parameter.isfinite().all():
                raise self._diverged(f"after step {self.state.global_step}", "finite weights", "NaN or infinity")

    def _diverged(self, step: str, expected: str, found: object) -> TrainingDiverged:
        saved = step_folders(self._folder)
        return TrainingDiverged(
            f"{step} of {self.state.max_steps}: expected {expected}, found {found}; "
            f"lower body_learning_rate (now {self._ours.body_embedding_learning_rate})"
            + (f"; the last good checkpoint is {saved[-1]}" if saved else "")
        )

    def _prepare_for_training(self, max_steps: int, train_dataloader: Any, resume_from_checkpoint: str | None) -> Any:
        """Prepare, and take the random state of a checkpoint after which no step is left: transformers leaves it."""
        prepared = super()._prepare_for_training(max_steps, train_dataloader, resume_from_checkpoint)  # type: ignore[no-untyped-call] # not typed there
        if self.state.global_step >= max_steps:
            self._load_rng_state(resume_from_checkpoint)
        return prepared

    def _run_epoch(self, *given: Any, **named: Any) -> None:
        """Go through an epoch, if a step is left; resumed at its last step in mid-epoch, transformers does one more."""
        if self.state.global_step >= self.state.max_steps:
            self.control.should_training_stop = True
            return
        super()._run_epoch(*given, **named)  # type: ignore[no-untyped-call] # not typed there

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log under SetFit's names."""
        if "loss" in logs:
            # transformers' mean forgets the steps before a checkpoint that the training goes on from.
            logged = [int(entry["step"]) for entry in self.state.log_history if EMBEDDING_LOSS in entry]
            mean = float(np.mean(self.losses[max(logged, default=0) :]))
            logs = {EMBEDDING_LOSS: mean, **{name: value for name, value in logs.items() if name != "loss"}}
        if "train_loss" in logs:  # so does its mean over the whole run
            logs = {**logs, "train_loss": float(np.mean(self.losses))}
        super().log(logs, start_time)

    def evaluate(
        self,
        eval_dataset: object = None,
        ignore_keys: Sequence[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> dict[str, float]:
        """Measure the contrastive loss and the classifier on the held-out rows, a head being fitted for it.

        Raises:
            TrainingDiverged: A weight is no number.
        """
        del eval_dataset, ignore_keys  # transformers' signature
        judge, began = self._judge, time.perf_counter()
        if judge is None:
            return {}
        self.check_weights()
        head = self._head_so_far()
        with self._as_in_use():
            embeddings = encode(self._body, judge.held_out.data.texts)
            found = {EMBEDDING_LOSS: self._loss_on(judge.contrast, torch.from_numpy(embeddings))}
        found |= judge.held_out.judge(head, embeddings)
        found["runtime"] = time.perf_counter() - began
        is_best = self._is_best(found)
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in found.items()}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        if is_best and self.args.load_best_model_at_end:
            self.control.should_save = True  # transformers saves every save_steps only, whatever is best in between
        return metrics

    def _is_best(self, found: Mapping[str, float]) -> bool:
        value, best = found[self._ours.metric_for_best_model.removeprefix("eval_")], self.state.best_metric
        if math.isnan(value):
            return False
        return best is None or (value > best if self._ours.better_is_greater else value < best)

    def _head_so_far(self) -> FittedHead:
        """Give the head of this step, which is fitted once, however it is used."""
        step = self.state.global_step
        if self._head is None or self._head[0] != step:
            with self._as_in_use():
                self._head = step, self._fit_head()
        return self._head[1]

    @contextlib.contextmanager
    def _as_in_use(self) -> Iterator[None]:
        """Take mixed precision off the body: a head is fitted, and asked, on the embeddings that it will be used on."""
        mixed = vars(self._body).pop("forward", None)  # accelerate's, in front of the class's own
        try:
            yield
        finally:
            if mixed is not None:
                self._body.forward = mixed  # type: ignore[method-assign] # as accelerate does

    @torch.no_grad()
    def _loss_on(self, contrast: Contrast, embeddings: torch.Tensor) -> float:
        """Give the mean loss over batches, each weighing as much as it has items; NaN if there are none."""
        most = None if self._ours.eval_max_steps == -1 else self._ours.eval_max_steps
        total, number = 0.0, 0
        for indices in itertools.islice(held_out_order(contrast, self._ours), most):
            total += len(indices) * contrast.loss_on(embeddings, indices).item()
            number += len(indices)
        return total / number if number else math.nan

    def _save_checkpoint(self, model: torch.nn.Module, trial: object) -> None:
        """Write a checkpoint of the run whole or not at all.

        Raises:
            TrainingDiverged: A weight is no number.
            RunNotSaved: It cannot be written.
        """
        del model, trial  # transformers' signature
        self.check_weights()
        self.write_step(self._make_step(self._head_so_far(), self.losses, self.state.log_history))

    def save_last_step(self) -> None:
        """Write the last step as `_save_checkpoint` does, unless it is there.

        Raises:
            TrainingDiverged: A weight is no number.
            RunNotSaved: It cannot be written.
        """
        if not self.last_step.exists():
            self._save_checkpoint(self._body, None)

    @property
    def last_step(self) -> Path:
        """Where the checkpoint of the last step is, or would be."""
        return self._folder / f"checkpoint-{self.state.global_step}"

    def write_step(self, step: Step) -> Path:
        """Write the last step as a checkpoint of the run.

        Args:
            step: Writes what is not the trainer's own.

        Returns:
            Its folder.

        Raises:
            RunNotSaved: It cannot be written.
        """
        folder = self.last_step
        self.store_flos()
        best = self._folder / f"checkpoint-{self.state.best_global_step}"
        if best == folder or best.is_dir():
            self.state.best_model_checkpoint = str(best)
        _keep_callback_states(self)
        with (
            writing(folder, f"{self._last_whole()}; make room, then go on with resume"),
            new_folder(folder, overwrite=True) as staging,
        ):
            step(staging)
            self._save_own_parameters(staging)
            self._save_optimizer_and_scheduler(str(staging))
            self._save_scaler(str(staging))
            self._save_rng_state(str(staging))
            self.state.save_to_json(str(staging / "trainer_state.json"))
        rotate_checkpoints(str(self._folder), self.args.save_total_limit, self.state.best_model_checkpoint)
        return folder

    def _last_whole(self) -> str:
        saved = step_folders(self._folder)
        return f"the last whole one is {saved[-1]}" if saved else "there is none before it"

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: torch.nn.Module | None = None) -> None:
        """Take the weights of a checkpoint of the run."""
        del model  # transformers' signature
        folder = Path(resume_from_checkpoint)
        with reading(folder):
            # transformers reads its state outside of what can be overridden.
            TrainerState.load_from_json(str(folder / "trainer_state.json"))
            self._body.load_state_dict(load_body(folder, None, "cpu").state_dict())
            if own := self._own_parameters():
                saved = safetensors.torch.load_file(folder / _LOSS_FILE)
                for name, parameter in own.items():
                    parameter.data.copy_(saved[name])

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        with reading(checkpoint):
            super()._load_optimizer_and_scheduler(checkpoint)

    def _load_scaler(self, checkpoint: str | None) -> None:
        with reading(checkpoint):
            super()._load_scaler(checkpoint)

    def _load_rng_state(self, checkpoint: str | None) -> None:
        with reading(checkpoint):
            super()._load_rng_state(checkpoint)

    def _own_parameters(self) -> dict[str, torch.nn.Parameter]:
        """Give the parameters of the loss that are not the body's."""
        of_body = {id(parameter) for parameter in self._body.parameters()}
        named = self._contrast.trained.named_parameters()
        return {name: parameter for name, parameter in named if id(parameter) not in of_body}

    def _save_own_parameters(self, folder: Path) -> None:
        if own := self._own_parameters():
            tensors = {name: parameter.detach().contiguous() for name, parameter in own.items()}
            safetensors.torch.save_file(tensors, folder / _LOSS_FILE)

    def _load_best_model(self) -> None:
        self._load_from_checkpoint(str(self.state.best_model_checkpoint))


def _keep_callback_states(trainer: Trainer) -> None:
    """Note the states of callbacks that have one, such as early stopping's patience, in the trainer's state."""
    callbacks = [*trainer.callback_handler.callbacks, trainer.control]
    states: dict[str, Any] = {}
    for callback in callbacks:
        if isinstance(callback, ExportableState):
            states.setdefault(type(callback).__name__, []).append(callback.state())
    trainer.state.stateful_callbacks = states  # type: ignore[assignment] # as transformers itself has it by then
