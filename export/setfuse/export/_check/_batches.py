"""Texts to batches of token ids, with the tokenizer that a graph is to be used with."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import tokenizers

from setfuse.export._errors import GraphError

IntArray = npt.NDArray[np.int64]

_PADDING_TOKENS = ("[PAD]", "<pad>")
_NO_TRUNCATION = 1_000_000


@dataclass(frozen=True, slots=True)
class Batch:
    """Tokens of some texts, padded on the right where they differ in length.

    Attributes:
        ids: int64 (texts, tokens).
        mask: int64 (texts, tokens), 1 for tokens and 0 for padding.
        types: int64 (texts, tokens), the segment of each token.
        padding_id: Of a model like RoBERTa, which counts positions from its padding token's id on and does not count
            that token; None of a model that counts from 0.
    """

    ids: IntArray
    mask: IntArray
    types: IntArray
    padding_id: int | None = None

    @property
    def positions(self) -> IntArray:
        """The position of each token, as transformers counts it where none is given; int64 (texts, tokens)."""
        if self.padding_id is None:
            return np.broadcast_to(np.arange(self.ids.shape[1]), self.ids.shape)
        counts = (self.ids != self.padding_id).astype(np.int64)
        positions: IntArray = np.cumsum(counts, axis=1) * counts + self.padding_id
        return positions


class BatchMaker:
    """Turns texts into batches.

    Attributes:
        max_length: Tokens that a text is cut to, special tokens included.
        padding: Id of the padding token.
        truncates: Whether anything says where to cut.
        prompt: What is put before each text.
    """

    def __init__(
        self,
        definition: str,
        max_length: int | None,
        origin: str,
        *,
        prompt: str = "",
        padding_id: int | None = None,
        fixed_length: int | None = None,
    ) -> None:
        """Read a tokenizer.

        Args:
            definition: Content of a `tokenizer.json`. Padding in it is ignored.
            max_length: Where texts are cut; None for the definition's own truncation, or none.
            origin: Where the definition comes from, for the message.
            prompt: What to put before each text.
            padding_id: As of `Batch`.
            fixed_length: Pad every text to so many tokens, and cut it there.

        Raises:
            GraphError: The tokenizers package cannot read it, or no text fits into `max_length`.
        """
        try:
            self._tokenizer = tokenizers.Tokenizer.from_str(definition)
        except Exception as error:  # tokenizers raises bare Exception
            raise GraphError(
                f"{origin}: expected a tokenizers file, found what the package cannot read: {error}"
            ) from error
        self._tokenizer.no_padding()
        own = self._tokenizer.truncation
        self._fixed_length = fixed_length
        self._padding_id = padding_id
        self.prompt = prompt
        self.truncates = bool(max_length or own or fixed_length)
        self.max_length = min(
            max_length or (own["max_length"] if own else _NO_TRUNCATION), fixed_length or _NO_TRUNCATION
        )
        try:
            self._tokenizer.enable_truncation(self.max_length)
        except Exception as error:
            raise GraphError(f"{origin}: a text cannot be cut to {self.max_length} tokens: {error}") from error
        around = len(self._tokenizer.encode("").ids)
        if around > self.max_length:  # tokenizers would not cut at all
            raise GraphError(
                f"{origin}: a text cannot be cut to {self.max_length} tokens: {around} of them are special tokens"
            )
        found = (self._tokenizer.token_to_id(token) for token in _PADDING_TOKENS)
        self.padding = next((number for number in found if number is not None), 0)

    def ids(self, texts: Sequence[str], max_length: int | None = None, prompt: str | None = None) -> list[list[int]]:
        """Give the token ids of each text, cut at another length or behind another prompt if one is given."""
        if max_length:
            self._tokenizer.enable_truncation(max_length)
        encodings = self._encode(texts, self.prompt if prompt is None else prompt)
        self._tokenizer.enable_truncation(self.max_length)
        return [encoding.ids for encoding in encodings]

    def alone(self, texts: Sequence[str]) -> list[Batch]:
        """Make a batch of each text."""
        return [self.together([text]) for text in texts]

    def padded(self, texts: Sequence[str], size: int) -> list[Batch]:
        """Make batches of `size` texts, neighbours as they come."""
        return [self.together(texts[start : start + size]) for start in range(0, len(texts), size)]

    def together(self, texts: Sequence[str]) -> Batch:
        """Make one batch of all texts."""
        encodings = self._encode(texts, self.prompt)
        length = self._fixed_length or max(len(encoding.ids) for encoding in encodings)
        shape = (len(encodings), length)
        ids, mask, types = (np.full(shape, value, np.int64) for value in (self.padding, 0, 0))
        batch = Batch(ids, mask, types, self._padding_id)
        for row, encoding in enumerate(encodings):
            count = len(encoding.ids)
            batch.ids[row, :count] = encoding.ids
            batch.mask[row, :count] = 1
            batch.types[row, :count] = encoding.type_ids
        return batch

    def _encode(self, texts: Sequence[str], prompt: str) -> list[tokenizers.Encoding]:
        return self._tokenizer.encode_batch([prompt + text for text in texts])
