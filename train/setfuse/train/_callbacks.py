"""What goes along with the training: when to save, log lines, a progress bar, and Ctrl-C."""

import contextlib
import logging
import signal
import threading
from collections.abc import Iterator
from typing import Any

from transformers import ProgressCallback, TrainerCallback, TrainerControl, TrainerState
from transformers import TrainingArguments as TransformersArguments

from ._ranges import EMBEDDING_LOSS

logger = logging.getLogger("setfuse.train")


class SaveWhenDue(TrainerCallback):
    """Save every `save_steps`, and not at the end: that is the checkpoint that the training writes.

    transformers saves the last step always.
    """

    def on_step_end(
        self, args: TransformersArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> TrainerControl:
        """Take back a save that is not due."""
        if args.save_strategy == "steps" and state.global_step % state.save_steps != 0:
            control.should_save = False
        return control


class LogLines(TrainerCallback):
    """Tell the logger `setfuse.train` what is logged."""

    def on_log(
        self,
        args: TransformersArguments,  # noqa: ARG002 - transformers' signature
        state: TrainerState,
        control: TrainerControl,  # noqa: ARG002
        **given: Any,
    ) -> None:
        """Write one line."""
        logs: dict[str, float] = given["logs"]
        where = f"step {state.global_step} of {state.max_steps}"
        if EMBEDDING_LOSS in logs:
            norm = f", gradient norm {logs['grad_norm']:.3g}" if "grad_norm" in logs else ""
            rate = logs["learning_rate"]
            logger.info("%s: loss %.4f%s, learning rate %.3g", where, logs[EMBEDDING_LOSS], norm, rate)
        elif judged := {name: value for name, value in logs.items() if name.startswith("eval_")}:
            values = ", ".join(f"{name.removeprefix('eval_')} {value:.4f}" for name, value in judged.items())
            logger.info("%s: held-out %s", where, values)


class ProgressBar(ProgressCallback):
    """transformers' bar on stderr, without its lines on stdout."""

    def on_log(self, *_: Any, **__: Any) -> None:
        """Leave the lines to `LogLines`."""


class StopWhenInterrupted(TrainerCallback):
    """Turn Ctrl-C into a save at the end of the step, and then into KeyboardInterrupt.

    An interrupt in the middle of a step would leave half an update to save. A second Ctrl-C does not wait.

    Attributes:
        interrupted: Whether it came.
    """

    def __init__(self) -> None:
        self.interrupted = False

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Take SIGINT while the block runs; outside the main thread, and where it is ignored, do nothing.

        Raises:
            KeyboardInterrupt: It came after the last step.
        """
        before = signal.getsignal(signal.SIGINT)
        if threading.current_thread() is not threading.main_thread() or not callable(before):
            yield
            return

        def interrupt(number: int, frame: Any) -> None:
            if self.interrupted:
                before(number, frame)
            self.interrupted = True

        signal.signal(signal.SIGINT, interrupt)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)
        if self.interrupted:  # after the last step
            raise KeyboardInterrupt

    def on_step_end(
        self,
        args: TransformersArguments,
        state: TrainerState,  # noqa: ARG002 - transformers' signature
        control: TrainerControl,
        **_: Any,
    ) -> TrainerControl:
        """Ask for a save, or stop at once where nothing is saved.

        Raises:
            KeyboardInterrupt: It came.
        """
        if self.interrupted:
            if args.save_strategy == "no":
                raise KeyboardInterrupt
            control.should_save = True
        return control

    def on_save(
        self,
        args: TransformersArguments,
        state: TrainerState,
        control: TrainerControl,  # noqa: ARG002 - transformers' signature
        **_: Any,
    ) -> None:
        """Stop, the step being saved.

        Raises:
            KeyboardInterrupt: It came.
        """
        if self.interrupted:
            tell_saved(state.global_step, args.output_dir)
            raise KeyboardInterrupt


def tell_saved(step: int, output_dir: str | None) -> None:
    """Say that Ctrl-C has stopped the training, and what is saved."""
    logger.warning("interrupted: step %d is saved in %s; go on with resume", step, output_dir)
