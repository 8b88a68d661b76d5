"""Do the jobs of one call in several threads at once."""

import contextvars
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

Job = TypeVar("Job")


class Workers:
    """How many threads may help the callers, all of them together.

    A call works in its own thread, and as many helpers join it as are free; they end with the call. So nothing has to
    be closed, a forked child inherits nothing, and however many threads call at once, few are started.
    """

    def __init__(self, count: int) -> None:
        """Start nothing yet.

        Args:
            count: Threads that may be at work for one call, its own included.
        """
        self.count = count
        self._helpers = threading.Semaphore(count - 1)

    def do(self, jobs: Sequence[Job], work: Callable[[Job], None], after: Callable[[], None], most: int) -> None:
        """Do jobs in their order, several at a time, and return when all are done.

        Args:
            jobs: What is to be done.
            work: Does one of them; called from several threads at once.
            after: Called in the caller's thread after each job that was done there.
            most: Threads that are worth having for them, the caller's included.

        Raises:
            Exception: What the first of the jobs that failed raised. No job is begun after a failure, nor after an
                interrupt of the caller.
        """
        share = _Share(jobs, work)
        helpers: list[threading.Thread] = []
        try:
            while len(helpers) < min(most, len(jobs)) - 1 and self._start(share, helpers):
                pass
            for _ in share.work():
                after()
        finally:
            share.stop()
            for helper in helpers:
                helper.join()
        share.raise_first_failure()

    def _start(self, share: "_Share[Job]", helpers: list[threading.Thread]) -> bool:
        """Start one more helper, if one is free."""
        if not self._helpers.acquire(blocking=False):
            return False
        # The caller's context goes along: it knows the span that the runs are part of.
        arguments = contextvars.copy_context().run, share
        helper = threading.Thread(target=self._help, args=arguments, name="setfuse-worker", daemon=True)
        try:
            helper.start()
        except RuntimeError:  # the process may start no more threads; the caller can do without
            self._helpers.release()
            return False
        helpers.append(helper)
        return True

    def _help(self, in_context: Callable[[Callable[[], None]], None], share: "_Share[Job]") -> None:
        try:
            in_context(share.help)
        finally:
            self._helpers.release()


class _Share(Generic[Job]):
    """The jobs of one call: who is free takes the next."""

    def __init__(self, jobs: Sequence[Job], work: Callable[[Job], None]) -> None:
        self._jobs = jobs
        self._work = work
        self._lock = threading.Lock()
        self._begun = 0
        self._stopped = False
        self._failures: dict[int, BaseException] = {}

    def work(self) -> Iterator[None]:
        """Do jobs until none is left, and pause after each. An error ends it, and is kept for the call's end."""
        while (number := self._next()) is not None:
            try:
                self._work(self._jobs[number])
            except Exception as error:  # noqa: BLE001 - it is raised by the caller, if it is the first
                self._fail(number, error)
                return
            yield

    def help(self) -> None:
        """Do jobs in a helper's thread, which raises nothing: nobody would hear of it there."""
        try:
            for _ in self.work():
                pass
        except BaseException as error:  # noqa: BLE001 - as above
            self._fail(-1, error)

    def stop(self) -> None:
        """Begin no more jobs."""
        self._stopped = True

    def raise_first_failure(self) -> None:
        """Raise what the first job that failed raised: those before it were all begun, and are done."""
        failures, self._failures = self._failures, {}  # kept here, they would keep all that the call held
        if failures:
            raise failures.pop(min(failures))

    def _next(self) -> int | None:
        with self._lock:
            if self._stopped or self._begun == len(self._jobs):
                return None
            self._begun += 1
            return self._begun - 1

    def _fail(self, number: int, error: BaseException) -> None:
        self._failures[number] = error
        self.stop()
