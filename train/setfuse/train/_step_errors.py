"""What goes wrong with the files of a checkpoint of a run, said in one way."""

import contextlib
import pickle
from collections.abc import Iterator
from pathlib import Path

from safetensors import SafetensorError

from setfuse.runtime import SetfuseError

from ._errors import BaseModelNotFound, RunNotResumable, RunNotSaved
from ._memory import is_out_of_memory

_WRITING = (OSError, SafetensorError, RuntimeError)
"""What a full disk raises, in Python, safetensors and torch."""

_TORCHS_WRITER = ("inline_container", "iostream error")
"""What torch's writer of files says, as a RuntimeError: where a write fails, and where only the last one does."""

_READING = (
    RuntimeError,
    pickle.UnpicklingError,
    SafetensorError,
    OSError,
    EOFError,
    ValueError,
    KeyError,
    TypeError,
    BaseModelNotFound,
)
"""What a broken checkpoint raises, in transformers, torch and sentence-transformers."""


@contextlib.contextmanager
def writing(folder: Path, advice: str) -> Iterator[None]:
    """Turn what a full disk raises, in Python, safetensors and torch, into one error.

    Args:
        folder: What is written.
        advice: What is there all the same, and what to do; the end of the message.

    Raises:
        RunNotSaved: It cannot be written.
    """
    try:
        yield
    except _WRITING as error:
        if isinstance(error, SetfuseError):  # said already
            raise
        if isinstance(error, RuntimeError) and not any(sign in str(error) for sign in _TORCHS_WRITER):
            raise
        raise RunNotSaved(f"{folder}: the checkpoint cannot be written: {error}; {advice}") from error


@contextlib.contextmanager
def reading(checkpoint: str | Path | None) -> Iterator[None]:
    """Turn what a broken checkpoint of a run raises into one error.

    Args:
        checkpoint: What is read.

    Raises:
        RunNotResumable: It cannot be read.
    """
    try:
        yield
    except _READING as error:
        if is_out_of_memory(error):
            raise
        raise RunNotResumable(f"{checkpoint}: expected a checkpoint of a run, cannot read it: {error}") from error
