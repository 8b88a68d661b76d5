"""What the packed graph is fed with: the tokens of all texts in one row."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Feeds = dict[str, npt.NDArray[np.int32]]


def pack(token_ids: Sequence[Sequence[int]], padding_id: int | None = None) -> Feeds:
    """Put texts one behind the other.

    Args:
        token_ids: The ids of each text, special tokens included; one at least, and none empty.
        padding_id: `setfuse.padding_id` of the graph's metadata; None where it has none.

    Returns:
        The inputs of the graph that `setfuse.export.write_packed_graph` writes, all int32: `input_ids` and
        `position_ids` (tokens,), `token_offset` (texts, longest), `cumulative_sequence_length` (texts + 1,).

    Raises:
        ValueError: There is no text, or one has no tokens.
    """
    lengths = [len(ids) for ids in token_ids]
    if not all(lengths or [0]):
        raise ValueError(f"expected one text or more, each of one token or more, got lengths {lengths}: leave them out")
    is_token = np.arange(max(lengths)) < np.array(lengths)[:, None]
    places = np.arange(is_token.size)
    offset = np.concatenate([places[is_token.ravel()], places[~is_token.ravel()]])
    return {
        "input_ids": np.concatenate([np.asarray(ids, np.int32) for ids in token_ids]),
        "position_ids": np.concatenate([_positions(ids, padding_id) for ids in token_ids]),
        "token_offset": offset.reshape(is_token.shape).astype(np.int32),
        "cumulative_sequence_length": np.cumsum([0, *lengths]).astype(np.int32),
    }


def _positions(ids: Sequence[int], padding_id: int | None) -> npt.NDArray[np.int32]:
    if padding_id is None:
        return np.arange(len(ids), dtype=np.int32)
    counts: npt.NDArray[np.int32] = (np.asarray(ids) != padding_id).astype(np.int32)
    return np.cumsum(counts, dtype=np.int32) * counts
