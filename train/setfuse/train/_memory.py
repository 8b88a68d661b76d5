"""Running out of memory, by whatever name it comes, told as one error."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from accelerate.utils.memory import should_reduce_batch_size

from ._errors import OutOfMemory

_NO_ROOM = (RuntimeError, MemoryError)
"""What torch and Python raise then; torch raises the first for much else as well."""


_ONEDNN = "could not create a primitive"
"""What oneDNN, torch's matrix products on a CPU, says where it finds no room for its own; it never says why."""


def is_out_of_memory(error: Exception) -> bool:
    """Tell whether torch, on a GPU or not, or Python had no room."""
    return isinstance(error, MemoryError) or str(error) == _ONEDNN or should_reduce_batch_size(error)


@contextmanager
def out_of_memory_told(message: Callable[[], str]) -> Iterator[None]:
    """Say what there was no room for, if the block runs out of memory.

    Args:
        message: Says it.

    Raises:
        OutOfMemory: It did.
    """
    try:
        yield
    except _NO_ROOM as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemory(message()) from error
