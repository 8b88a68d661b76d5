"""The classifier: one by one or together, a text gets the same answer; what is no text is refused by its number."""

import dataclasses
import json
import logging
import os
import pickle
import shutil
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper

import setfuse.runtime
import setfuse.runtime._session as session_module
from setfuse.runtime import (
    BundleCorrupt,
    BundleFile,
    Classifier,
    DeviceUnavailable,
    InvalidText,
    MissingExtra,
    Prediction,
    SetfuseError,
    Target,
    Tensor,
    UsageError,
    Variant,
    VariantNotFound,
)
from setfuse.runtime._model import MAX_TEXTS_AT_ONCE
from setfuse.runtime._tokenizer import Tokenizer
from tests.models import LONG_TEXT, MAX_LENGTH, TEXTS

from .damage import change_manifest, replace_file

TOLERANCE = 1e-6
"""float32 sums may be taken in another order in a batch of another size; probabilities then differ by some 1e-7."""


@pytest.fixture(scope="module")
def classifier(tiny_bundle: Path) -> Classifier:
    """`tiny_bundle`, loaded."""
    return Classifier.load(tiny_bundle)


def one_by_one(classifier: Classifier, texts: Iterable[str]) -> npt.NDArray[np.float32]:
    """Give the probabilities of each text, asked for on its own."""
    return np.concatenate([np.empty((0, 3), np.float32), *[classifier.predict_proba([text]) for text in texts]])


def assert_same(actual: Any, expected: Any) -> None:
    """Compare probabilities or embeddings."""
    np.testing.assert_allclose(actual, expected, rtol=0, atol=TOLERANCE)


# What is asked for, and its form


def test_one_text_gives_one_prediction_and_a_list_a_list(classifier: Classifier) -> None:
    one = classifier(TEXTS[0])
    many = classifier(list(TEXTS))

    assert isinstance(one, Prediction)
    assert isinstance(many, list)
    assert [type(prediction) for prediction in many] == [Prediction] * len(TEXTS)
    assert many[0].label == one.label
    assert many[0].score == pytest.approx(one.score, abs=TOLERANCE)


def test_the_forms_of_an_answer_agree(classifier: Classifier) -> None:
    probabilities = classifier.predict_proba(TEXTS)
    predictions = classifier(TEXTS)

    assert classifier.labels == ("late", "lost", "refund")
    assert [prediction.label for prediction in predictions] == classifier.predict(TEXTS)
    assert classifier.predict(TEXTS) == [classifier.labels[column] for column in probabilities.argmax(axis=1)]
    assert len(set(classifier.predict(TEXTS))) > 1  # or the lines above say little
    for prediction, row in zip(predictions, probabilities, strict=True):
        assert tuple(prediction.scores) == classifier.labels
        assert_same(list(prediction.scores.values()), row)
        assert prediction.score == max(prediction.scores.values()) == prediction.scores[prediction.label]
        assert prediction.labels == (prediction.label,)


def test_probabilities_are_float32_and_sum_to_one(classifier: Classifier) -> None:
    probabilities = classifier.predict_proba(TEXTS)

    assert probabilities.shape == (len(TEXTS), 3)
    assert probabilities.dtype == np.float32
    assert (probabilities >= 0).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=0, atol=1e-5)
    assert probabilities.std(axis=0).min() > 0.001  # the answer depends on the text


def test_embeddings_are_float32_and_of_length_one_as_the_body_ends_in_normalize(classifier: Classifier) -> None:
    embeddings = classifier.embed(TEXTS)

    assert embeddings.shape == (len(TEXTS), 32)
    assert embeddings.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, rtol=0, atol=1e-5)


def test_no_texts_give_no_answers(classifier: Classifier) -> None:
    assert classifier([]) == []
    assert classifier.predict([]) == []
    assert list(classifier.stream([])) == []
    for answer, columns in ((classifier.predict_proba([]), 3), (classifier.embed([]), 32)):
        assert answer.shape == (0, columns)
        assert answer.dtype == np.float32


