"""A classifier in a service: asyncio's callers, what it counts, logs and traces, and what explains an answer."""

import asyncio
import gc
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from setfuse.runtime import (
    BundleCorrupt,
    Classifier,
    ClassifierClosed,
    DeadlineExceeded,
    InvalidText,
    Overloaded,
    Prediction,
    Stats,
    UsageError,
)
from setfuse.runtime._classifier import WARMUP_TEXTS
from setfuse.runtime._counters import Counters
from tests.models import LONG_TEXT, MAX_LENGTH, TEXTS

from .damage import replace_file

BATCHER = "setfuse-batcher"


@pytest.fixture(scope="module")
def classifier(tiny_bundle: Path) -> Iterator[Classifier]:
    """`tiny_bundle`, loaded, and closed at the end."""
    with Classifier.load(tiny_bundle, max_wait_ms=1) as classifier:
        yield classifier


@pytest.fixture
def own(tiny_bundle: Path) -> Iterator[Classifier]:
    """A classifier of the test's own."""
    with Classifier.load(tiny_bundle) as classifier:
        yield classifier


def rounded(prediction: Prediction) -> list[float]:
    return [round(score, 5) for score in prediction.scores.values()]


# Asyncio


words = st.sampled_from(["parcel", "refund", "zzz", "!", "👩‍👩‍👧‍👦", "שלום", "\0", "é", "\ud800", *TEXTS])
texts = st.lists(words, max_size=20).map(" ".join) | st.text(st.characters(), max_size=40)


@settings(deadline=None, max_examples=40)
@given(many=st.lists(texts, max_size=20), alone=st.lists(texts, max_size=10))
def test_asyncios_callers_get_the_answers_of_one_by_one(
    classifier: Classifier, many: list[str], alone: list[str]
) -> None:
    async def ask() -> list[Any]:
        return await asyncio.gather(
            classifier.classify_many(many),
            *(classifier.aclassify(text) for text in alone),
            classifier.classify_many([]),
        )

    together, *each, nothing = asyncio.run(ask())

    np.testing.assert_allclose(
        [list(prediction.scores.values()) for prediction in [*together, *each]],
        [list(classifier(text).scores.values()) for text in [*many, *alone]],
        rtol=0,
        atol=1e-6,  # sums taken in another order
    )
    assert nothing == []


def test_many_callers_share_runs(own: Classifier) -> None:
    async def ask() -> list[Prediction]:
        return await asyncio.gather(*(own.aclassify(TEXTS[number % 3]) for number in range(300)))

    predictions = asyncio.run(ask())

    assert [rounded(prediction) for prediction in predictions[:3]] == [rounded(own(text)) for text in TEXTS[:3]]
    assert [p.label for p in predictions] == [own(TEXTS[number % 3]).label for number in range(300)]
    assert own.stats.queued == 300
    assert own.stats.batches < 3 + 300 + 3 + 100  # the calls above are a run each


@pytest.mark.parametrize("text", [None, b"parcel", 7, ["parcel"], float("nan")], ids=repr)
def test_what_is_no_text_is_refused_at_once(text: Any, classifier: Classifier) -> None:
    with pytest.raises(InvalidText, match=f"expected a text, got {type(text).__name__}"):
        asyncio.run(classifier.aclassify(text))
    with pytest.raises(InvalidText, match=f"^text 1: expected a string, got {type(text).__name__}"):
        asyncio.run(classifier.classify_many(["a", text]))


def test_a_call_too_many_and_a_call_too_late(tiny_bundle: Path) -> None:
    async def scene(classifier: Classifier) -> None:
        with pytest.raises(DeadlineExceeded):
            await classifier.aclassify("a", timeout=0)
        results = await asyncio.gather(
            *(classifier.aclassify("parcel " * 40) for _ in range(200)), return_exceptions=True
        )
        refused = [result for result in results if isinstance(result, Overloaded)]
        assert len(refused) >= 100
        assert len(refused) == classifier.stats.rejected
        assert len({result.label for result in results if isinstance(result, Prediction)}) == 1
        assert len(await classifier.classify_many(TEXTS * 10)) == 10 * len(TEXTS)

    with Classifier.load(tiny_bundle, max_queue=4) as classifier:
        asyncio.run(scene(classifier))


