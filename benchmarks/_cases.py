"""The texts that are timed: sentences of plain words, of an exact number of tokens."""

import random
from collections.abc import Sequence

from tokenizers import Tokenizer

from ._errors import BenchmarkError
from ._runner import Case

BATCH = 32
BATCH_LENGTHS = (8, 40)
"""The batch's texts have lengths from the first to the second number of tokens, as everyday messages do."""

MIN_WORDS = 20
"""Time depends on how many tokens there are, hardly on which: these many are for the texts to differ at all."""

_WORDS = (
    "the a of to in and is was it for on with he she they we you that this one all but not so if or as at by from time "
    "year day way man woman child world life hand part place case week company system program question work night "
    "point home water room mother area money story fact month lot right study book eye job word business issue side "
    "kind head house service friend father power hour game line end member law car city name team minute idea body "
    "back door office health person art war history party result change morning reason research girl guy moment air"
).split()


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
    special = _count(tokenizer, "")
    # A tokenizer that takes the space into the token may split a word only where it opens a text.
    words = [
        word
        for word in _WORDS
        if _count(tokenizer, word) == special + 1 and _count(tokenizer, f"so {word}") == special + 2
    ]
    if len(words) < MIN_WORDS:
        raise BenchmarkError(
            f"expected a tokenizer that has plain English words as tokens, but this one has only {len(words)} of "
            f"{len(_WORDS)}; the latency benchmark speaks English"
        )
    rng = random.Random(0)

    def text(length: int) -> str:
        return " ".join(rng.choices(words, k=length - special))

    cases = [Case(f"1 x {length}", (text(length),), length) for length in fitting]
    low, high = (min(length, max_length) for length in BATCH_LENGTHS)
    batch_lengths = [rng.randint(low, high) for _ in range(BATCH)]
    texts = tuple(text(length) for length in batch_lengths)
    return [*cases, Case(f"{BATCH} x {low}-{high}", texts, sum(batch_lengths))]


def _count(tokenizer: Tokenizer, text: str) -> int:
    return len(tokenizer.encode(text).ids)
