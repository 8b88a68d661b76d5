"""What a pickle says, word for word: names and plain values, of which nothing has been made yet."""

from dataclasses import dataclass
from typing import Any

_IN_WORDS = {
    "_frombuffer": "array",
    "_load_from_bytes": "torch storage",
    "_reconstruct": "array",
    "scalar": "number",
    "str": "text",
}
"""What pickles call a few things by the function that makes them."""


class Damaged(Exception):
    """What the pickle says cannot be."""


@dataclass(frozen=True, slots=True)
class Name:
    """A class or a function that the pickle mentions."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(slots=True, eq=False)
class Record:
    """An object, as a pickle describes it.

    Attributes:
        name: What makes it.
        arguments: What it is made of.
        state: What it is given afterwards; None if nothing was. The pickle may go on to fill it until its last byte.
    """

    name: Name
    arguments: tuple[Any, ...] = ()
    state: Any = None


def is_a(value: object, *names: str) -> bool:
    """Tell whether a value is a record of one of these names; no two admitted modules mean different things by one."""
    return isinstance(value, Record) and value.name.name in names


def described(value: object) -> str:
    """Name a value without asking it anything: what a file holds may be long, or take forever to write out."""
    if isinstance(value, Name):
        return str(value)
    name = value.name.name if isinstance(value, Record) else type(value).__name__
    name = _IN_WORDS.get(name, name)
    return f"an {name}" if name[0] in "aeiou" else f"a {name}"
