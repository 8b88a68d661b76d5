"""The texts that are timed: sentences of plain words, of an exact number of tokens."""

import random
from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer

from ._errors import BenchmarkError
from ._runner import Case

LENGTHS = (8, 16, 32, 64, 128, 256)
QUICK_LENGTHS = (16, 64)
BATCH = 32
BATCH_LENGTHS = (8, 40)
"""The batch's texts have lengths from the first to the second number of tokens, as everyday messages do."""

_WORDS = (
    "the a of to in and is was it for on with he she they we you that this one all but not so if or as at by from time "
    "year day way man woman child world life hand part place case week company system program question work night "
    "point home water room mother area money story fact month lot right study book eye job word business issue side "
    "kind head house service friend father power hour game line end member law car city name team minute idea body "
    "back door office health person art war history party result change morning reason research girl guy moment air"
).split()


def make_cases(bundle: Path, max_length: int, lengths: Sequence[int]) -> list[Case]:
    """Make one case a length, and one of a batch of mixed lengths; the same bundle gives the same texts.

    Args:
        bundle: Whose tokenizer counts the tokens.
        max_length: Longer cases are left out.
        lengths: Tokens of the single texts, special tokens included.

    Raises:
        BenchmarkError: The tokenizer splits nearly every plain English word.
    """
    tokenizer = Tokenizer.from_file(str(bundle / "tokenizer.json"))
    special = len(tokenizer.encode("").ids)
    words = [word for word in _WORDS if len(tokenizer.encode(f"so {word}").ids) == special + 2]
    if len(words) < 20:
        raise BenchmarkError(f"{bundle}: expected a tokenizer with plain English words as tokens, found {len(words)}")
    rng = random.Random(0)

    def text(length: int) -> str:
        return " ".join(rng.choices(words, k=length - special))

    cases = [Case(f"1 x {length}", (text(length),), length) for length in lengths if length <= max_length]
    batch_lengths = [min(max_length, rng.randint(*BATCH_LENGTHS)) for _ in range(BATCH)]
    texts = tuple(text(length) for length in batch_lengths)
    cases.append(Case(f"{BATCH} x {BATCH_LENGTHS[0]}-{BATCH_LENGTHS[1]}", texts, sum(batch_lengths)))
    return cases
