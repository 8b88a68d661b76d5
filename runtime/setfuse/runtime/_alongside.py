"""Do one thing in a second thread while the first does the next."""

import threading
from collections.abc import Callable
from typing import Generic, Self, TypeVar

_Result = TypeVar("_Result")


class Alongside(Generic[_Result]):
    """Work in a thread of its own, which has ended when the `with` block has.

    What gains by it is work that lets go of Python's lock, as reading and hashing do.
    """

    def __init__(self, work: Callable[[], _Result]) -> None:
        """Start the work; `with` is what ends its thread.

        Args:
            work: Called once, without arguments.
        """
        self._work = work
        self._results: list[_Result] = []
        self._errors: list[BaseException] = []
        self._thread: threading.Thread | None = threading.Thread(target=self._run, name="setfuse-load")
        try:
            self._thread.start()
        except RuntimeError:  # no more threads are to be had, as in a container that counts them
            self._thread = None

    def _run(self) -> None:
        try:
            self._results.append(self._work())
        except BaseException as error:  # noqa: BLE001 - who waits for the result gets it
            self._errors.append(error)

    def result(self) -> _Result:
        """Wait for the work, and give what it gave.

        Raises:
            BaseException: What the work raised.
        """
        if self._thread is None:
            return self._work()
        self._thread.join()
        if self._errors:
            raise self._errors.pop()
        return self._results.pop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._thread is not None:
            self._thread.join()
