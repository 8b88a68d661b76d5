"""The contrastive phase: fine-tune the body so that texts of one label come to lie together."""

import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelerate.utils.memory import should_reduce_batch_size
from safetensors import SafetensorError
from sentence_transformers import SentenceTransformer
from transformers import TrainerCallback, TrainerState

from ._arguments import TrainingArguments
from ._callbacks import LogLines, SaveWhenDue, StopWhenInterrupted, logger
from ._contrast import Contrast
from ._errors import BaseModelNotFound, OutOfMemory, RunNotResumable
from ._reports import tensorboard_folder
from ._runs import read_run
from ._trainer import ContrastiveTrainer, Judge, transformers_arguments


@dataclass(frozen=True, slots=True)
class FineTuned:
    """What the contrastive phase did.

    Attributes:
        losses: The loss of each step, before it.
        evaluations: What each evaluation on the way found, and its `step`.
        best_step: Whose weights the body has, where the best are asked for; None for the last.
        log: What transformers' trainer logged, a line each.
    """

    losses: tuple[float, ...]
    evaluations: tuple[Mapping[str, float], ...]
    best_step: int | None
    log: tuple[Mapping[str, float], ...] = ()


def fine_tune(
    body: SentenceTransformer,
    contrast: Contrast,
    args: TrainingArguments,
    *,
    judge: Judge | None = None,
    save_rest: Callable[[Path, Sequence[float]], None],
    resume_from: Path | None = None,
    callbacks: Sequence[TrainerCallback] = (),
    progress: bool = False,
) -> FineTuned:
    """Train the body in place, with SetFit's recipe: AdamW, a linear schedule, clipped gradients.

    A batch of pairs names few distinct texts, so each is embedded once a step and the loss is taken on rows of that:
    the same gradient as embedding both sides of every pair, at a fraction of the time; only the dropout masks differ,
    which the occurrences of a text then share within a step.

    Args:
        body: Trained in place.
        contrast: What on.
        args: The hyperparameters.
        judge: How to evaluate it on the way, if `args` asks for that.
        save_rest: Writes into a checkpoint of the run what is not the trainer's own: its folder and the losses
            so far are given.
        resume_from: The checkpoint to go on from.
        callbacks: As transformers has them.
        progress: Show a progress bar on stderr.

    Raises:
        TrainingDiverged: The loss became NaN or infinite.
        OutOfMemory: A step needs more memory than there is.
        RunNotSaved: A checkpoint of the run cannot be written.
        RunNotResumable: `resume_from` cannot be read.
        UsageError: This machine cannot do what `args` asks for.
        KeyboardInterrupt: Ctrl-C; what was done is saved.
    """
    interrupts = StopWhenInterrupted()
    with tensorboard_folder(args.logging_dir):
        trainer = ContrastiveTrainer(
            body,
            contrast,
            args,
            transformers_arguments(args, body, progress=progress),
            judge=judge,
            save_rest=save_rest,
            earlier_losses=[] if resume_from is None else read_run(resume_from)[1],
            callbacks=[SaveWhenDue(), LogLines(), *callbacks, interrupts],
        )
    try:
        with interrupts.listening():
            trainer.train(resume_from_checkpoint=None if resume_from is None else str(resume_from))
    except _READING as error:
        if should_reduce_batch_size(error):
            raise OutOfMemory(_out_of_memory(args, trainer.state.global_step)) from error
        if resume_from is None or trainer.began:
            raise
        raise RunNotResumable(f"{resume_from}: expected a checkpoint of a run, cannot read it: {error}") from error
    finally:
        # Mixed precision wraps the body's forward; what comes next is float32.
        trainer.accelerator.unwrap_model(body, keep_fp32_wrapper=False)
        body.eval()
    state = trainer.state
    return FineTuned(
        losses=tuple(trainer.losses),
        evaluations=tuple(_evaluations(state.log_history)),
        best_step=_best_step(state) if args.load_best_model_at_end else None,
        log=tuple(state.log_history),
    )


_READING = (
    RuntimeError,
    pickle.UnpicklingError,
    SafetensorError,
    OSError,
    EOFError,
    ValueError,
    KeyError,
    BaseModelNotFound,
)
"""What reading a broken checkpoint raises, in transformers, torch and sentence-transformers."""


def _best_step(state: TrainerState) -> int | None:
    """Give the step whose weights transformers has loaded."""
    if state.best_model_checkpoint is None:
        logger.warning("no evaluation found a best checkpoint that is still there; the last step is kept")
        return None
    return int(state.best_model_checkpoint.rpartition("-")[2])


def _out_of_memory(args: TrainingArguments, steps_done: int) -> str:
    return (
        f"step {steps_done + 1}: expected room for a batch_size of {args.embedding_batch_size}, ran out of memory; "
        "lower batch_size and raise gradient_accumulation_steps "
        f"(now {args.gradient_accumulation_steps}) as much, or lower max_length"
    )


def _evaluations(history: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, float]]:
    for entry in history:
        found = {name.removeprefix("eval_"): value for name, value in entry.items() if name.startswith("eval_")}
        if found:
            yield {"step": entry["step"], **found}