def test_a_prediction_shows_its_label_and_score(classifier: Classifier) -> None:
    prediction = Prediction("order_status", 0.912, {"order_status": 0.912, "other": 0.088}, ("order_status",))

    assert repr(prediction) == "Prediction(label='order_status', score=0.9120)"
    assert repr(Prediction("it's", 1.0, {}, ("it's",))) == """Prediction(label="it's", score=1.0000)"""
    assert repr(classifier) == "Classifier(fp32/cpu, labels=['late', 'lost', 'refund'])"


def test_a_prediction_is_frozen_and_plain(classifier: Classifier) -> None:
    prediction = classifier(TEXTS[0])

    with pytest.raises(dataclasses.FrozenInstanceError):
        prediction.label = "other"  # type: ignore[misc]
    value = json.loads(json.dumps(dataclasses.asdict(prediction)))
    assert value == {
        "label": prediction.label,
        "score": prediction.score,
        "scores": prediction.scores,
        "labels": [prediction.label],
    }
    assert pickle.loads(pickle.dumps(prediction)) == prediction


# Any text


ODD_TEXTS = [
    pytest.param("", id="empty"),
    pytest.param(" \t\n\u00a0\u2003", id="blank"),
    pytest.param("\0", id="NUL"),
    pytest.param("a\0b", id="NUL inside"),
    pytest.param("\ufeffparcel", id="byte order mark"),
    pytest.param("\U0010ffff\ufffe\ue000", id="no characters"),
    pytest.param("👩‍👩‍👧‍👦🏳️‍🌈🇸🇰", id="emoji"),
    pytest.param("مرحبا، أين طردي؟ שלום", id="right to left"),
    pytest.param("\u202eparcel my is where\u202c", id="direction override"),
    pytest.param("e\u0301" + "\u0300" * 500, id="stacked accents"),
    pytest.param("[CLS] [PAD] [MASK] [SEP] ##ing", id="special tokens"),
    pytest.param("a" * 100_000, id="one long word"),
]


@pytest.mark.parametrize("text", ODD_TEXTS)
def test_any_text_is_answered_alone_as_in_a_batch(text: str, classifier: Classifier) -> None:
    probabilities = classifier.predict_proba([*TEXTS, text, *TEXTS])

    assert np.isfinite(probabilities).all()
    assert_same(probabilities[len(TEXTS)], classifier.predict_proba([text])[0])
    assert_same(probabilities[: len(TEXTS)], classifier.predict_proba(TEXTS))


@pytest.mark.parametrize(
    ("long", "cut"),
    [
        pytest.param(LONG_TEXT, " ".join(LONG_TEXT.split()[: MAX_LENGTH - 2]), id="500 words"),
        pytest.param("parcel " * 100_000, "parcel " * (MAX_LENGTH - 2), id="100,000 words"),
        pytest.param("parcel " * (MAX_LENGTH - 1), "parcel " * (MAX_LENGTH - 2), id="one word too many"),
    ],
)
def test_a_long_text_gets_the_answer_of_its_beginning(long: str, cut: str, classifier: Classifier) -> None:
    # Each word is one token of the tests' vocabulary, and two special tokens stand around them.
    assert_same(classifier.embed([long]), classifier.embed([cut]))
    assert_same(classifier.predict_proba([long]), classifier.predict_proba([cut]))
    shorter = cut.rsplit(maxsplit=1)[0]
    assert np.abs(classifier.embed([shorter]) - classifier.embed([cut])).max() > 100 * TOLERANCE


@pytest.mark.parametrize(
    ("text", "same"),
    [("parcel \ud800", "parcel \ufffd"), ("\udfff", "\ufffd"), ("\ud83d\ude00 a", "😀 a"), ("a\udc80b", "a\ufffdb")],
    ids=ascii,
)
def test_a_lone_surrogate_counts_as_the_replacement_character(text: str, same: str, classifier: Classifier) -> None:
    assert_same(classifier.predict_proba([text]), classifier.predict_proba([same]))
    assert classifier(text).label == classifier(same).label


words = st.sampled_from(["parcel", "refund", "zzz", "!", "👩‍👩‍👧‍👦", "שלום", "\0", "é", "\ud800", *TEXTS])
texts = st.lists(words, max_size=30).map(" ".join) | st.text(st.characters(), max_size=60)


