"""What is timed on a GPU has the tokens that the tables say, and goes through engines in batches of few shapes."""

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from benchmarks._cases import Kind
from benchmarks._errors import BenchmarkError
from benchmarks._gpu._batches import STEP, make_batches
from benchmarks._gpu._cases import MANY, SST2_TOKENS, What, make_jobs, mixed_lengths
from benchmarks._gpu._session import in_order
from setfuse.runtime import read_texts


@pytest.fixture(scope="module")
def tokenizer(tiny_bundle: Path) -> Tokenizer:
    return Tokenizer.from_file(str(tiny_bundle / "tokenizer.json"))


def test_each_text_has_exactly_the_stated_tokens(tokenizer: Tokenizer) -> None:
    tokenizer.no_truncation()
    for job in make_jobs(tokenizer, 512):
        assert tuple(len(tokenizer.encode(text).ids) for text in job.case.texts) == job.case.tokens, job.name


def test_the_goals_case_comes_first_and_the_throughput_last(tokenizer: Tokenizer) -> None:
    jobs = make_jobs(tokenizer, 512)

    assert [job.name for job in jobs] == [
        "1 x 32, text to label",
        "1 x 32, engine alone",
        "1 x 16, text to label",
        "1 x 16, engine alone",
        "1 x 128, text to label",
        "1 x 128, engine alone",
        "32 mixed, text to label",
        "32 mixed, engine alone",
        "256 mixed, text to label",
        "256 mixed, engine alone",
        "2048 mixed, text to label",
    ]
    assert {job.case.per_call for job in jobs if job.case.kind is Kind.BATCH} == {32, 256, MANY}


def test_a_short_model_has_no_longer_case(tokenizer: Tokenizer) -> None:
    jobs = make_jobs(tokenizer, 20)

    assert {job.case.name for job in jobs if job.what is What.TEXT} == {"1 x 16", "32 mixed", "256 mixed", "2048 mixed"}
    assert max(max(job.case.tokens) for job in jobs) <= 20
    with pytest.raises(BenchmarkError, match="expected a bundle of texts of 16 tokens or more, this one's are 8"):
        make_jobs(tokenizer, 8)


@pytest.mark.parametrize(("count", "step"), [(32, 25), (256, 5), (2048, 5)])  # 32 lengths have no 95th percentile
def test_mixed_lengths_are_distributed_as_they_are_told_to_be(count: int, step: int) -> None:
    lengths = mixed_lengths(count, 512, random.Random(0))  # noqa: S311 - lengths need no secrecy

    assert len(lengths) == count
    assert np.percentile(lengths, np.arange(0, 101, step)) == pytest.approx(SST2_TOKENS[:: step // 5], abs=1)
    assert list(lengths) != sorted(lengths)


def test_sst2_has_the_lengths_that_are_written_down(shared: Path) -> None:
    tokenizer = Tokenizer.from_file(str(shared / "models" / "bge-small-en-v1.5" / "tokenizer.json"))
    tokenizer.no_padding()
    texts = list(read_texts(shared / "data" / "sst2" / "test.jsonl"))

    counts = [len(encoding.ids) for encoding in tokenizer.encode_batch(texts)]

    assert tuple(np.percentile(counts, np.arange(0, 101, 5)).astype(int)) == SST2_TOKENS


@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=100),
    st.sampled_from([1, 4, 64]),
    st.sampled_from([40, 512]),
)
def test_batches_hold_every_text_once_and_come_in_few_shapes(lengths: list[int], rows: int, max_length: int) -> None:
    tokens = [[place + 1] * length for place, length in enumerate(lengths)]  # each text's ids tell its place

    batches = make_batches(tokens, max_length, rows)

    assert sorted(place for batch in batches for place in batch.places.tolist()) == list(range(len(tokens)))
    for batch in batches:
        height, width = batch.ids.shape
        assert batch.mask.shape == batch.ids.shape
        assert len(batch.places) <= height <= rows
        assert height & (height - 1) == 0, "a power of two"
        assert width % STEP == 0 or width == max_length
        for place, ids, mask in zip(batch.places, batch.ids, batch.mask, strict=False):
            assert ids[mask == 1].tolist() == tokens[place]
            assert not ids[mask == 0].any()
        assert (batch.mask.sum(axis=1) > 0).all(), "a row that fills a batch holds a text, too"
    answers = in_order(batches, [batch.ids[:, :1].astype(np.float32) for batch in batches])
    assert answers[:, 0].tolist() == [place + 1 for place in range(len(tokens))]
