"""The texts that are timed have the tokens that the tables say."""

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from benchmarks._cases import BATCH, BATCH_LENGTHS, WORDS, Corpus, make_cases, read_corpus
from benchmarks._errors import BenchmarkError
from benchmarks._plan import FULL, QUICK
from tests.models import MAX_LENGTH


@pytest.fixture(scope="module")
def word_pieces(tiny_bundle: Path) -> Tokenizer:
    return Tokenizer.from_file(str(tiny_bundle / "tokenizer.json"))


@pytest.fixture(scope="module")
def byte_pairs() -> Tokenizer:
    """A tokenizer as RoBERTa's: the space belongs to the token, so a word may count more where it opens a text."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    corpus = [f"so {word}" for word in WORDS] + WORDS[:60]  # the others are split where they open a text
    tokenizer.train_from_iterator(corpus * 5, trainers.BpeTrainer(vocab_size=3000, show_progress=False))
    return tokenizer


@pytest.mark.parametrize("kind", ["word_pieces", "byte_pairs"])
def test_each_text_has_exactly_the_stated_tokens(kind: str, request: pytest.FixtureRequest) -> None:
    tokenizer: Tokenizer = request.getfixturevalue(kind)

    *singles, batch = make_cases(tokenizer, MAX_LENGTH, FULL.lengths)

    def count(text: str) -> int:
        return len(tokenizer.encode(text).ids)

    assert [(case.name, case.tokens) for case in singles] == [("1 x 8", (8,)), ("1 x 16", (16,)), ("1 x 32", (32,))]
    assert [[count(text) for text in case.texts] for case in singles] == [[8], [16], [32]]
    counts = [count(text) for text in batch.texts]
    assert batch.name == "32 x 8-40"
    assert len(counts) == BATCH
    assert tuple(counts) == batch.tokens
    assert all(BATCH_LENGTHS[0] <= length <= BATCH_LENGTHS[1] for length in counts)
    assert len(set(counts)) > BATCH // 4, "expected mixed lengths"


def test_a_word_that_is_split_where_it_opens_a_text_is_not_used(byte_pairs: Tokenizer) -> None:
    opens = {word for word in WORDS if len(byte_pairs.encode(word).ids) == 1}
    assert 20 < len(opens) < len(WORDS), "expected some words to be split, and some not: this test proves nothing"

    cases = make_cases(byte_pairs, MAX_LENGTH, FULL.lengths)

    assert {word for case in cases for text in case.texts for word in text.split()} <= opens


def test_the_same_tokenizer_gives_the_same_texts(word_pieces: Tokenizer, tiny_bundle: Path) -> None:
    again = Tokenizer.from_file(str(tiny_bundle / "tokenizer.json"))

    assert make_cases(word_pieces, MAX_LENGTH, QUICK.lengths) == make_cases(again, MAX_LENGTH, QUICK.lengths)


def test_the_texts_differ_and_are_no_single_word_repeated(word_pieces: Tokenizer) -> None:
    texts = [text for case in make_cases(word_pieces, MAX_LENGTH, FULL.lengths) for text in case.texts]

    assert len(set(texts)) == len(texts)
    assert all(len(set(text.split())) > 1 for text in texts)


def test_lengths_above_the_maximum_are_left_out_and_the_batch_is_shortened(word_pieces: Tokenizer) -> None:
    cases = make_cases(word_pieces, 20, (8, 16, 20, 21, 64))

    assert [case.name for case in cases] == ["1 x 8", "1 x 16", "1 x 20", "32 x 8-20"]
    assert max(len(word_pieces.encode(text).ids) for text in cases[-1].texts) <= 20


def test_a_model_that_reads_less_than_the_shortest_text_is_refused(word_pieces: Tokenizer) -> None:
    with pytest.raises(BenchmarkError, match="texts of 16 tokens or more, but this one cuts them at 12"):
        make_cases(word_pieces, 12, QUICK.lengths)


def test_a_tokenizer_without_english_words_is_refused() -> None:
    letters = {letter: number for number, letter in enumerate(["[UNK]", *"abcdefghijklmnopqrstuvwxyz"])}
    tokenizer = Tokenizer(models.WordPiece(letters, unk_token="[UNK]", continuing_subword_prefix=""))  # noqa: S106 - no secret
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()

    with pytest.raises(BenchmarkError, match=r"plain English words as tokens, but this one has only 0 of 108"):
        make_cases(tokenizer, MAX_LENGTH, QUICK.lengths)


def write(path: Path, *rows: dict[str, object]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_real_texts_keep_their_labels_and_count_their_tokens(word_pieces: Tokenizer, tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", {"text": "the day", "label": "late"}, {"text": "day", "label": "lost"})

    corpus = read_corpus(path, word_pieces, ["late", "lost", "refund"])

    counts = tuple(len(word_pieces.encode(text).ids) for text in ("the day", "day"))
    assert corpus == Corpus(f"{tmp_path.name}/t.jsonl", ("the day", "day"), ("late", "lost"), counts)
    assert counts[0] == counts[1] + 1


@pytest.mark.parametrize(
    ("row", "note"),
    [
        ({"text": "x", "label": "other"}, "has the label 'other', which the model does not know"),
        ({"text": "x"}, "no accuracy was measured: "),
    ],
)
def test_labels_that_are_missing_or_foreign_cost_the_accuracy_and_nothing_else(
    row: dict[str, object], note: str, word_pieces: Tokenizer, tmp_path: Path
) -> None:
    corpus = read_corpus(write(tmp_path / "t.jsonl", row), word_pieces, ["late"])

    assert (corpus.texts, corpus.labels) == (("x",), None)
    assert note in corpus.note


@pytest.mark.parametrize("content", [None, "", "no json", '{"text": 3}'])
def test_a_file_without_texts_is_refused(content: str | None, word_pieces: Tokenizer, tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    if content is not None:
        path.write_text(content, encoding="utf-8")

    with pytest.raises(BenchmarkError, match=r"t\.jsonl"):
        read_corpus(path, word_pieces, ["late"])


def test_a_sample_is_spread_over_all_texts_and_the_same_every_time() -> None:
    corpus = Corpus("x", tuple("abcdefghij"), tuple("0123456789"), tuple(range(10)))

    assert corpus.sample(4) == Corpus("x", ("a", "d", "g", "j"), ("0", "3", "6", "9"), (0, 3, 6, 9))
    assert corpus.sample(10) == corpus
    assert corpus.sample(99) is corpus
    assert Corpus("x", ("a", "b"), None, (1, 2)).sample(1).texts == ("a",)