@settings(deadline=None, max_examples=60)
@given(many=st.lists(texts, max_size=25), shuffle=st.randoms(use_true_random=False))
def test_answers_depend_neither_on_neighbours_nor_on_order(
    classifier: Classifier, many: list[str], shuffle: Any
) -> None:
    many = many * 2  # equal texts, too
    shuffle.shuffle(many)

    assert_same(classifier.predict_proba(many), one_by_one(classifier, many))


@pytest.mark.parametrize(
    "container",
    [
        pytest.param(tuple, id="tuple"),
        pytest.param(iter, id="iterator"),
        pytest.param(lambda values: (value for value in values), id="generator"),
        pytest.param(lambda values: dict.fromkeys(values).keys(), id="keys"),
        pytest.param(np.array, id="numpy array of strings"),
        pytest.param(lambda values: np.array(values, dtype=object), id="numpy array of objects"),
        pytest.param(lambda values: np.array(values, dtype=np.dtypes.StringDType()), id="numpy StringDType"),
    ],
)
def test_texts_come_in_any_container(container: Callable[[list[str]], Any], classifier: Classifier) -> None:
    expected = classifier.predict_proba(TEXTS)

    assert_same(classifier.predict_proba(container(list(TEXTS))), expected)
    assert_same(classifier.embed(container(list(TEXTS))), classifier.embed(TEXTS))
    assert classifier.predict(container(list(TEXTS))) == classifier.predict(TEXTS)
    assert classifier(container(list(TEXTS))) == classifier(TEXTS)
    assert list(classifier.stream(container(list(TEXTS)))) == classifier(TEXTS)


def test_a_numpy_string_is_one_text(classifier: Classifier) -> None:
    assert classifier(np.str_(TEXTS[0])) == classifier(TEXTS[0])


# What is no text

ASK = {
    "predict": lambda classifier, texts: classifier.predict(texts),
    "predict_proba": lambda classifier, texts: classifier.predict_proba(texts),
    "embed": lambda classifier, texts: classifier.embed(texts),
    "stream": lambda classifier, texts: list(classifier.stream(texts)),
}
ask = pytest.mark.parametrize("ask", ASK.values(), ids=ASK)
ask_or_call = pytest.mark.parametrize(
    "ask", [*ASK.values(), lambda classifier, texts: classifier(texts)], ids=[*ASK, "call"]
)
Ask = Callable[[Classifier, Any], Any]


@ask
def test_one_string_is_no_list_of_texts(ask: Ask, classifier: Classifier) -> None:
    with pytest.raises(InvalidText, match=r"got one string: pass \[text\]") as caught:
        ask(classifier, "where is my parcel")

    assert isinstance(caught.value, TypeError)
    assert isinstance(caught.value, SetfuseError)


@ask_or_call
@pytest.mark.parametrize(
    ("element", "found"),
    [
        pytest.param(None, r"NoneType \(None\)", id="None"),
        pytest.param(b"parcel", r"bytes \(b'parcel'\)", id="bytes"),
        pytest.param(7, r"int \(7\)", id="int"),
        pytest.param(float("nan"), r"float \(nan\)", id="NaN as pandas gives it"),
        pytest.param(["parcel"], r"list \(\['parcel'\]\)", id="nested list"),
        pytest.param(b"x" * 10_000, "bytes", id="long bytes"),
    ],
)
def test_what_is_no_text_is_named_by_its_number(ask: Ask, element: object, found: str, classifier: Classifier) -> None:
    with pytest.raises(InvalidText, match=f"^text 2: expected a string, got {found}") as caught:
        ask(classifier, ["a", "b", element, None])

    assert len(str(caught.value)) < 150


@ask_or_call
@pytest.mark.parametrize("nothing", [None, 7, 1.5, object(), b"parcel", bytearray(b"parcel")], ids=ascii)
def test_what_holds_no_texts_is_refused(ask: Ask, nothing: object, classifier: Classifier) -> None:
    with pytest.raises(InvalidText, match=f"list of texts, got {type(nothing).__name__}"):
        ask(classifier, nothing)


