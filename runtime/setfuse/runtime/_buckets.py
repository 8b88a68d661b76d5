"""The shapes that a GPU runs: few enough to be captured beforehand, close enough that little of them is padding."""

import bisect
from collections.abc import Sequence

BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
"""Texts in a run."""

_STEPS = ((64, 8), (128, 16), (256, 32), (512, 64))
"""Up to so many tokens, lengths are multiples of so many: from 33 on, less than a fifth of a length is padding."""

_LONGEST_STEP = 128
"""Beyond the last of them."""

_SHORT = 32
"""Tokens of texts that may share a run whatever their length."""

MOST_PADDING = 0.12
"""Share of a large batch that may be padding."""

FREE_TOKENS = 1024
"""Up to so many tokens a run takes the time that its kernels take to start, however much of it is padding.

An estimate from a data-centre GPU's arithmetic and bge-small's; it has not been measured.
"""


def length_bucket(tokens: int, longest: int) -> int:
    """Give the length that a text is padded to.

    Args:
        tokens: The text's, special ones included.
        longest: No bucket is longer, as the model has no positions there.
    """
    tokens = max(1, tokens)
    step = next((step for bound, step in _STEPS if tokens <= bound), _LONGEST_STEP)
    return min(-(-tokens // step) * step, max(longest, tokens))


def length_buckets(longest: int) -> list[int]:
    """Give all lengths of texts of at most `longest` tokens, in ascending order."""
    found = [length_bucket(1, longest)]
    while found[-1] < longest:
        found.append(length_bucket(found[-1] + 1, longest))
    return found


def shared_bucket(tokens: int, longest: int) -> int:
    """Give the length up to which texts may share a run with one of so many tokens, where it comes to be: twice steps.

    Args:
        tokens: The text's.
        longest: As of `length_bucket`.
    """
    return min(max(_SHORT, 1 << (max(1, tokens) - 1).bit_length()), max(longest, tokens))


def batch_bucket(texts: int) -> int:
    """Give the number of rows that so many texts are padded to; at most the largest of `BATCH_SIZES` texts."""
    return BATCH_SIZES[bisect.bisect_left(BATCH_SIZES, texts)]


def largest_batch(texts: int) -> int:
    """Give the largest of `BATCH_SIZES` that is at most so many texts, or 1."""
    return BATCH_SIZES[max(0, bisect.bisect_right(BATCH_SIZES, texts) - 1)]


def plan_padded(lengths: Sequence[int], max_tokens: int, longest: int) -> list[list[int]]:
    """Group texts of like length into batches of `BATCH_SIZES` texts, so that no row is all padding.

    Args:
        lengths: Tokens of each text, special tokens included.
        max_tokens: Upper bound on rows x padded length in one batch; a longer text is a batch of its own.
        longest: As of `length_bucket`.

    Returns:
        Indices into `lengths`, a list a batch, longest texts first. Every index appears exactly once. Of a batch of
        several texts and more than `FREE_TOKENS`, padding included, at most `MOST_PADDING` is padding.
    """
    order = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    batches = []
    while order:
        width = length_bucket(lengths[order[0]], longest)
        most = min(max_tokens // width, len(order))
        size = next(
            (size for size in reversed(BATCH_SIZES) if size <= most and _is_worth(order[:size], lengths, width)), 1
        )
        batches.append(order[:size])
        order = order[size:]
    return batches


def _is_worth(batch: Sequence[int], lengths: Sequence[int], width: int) -> bool:
    """Tell whether texts may be padded to one width: little of it is padding, or it costs no more than less would."""
    room = len(batch) * width
    return room <= FREE_TOKENS or sum(lengths[index] for index in batch) >= (1 - MOST_PADDING) * room
