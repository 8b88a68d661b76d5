"""Read a pickled head without letting the pickle run anything: an explicit list of names, and no call but our own.

joblib's files are pickles with the bytes of each array standing right behind its description, plain or compressed; an
ordinary pickle is read alike. Python's own unpickler in Python is what is restricted here: the one in C reads ahead,
beyond the bytes of the arrays.
"""

import importlib
import io
import lzma
import pickle
import struct
import warnings
import zlib
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from types import BuiltinFunctionType, FunctionType
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from setfuse.export._errors import CheckpointError, UnsupportedCheckpoint

from ._admitted import ARRAYS, ESTIMATORS, LEFT_OUT
from ._arrays import (
    Damaged,
    Wrapper,
    array_of,
    count,
    new_dtype,
    new_scalar,
    new_tree,
    set_array_state,
    set_dtype_state,
    set_tree_state,
)
from ._compressed import decompressed
from ._torch_head import Module, new_parameter, new_storage, new_tensor

DAMAGE = (
    ArithmeticError,
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


class LeftOut:
    """Stands for what only fitting needs, whatever it is called with."""

    def __init__(self, *_: object) -> None:
        """Take anything and keep nothing."""


def unpickle(path: Path, supported: str) -> Any:
    """Read a pickled estimator.

    Args:
        path: A file of `joblib.dump` or `pickle.dump`.
        supported: A sentence that lists what is, for the error.

    Returns:
        The estimator. Nothing of it has been run but scikit-learn's own `__setstate__`.

    Raises:
        CheckpointError: The file is damaged, or too large.
        UnsupportedCheckpoint: It mentions a name that is not on the list; nothing was called.
    """
    unpickler: _Unpickler | None = None
    try:
        unpickler = _Unpickler(decompressed(path.read_bytes()))
        with warnings.catch_warnings():  # scikit-learn's, about its version: told below where it matters
            warnings.simplefilter("ignore")
            return unpickler.load()
    except _Refused as refused:
        raise UnsupportedCheckpoint(
            f"{path}: the pickle asks {refused}; no supported head needs that, and nothing was run; {supported}"
        ) from refused
    except OSError as error:
        raise CheckpointError(f"{path}: expected a pickled head, cannot read it: {error.strerror or error}") from error
    except DAMAGE as error:
        raise CheckpointError(
            f"{path}: expected a pickled head, found damage ({error!r:.200}){_versions(unpickler)}"
        ) from error


def _versions(unpickler: "_Unpickler | None") -> str:
    import sklearn

    if unpickler is None or unpickler.version in {None, sklearn.__version__}:
        return ""
    return (
        f"; it was written by scikit-learn {unpickler.version} and is read by {sklearn.__version__}: "
        "install that version, or write it again"
    )


class _Refused(Exception):
    """The pickle wants something that is not admitted; the text says what."""


def _called(value: Any) -> str:
    """Name a value without asking it: its own `repr` would be run."""
    if isinstance(value, type | FunctionType | BuiltinFunctionType):
        return f"{value.__module__}.{value.__qualname__}"
    return f"a {type(value).__name__} that is there already"


def _new_bytes(text: str = "", encoding: str = "latin1") -> bytes:
    """Stand for how pickles before protocol 3 write bytes.

    Raises:
        Damaged: They are in another encoding than pickle's.
    """
    if encoding != "latin1":
        raise Damaged(f"bytes in the encoding {encoding!r}")
    return text.encode("latin1")


def _new_array(subclass: Any, shape: Any, code: Any) -> npt.NDArray[Any]:
    if subclass is not np.ndarray or shape != (0,) or code != b"b":
        raise Damaged("an array that starts otherwise than numpy's do")
    return np.empty(0)


_MAKERS: dict[str, Callable[..., Any]] = {
    "OrderedDict": OrderedDict,
    "bytes": _new_bytes,
    "encode": _new_bytes,
    "_frombuffer": array_of,
    "_load_from_bytes": new_storage,
    "_rebuild_parameter": new_parameter,
    "_rebuild_tensor_v2": new_tensor,
    "_reconstruct": _new_array,
    "device": LeftOut,
    "dtype": new_dtype,
    "scalar": new_scalar,
    "Tree": new_tree,
}
"""What a pickle may call, by name: functions of ours, all but the first."""

_STAND_INS: dict[str, type] = {
    "Linear": Module,
    "NumpyArrayWrapper": Wrapper,
    "SetFitHead": Module,
    "ndarray": np.ndarray,
}


class _Unpickler(pickle._Unpickler):  # noqa: SLF001 - joblib's own is made of it too
    """Reads a stream of opcodes; each that could run code is ours here.

    An object gets its state once, by our functions. Beside that only plain lists, dicts and sets are filled, which
    nothing has looked at yet: an array or an estimator that was checked stays as it is.
    """

    # The base's own, which its annotations leave out.
    stack: list[Any]
    read: Callable[[int], bytes]
    append: Callable[[Any], None]
    pop_mark: Callable[[], list[Any]]
    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = dict(pickle._Unpickler.dispatch)  # noqa: SLF001

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self.file = file
        self.version: str | None = None
        self._classes: set[Any] = set()
        self._unfilled: dict[int, Any] = {}  # by identity; the values keep an identity from being used again

    def find_class(self, module: str, name: str) -> Any:
        """Look a name up on the list; nothing else is imported.

        Raises:
            _Refused: It is not there.
        """
        if name in ARRAYS.get(module, ()):
            return _STAND_INS.get(name) or _MAKERS[name]
        if name in LEFT_OUT.get(module, ()):
            return LeftOut
        if name not in ESTIMATORS.get(module, ()):
            raise _Refused(f"for {module}.{name}")
        found = getattr(importlib.import_module(module), name)
        self._classes.add(found)
        return found

    def load_reduce(self) -> None:
        """Call one of our own functions.

        Raises:
            _Refused: It is none of them.
        """
        arguments = self.stack.pop()
        function = self.stack[-1]
        known = any(function is maker for maker in (LeftOut, *_MAKERS.values()))
        if not known or not isinstance(arguments, tuple) or (function is OrderedDict and arguments):
            raise _Refused(f"to call {_called(function)}")
        made = function(*arguments)
        if function in {_new_array, new_dtype, new_tree}:
            self._unfilled[id(made)] = made
        self.stack[-1] = made

    def load_newobj(self) -> None:
        """Make an empty object of an admitted class.

        Raises:
            _Refused: The class is not admitted, or it is to be made of something.
        """
        arguments = self.stack.pop()
        cls: Any = self.stack[-1]
        if cls is LeftOut:
            self.stack[-1] = LeftOut()
            return
        if cls is Module or cls is Wrapper:
            made = cls()
        elif isinstance(cls, type) and cls in self._classes and arguments == ():
            made = object.__new__(cls)
        else:
            raise _Refused(f"to make {_called(cls)} of something")
        self._unfilled[id(made)] = made
        self.stack[-1] = made

    def load_build(self) -> None:
        """Give an object its state, once.

        Raises:
            _Refused: It was not made here, or has its state already.
        """
        state = self.stack.pop()
        made = self.stack[-1]
        if isinstance(made, LeftOut):
            return
        if self._unfilled.pop(id(made), None) is not made:
            raise _Refused(f"to change {_called(made)}")
        if isinstance(made, Wrapper):
            made.take(state)
            self.stack[-1] = self._read_array(made)
        elif isinstance(made, Module):
            made.take(state)
        elif isinstance(made, np.ndarray):
            set_array_state(made, state)
        elif isinstance(made, np.dtype):
            set_dtype_state(made, state)
        elif type(made) in self._classes:
            self._set_attributes(made, state)
        else:
            set_tree_state(made, state)

    def _set_attributes(self, made: Any, state: Any) -> None:
        if not isinstance(state, dict):
            raise Damaged(f"a {type(made).__name__} of another state than a dict")
        for name in state:
            if not isinstance(name, str) or name.startswith("__") or callable(getattr(type(made), name, None)):
                raise _Refused(f"to replace {type(made).__name__}.{name!s:.80}")
        version = state.get("_sklearn_version")
        if self.version is None and isinstance(version, str):
            self.version = version
        if "n_jobs" in state:  # how many processes to start is not the file's to say
            state["n_jobs"] = None
        if hasattr(type(made), "__setstate__"):
            made.__setstate__(state)
        else:
            made.__dict__.update(state)

    def _read_array(self, wrapper: Wrapper) -> npt.NDArray[Any]:
        """Read the bytes of an array that stand behind its description.

        Raises:
            Damaged: They are not all there.
            _Refused: It is no ordinary array.
        """
        elements = count(wrapper.shape, wrapper.dtype)
        if wrapper.subclass is not np.ndarray:
            raise _Refused(f"for an array of the kind {_called(wrapper.subclass)}")
        dtype: Any = wrapper.dtype
        if dtype.kind == "O":  # a pickle inside the pickle, under the same rules
            array = type(self)(self.file).load()
            if not isinstance(array, np.ndarray):
                raise Damaged("an array of objects that is none")
            return array
        if wrapper.alignment is not None:
            self.file.read(int.from_bytes(self.file.read(1), "little"))
        return array_of(self.file.read(elements * dtype.itemsize), dtype, wrapper.shape, wrapper.order)

    def load_append(self) -> None:
        """Add an item to a list."""
        value = self.stack.pop()
        self._plain(list).append(value)

    def load_appends(self) -> None:
        """Add items to a list."""
        items = self.pop_mark()
        self._plain(list).extend(items)

    def load_setitem(self) -> None:
        """Add an item to a dict."""
        value, key = self.stack.pop(), self.stack.pop()
        self._plain(dict, OrderedDict)[key] = value

    def load_setitems(self) -> None:
        """Add items to a dict."""
        items = self.pop_mark()
        self._plain(dict, OrderedDict).update(zip(items[::2], items[1::2], strict=True))

    def load_additems(self) -> None:
        """Add items to a set."""
        items = self.pop_mark()
        self._plain(set).update(items)

    def _plain(self, *kinds: type) -> Any:
        """Give what is on top of the stack; Python's own takes anything there, and calls an `extend` that the file set.

        Raises:
            _Refused: It is of another kind.
        """
        target = self.stack[-1]
        if type(target) not in kinds:
            raise _Refused(f"to fill {_called(target)}")
        return target

    def load_bytearray8(self) -> None:
        """Read a bytearray; Python's own would take its memory before it sees whether it is there.

        Raises:
            Damaged: It is not all there.
        """
        (size,) = struct.unpack("<Q", self.read(8))
        data = self.read(size)
        if len(data) != size:
            raise Damaged(f"{size} bytes where {len(data)} are left")
        self.append(bytearray(data))

    def refuse(self) -> None:
        """Refuse an opcode that no head needs.

        Raises:
            _Refused: Always.
        """
        raise _Refused("to make an object in an old or unusual way")

    dispatch[pickle.REDUCE[0]] = load_reduce
    dispatch[pickle.NEWOBJ[0]] = load_newobj
    dispatch[pickle.BUILD[0]] = load_build
    dispatch[pickle.APPEND[0]] = load_append
    dispatch[pickle.APPENDS[0]] = load_appends
    dispatch[pickle.SETITEM[0]] = load_setitem
    dispatch[pickle.SETITEMS[0]] = load_setitems
    dispatch[pickle.ADDITEMS[0]] = load_additems
    dispatch[pickle.BYTEARRAY8[0]] = load_bytearray8
    for _opcode in (
        pickle.INST,
        pickle.OBJ,
        pickle.NEWOBJ_EX,
        pickle.EXT1,
        pickle.EXT2,
        pickle.EXT4,
        pickle.PERSID,
        pickle.BINPERSID,
        pickle.NEXT_BUFFER,
        pickle.READONLY_BUFFER,
    ):
        dispatch[_opcode[0]] = refuse
