"""Let asyncio's callers share runs of the graph: a bounded queue, and one thread that answers it."""

import asyncio
import itertools
import math
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future

import numpy as np
import numpy.typing as npt

from ._batching import Limits, is_number
from ._errors import ClassifierClosed, DeadlineExceeded, DeviceUnavailable, Overloaded, UsageError
from ._model import MAX_TEXTS_AT_ONCE, Model, name_text
from ._tracing import link_to_caller

Row = list[float]

_CLOSED = "the classifier was closed before the text was begun: expected no further call; load the bundle again"
_BROKEN = "the thread that answers asyncio's callers has ended on an error: {!r:.200}; load the bundle again"

_CLOCK_TICK = 0.001
"""Seconds by which asyncio's timers may be early."""


class _Request(Future[Row]):
    """A text on its way, and its caller's end of it: the future of its scores.

    Attributes:
        text: The text.
        number: Which of its caller's texts it is, for messages.
        deadline: When its caller stops waiting, on the clock of `time.monotonic`; infinite for never.
        timeout: The seconds that its caller gave, for messages: parts of a call have their deadline in common.
        arrived: When it came.
        link: To its caller's span.
        place: Where it waits; None while it is being tokenized, and once it has left the queue.
        token_ids: Its tokens, once they are known.
    """

    def __init__(
        self, text: str, number: int, batcher: "Batcher", *, deadline: float, timeout: float, arrived: float
    ) -> None:
        super().__init__()
        self.text = text
        self.number = number
        self.deadline = deadline
        self.timeout = timeout
        self.arrived = arrived
        self.link = link_to_caller()
        self.place: dict[_Request, None] | None = None
        self.token_ids: npt.NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self._batcher = batcher

    def cancel(self) -> bool:
        """Give up, if it was not begun: it then leaves the queue at once."""
        with self._batcher.changed:
            if not self.cancelled() and super().cancel():
                self._batcher.given_up(self)
        return self.cancelled()


