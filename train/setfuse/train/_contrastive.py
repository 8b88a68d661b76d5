"""The contrastive phase: fine-tune the body so that texts of one label come to lie together."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sentence_transformers import SentenceTransformer
from transformers import TrainerCallback, TrainerState

from ._arguments import TrainingArguments
from ._callbacks import LogLines, SaveWhenDue, StopWhenInterrupted, logger, tell_saved
from ._contrast import Contrast
from ._head import FittedHead
from ._memory import out_of_memory_told
from ._reports import tensorboard_folder
from ._runs import clear_output_dir, read_run
from ._trainer import ContrastiveTrainer, Judge, Step
from ._transformers_arguments import transformers_arguments


@dataclass(frozen=True, slots=True)
class Progress:
    """What the contrastive phase has done, so far or in all.

    Attributes:
        losses: The loss of each step, before it.
        evaluations: What each evaluation on the way found, and its `step`.
        best_step: Whose weights the body has, where the best are asked for; None for the last.
        log: What transformers' trainer logged, a line each.
    """

    losses: tuple[float, ...]
    evaluations: tuple[Mapping[str, float], ...]
    best_step: int | None = None
    log: tuple[Mapping[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class FineTuned(Progress):
    """What the contrastive phase did.

    Attributes:
        last_step: Where the checkpoint of the last step is, or would be.
        write_step: Writes it, should what follows fail, given what writes all that is not the trainer's own.
    """

    last_step: Path = field(kw_only=True)
    write_step: Callable[[Step], Path] = field(kw_only=True)


def _progress(losses: Sequence[float], history: Sequence[Mapping[str, Any]]) -> Progress:
    return Progress(tuple(losses), tuple(_evaluations(history)), log=tuple(history))


def fine_tune(
    body: SentenceTransformer,
    contrast: Contrast,
    args: TrainingArguments,
    *,
    judge: Judge | None = None,
    fit_head: Callable[[], FittedHead],
    make_step: Callable[[FittedHead, Progress], Step],
    resume_from: Path | None = None,
    overwrite: bool = False,
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
        judge: What to evaluate it on while it is trained, if `args` asks for that.
        fit_head: Makes a head on the body as it is.
        make_step: Makes what is not the trainer's own in a checkpoint of the run, given that head and what was done so
            far.
        resume_from: The checkpoint to go on from.
        overwrite: Another run in `args.output_dir` may be replaced.
        callbacks: As transformers has them.
        progress: Show a progress bar on stderr.

    Raises:
        TrainingDiverged: The loss, a gradient or a weight became NaN or infinite.
        OutOfMemory: A step needs more memory than there is.
        OutputExists: Another run came to `args.output_dir` in the meantime, and `overwrite` is false.
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
            fit_head=fit_head,
            make_step=lambda head, losses, history: make_step(head, _progress(losses, history)),
            earlier_losses=() if resume_from is None else read_run(resume_from).losses,
            callbacks=[SaveWhenDue(), LogLines(), *callbacks, interrupts],
        )
    try:
        with interrupts.listening(), out_of_memory_told(lambda: _out_of_memory(args, trainer.state.global_step)):
            if args.save_strategy != "no":  # not before: what is refused until here is to cost no earlier run
                clear_output_dir(args.output_dir, resume_from=resume_from, overwrite=overwrite)
            trainer.train(resume_from_checkpoint=None if resume_from is None else str(resume_from))
            trainer.check_weights()
            best_step = _best_step(trainer.state) if args.load_best_model_at_end else None
            if interrupts.interrupted and args.save_strategy != "no" and best_step is None:
                trainer.save_last_step()
                tell_saved(trainer.state.global_step, args.output_dir)
    finally:
        # Mixed precision wraps the body's forward; what comes next is float32.
        trainer.accelerator.unwrap_model(body, keep_fp32_wrapper=False)
        body.eval()
    state = trainer.state
    return FineTuned(
        losses=tuple(trainer.losses),
        evaluations=tuple(_evaluations(state.log_history)),
        best_step=best_step,
        last_step=trainer.last_step,
        write_step=trainer.write_step,
        log=tuple(state.log_history),
    )


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
