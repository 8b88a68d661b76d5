"""The plan of batches, whatever the lengths."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from setfuse.runtime._batching import plan_batches

LENGTHS = st.lists(st.integers(min_value=0, max_value=40), max_size=200)
MAX_TOKENS = st.integers(min_value=1, max_value=300)


@settings(deadline=None)
@given(LENGTHS, MAX_TOKENS)
def test_every_text_is_in_one_batch(lengths: list[int], max_tokens: int) -> None:
    planned = [index for batch in plan_batches(lengths, max_tokens) for index in batch]

    assert sorted(planned) == list(range(len(lengths)))


@settings(deadline=None)
@given(LENGTHS, MAX_TOKENS)
def test_a_batch_needs_no_padding(lengths: list[int], max_tokens: int) -> None:
    for batch in plan_batches(lengths, max_tokens):
        assert len({lengths[index] for index in batch}) == 1


@settings(deadline=None)
@given(LENGTHS, MAX_TOKENS)
def test_a_batch_stays_in_its_bounds_unless_one_text_is_longer(lengths: list[int], max_tokens: int) -> None:
    for batch in plan_batches(lengths, max_tokens):
        assert len(batch) == 1 or len(batch) * lengths[batch[0]] <= max_tokens


@settings(deadline=None)
@given(LENGTHS, MAX_TOKENS)
def test_longest_texts_come_first(lengths: list[int], max_tokens: int) -> None:
    planned = [lengths[batch[0]] for batch in plan_batches(lengths, max_tokens)]

    assert planned == sorted(planned, reverse=True)


@settings(deadline=None)
@given(LENGTHS, MAX_TOKENS)
def test_there_are_no_more_batches_than_needed(lengths: list[int], max_tokens: int) -> None:
    batches = plan_batches(lengths, max_tokens)

    needed = 0
    for length, texts in Counter(lengths).items():
        most = max(1, max_tokens // max(1, length))
        needed += -(-texts // most)
    assert len(batches) == needed


def test_no_texts_need_no_batches() -> None:
    assert plan_batches([], 1024) == []