class Batcher:
    """Answers texts in a thread of its own. A text finds the graph idle and is answered at once, alone.

    While the graph is busy, texts gather in buckets by their number of tokens, as the device has them: on the CPU a
    bucket a number, so that nothing is padded. A run takes texts of one bucket. Which
    bucket comes next: the one of most texts, or,
    once a text has waited for `max_wait_ms`, the one of the oldest.
    """

    def __init__(self, model: Model, output: str, limits: Limits) -> None:
        """Start the thread.

        Args:
            model: What answers.
            output: Which of its outputs.
            limits: Of the queue, the runs and the waiting.
        """
        self._model = model
        self._output = output
        self._limits = limits
        self._counters = model.counters
        # Everything below is read and written with this lock held; a request is cancelled with it, too.
        self.changed = threading.Condition()
        self._new: dict[_Request, None] = {}
        self._by_bucket: dict[int, dict[_Request, None]] = {}
        self._waiting = 0
        self._in_hand: list[_Request] = []
        self._why_closed = _CLOSED
        self._closing = False
        self._refusing = False
        self._thread = threading.Thread(target=self._work, name="setfuse-batcher", daemon=True)
        self._thread.start()

    async def answer(self, texts: Sequence[str], timeout: float | None) -> list[Row]:  # noqa: ASYNC109 - it drops the work, too
        """Answer texts in the order given. Of many, only a part stands in the queue at any time.

        Args:
            texts: Any strings.
            timeout: Seconds; None for no deadline.

        Returns:
            The scores of each text.

        Raises:
            Overloaded: There is no room for the first of them.
            DeadlineExceeded: They were not all answered in time; those that were not begun never will be.
            ClassifierClosed: The classifier was closed before they were begun.
            BundleCorrupt: The tokenizer or the graph fails on a text; the message says on which.
            TimeoutError: It is the engine's own.
            UsageError: `timeout` is no number of seconds.
        """
        if timeout is not None and not (is_number(timeout) and timeout >= 0):
            raise UsageError(f"timeout: expected seconds from 0, or None, got {timeout!r:.60}")
        seconds = math.inf if timeout is None else float(timeout)
        deadline = time.monotonic() + seconds
        rows: list[Row] = []
        try:
            async with asyncio.timeout(None if seconds == math.inf else seconds) as clock:
                for start in range(0, len(texts), self._share):
                    rows += await self._answer_part(texts[start : start + self._share], start, deadline, seconds)
        except TimeoutError as error:
            if isinstance(error, DeadlineExceeded) or not clock.expired():  # the engine may raise one, too
                raise
            raise DeadlineExceeded(_too_late(seconds)) from error
        return rows

    async def _answer_part(self, texts: Sequence[str], first: int, deadline: float, seconds: float) -> list[Row]:
        while True:
            try:
                futures = self.submit(texts, first=first, deadline=deadline, timeout=seconds)
                break
            except Overloaded:
                if not first:
                    self._counters.add(rejected=len(texts))  # later parts ask again
                    raise
                await asyncio.sleep(max(_CLOCK_TICK, self._limits.max_wait_ms / 1000))
        try:
            if len(futures) == 1:
                return [await asyncio.wrap_future(futures[0])]
            return await asyncio.gather(*map(asyncio.wrap_future, futures))
        finally:
            for future in futures:  # of those that are done already this is without effect
                future.cancel()

    def submit(
        self, texts: Sequence[str], *, first: int = 0, deadline: float = math.inf, timeout: float = math.inf
    ) -> list[_Request]:
        """Put texts into the queue, all of them or none.

        Args:
            texts: Any strings.
            first: The number of the first, for messages.
            deadline: When they are no longer wanted, on the clock of `time.monotonic`.
            timeout: The seconds that their caller gave, for messages.

        Returns:
            A future a text, of its scores. One that is cancelled before it is begun is not computed.

        Raises:
            Overloaded: There is no room for them.
            ClassifierClosed: The classifier was closed.
        """
        now = time.monotonic()
        requests = [
            _Request(text, number, self, deadline=deadline, timeout=timeout, arrived=now)
            for number, text in enumerate(texts, start=first)
        ]
        with self.changed:
            if self._closing:
                raise ClassifierClosed(self._why_closed)
            if self._waiting + len(requests) > self._limits.max_queue:
                raise Overloaded(
                    f"expected room for {len(requests)} more in the queue, found {self._waiting} of at most "
                    f"{self._limits.max_queue} texts waiting; try again later, or load with a larger max_queue"
                )
            for request in requests:
                self._put(request, self._new)
            self._enter(len(requests))
            self.changed.notify()
        return requests

    def close(self, *, finish: bool = False) -> None:
        """Take no more texts, and end the thread; of the texts that are being answered, the answers still come.

        Args:
            finish: Whether those that wait are still answered, or refused with `ClassifierClosed`.
        """
        with self.changed:
            self._closing = True
            self._refusing = self._refusing or not finish
            self.changed.notify()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def given_up(self, request: _Request) -> None:
        """Let a request that was cancelled leave the queue. The lock must be held."""
        self._put(request, None)
        self._enter(-1)
        late = time.monotonic() >= request.deadline - _CLOCK_TICK
        self._counters.add(expired=late, cancelled=not late)

    # What follows runs in the thread.

    def _work(self) -> None:
        try:
            while self._wait_for_work():
                self._tokenize()
                self._answer_a_batch()
        except BaseException as error:  # noqa: BLE001 - no caller may wait for a thread that is gone
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        """Close, and tell whoever waits. What stands where in the queue can no longer be relied on."""
        with self.changed:
            self._closing = self._refusing = True
            self._why_closed = _BROKEN.format(error)
            queued = itertools.chain(self._new, *self._by_bucket.values())
            left = [request for request in dict.fromkeys([*self._in_hand, *queued]) if not request.done()]
            for request in left:
                request.place = None
                if not request.running():
                    request.set_running_or_notify_cancel()
            self._new.clear()
            self._by_bucket.clear()
            self._in_hand = []
            self._enter(-self._waiting)
        for request in left:
            request.set_exception(error)

    def _answer_a_batch(self) -> None:
        batch, late = self._take()
        for request in late:
            request.set_exception(DeadlineExceeded(_too_late(request.timeout)))
        if batch:
            self._run(batch)
        self._in_hand = []

    def _wait_for_work(self) -> bool:
        with self.changed:
            while not (self._new or self._by_bucket or self._closing):
                self.changed.wait()
            if not self._refusing:
                return bool(self._new or self._by_bucket)
            waiting = self._begin([*self._new, *itertools.chain.from_iterable(self._by_bucket.values())])
        for request in waiting:
            request.set_exception(ClassifierClosed(_CLOSED))
        return False

    def _tokenize(self) -> None:
        with self.changed:
            self._in_hand = list(itertools.islice(self._new, MAX_TEXTS_AT_ONCE))
            for request in self._in_hand:
                self._put(request, None)
        self._encode(self._in_hand)

    def _encode(self, new: list[_Request]) -> None:
        try:
            encoded = self._model.tokenizer.encode([request.text for request in new])
        except BaseException as error:  # noqa: BLE001 - whatever it is, the callers must hear of it
            if len(new) > 1:  # a text that the tokenizer fails on must not take its neighbours along
                for request in new:
                    self._encode([request])
                return
            with self.changed:
                left = self._begin(new)
            for request in left:
                request.set_exception(_named(error, request.number))
            return
        with self.changed:
            for request, token_ids in zip(new, encoded, strict=True):
                request.token_ids = token_ids
                if not request.cancelled():
                    self._put(request, self._by_bucket.setdefault(self._model.bucket(token_ids), {}))

    def _take(self) -> tuple[list[_Request], list[_Request]]:
        """Take the texts of the next run out of the queue, and those that it is too late for."""
        with self.changed:
            if not self._by_bucket:
                return [], []
            now = time.monotonic()
            bucket = self._next_bucket(now)
            in_turn = list(self._by_bucket[bucket])
            late = [request for request in in_turn if now >= request.deadline]
            batch = [request for request in in_turn if now < request.deadline][: self._model.take(bucket, len(in_turn))]
            self._in_hand = late + batch
            late, batch = self._begin(late), self._begin(batch)
        waited = sum(now - request.arrived for request in batch)
        self._counters.add(queued=len(batch), queue_seconds=waited, expired=len(late))
        return batch, late

    def _next_bucket(self, now: float) -> int:
        # A list, as whatever the garbage collector ends in this thread may take requests out of the queue meanwhile.
        arrived = {bucket: next(iter(requests)).arrived for bucket, requests in list(self._by_bucket.items())}
        oldest = min(arrived, key=lambda bucket: arrived[bucket])
        if now - arrived[oldest] >= self._limits.max_wait_ms / 1000:
            return oldest
        return max(
            list(self._by_bucket),
            key=lambda bucket: (self._model.take(bucket, len(self._by_bucket[bucket])), -arrived[bucket]),
        )

    def _run(self, batch: list[_Request]) -> None:
        links = [request.link for request in batch]
        try:
            rows: list[Row] = self._model.run([request.token_ids for request in batch], self._output, links).tolist()
            answers = list(zip(batch, rows, strict=True))
        except BaseException as error:  # noqa: BLE001 - whatever it is, the callers must hear of it
            if len(batch) == 1 or isinstance(error, DeviceUnavailable):
                for request in batch:
                    request.set_exception(_named(error, request.number))
                return
            for request in batch:  # a text that the graph fails on must not take its neighbours along
                self._run([request])
            return
        for request, row in answers:
            request.set_result(row)

    @property
    def _share(self) -> int:
        """How many texts of one caller may be in the queue."""
        return max(1, self._limits.max_queue // 4)

    # The lock must be held for what follows.

    def _begin(self, requests: list[_Request]) -> list[_Request]:
        """Take requests out of the queue; from now on they cannot be cancelled. Gives those that were not before."""
        begun = [request for request in requests if request.set_running_or_notify_cancel()]
        for request in begun:
            self._put(request, None)
        self._enter(-len(begun))
        return begun

    def _put(self, request: _Request, place: dict[_Request, None] | None) -> None:
        if request.place is not None:
            del request.place[request]
            if not request.place and request.place is not self._new:
                del self._by_bucket[self._model.bucket(request.token_ids)]
        request.place = place
        if place is not None:
            place[request] = None

    def _enter(self, texts: int) -> None:
        self._waiting += texts
        self._counters.add(waiting=texts)


def _named(error: BaseException, number: int) -> BaseException:
    return name_text(error, number) if isinstance(error, Exception) else error


def _too_late(timeout: float) -> str:
    return f"expected an answer within {timeout:.3g} s, got none in time; what was not begun was dropped"