@ask_or_call
@pytest.mark.parametrize("shape", [(), (1, 2), (2, 1, 1), (0, 3)], ids=str)
def test_texts_in_another_number_of_dimensions_are_refused(shape: Any, ask: Ask, classifier: Classifier) -> None:
    with pytest.raises(InvalidText, match=f"expected texts in one dimension, got ndarray of {len(shape)}"):
        ask(classifier, np.full(shape, "parcel"))


@ask_or_call
def test_a_pandas_series_holds_texts_and_a_table_does_not(ask: Ask, classifier: Classifier) -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    series = pandas.Series(TEXTS, index=range(100, 100 + len(TEXTS)))

    for column in (series, series.astype("string"), series.astype(object), series.astype("category")):
        np.testing.assert_array_equal(ask(classifier, column), ask(classifier, list(TEXTS)))
    for missing in (None, float("nan"), pandas.NA):
        with pytest.raises(InvalidText, match=r"^text 1: expected a string, got "):
            ask(classifier, pandas.Series(["a", missing, "b"]))
    with pytest.raises(InvalidText, match=r"expected texts in one dimension, got DataFrame of 2"):
        ask(classifier, pandas.DataFrame({"text": TEXTS}))


# Much text


def test_ten_megabytes_are_answered_as_their_beginning(classifier: Classifier) -> None:
    # Beside short texts, which they must not change.
    long = "parcel " * (10_000_000 // 7)

    probabilities = classifier.predict_proba(["refund", long, "parcel " * (MAX_LENGTH - 2)])

    assert_same(probabilities[1], probabilities[2])
    assert_same(probabilities[0], classifier.predict_proba(["refund"])[0])


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f"{LONG_TEXT} " * 100, id="words"),
        pytest.param(" " * 50_000 + LONG_TEXT + "\t" * 50_000 + LONG_TEXT, id="blanks"),
        pytest.param("a" * 50_000 + f" {LONG_TEXT}" * 50, id="one long word first"),
        pytest.param("中文" * 20_000, id="no blanks"),
        pytest.param("parcel\n" * 10_000, id="lines"),
        pytest.param("\ud800 é\0" * 20_000, id="odd characters"),
        pytest.param("zzz! " * MAX_LENGTH * 20, id="a little too long"),
        pytest.param("parcel\u3000" * 10_000, id="blanks of other scripts"),
    ],
)
def test_a_very_long_text_has_the_tokens_of_the_whole(text: str, tiny_bundle: Path) -> None:
    definition = (tiny_bundle / "tokenizer.json").read_bytes()
    whole = tokenizers.Tokenizer.from_buffer(definition)
    whole.enable_truncation(MAX_LENGTH)
    whole.no_padding()

    for prompt in ("", "refund "):
        (ids,) = Tokenizer(definition, MAX_LENGTH, prompt).encode([text])
        assert ids.tolist() == whole.encode(prompt + text.replace("\ud800", "\ufffd")).ids


def test_the_package_lists_all_that_it_gives() -> None:
    assert set(setfuse.runtime.__all__) <= set(dir(setfuse.runtime))


@pytest.mark.parametrize("blank", [" ", "\n", "\t", "\r", "\u00a0", "\u2003", "\u3000"], ids=ascii)
def test_a_long_text_is_cut_at_any_blank(blank: str, tiny_bundle: Path) -> None:
    tokenizer = Tokenizer((tiny_bundle / "tokenizer.json").read_bytes(), MAX_LENGTH)

    beginning = tokenizer._beginning(f"parcel{blank}" * 100_000)

    assert len(beginning) < 100 * 64 * MAX_LENGTH
    assert beginning.endswith("parcel")


