"""What is taken as a text, and as texts."""

from collections.abc import Iterable, Iterator

from ._errors import InvalidText

_ONE_STRING = "expected a list of texts, got one string: pass [text], or call the classifier itself with it"


def check_text(text: object) -> str:
    """Give the text, if it is one.

    Raises:
        InvalidText: It is none.
    """
    if not isinstance(text, str):
        raise InvalidText(f"expected a text, got {type(text).__name__} ({text!r:.60})")
    return text


def iterate(texts: Iterable[str]) -> Iterator[str]:
    """Start to read texts: any iterable, numpy array or pandas Series of one dimension.

    Raises:
        InvalidText: `texts` is one string, or holds no texts.
    """
    if isinstance(texts, str):
        raise InvalidText(_ONE_STRING)
    found: object = texts
    if isinstance(found, bytes | bytearray) or not isinstance(found, Iterable):
        raise InvalidText(f"expected a text or a list of texts, got {type(texts).__name__}")
    if getattr(texts, "ndim", 1) != 1:  # of a table pandas would give the names of the columns
        raise InvalidText(f"expected texts in one dimension, got {type(texts).__name__} of {texts.ndim}")  # type: ignore[attr-defined]
    return iter(texts)


def as_list(texts: Iterable[str], first: int = 0) -> list[str]:
    """Read texts, and make sure that each is one.

    Args:
        texts: Of any container.
        first: The number of the first, for the message.

    Raises:
        InvalidText: `texts` is one string, or something among them is none; the message says which.
    """
    result = list(iterate(texts))
    for number, text in enumerate(result, start=first):
        if not isinstance(text, str):
            raise InvalidText(f"text {number}: expected a string, got {type(text).__name__} ({text!r:.60})")
    return result
