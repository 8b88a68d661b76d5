"""Texts to token ids, with the body's own tokenizer."""

from collections.abc import Sequence
from typing import NoReturn

import numpy as np
import numpy.typing as npt
import tokenizers

from ._engine import is_own_error
from ._errors import BundleCorrupt
from ._text import without_lone_surrogates

_PANIC = "PanicException"
"""What a library in Rust raises on its own bugs: a BaseException without a module to import it from."""

_CHARACTERS_A_TOKEN = 64
"""Of a text with more than this, only a beginning is tokenized: ten megabytes cost no more than a page."""


class Tokenizer:
    """The bundle's `tokenizer.json`: no padding, truncation at the model's `max_length`."""

    def __init__(self, definition: bytes, max_length: int, prompt: str = "") -> None:
        """Read the tokenizer.

        Args:
            definition: The file's bytes.
            max_length: Tokens of the longest text, prompt and special tokens included.
            prompt: Put before each text, as sentence-transformers does: the two are one string to the tokenizer.

        Raises:
            BundleCorrupt: tokenizers cannot read the file, or cannot cut texts there.
        """
        try:
            self._tokenizer = tokenizers.Tokenizer.from_buffer(definition)
            self._tokenizer.no_padding()
            self._tokenizer.enable_truncation(max_length)
        except Exception as error:  # tokenizers raises bare Exception
            raise BundleCorrupt(f"tokenizer.json: the tokenizers package cannot read it: {error}") from error
        self._prompt = prompt
        self._short = _CHARACTERS_A_TOKEN * max_length

    def encode(self, texts: Sequence[str]) -> list[npt.NDArray[np.int64]]:
        """Give the token ids of each text, special tokens included.

        Args:
            texts: Any strings; lone surrogates count as U+FFFD.

        Returns:
            One int64 array (length,) a text, each at most `max_length` long.

        Raises:
            BundleCorrupt: tokenizers fails on one of them.
        """
        try:
            encodings = self._tokenizer.encode_batch_fast([self._prepared(text) for text in texts])
        except BaseException as error:  # noqa: BLE001 - what is not of tokenizers is raised again
            _raise_own(error)
        return [np.asarray(encoding.ids, dtype=np.int64) for encoding in encodings]

    def seen(self, text: str) -> int:
        """Count the characters of a text, from its beginning, that are not cut off.

        Args:
            text: Any string without lone surrogates.

        Raises:
            BundleCorrupt: tokenizers fails on it.
        """
        try:
            offsets = self._tokenizer.encode(self._prepared(text)).offsets
        except BaseException as error:  # noqa: BLE001 - what is not of tokenizers is raised again
            _raise_own(error)
        return max(0, max((end for _, end in offsets), default=0) - len(self._prompt))

    def _prepared(self, text: str) -> str:
        if len(text) > self._short:
            text = self._beginning(text)
        return self._prompt + without_lone_surrogates(text)

    def _beginning(self, text: str) -> str:
        """Cut a long text between words, not before twice as many tokens as count. One long word stays whole."""
        size = self._short
        while size < len(text):
            beginning, *cut = text[:size].rsplit(maxsplit=1) or [""]
            if cut and len(self._tokenizer.encode(self._prompt + without_lone_surrogates(beginning)).overflowing) > 1:
                return beginning
            size *= 4
        return text


def _raise_own(error: BaseException) -> NoReturn:
    """Make whatever tokenizers raises an error of ours: bare Exception, and, of its own bugs, a PanicException.

    Raises:
        BundleCorrupt: It is of tokenizers.
        BaseException: It is not: an interrupt, or what a signal's handler raised.
    """
    own = is_own_error(error, "tokenizers") if isinstance(error, Exception) else type(error).__name__ == _PANIC
    if not own:
        raise error
    raise BundleCorrupt(f"tokenizer.json: the tokenizers package fails: {error}; export the bundle again") from error