def test_a_bug_of_the_tokenizers_package_is_an_error_of_the_bundle(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class PanicException(BaseException):  # as the package's own: no Exception, and nowhere to import it from
        pass

    def raises(error: BaseException) -> Any:
        def encode(_texts: object) -> Any:
            raise error

        return SimpleNamespace(encode=encode, encode_batch_fast=encode)

    tokenizer = Tokenizer((tiny_bundle / "tokenizer.json").read_bytes(), MAX_LENGTH)
    monkeypatch.setattr(tokenizer, "_tokenizer", raises(PanicException("index out of bounds")))
    with pytest.raises(BundleCorrupt, match="the tokenizers package fails: index out of bounds"):
        tokenizer.encode(["a"])
    with pytest.raises(BundleCorrupt, match="the tokenizers package fails: index out of bounds"):
        tokenizer.seen("a")
    monkeypatch.setattr(tokenizer, "_tokenizer", raises(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        tokenizer.encode(["a"])


def test_a_hundred_thousand_empty_texts_are_answered(classifier: Classifier) -> None:
    labels = classifier.predict([""] * 100_000)  # a million: `make soak`

    assert len(labels) == 100_000
    assert set(labels) == {classifier("").label}


# Streams


def test_a_stream_reads_bounded_amounts(classifier: Classifier) -> None:
    pulled = 0

    def endless() -> Iterator[str]:
        nonlocal pulled
        while True:
            pulled += 1
            assert pulled < 10 * MAX_TEXTS_AT_ONCE, "read without bound"
            yield TEXTS[pulled % len(TEXTS)]

    stream = classifier.stream(endless())
    assert pulled == 0
    for answered in range(1, 2 * MAX_TEXTS_AT_ONCE + 2):
        next(stream)
        assert answered <= pulled < answered + MAX_TEXTS_AT_ONCE


def test_a_long_stream_keeps_its_order(classifier: Classifier) -> None:
    expected = {text: classifier(text) for text in TEXTS}
    many = [TEXTS[number * number % len(TEXTS)] for number in range(2 * MAX_TEXTS_AT_ONCE + 5)]

    streamed = list(classifier.stream(iter(many)))

    assert [prediction.label for prediction in streamed] == [expected[text].label for text in many]
    assert_same([prediction.score for prediction in streamed], [expected[text].score for text in many])
    assert_same(classifier.predict_proba(many)[:, 0], [prediction.scores["late"] for prediction in streamed])


def test_a_stream_counts_from_its_beginning(classifier: Classifier) -> None:
    many: list[Any] = ["parcel"] * (MAX_TEXTS_AT_ONCE + 3)
    many[-1] = None

    stream = classifier.stream(many)

    assert [next(stream).label for _ in range(MAX_TEXTS_AT_ONCE)] == [classifier("parcel").label] * MAX_TEXTS_AT_ONCE
    with pytest.raises(InvalidText, match=f"^text {MAX_TEXTS_AT_ONCE + 2}: expected a string, got NoneType"):
        next(stream)


# Loading


def test_a_bundle_is_loaded_by_str_or_path(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tiny_bundle.parent)
    for bundle in (tiny_bundle, str(tiny_bundle), f"{tiny_bundle}/", tiny_bundle.name):
        classifier = Classifier.load(bundle)
        assert (classifier.labels, classifier.max_length) == (("late", "lost", "refund"), 48)
        assert str(classifier.variant) == "fp32/cpu"


@pytest.mark.parametrize(
    "options", [{"device": "auto"}, {"device": "cpu"}, {"precision": "fp32"}, {"threads": 1}, {"threads": 64}], ids=str
)
def test_how_it_is_loaded_changes_no_answer(options: dict[str, Any], tiny_bundle: Path, classifier: Classifier) -> None:
    assert_same(Classifier.load(tiny_bundle, **options).predict_proba(TEXTS), classifier.predict_proba(TEXTS))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param(
            {"device": "gpu"},
            "device: expected auto, cpu, cuda, or cuda:N for the Nth GPU from 0, got 'gpu'",
            id="device",
        ),
        pytest.param(
            {"device": "CPU"},
            "device: expected auto, cpu, cuda, or cuda:N for the Nth GPU from 0, got 'CPU'",
            id="capitals",
        ),
        pytest.param(
            {"device": None},
            "device: expected auto, cpu, cuda, or cuda:N for the Nth GPU from 0, got None",
            id="no device",
        ),
        pytest.param(
            {"precision": "fp8"}, "precision: expected one of bf16, fp32, int8, fp16, got 'fp8'", id="precision"
        ),
        pytest.param(
            {"precision": ""}, "precision: expected one of bf16, fp32, int8, fp16, got ''", id="empty precision"
        ),
        pytest.param(
            {"precision": ["int8"]}, "precision: expected one of bf16, fp32, int8, fp16, got ['int8']", id="a list"
        ),
        pytest.param({"threads": 0}, "threads: expected a whole number from 1 to 256, got 0", id="no threads"),
        pytest.param({"threads": 1.5}, "threads: expected a whole number from 1 to 256, got 1.5", id="half a thread"),
        pytest.param({"threads": "2"}, "threads: expected a whole number from 1 to 256, got '2'", id="threads as text"),
        pytest.param(
            {"threads": 100_000}, "threads: expected a whole number from 1 to 256, got 100000", id="too many threads"
        ),
        pytest.param({"threads": -2}, "threads: expected a whole number from 1 to 256, got -2", id="negative threads"),
    ],
)
def test_a_choice_out_of_range_is_refused(options: dict[str, Any], message: str, tiny_bundle: Path) -> None:
    with pytest.raises(UsageError) as caught:
        Classifier.load(tiny_bundle, **options)

    assert str(caught.value) == message
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("options", "asked"),
    [({"device": "cuda"}, "cuda"), ({"precision": "int8"}, "int8/cpu"), ({"precision": "fp16"}, "fp16/cuda")],
    ids=["cuda", "int8", "fp16"],
)
def test_a_graph_that_the_bundle_lacks_is_refused(options: dict[str, Any], asked: str, tiny_bundle: Path) -> None:
    with pytest.raises(VariantNotFound, match=rf"has no {asked} graph \(has: fp32/cpu\)"):
        Classifier.load(tiny_bundle, **options)


