"""The feeds of the packed graph, against the worked example of PackedMultiHeadAttention's own documentation."""

import numpy as np
import pytest
import torch
from transformers.models.roberta.modeling_roberta import RobertaEmbeddings

from benchmarks._packed import pack


def test_the_example_of_the_operators_documentation() -> None:
    feeds = pack([[10], [14, 15], [18, 19, 20, 21]])

    assert feeds["input_ids"].tolist() == [10, 14, 15, 18, 19, 20, 21]
    assert feeds["token_offset"].ravel().tolist() == [0, 4, 5, 8, 9, 10, 11, 1, 2, 3, 6, 7]
    assert feeds["token_offset"].shape == (3, 4)
    assert feeds["cumulative_sequence_length"].tolist() == [0, 1, 1 + 2, 1 + 2 + 4]
    assert feeds["position_ids"].tolist() == [0, 0, 1, 0, 1, 2, 3]
    assert {array.dtype for array in feeds.values()} == {np.dtype(np.int32)}


@pytest.mark.parametrize("padding_id", [0, 1, 5])
def test_counted_positions_are_transformers_less_the_padding_tokens_own(padding_id: int) -> None:
    texts = [[7, 8, 9], [padding_id, 7], [7, padding_id, padding_id, 8]]

    feeds = pack(texts, padding_id)

    expected = [RobertaEmbeddings.create_position_ids_from_input_ids(torch.tensor([ids]), padding_id) for ids in texts]
    assert (feeds["position_ids"] + padding_id).tolist() == torch.cat(expected, dim=1)[0].tolist()


@pytest.mark.parametrize("texts", [[], [[]], [[1], []]], ids=str)
def test_no_tokens(texts: list[list[int]]) -> None:
    with pytest.raises(ValueError, match="expected one text or more, each of one token or more, got lengths"):
        pack(texts)
