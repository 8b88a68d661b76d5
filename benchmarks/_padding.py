"""How much of what a contender computes is padding."""

from collections.abc import Sequence

from ._contenders import BATCH_SIZE, Batching


def padding_share(tokens: Sequence[int], batching: Batching) -> float:
    """Give the share of the computed tokens that are padding, from the contender's way of batching.

    Args:
        tokens: Tokens of each text, special tokens included, in the order of the texts.
        batching: Equal lengths and single texts need none; the others pad each batch to its longest text.
    """
    if batching in (Batching.EQUAL, Batching.NONE):
        return 0.0
    order = sorted(tokens, reverse=True) if batching is Batching.SORTED else list(tokens)
    batches = [order[start : start + BATCH_SIZE] for start in range(0, len(order), BATCH_SIZE)]
    computed = sum(len(batch) * max(batch) for batch in batches)
    return 1 - sum(order) / computed
