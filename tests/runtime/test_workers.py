"""A call on several threads: the answers of one by one, in order; what fails, who interrupts, and who may help."""

import contextvars
import gc
import os
import shutil
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from setfuse.export import export
from setfuse.runtime import BundleCorrupt, BundleError, Classifier, ClassifierClosed, Manifest
from setfuse.runtime._batching import useful_workers
from setfuse.runtime._counters import Counters
from setfuse.runtime._graph import WIDE_TOKENS, Graph
from setfuse.runtime._model import MAX_TEXTS_AT_ONCE, Model
from setfuse.runtime._tokenizer import Tokenizer
from setfuse.runtime._workers import Workers
from tests.models import MAX_LENGTH, TEXTS

PATIENCE = 60
WORKER = "setfuse-worker"


@pytest.fixture(scope="module")
def bundle(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("workers") / "bundle"
    export(tiny_checkpoint, folder, ("fp32", "int8"))
    return folder


@pytest.fixture(scope="module")
def one(bundle: Path) -> Classifier:
    """A classifier of one thread."""
    return Classifier.load(bundle, precision="int8", threads=1)


@pytest.fixture(scope="module")
def several(bundle: Path) -> Classifier:
    """A classifier of three threads."""
    return Classifier.load(bundle, precision="int8", threads=3)


@pytest.fixture
def own(tiny_bundle: Path) -> Iterator[Classifier]:
    """A classifier of three threads, of the test's own."""
    with Classifier.load(tiny_bundle, threads=3) as classifier:
        yield classifier


def workers() -> int:
    return sum(thread.name == WORKER for thread in threading.enumerate())


class Spy:
    """Stands in for a loaded graph: notes the runs and who made them, and lets the graph answer."""

    def __init__(self, graph: Any) -> None:
        self.runs: list[tuple[int, ...]] = []
        self.threads: set[str] = set()
        self.most_workers = 0
        self._graph = graph

    def run(self, input_ids: npt.NDArray[np.int64], outputs: tuple[str, ...]) -> list[npt.NDArray[np.float32]]:
        self.runs.append(input_ids.shape)
        self.threads.add(threading.current_thread().name)
        self.most_workers = max(self.most_workers, workers())
        rows: list[npt.NDArray[np.float32]] = self._graph.run(input_ids, outputs)
        return rows


def spy_on(classifier: Classifier) -> tuple[Spy, Spy]:
    """Give the spies on the graph of one thread a run, and on the one of all threads."""
    graph: Any = classifier._resident.model()._graph
    graph._wide = Spy(graph._on_all_threads())
    graph._usual = Spy(graph._usual)
    return graph._usual, graph._wide


# The same answers


words = st.sampled_from(["parcel", "refund", "zzz", "!", "שלום", "\0", "é", *TEXTS])
texts = st.lists(words, max_size=30).map(" ".join) | st.text(st.characters(), max_size=60)


@settings(deadline=None, max_examples=40)
@given(many=st.lists(texts, max_size=60))
def test_several_workers_answer_as_one_by_one(one: Classifier, several: Classifier, many: list[str]) -> None:
    alone = np.array([one.predict_proba([text])[0] for text in many]).reshape(-1, 3)

    together = several.predict_proba(many)

    # The head is float32: its sums are taken in another order in a batch of another size.
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(several.predict_proba(many), together)  # whoever ran what
    assert [list(each.scores.values()) for each in several.stream(iter(many))] == together.tolist()


def test_a_long_text_on_all_threads_has_the_answer_of_one_thread(own: Classifier) -> None:
    wide = own._resident.model()._graph._on_all_threads()
    ids = np.tile(np.arange(5, 5 + MAX_LENGTH), (4, 1))
    usual = own._resident.model()._graph._usual

    # Sums of float32 in another order.
    np.testing.assert_allclose(
        wide.run(ids, ("probabilities",))[0], usual.run(ids, ("probabilities",))[0], rtol=0, atol=1e-6
    )


def test_rows_come_in_order_whoever_made_them(own: Classifier) -> None:
    many = [TEXTS[number * number % len(TEXTS)] + " late" * (number % 7) for number in range(MAX_TEXTS_AT_ONCE + 500)]

    together = own.embed(many)

    expected = {text: own.embed([text])[0] for text in set(many)}
    np.testing.assert_allclose(together, [expected[text] for text in many], rtol=0, atol=1e-5)


# Who runs what


def test_a_text_alone_starts_no_thread(own: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_thread: threading.Thread) -> None:
        pytest.fail("a thread was started")

    monkeypatch.setattr(threading.Thread, "start", refuse)

    for text in [*TEXTS, "parcel " * MAX_LENGTH]:
        assert own(text).label
        assert own([text])[0].label


def test_a_list_is_shared_and_the_helpers_end_with_it(own: Classifier) -> None:
    usual, wide = spy_on(own)
    own.predict(["parcel " * (number % 40) for number in range(300)])

    assert 1 <= usual.most_workers <= 2
    assert WORKER in usual.threads
    assert wide.runs == []
    assert workers() == 0


def test_few_texts_are_spread_over_the_workers(own: Classifier) -> None:
    usual, _ = spy_on(own)
    own(["refund " * 30] * 6)

    assert usual.runs == [(2, 32)] * 3


@pytest.mark.parametrize(("tokens", "expected"), [(0, 1), (64, 1), (127, 1), (128, 2), (10_000, 8)])
def test_little_work_is_not_shared(tokens: int, expected: int) -> None:
    assert useful_workers(tokens, 8) == expected
    assert useful_workers(tokens, 1) == 1


def test_a_long_text_is_neither_padded_to_nor_waited_for(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The long one goes alone, on all threads; the short ones run in their own length."""
    monkeypatch.setattr("setfuse.runtime._graph.WIDE_TOKENS", MAX_LENGTH)
    with Classifier.load(bundle, precision="fp32", threads=2) as classifier:
        usual, wide = spy_on(classifier)
        long = "parcel " * 100
        classifier(["late", long, "refund"])
        assert (wide.runs, usual.runs) == ([(1, MAX_LENGTH)], [(2, 3)])
        classifier("late")
        assert (len(wide.runs), len(usual.runs)) == (1, 2)
        classifier(long)
        assert (len(wide.runs), len(usual.runs)) == (2, 2)


def test_a_graph_of_all_threads_is_loaded_for_long_runs_alone_only(own: Classifier) -> None:
    graph = own._resident.model()._graph
    ids = np.full((1, WIDE_TOKENS), 5)
    short = [ids[:, : MAX_LENGTH - 1]]
    for row in short:
        graph.run(row, "probabilities", alone=True)
    assert graph._wide is None
    graph.run(np.tile(short[0], (3, 1)), "probabilities", alone=False)
    assert graph._wide is None
    graph.run(np.tile(short[0], (3, 1)), "probabilities", alone=True)
    assert graph._wide is not None


def test_a_bundle_that_is_gone_costs_long_texts_their_threads_only(
    own_bundle: Path, caplog: pytest.LogCaptureFixture
) -> None:
    classifier = Classifier.load(own_bundle, threads=2)
    shutil.rmtree(own_bundle)
    graph = classifier._resident.model()._graph
    with caplog.at_level("INFO", "setfuse.runtime"):
        rows = graph.run(np.full((4, 40), 5), "probabilities", alone=True)
        graph.run(np.full((4, 40), 5), "probabilities", alone=True)

    assert rows.shape == (4, 3)
    assert [record.getMessage().count("long texts go on with one thread") for record in caplog.records] == [1]


# Who fails, and who gives up


def test_the_text_that_a_worker_fails_on_is_named(own: Classifier) -> None:
    graph: Any = own._resident.model()._graph
    run = graph._usual.run

    def fails_on_length_nine(ids: npt.NDArray[np.int64], outputs: tuple[str, ...]) -> Any:
        if ids.shape[1] == 9:
            raise BundleCorrupt("no nines")
        return run(ids, outputs)

    graph._usual.run = fails_on_length_nine
    many = ["late " * (1 + number % 20) for number in range(200)]
    first = next(number for number, text in enumerate(many) if len(text.split()) == 7)

    with pytest.raises(BundleCorrupt, match=f"^text {first}: no nines"):
        own.predict(many)
    assert workers() == 0
    graph._usual.run = run
    assert len(own.predict(many)) == 200


def test_of_several_failures_the_first_job_s_is_raised_and_no_other_is_begun() -> None:
    both = threading.Barrier(2)
    begun = []

    def work(job: int) -> None:
        begun.append(job)
        both.wait(PATIENCE)
        raise ValueError(job)

    with pytest.raises(ValueError, match=r"^0$"):
        Workers(2).do(range(100), work, lambda: None, 2)
    assert sorted(begun) == [0, 1]
    assert workers() == 0


@pytest.mark.parametrize("where", ["job", "after"])
def test_an_interrupt_of_the_caller_ends_the_call_and_the_helpers(where: str) -> None:
    helping = threading.Event()
    begun = []

    def work(job: int) -> None:
        begun.append(job)
        if threading.current_thread().name == WORKER:
            helping.set()
        else:
            assert helping.wait(PATIENCE)
            if where == "job":
                raise KeyboardInterrupt

    def after() -> None:
        raise KeyboardInterrupt

    crew = Workers(2)
    with pytest.raises(KeyboardInterrupt):
        crew.do(range(10**9), work, after, 2)
    assert workers() == 0
    done: list[int] = []
    crew.do(range(20), done.append, lambda: None, 2)  # the helper is free again
    assert sorted(done) == list(range(20))


def test_an_interrupt_in_a_helper_reaches_the_caller() -> None:
    helped = threading.Event()

    def work(_job: int) -> None:
        if threading.current_thread().name == WORKER:
            helped.set()
            raise SystemExit(3)
        assert helped.wait(PATIENCE)

    with pytest.raises(SystemExit):
        Workers(2).do(range(3), work, lambda: None, 2)


def test_a_process_that_may_start_no_thread_does_the_work_alone(
    own: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    many = ["late " * (1 + number % 20) for number in range(200)]
    expected = own.predict(many)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    for _ in range(5):
        assert own.predict(many) == expected


def test_sixty_four_callers_start_no_more_helpers_than_one(own: Classifier) -> None:
    usual, _ = spy_on(own)
    many = ["late " * (1 + number % 20) for number in range(60)]
    expected = own.predict(many)
    ready = threading.Barrier(64)

    def ask(_number: int) -> bool:
        ready.wait(PATIENCE)
        return own.predict(many) == expected

    with ThreadPoolExecutor(max_workers=64) as pool:
        assert all(pool.map(ask, range(64)))
    assert usual.most_workers <= 2
    assert workers() == 0


def test_closing_while_workers_are_at_work_lets_the_call_finish(own: Classifier) -> None:
    graph: Any = own._resident.model()._graph
    run, running, go_on = graph._usual.run, threading.Event(), threading.Event()

    def slow(ids: npt.NDArray[np.int64], outputs: tuple[str, ...]) -> Any:
        running.set()
        assert go_on.wait(PATIENCE)
        return run(ids, outputs)

    graph._usual.run = slow
    with ThreadPoolExecutor(max_workers=1) as pool:
        asked = pool.submit(own.predict, ["late " * (1 + number % 20) for number in range(100)])
        assert running.wait(PATIENCE)
        own.close()
        go_on.set()
        assert len(asked.result(PATIENCE)) == 100
    with pytest.raises(ClassifierClosed):
        own.predict(["late"])


def test_helpers_work_in_the_callers_context() -> None:
    span = contextvars.ContextVar("span", default="none")
    span.set("the caller's")
    both = threading.Barrier(2)
    seen: dict[str, str] = {}

    def work(_job: int) -> None:
        both.wait(PATIENCE)
        seen[threading.current_thread().name] = span.get()

    Workers(2).do(range(2), work, lambda: None, 2)

    assert len(seen) == 2
    assert set(seen.values()) == {"the caller's"}


# Progress


@pytest.mark.parametrize("threads", [1, 3])
def test_progress_grows_to_the_number_of_texts(threads: int, tiny_bundle: Path) -> None:
    many = ["late " * (1 + number % 20) for number in range(MAX_TEXTS_AT_ONCE + 300)]
    with Classifier.load(tiny_bundle, threads=threads) as classifier:
        seen: list[int] = []
        classifier.predict(many, progress=seen.append)
        streamed: list[int] = []
        assert len(list(classifier.stream(iter(many), progress=streamed.append))) == len(many)

    for counts in (seen, streamed):
        assert counts == sorted(set(counts))  # each number once
        assert counts[-1] == len(many)
        assert MAX_TEXTS_AT_ONCE in counts


def test_progress_of_a_stream_comes_as_its_texts_do(own: Classifier) -> None:
    seen: list[int] = []
    stream = own.stream(iter(["late"] * (2 * MAX_TEXTS_AT_ONCE)), progress=seen.append)
    assert seen == []
    next(stream)
    assert seen[-1] == MAX_TEXTS_AT_ONCE


def test_what_progress_raises_ends_the_call(own: Classifier) -> None:
    def stop(_done: int) -> None:
        raise InterruptedError("enough")

    with pytest.raises(InterruptedError, match="enough"):
        own.predict(["late " * (1 + number % 20) for number in range(200)], progress=stop)
    assert workers() == 0
    assert own.predict([], progress=stop) == []


def test_texts_that_are_too_short_for_all_threads_run_at_once(tiny_bundle: Path) -> None:
    """Also where one is much longer than the other: no run has all threads, so none goes first, alone."""
    manifest = Manifest.read(tiny_bundle)
    together = threading.Barrier(2, timeout=PATIENCE)

    class Meeting:
        def run(self, input_ids: npt.NDArray[np.int64], outputs: tuple[str, ...]) -> list[npt.NDArray[np.float32]]:
            together.wait()
            return [np.zeros((len(input_ids), len(manifest.labels)), np.float32) for _ in outputs]

    tokenizer = Tokenizer((tiny_bundle / "tokenizer.json").read_bytes(), 2 * WIDE_TOKENS)
    graph = Graph(Meeting(), Meeting, "a meeting", workers=2)
    model = Model(manifest, tokenizer, graph, Counters(), max_batch_tokens=256)

    model.answer(["late " * 98, "late " * 38], "probabilities")

    assert model.counters.snapshot().batches == 2


def test_a_call_that_failed_keeps_nothing() -> None:
    workers = Workers(2)
    held = np.zeros(3)
    gone = weakref.ref(held)

    def fail(_job: npt.NDArray[np.float64]) -> None:
        raise BundleCorrupt("no")

    gc.disable()
    try:
        with pytest.raises(BundleCorrupt):
            workers.do([held], fail, lambda: None, 1)
        del held
        assert gone() is None
    finally:
        gc.enable()


def test_what_a_signals_handler_raises_reaches_the_caller(own: Classifier) -> None:
    """As a time limit's error does: it is not taken for the engine's, whose texts would be run again one by one."""

    class Late(Exception):
        pass

    usual, _ = spy_on(own)

    def run(*_: object) -> None:
        raise Late

    graph: Any = usual._graph
    graph._session = SimpleNamespace(run=run)

    for texts in (["late"], ["late", "where is my parcel"]):
        with pytest.raises(Late):
            own.predict(texts)
    assert own.stats.texts == 0


def test_an_interrupt_while_a_helper_is_started_loses_none(own: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    many = ["late " * 30] * 40

    def interrupt(_thread: threading.Thread) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", interrupt)
        for _ in range(3):
            with pytest.raises(KeyboardInterrupt):
                own.predict(many)

    usual, _ = spy_on(own)
    own.predict(many)
    assert WORKER in usual.threads
    assert workers() == 0


def test_a_list_is_answered_whole_when_the_main_thread_has_ended() -> None:
    script = """if True:
        import threading
        from setfuse.runtime._workers import Workers

        done = []

        def work():
            threading.main_thread().join()
            Workers(2).do(range(20), done.append, lambda: None, 2)
            print(sorted(done) == list(range(20)))

        threading.Thread(target=work, daemon=False).start()
    """
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=PATIENCE)
    assert done.stdout.split() == ["True"]


def test_a_child_that_was_forked_in_the_middle_of_a_list_refuses_to_go_on() -> None:
    script = """if True:
        import os, sys, threading
        from setfuse.runtime import UsageError
        from setfuse.runtime._workers import Workers

        children, begun, go_on = [], threading.Event(), threading.Event()

        def work(job):
            if job == "the helper's":
                begun.set()
                go_on.wait()

        def fork():
            begun.wait()
            if not children:
                children.append(os.fork())
            go_on.set()

        def in_the_caller(job):
            if threading.current_thread() is threading.main_thread() and job == "the helper's":
                raise SystemExit("the helper was late")  # cannot be: the caller begins after it
            work(job)

        helper_first = threading.Thread.start
        def start(thread):
            helper_first(thread)
            begun.wait()
        threading.Thread.start = start
        try:
            Workers(2).do(["the helper's", 1, 2, 3], in_the_caller, fork, 2)
            told = "done"
        except UsageError as error:
            told = str(error)
        if children == [0]:
            os._exit(0 if "forked in the middle" in told else 1)
        print(told, os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]))
    """
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, check=True, timeout=PATIENCE
    )
    assert done.stdout.split() == ["done", "0"]


@pytest.mark.parametrize("file", ["model.onnx", "tokenizer.json", "bundle.json"])
def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(file: str, own_bundle: Path) -> None:
    (own_bundle / file).unlink()
    os.mkfifo(own_bundle / file)

    with pytest.raises(BundleError, match="it is no regular file"):
        Classifier.load(own_bundle, precision="fp32")


def test_a_file_of_another_size_is_not_read(own_bundle: Path) -> None:
    with (own_bundle / "model.onnx").open("r+b") as file:
        file.truncate(2**40)  # sparse: it takes no room

    with pytest.raises(BundleCorrupt, match=f"found {2**40}"):
        Classifier.load(own_bundle, precision="fp32")
