"""Read the opcodes of a pickle into plain values and records: nothing that it names is imported, made or called.

joblib's files are pickles with the bytes of each array standing right behind its description; an ordinary pickle is
read alike. Python's own unpickler in Python is what is restricted here: the one in C reads ahead, beyond the bytes of
the arrays.
"""

import io
import pickle
import struct
from collections.abc import Callable
from typing import Any, ClassVar

from ._admitted import CALLS, ESTIMATORS, LEFT_OUT, MENTIONED, STATES
from ._arrays import bytes_of, code_of, count, width_of
from ._record import Damaged, Name, Record, described, is_a

LARGEST_KEY = 1 << 60
"""Integers below it are their own hash: larger ones can be chosen to have all the same, which takes forever."""


STORAGE = "storage"
"""What torch calls a storage."""


class Refused(Exception):
    """The pickle wants something that is not admitted; the text says what."""


class Limited(dict[int, Callable[[Any], None]]):
    """A table of opcodes that may be asked so often, and no more: each can take up some hundred bytes of memory."""

    def __init__(self, table: dict[int, Callable[[Any], None]], limit: int) -> None:
        super().__init__(table)
        self.left = limit

    def __getitem__(self, opcode: int) -> Callable[[Any], None]:
        self.left -= 1
        if self.left < 0:
            raise Damaged("more objects than a file of its size may hold")
        return super().__getitem__(opcode)


def _has(table: dict[str, tuple[str, ...]], name: Name) -> bool:
    return name.name in table.get(name.module, ())


