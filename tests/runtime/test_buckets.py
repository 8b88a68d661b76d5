"""The shapes that a GPU runs: how many there are, and how much of them is padding."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st

from setfuse.runtime import read_rows
from setfuse.runtime._batching import MAX_GPU_BATCH_TOKENS
from setfuse.runtime._buckets import (
    BATCH_SIZES,
    FREE_TOKENS,
    MOST_PADDING,
    batch_bucket,
    largest_batch,
    length_bucket,
    length_buckets,
    plan_padded,
    shared_bucket,
)
from setfuse.runtime._model import MAX_TEXTS_AT_ONCE

LENGTHS = st.lists(st.integers(min_value=0, max_value=512), max_size=300)


@given(st.integers(0, 2000), st.integers(1, 2000))
def test_a_text_fits_into_its_bucket_and_the_bucket_into_the_model(tokens: int, longest: int) -> None:
    width = length_bucket(tokens, longest)

    assert max(1, tokens) <= width
    assert width <= max(longest, tokens)
    assert length_bucket(width, longest) == width
    if tokens <= longest:
        assert width in length_buckets(longest)


@given(st.integers(33, 512))
def test_alone_a_text_of_some_length_is_padded_by_little(tokens: int) -> None:
    assert 1 - tokens / length_bucket(tokens, 512) < 0.2


@pytest.mark.parametrize(("longest", "number"), [(1, 1), (8, 1), (64, 8), (128, 12), (500, 20), (512, 20)])
def test_there_are_few_lengths(longest: int, number: int) -> None:
    widths = length_buckets(longest)

    assert len(widths) == number
    assert widths == sorted(set(widths))
    assert widths[-1] == longest


@given(st.integers(1, max(BATCH_SIZES)))
def test_rows_are_at_most_doubled(texts: int) -> None:
    assert texts <= batch_bucket(texts) < 2 * texts or texts == batch_bucket(texts)
    assert batch_bucket(texts) in BATCH_SIZES
    assert largest_batch(texts) <= texts < 2 * largest_batch(texts) or texts == max(BATCH_SIZES)


def test_the_largest_batch_has_at_least_one_text() -> None:
    assert largest_batch(0) == 1
    assert largest_batch(10**6) == max(BATCH_SIZES)


@given(st.integers(0, 600), st.integers(1, 512))
def test_texts_share_a_run_with_those_of_at_most_twice_their_length(tokens: int, longest: int) -> None:
    bucket = shared_bucket(tokens, longest)

    assert tokens <= bucket
    assert bucket <= max(32, 2 * tokens, tokens)
    assert bucket <= max(longest, tokens)


@given(LENGTHS, st.integers(1, 20_000))
def test_each_text_is_in_one_batch_of_a_size_that_is_known(lengths: list[int], max_tokens: int) -> None:
    batches = plan_padded(lengths, max_tokens, 512)

    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    assert all(len(batch) in BATCH_SIZES for batch in batches)
    widest = [lengths[batch[0]] for batch in batches]
    assert widest == sorted(widest, reverse=True)


@given(LENGTHS, st.integers(1, 20_000))
def test_no_batch_is_larger_or_emptier_than_it_may_be(lengths: list[int], max_tokens: int) -> None:
    for batch in plan_padded(lengths, max_tokens, 512):
        room = len(batch) * length_bucket(lengths[batch[0]], 512)
        assert lengths[batch[0]] == max(lengths[index] for index in batch)
        if len(batch) > 1:
            assert room <= max_tokens
            assert room <= FREE_TOKENS or sum(lengths[index] for index in batch) >= (1 - MOST_PADDING) * room


def share_of_padding(batches: Sequence[Sequence[int]], lengths: Sequence[int]) -> float:
    room = sum(len(batch) * length_bucket(lengths[batch[0]], 512) for batch in batches)
    return 1 - sum(lengths) / room


def test_on_sst2_at_most_15_percent_is_padding(shared: Path) -> None:
    tokenizer = tokenizers.Tokenizer.from_file(str(shared / "models" / "bge-small-en-v1.5" / "tokenizer.json"))
    tokenizer.no_padding()
    texts = [row.text for row in read_rows(shared / "data" / "sst2" / "test.jsonl")]
    lengths = [len(encoding.ids) for encoding in tokenizer.encode_batch(texts)]

    alone = share_of_padding([[index] for index in range(len(lengths))], lengths)
    assert 0 < alone <= 0.15
    for size in (MAX_TEXTS_AT_ONCE, len(lengths)):
        part = lengths[:size]
        assert 0 < share_of_padding(plan_padded(part, MAX_GPU_BATCH_TOKENS, 512), part) <= 0.15