def test_a_device_that_onnxruntime_lacks_is_refused(own_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change_manifest(own_bundle, lambda manifest: manifest["variants"][0].update(target="cuda"))
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])

    with pytest.raises(DeviceUnavailable, match=r"expected a package with CUDAExecutionProvider, but .* has CPU"):
        Classifier.load(own_bundle, device="cuda")


def test_without_onnxruntime_the_extras_are_named(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setitem(sys.modules, "openvino", None)  # where it is the only one, it is taken

    with pytest.raises(MissingExtra, match="needs onnxruntime") as caught:
        Classifier.load(tiny_bundle)

    assert 'pip install "setfuse[cpu]"' in str(caught.value)
    assert '"setfuse[gpu]"' in str(caught.value)
    assert isinstance(caught.value, ImportError)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "missing": Path.unlink,
    "cut short": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "empty": lambda path: path.write_bytes(b""),
    "altered": lambda path: path.write_bytes(path.read_bytes()[:-1] + b"?"),
}


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_file_is_refused(name: str, damage: Callable[[Path], object], own_bundle: Path) -> None:
    damage(own_bundle / name)

    with pytest.raises(BundleCorrupt, match="export the bundle again") as caught:
        Classifier.load(own_bundle)

    assert str(own_bundle / name) in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"garbage" * 100, b"{}", b"\xff\x00" * 50], ids=ascii)
@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
def test_a_file_that_the_manifest_vouches_for_but_nothing_reads(name: str, data: bytes, own_bundle: Path) -> None:
    replace_file(own_bundle, name, data)

    with pytest.raises(BundleCorrupt, match=f"^{name}: "):
        Classifier.load(own_bundle)


def test_a_tokenizer_that_pads_is_told_not_to(own_bundle: Path, classifier: Classifier) -> None:
    padding = tokenizers.Tokenizer.from_file(str(own_bundle / "tokenizer.json"))
    padding.enable_padding(length=64)
    padding.enable_truncation(4)
    replace_file(own_bundle, "tokenizer.json", padding.to_str().encode())

    assert_same(Classifier.load(own_bundle).predict_proba(TEXTS), classifier.predict_proba(TEXTS))


