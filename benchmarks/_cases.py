"""What is timed: made-up texts of an exact number of tokens, and real ones in their own lengths."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from setfuse.runtime import SetfuseError, read_rows, read_texts

from ._errors import BenchmarkError

BATCH = 32
BATCH_LENGTHS = (8, 40)
"""The batch's texts have lengths from the first to the second number of tokens, as everyday messages do."""

MINWORDS = 20
"""Time depends on how many tokens there are, hardly on which: these many are for the texts to differ at all."""

WORDS = (
    "the a of to in and is was it for on with he she they we you that this one all but not so if or as at by from time "
    "year day way man woman child world life hand part place case week company system program question work night "
    "point home water room mother area money story fact month lot right study book eye job word business issue side "
    "kind head house service friend father power hour game line end member law car city name team minute idea body "
    "back door office health person art war history party result change morning reason research girl guy moment air"
).split()


class Kind(StrEnum):
    """How the texts of a case are asked for."""

    LENGTH = "length"
    """One made-up text a call, the same one over and over."""
    BATCH = "batch"
    """One call with several made-up texts, over and over."""
    CLOSED = "closed"
    """Real texts one after the other: the next when the last is answered."""
    OPEN = "open"
    """Real texts that arrive at random, whether the last is answered or not: the wait counts."""


@dataclass(frozen=True, slots=True)
class Case:
    """One piece of work that every contender is timed on.

    Attributes:
        name: What the tables call it.
        kind: How its texts are asked for.
        texts: Of one call where they are made up; otherwise all of them.
        tokens: Tokens of each text, special tokens included.
    """

    name: str
    kind: Kind
    texts: tuple[str, ...]
    tokens: tuple[int, ...]

    @property
    def per_call(self) -> int:
        """Texts a call."""
        return len(self.texts) if self.kind is Kind.BATCH else 1


@dataclass(frozen=True, slots=True)
class Corpus:
    """Real texts.

    Attributes:
        source: Where they come from.
        texts: As they are.
        labels: The right label of each; None where they are not known in the words of the model.
        tokens: Tokens of each, special tokens included.
        note: Why there are no labels; empty where there are.
    """

    source: str
    texts: tuple[str, ...]
    labels: tuple[str, ...] | None
    tokens: tuple[int, ...]
    note: str = ""

    def sample(self, count: int) -> "Corpus":
        """Take at most so many texts, evenly spaced: the same ones in every run."""
        if len(self.texts) <= count:
            return self
        chosen = np.linspace(0, len(self.texts) - 1, count).round().astype(int).tolist()
        labels = None if self.labels is None else tuple(self.labels[index] for index in chosen)
        texts = tuple(self.texts[index] for index in chosen)
        return Corpus(self.source, texts, labels, tuple(self.tokens[index] for index in chosen), self.note)


def read_corpus(path: Path, tokenizer: Tokenizer, labels: Sequence[str]) -> Corpus:
    """Read texts, JSON lines with `text` and, for the accuracy, `label`.

    Args:
        path: The file.
        tokenizer: Counts the tokens.
        labels: Those that the model knows.

    Returns:
        The texts; without labels where these are missing or not the model's, which `note` then says.

    Raises:
        BenchmarkError: The file cannot be read, or has no texts.
    """
    try:
        texts = tuple(read_texts(path))
    except SetfuseError as error:
        raise BenchmarkError(str(error)) from error
    tokens = tuple(_count(tokenizer, text) for text in texts)
    source = "/".join(path.absolute().parts[-2:])  # "test.jsonl" alone says little
    try:
        known = tuple(str(row.label) for row in read_rows(path))
    except SetfuseError as error:
        return Corpus(source, texts, None, tokens, f"no accuracy was measured: {error}")
    unknown = sorted(set(known) - set(labels))
    if unknown:
        note = f"no accuracy was measured: {source} has the label {unknown[0]!r}, which the model does not know"
        return Corpus(source, texts, None, tokens, note)
    return Corpus(source, texts, known, tokens)


def make_cases(tokenizer: Tokenizer, max_length: int, lengths: Sequence[int]) -> list[Case]:
    """Make one case a length, and one of a batch of mixed lengths; the same tokenizer gives the same texts.

    Args:
        tokenizer: Counts the tokens.
        max_length: Tokens that the model reads; longer cases are left out.
        lengths: Tokens of the single texts, special tokens included.

    Raises:
        BenchmarkError: The tokenizer splits nearly every plain English word, or all lengths are above `max_length`.
    """
    fitting = [length for length in lengths if length <= max_length]
    if not fitting:
        raise BenchmarkError(
            f"expected a bundle of texts of {min(lengths)} tokens or more, but this one cuts them at {max_length}"
        )
    rng = random.Random(0)
    text = text_maker(tokenizer, rng)
    cases = [Case(f"1 x {length}", Kind.LENGTH, (text(length),), (length,)) for length in fitting]
    low, high = (min(length, max_length) for length in BATCH_LENGTHS)
    tokens = tuple(rng.randint(low, high) for _ in range(BATCH))
    texts = tuple(text(length) for length in tokens)
    return [*cases, Case(f"{BATCH} x {low}-{high}", Kind.BATCH, texts, tokens)]


def text_maker(tokenizer: Tokenizer, rng: random.Random) -> Callable[[int], str]:
    """Give what makes up a text of a number of tokens, special tokens included.

    Args:
        tokenizer: Counts the tokens.
        rng: Draws the words.

    Raises:
        BenchmarkError: The tokenizer splits nearly every plain English word.
    """
    special = _count(tokenizer, "")
    # A tokenizer that takes the space into the token may split a word only where it opens a text.
    words = [
        word
        for word in WORDS
        if _count(tokenizer, word) == special + 1 and _count(tokenizer, f"so {word}") == special + 2
    ]
    if len(words) < MINWORDS:
        raise BenchmarkError(
            f"expected a tokenizer that has plain English words as tokens, but this one has only {len(words)} of "
            f"{len(WORDS)}; the latency benchmark speaks English"
        )
    return lambda length: " ".join(rng.choices(words, k=length - special))


def _count(tokenizer: Tokenizer, text: str) -> int:
    return len(tokenizer.encode(text).ids)
