"""Do the jobs of one call in several threads at once."""

import contextvars
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

from ._errors import UsageError

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
        self._lock = threading.RLock()  # a signal's handler may call while its own thread holds it
        self._helpers: list[threading.Thread] = []

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
            UsageError: This is a child that was forked in the meantime: it has none of the helpers.
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
                if helper.ident is not None:  # an interrupt may have come before it was started
                    helper.join()
        share.check_process()
        share.raise_first_failure()

    def _start(self, share: "_Share[Job]", helpers: list[threading.Thread]) -> bool:
        """Start one more helper, if one is free."""
        # The caller's context goes along: it knows the span that the runs are part of.
        in_context = contextvars.copy_context().run
        # No daemon: the process would be aborted if it ended in the middle of a run.
        helper = threading.Thread(target=in_context, args=(share.help,), name="setfuse-worker", daemon=False)
        with self._lock:
            self._helpers = [other for other in self._helpers if other.is_alive()]
            if len(self._helpers) >= self.count - 1:
                return False
            self._helpers.append(helper)
            helpers.append(helper)
            try:
                helper.start()
            except RuntimeError:  # the process may start no more threads; the caller can do without
                helpers.remove(helper)
                return False
        return True


class _Share(Generic[Job]):
    """The jobs of one call: who is free takes the next."""

    def __init__(self, jobs: Sequence[Job], work: Callable[[Job], None]) -> None:
        self._jobs = jobs
        self._work = work
        self._lock = threading.Lock()
        self._begun = 0
        self._stopped = False
        self._failures: dict[int, BaseException] = {}
        self._process = os.getpid()
        self._caller = threading.current_thread()

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
                if self._caller.daemon and not threading.main_thread().is_alive():
                    return  # the process ends, and would wait for this thread, not for the caller
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

    def check_process(self) -> None:
        """Refuse to go on in a forked child.

        Raises:
            UsageError: It is one: what helpers had begun is missing there.
        """
        if os.getpid() != self._process:
            raise UsageError(
                "expected the process to stay the same until a list is answered, but it was forked in the middle; "
                "fork before or between the calls"
            )

    def _next(self) -> int | None:
        if os.getpid() != self._process:  # a helper may have held the lock at the fork
            return None
        with self._lock:
            if self._stopped or self._begun == len(self._jobs):
                return None
            self._begun += 1
            return self._begun - 1

    def _fail(self, number: int, error: BaseException) -> None:
        self._failures[number] = error
        self.stop()