def test_the_manifest_decides_the_order_and_names_of_labels(own_bundle: Path, classifier: Classifier) -> None:
    change_manifest(own_bundle, lambda manifest: manifest.update(labels=["zu spät", "a", "b"]))

    renamed = Classifier.load(own_bundle)

    assert renamed.labels == ("zu spät", "a", "b")
    assert_same(renamed.predict_proba(TEXTS), classifier.predict_proba(TEXTS))
    names = dict(zip(classifier.labels, renamed.labels, strict=True))
    assert renamed.predict(TEXTS) == [names[str(label)] for label in classifier.predict(TEXTS)]


def test_a_loaded_classifier_needs_its_folder_no_longer(own_bundle: Path, classifier: Classifier) -> None:
    own = Classifier.load(own_bundle)
    shutil.rmtree(own_bundle)

    assert_same(own.predict_proba(TEXTS), classifier.predict_proba(TEXTS))


# In a service


def test_threads_may_share_a_classifier(classifier: Classifier) -> None:
    orders = [np.random.default_rng(seed).permutation(len(TEXTS)) for seed in range(8)]
    expected = classifier.predict_proba(TEXTS)

    def ask_many_times(order: npt.NDArray[np.int64]) -> list[npt.NDArray[np.float32]]:
        return [classifier.predict_proba([TEXTS[index] for index in order]) for _ in range(10)]

    with ThreadPoolExecutor(max_workers=8) as pool:
        answers = list(pool.map(ask_many_times, orders))

    for order, rounds in zip(orders, answers, strict=True):
        for answer in rounds:
            assert_same(answer, expected[order])


def test_nothing_global_is_touched(tiny_bundle: Path) -> None:
    def state() -> list[object]:
        kind, keys, *rest = np.random.get_state()  # noqa: NPY002 - the global state is the point
        return [
            dict(os.environ),
            (kind, bytes(keys), rest),  # type: ignore[arg-type]
            np.geterr(),
            list(warnings.filters),
            logging.getLogger().handlers[:],
            logging.getLogger().level,
            Path.cwd(),
        ]

    before = state()
    Classifier.load(tiny_bundle)(list(TEXTS))

    assert state() == before


def test_a_graph_that_is_not_the_manifests_is_refused(tiny_bundle: Path, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))
    model = onnx.load(bundle / "model.onnx")
    model.graph.output.pop()
    replace_file(bundle, "model.onnx", model.SerializeToString())

    with pytest.raises(
        BundleCorrupt, match=r"model\.onnx: expected .*sentence_embedding.* as bundle\.json says, found"
    ):
        Classifier.load(bundle)


def test_the_slow_fused_kernel_is_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shape: list[str | int | None] = ["batch", "sequence", 8]
    values = {name: helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name in ("a", "b", "out")}
    graph = helper.make_graph(
        [
            helper.make_node("Add", ["a", "b"], ["sum"]),
            helper.make_node("LayerNormalization", ["sum", "scale", "bias"], ["out"]),
        ],
        name="residual",
        inputs=[values["a"], values["b"]],
        outputs=[values["out"]],
        initializer=[numpy_helper.from_array(np.ones(8, np.float32), name) for name in ("scale", "bias")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10).SerializeToString()
    make_options = session_module._options

    def saving(*arguments: Any) -> onnxruntime.SessionOptions:
        options = make_options(*arguments)
        options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
        return options

    def optimized() -> list[str]:
        return [node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node]

    options = saving(onnxruntime, 1)
    onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    assert optimized() == ["SkipLayerNormalization"]  # what onnxruntime does unless it is told

    monkeypatch.setattr(session_module, "_options", saving)
    axes = ("batch", "sequence", 8)
    stand_in = SimpleNamespace(  # a Variant would refuse such a graph
        file=BundleFile("residual.onnx", len(model), "0" * 64),
        target=Target.CPU,
        inputs=tuple(Tensor(name, "float", axes) for name in ("a", "b")),
        outputs=(Tensor("out", "float", axes),),
    )
    session_module.Session(model, cast("Variant", stand_in), threads=1)
    assert optimized() == ["Add", "LayerNormalization"]
