"""Group texts into batches that need no padding."""

from collections.abc import Sequence


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
