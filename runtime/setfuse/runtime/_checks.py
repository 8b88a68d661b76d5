"""What a value in a manifest may be: each check says what was expected and what was found."""

import sys
from collections.abc import Mapping
from typing import Any

from ._text import without_lone_surrogates

LARGEST = 2**53 - 1
"""Bound on sizes and counts: more than any file or text has, and exact in the JSON readers of every language."""


def check_text(name: str, value: object) -> None:
    """Refuse what is no string, or one that cannot be written as UTF-8.

    Raises:
        ValueError: It is none.
    """
    if not isinstance(value, str) or without_lone_surrogates(value) != value:
        raise ValueError(f"expected text as {name}, found {value!r:.60}")


def check_whole(name: str, value: object, *, at_least: int, at_most: int = LARGEST) -> None:
    """Refuse what is no whole number of the range; true and false are none.

    Raises:
        ValueError: It is none.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not at_least <= value <= at_most:
        raise ValueError(f"expected a whole number from {at_least} to {at_most} as {name}, found {value!r:.60}")


def check_figure(name: str, value: object, *, at_most: float = sys.float_info.max) -> None:
    """Refuse what is no number from 0 to the bound; NaN is none.

    Raises:
        ValueError: It is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= at_most:
        raise ValueError(f"expected a number from 0 to {at_most:.3g} as {name}, found {value!r:.60}")


def check_kind(name: str, value: object, kind: type) -> None:
    """Refuse what is not of the class.

    Raises:
        TypeError: It is not.
    """
    if not isinstance(value, kind):
        raise TypeError(f"expected {kind.__name__} as {name}, found {value!r:.60}")


def list_of(value: Mapping[str, Any], key: str) -> list[Any]:
    """Give what stands at a key of a JSON object, if it is a list: a string must not pass for one.

    Raises:
        KeyError: There is nothing.
        TypeError: It is something else.
    """
    found = value[key]
    check_kind(key, found, list)
    return list(found)


def object_of(value: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Give what stands at a key of a JSON object, if it is an object.

    Raises:
        KeyError: There is nothing.
        TypeError: It is something else.
    """
    found = value[key]
    check_kind(key, found, dict)
    return dict(found)
