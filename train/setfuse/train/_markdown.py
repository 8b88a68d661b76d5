"""Markdown that says texts as they are, whoever wrote them."""

import re
from collections.abc import Sequence

LONGEST = 400
"""Characters of a text that are shown."""

_MARKUP = re.compile(r"(?<!\w)_|_(?!\w)|[\\`*\[\]<>|&~$@:#]|(?<=www)\.")
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, those that turn the direction of what follows, and halves of surrogate pairs."""


def one_line(text: str) -> str:
    """Give a text as one line of at most `LONGEST` characters that can be seen."""
    line = _UNSEEN.sub("\N{REPLACEMENT CHARACTER}", " ".join(text.split()))
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"


def literal(text: str) -> str:
    """Give Markdown, or HTML within it, that shows a text: what could mean something is written by its number."""
    return _MARKUP.sub(lambda match: f"&#{ord(match[0])};", one_line(text))


def fenced(language: str, code: str) -> str:
    """Give a block of code, its fence longer than any in it."""
    longest = max((len(run) for run in re.findall("`+", code)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{code}\n{fence}"


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, align: str = ":---") -> str:
    """Give a table of cells that are Markdown already."""
    lines = [columns, [align] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
