"""A model in this process: there while its classifier is open, loaded anew in a forked child, gone once closed."""

import os
import threading
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING

from ._batching import Limits
from ._counters import Counters
from ._errors import ClassifierClosed
from ._log import log
from ._model import Model

if TYPE_CHECKING:
    from ._batcher import Batcher


class Resident:
    """Gives the model to whoever calls, from any thread, and refuses when it is closed."""

    def __init__(self, load: Callable[[Counters], Model], name: str, output: str, limits: Limits) -> None:
        """Load the model.

        Args:
            load: Loads it; called again in a forked child.
            name: For messages.
            output: What asyncio's callers want.
            limits: How they share the graph.
        """
        self._load = load
        self._name = name
        self._output = output
        self._limits = limits
        self._closed = False
        self._start_afresh()
        self._model: Model | None = self._load_model()
        log("loaded", name)
        _remember(self)

    def _load_model(self) -> Model:
        model = self._load(self.counters)
        _MODELS.add(model)
        return model

    def _start_afresh(self) -> None:
        self.counters = Counters()
        self._lock = threading.Lock()
        self._batcher: Batcher | None = None
        self._end: Callable[[], object] = _nothing

    def model(self) -> Model:
        """Give the model.

        Raises:
            ClassifierClosed: It was closed.
            BundleError: This is a forked child, and the bundle's files are no longer those that the parent loaded.
        """
        model = self._model
        if model is not None:
            return model
        with self._lock:
            self._check_open()
            if self._model is None:
                log("loading it anew in a forked process", self._name)
                self._model = self._load_model()
            return self._model

    def batcher(self) -> "Batcher":
        """Give what gathers the texts of asyncio's callers, and start its thread if it is the first time.

        Raises:
            ClassifierClosed: It was closed.
            BundleError: As of `model`.
        """
        model = self.model()
        with self._lock:
            self._check_open()
            if self._batcher is None:
                from ._batcher import Batcher  # with asyncio, which a process that calls from threads does without

                self._batcher = Batcher(model, self._output, self._limits)
                self._end = weakref.finalize(self, self._batcher.close)
            return self._batcher

    def close(self, *, finish: bool) -> None:
        """Let go of the model, and end the thread.

        Args:
            finish: Whether texts that are waiting are still answered, or refused with `ClassifierClosed`.
        """
        with self._lock:
            if not self._closed:
                log("closed", self._name)
            self._closed = True
            batcher, self._model = self._batcher, None
        if batcher is not None:
            batcher.close(finish=finish)
            with self._lock:  # not before its thread has ended: until then a second call may still end it
                self._batcher = None  # it has the model
                self._drop_end()

    def _drop_end(self) -> None:
        if isinstance(self._end, weakref.finalize):
            self._end.detach()
        self._end = _nothing

    def _check_open(self) -> None:
        if self._closed:
            raise ClassifierClosed(f"{self._name} was closed: expected no further call; load the bundle again")

    def after_fork(self) -> None:
        """Give up, in a forked child, what only the parent has: threads, and locks that they may have held."""
        if self._batcher is not None:
            _keep_for_ever(self._batcher)  # it has a model, and a thread that is not here
        self._model = None
        self._drop_end()
        self._start_afresh()


_RESIDENTS: "weakref.WeakSet[Resident]" = weakref.WeakSet()


def _remember(resident: Resident) -> None:
    if hasattr(os, "register_at_fork") and not _REGISTERED.is_set():
        _REGISTERED.set()
        os.register_at_fork(after_in_child=_after_fork)
    _RESIDENTS.add(resident)


_REGISTERED = threading.Event()


_MODELS: "weakref.WeakSet[Model]" = weakref.WeakSet()
"""Also those of closed classifiers, which whoever holds an old traceback may have kept."""


def _keep_for_ever(kept: object) -> None:
    # To free a model would wait for threads of the engine that a forked child does not have.
    import ctypes

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(kept))


def _after_fork() -> None:
    for model in list(_MODELS):
        _keep_for_ever(model)
    for resident in list(_RESIDENTS):
        resident.after_fork()


def _nothing() -> None:
    """Stand in for the end of a thread that was not started."""
