"""Arrays out of a pickle, checked before numpy takes them: its own `__setstate__` trusts what it is given."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

OBJECT_FLAGS = 0x3F
"""numpy's flags of an element that holds a reference; 0x80 is an aligned structure, 0x08 and 0x10 are harmless."""

HARMLESS_FLAGS = 0x80 | 0x10 | 0x08
STATE_VERSIONS = (3, 4)
KINDS = "biufSUVO"


class Damaged(Exception):
    """What the pickle says cannot be."""


@dataclass(slots=True)
class Wrapper:
    """joblib's note before the bytes of an array, as it stands in the file."""

    subclass: object = None
    shape: object = None
    order: object = None
    dtype: object = None
    alignment: object = field(default=None)

    def take(self, state: object) -> None:
        """Take over what joblib noted.

        Raises:
            Damaged: It noted something else.
        """
        if not isinstance(state, dict):
            raise Damaged("an array whose description is no dict")
        self.subclass, self.shape, self.order = state.get("subclass"), state.get("shape"), state.get("order")
        self.dtype, self.alignment = state.get("dtype"), state.get("numpy_array_alignment_bytes")


def new_dtype(*arguments: Any) -> np.dtype[Any]:
    """Stand for `numpy.dtype` where a pickle calls it; the state follows.

    Raises:
        Damaged: It is no type of numbers, strings or objects.
    """
    code = arguments[0] if arguments else None
    if not isinstance(code, str) or code[:1] not in KINDS or not (code[1:].isdecimal() or code == "O"):
        raise Damaged(f"the array type {code!r}")
    return np.dtype(code, copy=True)  # a copy of its own: its state is set


def set_dtype_state(dtype: np.dtype[Any], state: Any) -> None:
    """Set byte order, size and fields.

    Raises:
        Damaged: Fields outside of the element, or anything else that numpy never wrote.
    """
    if not isinstance(state, tuple) or len(state) not in {8, 9} or state[0] not in STATE_VERSIONS:
        raise Damaged(f"an array type with the state {state!r:.80}")
    _, order, subarray, names, fields, size, alignment, flags = state[:8]
    if order not in {"<", ">", "=", "|"} or subarray is not None or len(state) == 9:  # noqa: PLR2004 - with metadata
        raise Damaged("an array type with metadata or arrays inside")
    if dtype.kind == "O":
        return  # there is nothing to set
    if not all(isinstance(number, int) for number in (size, alignment, flags)) or flags & ~HARMLESS_FLAGS:
        raise Damaged("an array type that claims to hold references")
    # Arrays of this type may exist already: its size stays.
    if size not in {-1, dtype.itemsize}:
        raise Damaged(f"an array type {dtype} of {size} bytes")
    # numpy divides by the alignment, unasked.
    if alignment not in ({1, 2, 4, 8, 16} if dtype.kind == "V" else {-1, dtype.alignment}):
        raise Damaged(f"an array type {dtype} with the alignment {alignment}")
    if dtype.kind == "V":
        _check_fields(names, fields, dtype.itemsize)
    elif names is not None or fields is not None:
        raise Damaged(f"an array type {dtype} with fields")
    dtype.__setstate__(state)  # type: ignore[attr-defined] # as pickle does


def _check_fields(names: Any, fields: Any, size: int) -> None:
    if not isinstance(names, tuple) or not isinstance(fields, dict) or set(names) != set(fields):
        raise Damaged("a structured array type without fields")
    for entry in fields.values():
        if not isinstance(entry, tuple) or len(entry) != 2:  # noqa: PLR2004 - type and offset
            raise Damaged("a structured array type with titles")
        inner, offset = entry
        if not isinstance(inner, np.dtype) or inner.hasobject or not isinstance(offset, int):
            raise Damaged("a structured array type of references")
        if not 0 <= offset <= offset + inner.itemsize <= size:
            raise Damaged("a structured array type with a field outside of it")


def count(shape: Any, dtype: Any) -> int:
    """Give how many elements an array has.

    Raises:
        Damaged: The shape is none, or the type is none.
    """
    if not isinstance(dtype, np.dtype) or not isinstance(shape, tuple):
        raise Damaged("an array without type or shape")
    if not all(isinstance(length, int | np.integer) and length >= 0 for length in shape):
        raise Damaged(f"an array of the shape {shape!r:.80}")
    if dtype.hasobject and dtype.kind != "O":
        raise Damaged("a structured array of references")
    return math.prod(int(length) for length in shape)


def set_array_state(array: npt.NDArray[Any], state: Any) -> None:
    """Fill an array that `_reconstruct` made.

    Raises:
        Damaged: As many bytes or objects as the shape says are not there.
    """
    if not isinstance(state, tuple) or len(state) != 5:  # noqa: PLR2004 - as numpy writes it
        raise Damaged("an array of another state than numpy's")
    _, shape, dtype, _, data = state
    elements = count(shape, dtype)
    if dtype.kind == "O":
        sound = isinstance(data, list) and len(data) == elements
    else:
        sound = isinstance(data, bytes) and len(data) == elements * dtype.itemsize
    if not sound:
        raise Damaged(f"an array of the shape {shape} with other data")
    array.__setstate__(state)


def new_scalar(dtype: Any, data: Any) -> Any:
    """Stand for numpy's `scalar`.

    Raises:
        Damaged: The bytes are not one element's.
    """
    if not isinstance(dtype, np.dtype) or dtype.hasobject or not isinstance(data, bytes) or len(data) != dtype.itemsize:
        raise Damaged("a number with other data")
    return np.frombuffer(data, dtype)[0] if data else dtype.type()


def array_of(data: Any, dtype: Any, shape: Any, order: Any) -> npt.NDArray[Any]:
    """Stand for numpy's `_frombuffer`.

    Raises:
        Damaged: As many bytes as the shape says are not there.
    """
    elements = count(shape, dtype)
    if order not in {"C", "F"} or not isinstance(data, bytes | bytearray) or dtype.hasobject:
        raise Damaged("an array with other data")
    if len(data) != elements * dtype.itemsize:
        raise Damaged(f"an array of the shape {shape} with {len(data)} bytes")
    return np.frombuffer(bytearray(data), dtype, elements).reshape(shape, order=order)


def new_tree(features: Any, classes: Any, outputs: Any) -> Any:
    """Stand for the constructor of scikit-learn's `Tree`, which reads `classes` unchecked.

    Raises:
        Damaged: The numbers of classes are not one an output.
    """
    from sklearn.tree._tree import Tree

    sound = (
        isinstance(features, int)
        and isinstance(outputs, int)
        and isinstance(classes, np.ndarray)
        and classes.dtype == np.intp
        and features > 0
        and classes.shape == (outputs,)
        and bool(((classes > 0) & (classes < 1 << 20)).all())
    )
    if not sound:
        raise Damaged("a tree without features or classes")
    return Tree(features, classes, outputs)


def set_tree_state(tree: Any, state: Any) -> None:
    """Fill a tree.

    Raises:
        Damaged: A node leads nowhere, in a circle, or reads a feature that there is not.
    """
    from ._sound import check_nodes

    nodes = state.get("nodes") if isinstance(state, dict) else None
    if not isinstance(nodes, np.ndarray) or nodes.ndim != 1 or not nodes.size or state.get("node_count") != len(nodes):
        raise Damaged("a tree without nodes")
    if nodes.dtype.names is None or not {"left_child", "right_child", "feature"} <= set(nodes.dtype.names):
        raise Damaged("a tree with other nodes")
    if not check_nodes(nodes, tree.n_features):
        raise Damaged("a tree whose nodes lead nowhere")
    tree.__setstate__(state)
