"""Read a pickled head without letting the pickle run anything: first into records, then into estimators of ours."""

import lzma
import pickle
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

from setfuse.export._errors import CheckpointError, ExportError, UnsupportedCheckpoint

from ._attributes import HEADS
from ._compressed import decompressed
from ._make import Maker
from ._opcodes import Limited, Reader, Refused
from ._record import Damaged, described, is_a
from ._torch_head import NAME, differentiable_of

DAMAGE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    Damaged,
    EOFError,
    LookupError,
    MemoryError,
    NameError,
    RecursionError,
    SystemError,  # numpy's text with characters beyond Unicode
    TypeError,
    ValueError,
    lzma.LZMAError,
    pickle.UnpicklingError,
    struct.error,
    zlib.error,
)
"""What reading a damaged pickle may raise."""

OBJECTS = 4
"""For each byte of the file, compressed or not; forests take one for ten."""

FEWEST = 1 << 20
"""Objects that any file may hold."""

SHARED = 16
"""How often, on average, a pickle may use what stands in it once."""

LEAST = 1 << 26
"""Bytes that any file may ask for so."""


def unpickle(path: Path, supported: str) -> Any:
    """Read a pickled head.

    Args:
        path: A file of `joblib.dump` or `pickle.dump`.
        supported: A sentence that lists what is, for the error.

    Returns:
        An estimator of scikit-learn's, or a `DifferentiableHead`: made here of what the pickle says, and checked.

    Raises:
        CheckpointError: The file is damaged, or asks for more memory than one of its size may.
        UnsupportedCheckpoint: It mentions a name that is not on the list, or a setting that is not supported.
    """
    reader: Reader | None = None
    try:
        data = path.read_bytes()
        file = decompressed(data)
        reader = Reader(file, Limited(Reader.dispatch, max(FEWEST, OBJECTS * len(data))))
        with warnings.catch_warnings():  # scikit-learn's, of what it deprecates
            warnings.simplefilter("ignore")
            head = reader.load()
            if is_a(head, NAME):
                return differentiable_of(head)
            if not is_a(head, *HEADS):
                raise UnsupportedCheckpoint(f"the head is {described(head)}: not supported; {supported}")
            return Maker(max(LEAST, SHARED * file.getbuffer().nbytes)).estimator(head, *HEADS)
    except Refused as refused:
        raise UnsupportedCheckpoint(
            f"{path}: the pickle asks {refused}; no supported head needs that, and nothing was run; {supported}"
        ) from refused
    except ExportError as error:
        raise type(error)(f"{path}: {error}") from error
    except OSError as error:
        raise CheckpointError(f"{path}: expected a pickled head, cannot read it: {error.strerror or error}") from error
    except (*DAMAGE, ImportError) as error:  # of a module that the installed scikit-learn calls otherwise
        raise CheckpointError(
            f"{path}: expected a pickled head, found damage ({error!r:.200}){_versions(reader)}"
        ) from error


def _versions(reader: Reader | None) -> str:
    import sklearn

    if reader is None or reader.version in {None, sklearn.__version__}:
        return ""
    return (
        f"; it was written by scikit-learn {reader.version:.20} and is read by {sklearn.__version__}: "
        "install that version, or write it again"
    )