class Reader(pickle._Unpickler):  # noqa: SLF001 - joblib's own is made of it too
    """Reads a stream of opcodes; each that could run code is ours here.

    Beside records only plain lists, dicts and sets are filled. As nothing is made before the last opcode, a file
    cannot change what has been looked at already.
    """

    # The base's own, which its annotations leave out.
    stack: list[Any]
    read: Callable[[int], bytes]
    append: Callable[[Any], None]
    pop_mark: Callable[[], list[Any]]
    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = dict(pickle._Unpickler.dispatch)  # noqa: SLF001

    def __init__(self, file: io.BytesIO, opcodes: Limited) -> None:
        """Read from where the file stands.

        Args:
            file: Decompressed.
            opcodes: `Reader.dispatch`, limited; pickles inside the pickle use up the same.
        """
        super().__init__(file)
        self.file = file
        self.version: str | None = None
        self.opcodes = opcodes
        self.dispatch = opcodes  # type: ignore[misc] # the base's loop looks it up here

    def find_class(self, module: str, name: str) -> Name:
        """Look a name up on the lists; nothing is imported.

        Raises:
            Refused: It is not there.
        """
        found = Name(module, name)
        if not any(_has(table, found) for table in (ESTIMATORS, STATES, CALLS, MENTIONED, LEFT_OUT)):
            raise Refused(f"for {found!s:.200}")
        return found

    def load_reduce(self) -> None:
        """Note a call.

        Raises:
            Refused: It is not of an admitted function.
        """
        arguments = self.stack.pop()
        name = self.stack[-1]
        known = isinstance(name, Name) and (_has(CALLS, name) or _has(LEFT_OUT, name))
        if not known or not isinstance(arguments, tuple) or (name.name == "OrderedDict" and arguments):
            raise Refused(f"to call {described(name)}")
        if name.name == "OrderedDict":
            self.stack[-1] = {}
        elif name.name in {"bytes", "encode"}:
            self.stack[-1] = bytes_of(*arguments)
        else:
            self.stack[-1] = Record(name, arguments)

    def load_newobj(self) -> None:
        """Note an empty object.

        Raises:
            Refused: The class is not admitted, or it is to be made of something.
        """
        arguments = self.stack.pop()
        name = self.stack[-1]
        empty = isinstance(name, Name) and (_has(ESTIMATORS, name) or _has(STATES, name)) and arguments == ()
        if not empty and not (isinstance(name, Name) and _has(LEFT_OUT, name)):
            raise Refused(f"to make {described(name)} of something")
        self.stack[-1] = Record(name)

    def load_build(self) -> None:
        """Note the state of an object, once.

        Raises:
            Refused: It is no object, or has its state already.
        """
        state = self.stack.pop()
        made = self.stack[-1]
        if not isinstance(made, Record) or made.state is not None:
            raise Refused(f"to change {described(made)} that is there already")
        made.state = state
        if is_a(made, "NumpyArrayWrapper"):
            self.stack[-1] = self._read_array(state)
        elif self.version is None and isinstance(state, dict) and isinstance(state.get("_sklearn_version"), str):
            self.version = state["_sklearn_version"]

    def _read_array(self, wrapper: Any) -> Record:
        """Read the bytes of an array that stand behind joblib's description of it.

        Raises:
            Damaged: They are not there.
            Refused: It is no ordinary array.
        """
        if not isinstance(wrapper, dict) or not is_a(wrapper.get("dtype"), "dtype"):
            raise Damaged("an array whose description is none")
        if wrapper.get("subclass") != Name("numpy", "ndarray"):
            raise Refused(f"for an array of the kind {described(wrapper.get('subclass'))}")
        dtype, shape = wrapper["dtype"], wrapper.get("shape")
        if code_of(dtype).startswith("O"):  # a pickle inside the pickle, under the same rules
            array = Reader(self.file, self.opcodes).load()
            if not is_a(array, "_reconstruct"):
                raise Damaged("an array of objects that is none")
            return array  # type: ignore[no-any-return] # is_a has seen that it is a record
        if wrapper.get("numpy_array_alignment_bytes") is not None:
            self.file.read(int.from_bytes(self.file.read(1), "little"))
        data = self.file.read(count(shape) * width_of(dtype))
        return Record(Name("numpy._core.numeric", "_frombuffer"), (data, dtype, shape, wrapper.get("order")))

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
        self._plain(dict)[_key(key)] = value

    def load_setitems(self) -> None:
        """Add items to a dict."""
        items = self.pop_mark()
        self._plain(dict).update(zip(map(_key, items[::2]), items[1::2], strict=True))

    def load_dict(self) -> None:
        """Make a dict of items, as the oldest protocol does."""
        items = self.pop_mark()
        self.append(dict(zip(map(_key, items[::2]), items[1::2], strict=True)))

    def load_additems(self) -> None:
        """Add items to a set."""
        items = self.pop_mark()
        self._plain(set).update(map(_key, items))

    def _plain(self, kind: type) -> Any:
        """Give what is on top of the stack; Python's own takes anything there.

        Raises:
            Refused: It is of another kind.
        """
        target = self.stack[-1]
        if type(target) is not kind:
            raise Refused(f"to fill {described(target)}")
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
            Refused: Always.
        """
        raise Refused("to make an object in an old or unusual way")

    dispatch[pickle.REDUCE[0]] = load_reduce
    dispatch[pickle.NEWOBJ[0]] = load_newobj
    dispatch[pickle.BUILD[0]] = load_build
    dispatch[pickle.APPEND[0]] = load_append
    dispatch[pickle.APPENDS[0]] = load_appends
    dispatch[pickle.SETITEM[0]] = load_setitem
    dispatch[pickle.SETITEMS[0]] = load_setitems
    dispatch[pickle.DICT[0]] = load_dict
    dispatch[pickle.ADDITEMS[0]] = load_additems
    dispatch[pickle.BYTEARRAY8[0]] = load_bytearray8
    for _opcode in (
        pickle.INST,
        pickle.OBJ,
        pickle.NEWOBJ_EX,
        pickle.FROZENSET,
        pickle.EXT1,
        pickle.EXT2,
        pickle.EXT4,
        pickle.PERSID,
        pickle.BINPERSID,
        pickle.NEXT_BUFFER,
        pickle.READONLY_BUFFER,
    ):
        dispatch[_opcode[0]] = refuse


class StorageReader(Reader):
    """Reads the pickles of a torch storage, which refer to it from outside."""

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = dict(Reader.dispatch)

    def load_binpersid(self) -> None:
        """Note what torch says of a storage: its type, key, place and length.

        Raises:
            Damaged: It says something else.
        """
        described_by = self.stack[-1]
        if not isinstance(described_by, tuple) or len(described_by) != 6 or described_by[0] != STORAGE:  # noqa: PLR2004
            raise Damaged("a torch storage without a description")
        self.stack[-1] = Record(Name("torch", STORAGE), described_by)

    dispatch[pickle.BINPERSID[0]] = load_binpersid


def _key(key: Any) -> Any:
    """Give a key whose hash takes no time: a tuple in a tuple in a tuple is hashed over and over.

    Raises:
        Damaged: It is another.
    """
    if type(key) is int and abs(key) < LARGEST_KEY:
        return key
    if key is None or type(key) in {bool, float, str, bytes, Record}:
        return key
    raise Damaged(f"{described(key)} as a key")
