"""Group texts into batches that need no padding, within limits."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real

from ._errors import UsageError

MAX_BATCH_TOKENS = 256
"""Bound on texts x tokens in one run on the CPU: bigger batches leave the processor's caches and cost more a token."""

MAX_GPU_BATCH_TOKENS = 16384
"""The same on a GPU: it has enough to do with as many, and more take its memory."""

WORTH_A_THREAD = 64
"""Tokens from which on it pays to have another thread run them."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How texts share runs of the graph.

    Attributes:
        max_batch_tokens: Upper bound on texts x tokens in one run; a longer text is a run of its own. None for what
            suits the device.
        max_wait_ms: Of asyncio's callers: for how long, in milliseconds, a text may be passed over for fuller batches
            while the graph is busy. Nothing ever waits for company while the graph is idle.
        max_queue: Of asyncio's callers: how many texts may wait.
    """

    max_batch_tokens: int | None = None
    max_wait_ms: float = 5.0
    max_queue: int = 1024

    def __post_init__(self) -> None:
        for name in ("max_batch_tokens", "max_queue"):
            value: object = getattr(self, name)
            if value is None and name == "max_batch_tokens":
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise UsageError(f"{name}: expected a whole number from 1, got {value!r:.60}")
        if not is_number(self.max_wait_ms) or not 0 <= self.max_wait_ms < math.inf:
            raise UsageError(f"max_wait_ms: expected milliseconds from 0, got {self.max_wait_ms!r:.60}")


def is_number(value: object) -> bool:
    """Tell whether something is a number that `float` takes, numpy's included; true and false are none."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return False
    try:
        float(value)
    except OverflowError:
        return False
    return True


def useful_workers(tokens: int, workers: int) -> int:
    """Tell among how many threads it pays to share so many tokens, of at most `workers`; at least 1."""
    return max(1, min(workers, tokens // WORTH_A_THREAD))


def plan_batches(lengths: Sequence[int], max_tokens: int) -> list[list[int]]:
    """Group texts of equal length, so that no batch is padded and no answer depends on its neighbours.

    Args:
        lengths: Tokens of each text, special tokens included.
        max_tokens: Upper bound on texts x length in one batch; a longer text is a batch of its own.

    Returns:
        Indices into `lengths`, a list a batch, longest texts first. Every index appears exactly once.
    """
    by_length: dict[int, list[int]] = {}
    for index, length in enumerate(lengths):
        by_length.setdefault(length, []).append(index)
    batches = []
    for length in sorted(by_length, reverse=True):
        indices = by_length[length]
        size = max(1, max_tokens // max(1, length))
        batches += [indices[start : start + size] for start in range(0, len(indices), size)]
    return batches