def test_closing_lets_no_caller_hang(own: Classifier) -> None:
    async def scene() -> list[Any]:
        asked = [asyncio.create_task(own.aclassify("parcel " * 40)) for _ in range(100)]
        await asyncio.sleep(0)
        own.close()
        return await asyncio.gather(*asked, return_exceptions=True)

    answers = asyncio.run(scene())

    assert {type(answer) for answer in answers} <= {Prediction, ClassifierClosed}
    assert sum(isinstance(answer, ClassifierClosed) for answer in answers) >= 50
    with pytest.raises(ClassifierClosed):
        asyncio.run(own.aclassify("a"))
    with pytest.raises(ClassifierClosed):
        asyncio.run(own.classify_many(["a"]))


def test_an_async_block_answers_what_waits_before_it_closes(tiny_bundle: Path) -> None:
    async def scene() -> list[Prediction]:
        async with Classifier.load(tiny_bundle) as classifier:
            asked = [asyncio.create_task(classifier.aclassify(text)) for text in TEXTS]
            await asyncio.sleep(0)
        with pytest.raises(ClassifierClosed):
            await classifier.aclassify("a")
        return await asyncio.gather(*asked)

    assert [type(answer) for answer in asyncio.run(scene())] == [Prediction] * len(TEXTS)


def test_the_thread_comes_with_the_first_caller_and_goes_with_the_classifier(tiny_bundle: Path) -> None:
    def threads() -> int:
        return sum(thread.name == BATCHER for thread in threading.enumerate())

    gc.collect()  # what other tests left
    before = threads()
    classifier = Classifier.load(tiny_bundle)
    classifier("a")
    assert threads() == before
    asyncio.run(classifier.aclassify("a"))
    assert threads() == before + 1
    del classifier
    gc.collect()

    assert threads() == before


