"""numpy's types, arrays and numbers, made of what a pickle says of them: none is given a state, which numpy trusts."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ._record import Damaged, Name, described, is_a

NUMBERS = "biuf"
TEXTS = "SU"
MOST_AXES = 3
"""Of any array that a head is made of: the values of a tree have three."""
PLAIN = (bool, int, float, str, bytes, type(None))


def bytes_of(text: Any = "", encoding: Any = "latin1") -> bytes:
    """Read how pickles before protocol 3 write bytes.

    Raises:
        Damaged: They are in another encoding than pickle's, or no text.
    """
    if type(text) is not str or encoding != "latin1":
        raise Damaged("bytes in another way than pickle's")
    return text.encode("latin1")


def code_of(dtype: Any) -> str:
    """Give the code that a type is made of, such as f8.

    Raises:
        Damaged: It is none of numbers, texts, objects or a structure of numbers.
    """
    code = dtype.arguments[0] if is_a(dtype, "dtype") and dtype.arguments else None
    if type(code) is not str or not (code == "O" or (code[:1] in NUMBERS + TEXTS + "VO" and code[1:].isdecimal())):
        raise Damaged("an array of another type than numbers, texts or objects")
    return code


def width_of(dtype: Any) -> int:
    """Give the bytes of an element, at least 1.

    Raises:
        Damaged: As `code_of`, or it has none.
    """
    size = np.dtype(code_of(dtype)).itemsize
    if not size:
        raise Damaged("an array of elements without a byte")
    return size


def dtype_of(dtype: Any) -> np.dtype[Any]:
    """Make a type.

    Raises:
        Damaged: It is none of numbers, texts, objects or a structure of numbers; or of another state than numpy's.
    """
    code, state = code_of(dtype), dtype.state
    made: np.dtype[Any] = np.dtype(code)
    if not isinstance(state, tuple) or len(state) != 8:  # noqa: PLR2004 - as numpy writes it; 9 have metadata
        raise Damaged("an array type of another state than numpy's")
    _, order, subarray, names, fields = state[:5]
    if type(order) is not str or order not in "<>=|" or subarray is not None:
        raise Damaged("an array type with arrays inside")
    if made.kind != "V":
        return made.newbyteorder(order)  # type: ignore[arg-type] # one of four letters, as seen above
    named = isinstance(names, tuple) and all(type(name) is str for name in names) and isinstance(fields, dict)
    if not named or set(names) != set(fields):
        raise Damaged("a structure without fields")
    if not all(isinstance(field, tuple) and len(field) == 2 for field in fields.values()):  # noqa: PLR2004
        raise Damaged("a structure with titles")
    if not all(code_of(inner)[0] in NUMBERS for inner, _ in fields.values()):
        raise Damaged("a structure of something else than numbers")
    # numpy itself refuses fields outside of the element.
    return np.dtype(
        {
            "names": list(names),
            "formats": [dtype_of(fields[name][0]) for name in names],
            "offsets": [fields[name][1] for name in names],
            "itemsize": made.itemsize,
        }
    )


def count(shape: Any) -> int:
    """Give how many elements an array has.

    Raises:
        Damaged: The shape is none.
    """
    if not isinstance(shape, tuple) or len(shape) > MOST_AXES or not all(_is_length(length) for length in shape):
        raise Damaged("an array without a shape")
    return math.prod(shape)


def _is_length(length: Any) -> bool:
    return type(length) is int and 0 <= length < 1 << 63


def plain(value: Any) -> Any:
    """Give a number, a text or None, Python's own or numpy's.

    Raises:
        Damaged: It is something else.
    """
    if type(value) in PLAIN:
        return value
    if is_a(value, "scalar") and len(value.arguments) == 2:  # noqa: PLR2004 - type and bytes
        dtype, data = value.arguments
        if code_of(dtype)[0] in NUMBERS + TEXTS and type(data) is bytes and len(data) == width_of(dtype):
            return np.frombuffer(data, dtype_of(dtype))[0].item()
    raise Damaged(f"{described(value)} where a number or a text stands")


def array_of(value: Any, element: Callable[[Any], Any] = plain) -> npt.NDArray[Any]:
    """Make an array.

    Args:
        value: As one of `numpy` or `joblib`.
        element: Makes each element of an array of objects.

    Raises:
        Damaged: As many bytes or objects as the shape says are not there; or none, and a second axis of any length.
    """
    data, dtype, shape, order = _parts(value)
    elements = count(shape)
    if not elements and len(shape) > 1:
        raise Damaged("an array of several axes without elements")
    if code_of(dtype).startswith("O"):
        if type(data) is not list or len(data) != elements:
            raise Damaged("an array with other objects than its shape says")
        array = np.empty(elements, dtype=object)
        array[:] = [element(item) for item in data]
        return array.reshape(shape, order=order)
    if type(data) not in {bytes, bytearray} or len(data) != elements * width_of(dtype):
        raise Damaged("an array with other bytes than its shape says")
    return np.frombuffer(bytearray(data), dtype_of(dtype), elements).reshape(shape, order=order)


def _parts(value: Any) -> tuple[Any, Any, Any, Any]:
    """Give data, type, shape and order, whichever way they were written.

    Raises:
        Damaged: It is no array.
    """
    if is_a(value, "_frombuffer") and len(value.arguments) == 4:  # noqa: PLR2004 - as numpy writes it
        data, dtype, shape, order = value.arguments
        if type(order) is str and order in {"C", "F"}:
            return data, dtype, shape, order
    if is_a(value, "_reconstruct") and value.arguments[:1] == (Name("numpy", "ndarray"),):
        state = value.state
        if isinstance(state, tuple) and len(state) == 5:  # noqa: PLR2004 - as numpy writes it
            _, shape, dtype, by_column, data = state
            return data, dtype, shape, "F" if by_column is True else "C"
    if is_a(value, "_frombuffer", "_reconstruct"):
        raise Damaged("an array of another form than numpy's")
    raise Damaged(f"{described(value)} where an array stands")


def numbers_of(value: Any) -> npt.NDArray[Any]:
    """Make an array of numbers.

    Raises:
        Damaged: It is none.
    """
    array = array_of(value)
    if array.dtype.kind not in NUMBERS:
        raise Damaged(f"an array of {array.dtype} where numbers stand")
    return array
