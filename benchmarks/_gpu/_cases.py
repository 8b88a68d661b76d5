"""What is timed on a GPU: one text of an exact length, and batches whose lengths are those of SST-2's sentences."""

import random
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from tokenizers import Tokenizer

from benchmarks._cases import Case, Kind, text_maker
from benchmarks._errors import BenchmarkError

LENGTHS = (16, 32, 128)
MIXED = (32, 256)
MANY = 2048
"""Texts of the throughput's call."""

SST2_TOKENS = (4, 10, 12, 14, 15, 17, 18, 20, 21, 23, 24, 26, 27, 29, 30, 32, 34, 37, 40, 44, 70)
"""Tokens of SST-2's 1,821 test sentences in bge-small's tokenizer: minimum, every 5 % of them, maximum."""


class What(StrEnum):
    """What the clock runs around."""

    TEXT = "text to label"
    """From texts to labels in the processor's memory."""
    ENGINE = "engine alone"
    """From token ids on the device to probabilities on the device, until the device is done."""


@dataclass(frozen=True, slots=True)
class Job:
    """A case, timed in one way."""

    case: Case
    what: What

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"{self.case.name}, {self.what}"


def make_jobs(tokenizer: Tokenizer, max_length: int) -> list[Job]:
    """Make all work, the most important first; the same tokenizer gives the same texts.

    Raises:
        BenchmarkError: The tokenizer does not know plain English words, or the model reads too few tokens.
    """
    rng = random.Random(0)
    text = text_maker(tokenizer, rng)
    if max_length < min(LENGTHS):
        raise BenchmarkError(
            f"expected a bundle of texts of {min(LENGTHS)} tokens or more, this one's are {max_length}"
        )
    lengths = [length for length in LENGTHS if length <= max_length]
    single = [Case(f"1 x {length}", Kind.LENGTH, (text(length),), (length,)) for length in lengths]
    mixed = []
    for count in (*MIXED, MANY):
        tokens = mixed_lengths(count, max_length, rng)
        mixed.append(Case(f"{count} mixed", Kind.BATCH, tuple(text(length) for length in tokens), tokens))
    first = single[len(single) // 2]  # what the goals are about
    ordered = [first, *(case for case in single if case is not first), *mixed]
    jobs = [Job(case, what) for case in ordered for what in What]
    return [job for job in jobs if (job.case.per_call, job.what) != (MANY, What.ENGINE)]


def mixed_lengths(count: int, max_length: int, rng: random.Random) -> tuple[int, ...]:
    """Give lengths that are distributed as SST-2's are, in a random order, none above `max_length`."""
    places = np.linspace(0, len(SST2_TOKENS) - 1, count)
    lengths = np.interp(places, np.arange(len(SST2_TOKENS)), SST2_TOKENS).round().astype(int).clip(max=max_length)
    tokens: list[int] = lengths.tolist()
    rng.shuffle(tokens)
    return tuple(tokens)