def test_a_process_ends_whatever_is_left_open(tiny_bundle: Path) -> None:
    script = """
import asyncio, sys
from setfuse.runtime import Classifier
clf = Classifier.load(sys.argv[1], threads=2)
async def scene():
    tasks = [asyncio.create_task(clf.aclassify("parcel " * 40)) for _ in range(500)]
    await asyncio.sleep(0.01)
asyncio.run(scene())
print("end")
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script, tiny_bundle],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "end\n", "")


# A graph that fails


@pytest.fixture
def fails_on_login(own_bundle: Path) -> Classifier:
    """A classifier whose graph fails on one word: its token is none that the graph knows."""
    definition = json.loads((own_bundle / "tokenizer.json").read_bytes())
    definition["model"]["vocab"]["parcel"] = 9999
    return Classifier.load(replace_file(own_bundle, "tokenizer.json", json.dumps(definition).encode()))


def test_the_text_that_the_graph_fails_on_is_named(fails_on_login: Classifier) -> None:
    texts = ["refund", "late", "refund refund", "parcel", "late"]
    expected = r"^text 3: model\.onnx: onnxruntime fails on token ids of the shape \(1, 3\)"

    for call in (fails_on_login, fails_on_login.predict, fails_on_login.predict_proba, fails_on_login.embed):
        with pytest.raises(BundleCorrupt, match=expected):
            call(texts)
    with pytest.raises(BundleCorrupt, match=expected):
        asyncio.run(fails_on_login.classify_many(texts))
    with pytest.raises(BundleCorrupt, match=r"^text 1027: "):
        list(fails_on_login.stream(["late"] * 1024 + texts))
    assert fails_on_login.stats.failed >= 6
    assert fails_on_login(["late"])[0].label


def test_who_shares_a_run_with_it_is_answered(fails_on_login: Classifier) -> None:
    async def scene() -> list[Any]:
        asked = (fails_on_login.aclassify(text) for text in ["refund", "late", "parcel", "late"] * 5)
        return await asyncio.gather(*asked, return_exceptions=True)

    answers = asyncio.run(scene())

    assert [type(answer) for answer in answers] == [Prediction, Prediction, BundleCorrupt, Prediction] * 5


@pytest.fixture
def fails_on_snow(own_bundle: Path) -> Classifier:
    """A classifier whose tokenizer fails on what it has no token for."""
    definition = json.loads((own_bundle / "tokenizer.json").read_bytes())
    definition["model"] |= {"unk_token": "[NOT THERE]"}
    return Classifier.load(replace_file(own_bundle, "tokenizer.json", json.dumps(definition).encode()))


def test_the_text_that_the_tokenizer_fails_on_is_named(fails_on_snow: Classifier) -> None:
    texts = ["refund", "late", "☃", "late"]
    expected = r"^text 2: tokenizer\.json: the tokenizers package fails: .*; export the bundle again$"

    for call in (fails_on_snow, fails_on_snow.predict, fails_on_snow.embed):
        with pytest.raises(BundleCorrupt, match=expected):
            call(texts)
    with pytest.raises(BundleCorrupt, match=expected):
        asyncio.run(fails_on_snow.classify_many(texts))
    with pytest.raises(BundleCorrupt, match=r"^text 1026: "):
        list(fails_on_snow.stream(["late"] * 1024 + texts))
    with pytest.raises(BundleCorrupt, match="the tokenizers package fails"):
        fails_on_snow.explain("☃")


def test_who_is_tokenized_with_it_is_answered(fails_on_snow: Classifier) -> None:
    async def scene() -> list[Any]:
        asked = (fails_on_snow.aclassify(text) for text in ["refund", "late", "☃", "late"] * 5)
        return await asyncio.gather(*asked, return_exceptions=True)

    answers = asyncio.run(scene())

    assert [type(answer) for answer in answers] == [Prediction, Prediction, BundleCorrupt, Prediction] * 5


# Counts, logs, spans


def test_what_is_done_is_counted(own: Classifier) -> None:
    assert own.stats == Stats()
    own(["refund", "late", "where is my parcel"])
    assert own.stats == Stats(texts=3, tokens=3 + 3 + 6, batches=2)
    asyncio.run(own.aclassify("late"))
    stats = own.stats

    assert (stats.texts, stats.tokens, stats.batches, stats.queued, stats.waiting) == (4, 15, 3, 1, 0)
    assert 0 < stats.queue_seconds < 60
    with pytest.raises(AttributeError):
        stats.texts = 0  # type: ignore[misc]


def test_what_is_counted_while_it_counts_does_not_hang() -> None:
    """The garbage collector may end a coroutine in the middle of it, whose text then leaves the queue."""
    counters = Counters()
    counters.add(waiting=1)

    class Amount(float):
        def __radd__(self, other: float) -> float:
            counters.add(cancelled=1)
            return other + float(self)

    thread = threading.Thread(target=lambda: counters.add(waiting=Amount(2)), daemon=True)
    thread.start()
    thread.join(10)

    assert not thread.is_alive()
    assert (counters.snapshot().waiting, counters.snapshot().cancelled) == (3, 1)


def test_threads_count_together(own: Classifier) -> None:
    threads = [threading.Thread(target=own, args=(["late"] * 7,)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (own.stats.texts, own.stats.batches) == (140, 20)


def test_the_logger_tells_of_loading_and_closing_and_has_no_handlers(
    tiny_bundle: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "setfuse.runtime"), Classifier.load(tiny_bundle) as classifier:
        classifier("a")

    assert [(record.name, record.getMessage()) for record in caplog.records] == [
        ("setfuse.runtime", f"the classifier of {tiny_bundle}: {what}") for what in ("loaded", "closed")
    ]
    assert logging.getLogger("setfuse.runtime").handlers == []


def test_spans_tell_of_calls_and_runs_where_opentelemetry_is_used(own: Classifier) -> None:
    pytest.importorskip("opentelemetry.sdk", reason="opentelemetry-sdk is not installed")
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)

    own(["late", "refund"])
    asyncio.run(own.aclassify("where is my parcel"))

    batch, call, shared, asked = exporter.get_finished_spans()
    names = [span.name for span in (batch, call, shared, asked)]
    assert names == ["setfuse.batch", "setfuse.classify"] * 2
    assert dict(batch.attributes or {}) == {"setfuse.texts": 2, "setfuse.tokens": 6}
    assert dict(asked.attributes or {}) == {"setfuse.texts": 1}
    assert batch.parent is not None
    assert call.context is not None
    assert batch.parent.span_id == call.context.span_id
    assert [link.context for link in shared.links] == [asked.context]


def test_nobody_who_traces_pays_for_spans(own: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "opentelemetry.trace", raising=False)

    own("late")
    asyncio.run(own.aclassify("late"))

    assert "opentelemetry.trace" not in sys.modules


# What explains an answer


def test_a_words_effect_is_the_score_with_it_minus_the_score_without(own: Classifier) -> None:
    explanation = own.explain("where is my parcel", "lost")

    assert (explanation.text, explanation.label) == ("where is my parcel", "lost")
    assert [word.word for word in explanation.words] == ["where", "is", "my", "parcel"]
    assert [word.start for word in explanation.words] == [0, 6, 9, 12]
    whole = own("where is my parcel").scores["lost"]
    assert explanation.score == pytest.approx(whole, abs=1e-6)
    for word, rest in zip(
        explanation.words, [" is my parcel", "where  my parcel", "where is  parcel", "where is my "], strict=True
    ):
        assert word.effect == pytest.approx(whole - own(rest).scores["lost"], abs=1e-6)
    assert max(abs(word.effect) for word in explanation.words) > 0.001
    assert own.explain("where is my parcel").label == own("where is my parcel").label


def test_an_explanation_prints_the_words_that_moved_most_first(own: Classifier) -> None:
    explanation = own.explain("where is my parcel", "lost")
    first, *lines = str(explanation).splitlines()

    assert first == f"lost {explanation.score:.4f}"
    effects = [float(line.split()[0]) for line in lines]
    assert sorted(effects, key=abs, reverse=True) == effects
    assert {line.split()[1] for line in lines} == {"where", "is", "my", "parcel"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        (" \t\n", []),
        ("refund", ["refund"]),
        ("a\ud800b \ud83d\ude00", ["a\ufffdb", "😀"]),
        ("שלום עולם", ["שלום", "עולם"]),
        ("中文ok", ["中", "文", "ok"]),
        ("\0 \0", []),  # the tokenizer drops them
    ],
    ids=ascii,
)
def test_any_text_is_explained(text: str, words: list[str], own: Classifier) -> None:
    explanation = own.explain(text)

    assert [word.word for word in explanation.words] == words
    for word in explanation.words:
        assert explanation.text[word.start : word.start + len(word.word)] == word.word
    assert explanation.score == pytest.approx(own(text).score, abs=1e-6)


def test_what_the_model_does_not_see_is_not_explained(own: Classifier) -> None:
    explanation = own.explain(LONG_TEXT * 1000)

    assert len(explanation.words) == MAX_LENGTH - 2
    assert explanation.score == pytest.approx(own(LONG_TEXT).score, abs=1e-6)


@pytest.mark.parametrize("label", ["early", "", 7])
def test_a_label_that_is_none_is_not_explained(label: Any, own: Classifier) -> None:
    with pytest.raises(UsageError, match="label: expected one of late, lost, refund, got"):
        own.explain("a", label)


def test_warming_up_answers_texts_of_the_lengths_asked_for(own: Classifier) -> None:
    own.warmup()
    assert own.stats.batches == len(WARMUP_TEXTS)
    own.warmup(["late", "refund", "where is my parcel"])
    assert own.stats.batches == len(WARMUP_TEXTS) + 3
    with pytest.raises(InvalidText):
        own.warmup("late")
