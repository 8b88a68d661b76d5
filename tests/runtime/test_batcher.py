"""How asyncio's callers share runs: what is run together, in which order, and what is not run at all."""

import asyncio
import threading
import time
import weakref
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt
import pytest

from setfuse.runtime import BundleCorrupt, ClassifierClosed, DeadlineExceeded, Overloaded, SetfuseError, UsageError
from setfuse.runtime._batcher import Batcher
from setfuse.runtime._batching import Limits
from setfuse.runtime._counters import Counters

if TYPE_CHECKING:
    from setfuse.runtime._model import Model

PATIENCE = 30
"""Seconds after which a test fails that would otherwise hang; none takes as long."""

Rows = list[list[float]]


class Engine:
    """Stands in for a model: texts are numbers in words' stead, their sum is the score; runs wait at the gate."""

    def __init__(self) -> None:
        self.counters = Counters()
        self.tokenizer = self
        self.gate = threading.Event()
        self.started = threading.Semaphore(0)
        self.runs: list[list[list[int]]] = []
        self.fails_on: dict[int, Exception] = {}
        self.max_batch_tokens = 256

    def bucket(self, token_ids: npt.NDArray[np.int64]) -> int:
        return len(token_ids)

    def take(self, bucket: int, waiting: int) -> int:
        return min(waiting, max(1, self.max_batch_tokens // max(1, bucket)))

    def encode(self, texts: Sequence[str]) -> list[npt.NDArray[np.int64]]:
        if "unreadable" in texts:
            raise BundleCorrupt("no tokens of this")
        return [np.array([int(word) for word in text.split()], dtype=np.int64) for text in texts]

    def run(self, token_ids: Any, output: str, links: Any = ()) -> npt.NDArray[np.float32]:  # noqa: ARG002 - as a model's
        self.runs.append([ids.tolist() for ids in token_ids])
        self.started.release()
        assert self.gate.wait(PATIENCE)
        for ids in token_ids:
            if ids[0] in self.fails_on:
                raise self.fails_on[ids[0]]
        return np.array([[ids.sum()] for ids in token_ids], dtype=np.float32)


@pytest.fixture
def engine() -> Iterator[Engine]:
    """An engine whose runs wait until the test opens the gate."""
    engine = Engine()
    yield engine
    engine.gate.set()


Make = Callable[..., Batcher]


@pytest.fixture
def make(engine: Engine) -> Iterator[Make]:
    """Batchers of that engine, closed at the end."""
    made: list[Batcher] = []

    def make_one(**limits: Any) -> Batcher:
        made.append(Batcher(cast("Model", engine), "scores", Limits(**{"max_wait_ms": 60_000, **limits})))
        return made[-1]

    yield make_one
    engine.gate.set()
    for batcher in made:
        batcher.close()
        assert not batcher._thread.is_alive()


def play(scene: Callable[[], Awaitable[None]]) -> None:
    """Run a scene in an event loop of its own."""

    async def bounded() -> None:
        await asyncio.wait_for(scene(), PATIENCE)

    asyncio.run(bounded())


async def ask(batcher: Batcher, *texts: str, timeout: float | None = None) -> "asyncio.Task[Rows]":  # noqa: ASYNC109
    """Ask, and come back when the texts are in the queue."""
    task = asyncio.create_task(batcher.answer(texts, timeout))
    await asyncio.sleep(0)
    return task


async def busy(batcher: Batcher, engine: Engine) -> "asyncio.Task[Rows]":
    """Keep the engine at a run of its own until the gate is opened."""
    task = await ask(batcher, "0")
    assert await asyncio.to_thread(engine.started.acquire, timeout=PATIENCE)
    return task


def closed_to_others(batcher: Batcher) -> None:
    while not batcher._closing:
        time.sleep(0.001)


# What is run together


def test_an_idle_engine_starts_at_once_however_long_texts_may_wait(engine: Engine, make: Make) -> None:
    batcher = make(max_wait_ms=3_600_000)
    engine.gate.set()

    async def scene() -> None:
        assert await batcher.answer(["1 2"], None) == [[3]]
        assert await batcher.answer(["4"], None) == [[4]]

    play(scene)
    assert engine.runs == [[[1, 2]], [[4]]]


def test_while_it_is_busy_texts_gather_by_length(engine: Engine, make: Make) -> None:
    batcher = make()

    async def scene() -> None:
        first = await busy(batcher, engine)
        others = [await ask(batcher, text) for text in ("1 1", "2 2 2", "3 3", "4 4 4", "5 5")]
        engine.gate.set()
        assert await first == [[0]]
        assert [await other for other in others] == [[[2]], [[6]], [[6]], [[12]], [[10]]]

    play(scene)
    assert engine.runs == [[[0]], [[1, 1], [3, 3], [5, 5]], [[2, 2, 2], [4, 4, 4]]]


@pytest.mark.parametrize(
    ("max_wait_ms", "order"),
    [
        pytest.param(60_000, [[[2, 2], [3, 3]], [[1, 1, 1]]], id="the fuller batch goes first"),
        pytest.param(0, [[[1, 1, 1]], [[2, 2], [3, 3]]], id="who has waited long enough goes first"),
    ],
)
def test_a_text_is_passed_over_for_a_time_only(max_wait_ms: float, order: Any, engine: Engine, make: Make) -> None:
    batcher = make(max_wait_ms=max_wait_ms)

    async def scene() -> None:
        await busy(batcher, engine)
        waiting = [await ask(batcher, text) for text in ("1 1 1", "2 2", "3 3")]
        engine.gate.set()
        await asyncio.gather(*waiting)

    play(scene)
    assert engine.runs[1:] == order


def test_a_run_takes_no_more_tokens_than_it_may(engine: Engine, make: Make) -> None:
    batcher = make()
    engine.max_batch_tokens = 4

    async def scene() -> None:
        await busy(batcher, engine)
        waiting = [await ask(batcher, text) for text in ("1 1", "2 2", "3 3", "4 4 4 4 4")]
        engine.gate.set()
        assert [await other for other in waiting] == [[[2]], [[4]], [[6]], [[20]]]

    play(scene)
    assert [len(run) for run in engine.runs] == [1, 2, 1, 1]


def test_many_texts_are_answered_in_their_order_and_wait_in_parts(engine: Engine, make: Make) -> None:
    batcher = make(max_queue=8)
    engine.gate.set()

    async def scene() -> None:
        texts = [" ".join(["1"] * (number % 5 + 1)) for number in range(100)]
        assert await batcher.answer(texts, None) == [[number % 5 + 1] for number in range(100)]
        assert await batcher.answer([], None) == []

    play(scene)
    assert max(len(run) for run in engine.runs) <= 2  # a quarter of the queue


def test_callers_of_several_event_loops_share_runs(engine: Engine, make: Make) -> None:
    batcher = make()
    answers: list[Rows] = []

    def in_a_loop_of_its_own(text: str) -> None:
        answers.append(asyncio.run(batcher.answer([text], None)))

    threads = [threading.Thread(target=in_a_loop_of_its_own, args=(text,)) for text in ("1", "2", "3", "4")]
    blocker = batcher.submit(["0 0"])
    assert engine.started.acquire(timeout=PATIENCE)
    for thread in threads:
        thread.start()
    while engine.counters.snapshot().waiting < 4:
        time.sleep(0.001)
    engine.gate.set()
    for thread in threads:
        thread.join(PATIENCE)

    assert blocker[0].result(PATIENCE) == [0]
    assert sorted(answers) == [[[1]], [[2]], [[3]], [[4]]]
    assert [len(run) for run in engine.runs] == [1, 4]


def test_the_event_loop_goes_on_while_the_engine_runs(engine: Engine, make: Make) -> None:
    batcher = make()

    async def scene() -> None:
        task = await busy(batcher, engine)
        for _ in range(100):
            await asyncio.sleep(0)
        assert not task.done()
        engine.gate.set()
        await task

    play(scene)


# What is not run


def test_a_call_that_is_cancelled_before_it_is_begun_is_not_run(engine: Engine, make: Make) -> None:
    batcher = make()

    async def scene() -> None:
        first = await busy(batcher, engine)
        gone, stays = await ask(batcher, "1 1"), await ask(batcher, "2 2")
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        assert engine.counters.snapshot().waiting == 1
        engine.gate.set()
        assert [await first, await stays] == [[[0]], [[4]]]

    play(scene)
    assert engine.runs == [[[0]], [[2, 2]]]
    assert engine.counters.snapshot().cancelled == 1
    assert engine.counters.snapshot().queued == 2


def test_a_call_that_is_cancelled_while_it_runs_leaves_the_others_alone(engine: Engine, make: Make) -> None:
    batcher = make()

    async def scene() -> None:
        first = await busy(batcher, engine)
        other = await ask(batcher, "1")
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        engine.gate.set()
        assert await other == [[1]]

    play(scene)
    assert engine.counters.snapshot().cancelled == 0  # it had begun


def test_what_is_too_late_is_refused_and_not_run(engine: Engine, make: Make) -> None:
    batcher = make()

    async def scene() -> None:
        first = await busy(batcher, engine)
        late = await ask(batcher, "1 1", "2 2", timeout=0.01)
        with pytest.raises(DeadlineExceeded, match=r"expected an answer within 0.01 s, got none in time") as caught:
            await late
        assert isinstance(caught.value, TimeoutError)
        assert isinstance(caught.value, SetfuseError)
        engine.gate.set()
        assert await first == [[0]]
        assert await batcher.answer(["7"], PATIENCE) == [[7]]

    play(scene)
    assert engine.runs == [[[0]], [[7]]]
    assert (engine.counters.snapshot().expired, engine.counters.snapshot().cancelled) == (2, 0)


def test_the_thread_itself_drops_what_is_too_late(engine: Engine, make: Make) -> None:
    batcher = make()
    (blocker,) = batcher.submit(["0"])
    assert engine.started.acquire(timeout=PATIENCE)
    late, good = batcher.submit(["1 1"], deadline=time.monotonic()) + batcher.submit(["2 2"])
    engine.gate.set()

    with pytest.raises(DeadlineExceeded):
        late.result(PATIENCE)
    assert (blocker.result(PATIENCE), good.result(PATIENCE)) == ([0], [4])
    assert engine.runs == [[[0]], [[2, 2]]]
    assert engine.counters.snapshot().expired == 1


def test_no_time_at_all_is_too_little(make: Make) -> None:
    batcher = make()

    async def scene() -> None:
        with pytest.raises(DeadlineExceeded):
            await batcher.answer(["1"], 0)

    play(scene)


def test_an_engines_own_timeout_is_no_deadline(engine: Engine, make: Make) -> None:
    engine.gate.set()
    engine.fails_on = {1: TimeoutError("of the device")}
    batcher = make()

    async def scene() -> None:
        for timeout in (None, PATIENCE):
            with pytest.raises(TimeoutError, match=r"^of the device$"):
                await batcher.answer(["1"], timeout)

    play(scene)


def test_a_later_part_that_is_too_late_is_told_its_callers_timeout(engine: Engine, make: Make) -> None:
    batcher = make()
    (blocker,) = batcher.submit(["0"])
    assert engine.started.acquire(timeout=PATIENCE)
    (late,) = batcher.submit(["1 1"], first=1, deadline=time.monotonic(), timeout=7)
    engine.gate.set()

    with pytest.raises(DeadlineExceeded, match="expected an answer within 7 s"):
        late.result(PATIENCE)
    assert blocker.result(PATIENCE) == [0]


@pytest.mark.parametrize("timeout", [-1, float("nan"), True, "1", [1], 10**400], ids=lambda value: f"{value!r:.20}")
def test_a_timeout_that_is_none_is_refused(timeout: Any, make: Make) -> None:
    batcher = make()

    async def scene() -> None:
        with pytest.raises(UsageError, match="timeout: expected seconds from 0, or None, got"):
            await batcher.answer(["1"], timeout)

    play(scene)


def test_all_the_time_in_the_world_is_a_timeout(engine: Engine, make: Make) -> None:
    engine.gate.set()
    batcher = make()

    async def scene() -> None:
        assert await batcher.answer(["1"], float("inf")) == [[1]]

    play(scene)


# Overload


def test_a_full_queue_refuses_and_takes_texts_again_when_there_is_room(engine: Engine, make: Make) -> None:
    batcher = make(max_queue=2)

    async def scene() -> None:
        first = await busy(batcher, engine)
        waiting = [await ask(batcher, "1"), await ask(batcher, "2")]
        with pytest.raises(Overloaded, match="room for 1 more in the queue, found 2 of at most 2 texts waiting"):
            await batcher.answer(["3"], None)
        waiting[0].cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting[0]
        last = await ask(batcher, "4")
        engine.gate.set()
        assert [await first, await waiting[1], await last] == [[[0]], [[2]], [[4]]]

    play(scene)
    stats = engine.counters.snapshot()
    assert (stats.rejected, stats.cancelled, stats.queued, stats.waiting) == (1, 1, 3, 0)
    assert stats.queue_seconds > 0


def test_many_texts_wait_for_room_once_they_are_begun(engine: Engine, make: Make) -> None:
    batcher = make(max_queue=4, max_wait_ms=0)

    async def scene() -> None:
        many = await ask(batcher, "1", "2", "3")  # one at a time
        assert await asyncio.to_thread(engine.started.acquire, timeout=PATIENCE)
        fillers = [await ask(batcher, "7 7") for _ in range(4)]
        engine.gate.set()
        assert await many == [[1], [2], [3]]
        assert [await filler for filler in fillers] == [[[14]]] * 4

    play(scene)
    assert engine.counters.snapshot().rejected == 0


def test_a_part_that_waits_for_room_is_not_counted_as_refused(
    engine: Engine, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    batcher = make(max_queue=4, max_wait_ms=0)
    engine.gate.set()
    submit, refused = batcher.submit, []

    def full_at_first(texts: Sequence[str], *, first: int = 0, **arguments: Any) -> Any:
        if first and len(refused) < 3:
            refused.append(first)
            monkeypatch.setattr(batcher, "_waiting", 4)
            try:
                return submit(texts, first=first, **arguments)
            finally:
                monkeypatch.undo()
        return submit(texts, first=first, **arguments)

    batcher.submit = full_at_first  # type: ignore[method-assign]

    async def scene() -> None:
        assert await batcher.answer(["1", "2"], None) == [[1], [2]]

    play(scene)
    assert refused == [1, 1, 1]
    assert engine.counters.snapshot().rejected == 0


# The end


def test_closing_refuses_what_is_not_begun_and_finishes_what_is(engine: Engine, make: Make) -> None:
    batcher = make()

    async def scene() -> None:
        first = await busy(batcher, engine)
        waiting = await ask(batcher, "1")
        closing = asyncio.create_task(asyncio.to_thread(batcher.close))
        await asyncio.to_thread(closed_to_others, batcher)
        with pytest.raises(ClassifierClosed):
            await batcher.answer(["2"], None)
        engine.gate.set()
        assert await first == [[0]]
        with pytest.raises(ClassifierClosed, match="closed before the text was begun") as caught:
            await waiting
        assert isinstance(caught.value, ValueError)
        await closing

    play(scene)
    assert engine.runs == [[[0]]]
    assert engine.counters.snapshot().waiting == 0


def test_closing_may_answer_what_is_waiting_first(engine: Engine, make: Make) -> None:
    batcher = make()

    async def scene() -> None:
        first = await busy(batcher, engine)
        waiting = [await ask(batcher, "1"), await ask(batcher, "2 2")]
        closing = asyncio.create_task(asyncio.to_thread(batcher.close, finish=True))
        await asyncio.to_thread(closed_to_others, batcher)
        with pytest.raises(ClassifierClosed):
            await batcher.answer(["3"], None)
        engine.gate.set()
        assert [await first, *[await other for other in waiting]] == [[[0]], [[1]], [[4]]]
        await closing

    play(scene)
    assert not batcher._thread.is_alive()


# Failures


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (BundleCorrupt("m.onnx: no such token"), "^text 2: m.onnx: no such token$"),
        (RuntimeError("broken"), "^broken$"),
        (MemoryError("no room"), "^no room$"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_text_that_the_engine_fails_on_takes_no_neighbour_along(
    error: Exception, expected: str, engine: Engine, make: Make
) -> None:
    batcher = make()
    engine.fails_on = {13: error}

    async def scene() -> None:
        await busy(batcher, engine)
        good, bad = await ask(batcher, "1 1"), await ask(batcher, "2 2", "3 3", "13 13")
        engine.gate.set()
        assert await good == [[2]]
        with pytest.raises(type(error), match=expected):
            await bad
        assert await batcher.answer(["5"], None) == [[5]]

    play(scene)


def test_an_engine_that_gives_too_few_rows_is_heard_of(
    engine: Engine, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    batcher = make()
    monkeypatch.setattr(engine, "run", lambda *_: np.empty((0, 1), np.float32))

    async def scene() -> None:
        with pytest.raises(ValueError, match="zip"):
            await batcher.answer(["1"], None)

    play(scene)


def test_a_tokenizer_that_fails_is_heard_of(engine: Engine, make: Make) -> None:
    batcher = make()
    engine.gate.set()

    async def scene() -> None:
        with pytest.raises(BundleCorrupt, match=r"^text 0: no tokens of this$"):
            await batcher.answer(["unreadable"], None)
        assert await batcher.answer(["5"], None) == [[5]]

    play(scene)
    assert engine.counters.snapshot().waiting == 0


def test_a_text_that_the_tokenizer_fails_on_takes_no_neighbour_along(engine: Engine, make: Make) -> None:
    batcher = make()

    async def scene() -> None:
        first = await busy(batcher, engine)
        good, bad = await ask(batcher, "1 1"), await ask(batcher, "2 2", "unreadable")
        engine.gate.set()
        assert await first == [[0]]
        assert await good == [[2]]
        with pytest.raises(BundleCorrupt, match=r"^text 1: no tokens of this$"):
            await bad

    play(scene)
    assert engine.counters.snapshot().waiting == 0


def test_a_thread_that_ends_on_an_error_lets_no_caller_hang(
    engine: Engine, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    batcher = make()
    monkeypatch.setattr(engine, "encode", lambda texts: [np.array([0])] * (len(texts) - 1 or 1))

    async def scene() -> None:
        first = await busy(batcher, engine)
        callers = [await ask(batcher, "1"), await ask(batcher, "2", "3")]
        engine.gate.set()
        assert await first == [[0]]
        for caller in callers:
            with pytest.raises(ValueError, match="zip"):
                await caller
        with pytest.raises(ClassifierClosed, match=r"has ended on an error: ValueError\(.*; load the bundle again"):
            await batcher.answer(["4"], None)

    play(scene)
    batcher.close()
    assert engine.counters.snapshot().waiting == 0


def test_an_idle_thread_keeps_no_texts(engine: Engine, make: Make) -> None:
    batcher = make()
    engine.gate.set()
    (request,) = batcher.submit(["1"])
    assert request.result(PATIENCE) == [1]
    answered = weakref.ref(request)
    del request
    patience = time.monotonic() + PATIENCE
    while answered() is not None and time.monotonic() < patience:
        time.sleep(0.001)  # the thread is about to wait

    assert answered() is None


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"max_wait_ms": -1}, "max_wait_ms: expected milliseconds from 0, got -1"),
        ({"max_wait_ms": float("nan")}, "max_wait_ms: expected milliseconds from 0, got nan"),
        ({"max_wait_ms": 10**400}, f"max_wait_ms: expected milliseconds from 0, got {10**59}"),
        ({"max_wait_ms": None}, "max_wait_ms: expected milliseconds from 0, got None"),
        ({"max_batch_tokens": 0}, "max_batch_tokens: expected a whole number from 1, got 0"),
        ({"max_batch_tokens": 1.5}, "max_batch_tokens: expected a whole number from 1, got 1.5"),
        ({"max_queue": 0}, "max_queue: expected a whole number from 1, got 0"),
        ({"max_queue": True}, "max_queue: expected a whole number from 1, got True"),
    ],
    ids=lambda value: f"{value!s:.60}",
)
def test_limits_out_of_range_are_refused(limits: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=f"^{message}$"):
        Limits(**limits)
