"""One contender in a process of its own: reads requests from stdin and answers on stdout, one JSON object a line.

The first answer, {"ready": true}, comes unasked when the model is loaded. Then, by the key "do":

| request | answer |
|---|---|
| {"do": "labels", "texts": [...]} | {"labels": [...]} |
| {"do": "probabilities", "texts": [...]} | {"probabilities": [[...]]}, or null where there are none |
| {"do": "repeat", "texts": [...], "seconds": s, "calls": n} | {"ms": [...]}: a call, for s seconds, at least n times |
| {"do": "each", "texts": [...]} | {"ms": [...]}: a call a text, one after the other |
| {"do": "arrivals", "texts": [...], "at_s": [...]} | {"ms": [...]}: from each text's arrival to its answer |
| {"do": "once", "texts": [...]} | {"s": wall, "cpu_s": of all threads}: one call with all texts |
| {"do": "idle", "texts": [...]} | {"cpu_ms": ...} burnt in the second after a call |
| {"do": "memory"} | {"rss_mb": ..., "peak_rss_mb": ...}: now, and the largest so far, 10^6 bytes |

The clock runs here, around the call alone: no time of the pipe is in it. Each series begins with a call that is not
timed. Needs nothing but numpy and the contender.
"""

import argparse
import contextlib
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from ._contenders import CONTENDERS, Models, System
from ._files import end_with_parent

IDLE_SECONDS = 1.0

Served = TypeVar("Served")


def main() -> None:
    """Serve the contender that the command line names."""
    parser = argparse.ArgumentParser()
    parser.add_argument("contender", choices=CONTENDERS)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--artefacts", type=Path, required=True)
    parser.add_argument("--train", type=Path)
    parser.add_argument("--threads", type=int, required=True)
    options = parser.parse_args()
    contender = CONTENDERS[options.contender]
    models = Models(options.bundle, options.checkpoint, options.artefacts, options.train)

    serve(lambda: contender.load("benchmarks._contenders", models, options.threads), options.threads)


def serve(
    load: Callable[[], Served], threads: int, answers: Mapping[str, Callable[..., dict[str, Any]]] | None = None
) -> None:
    """Load a contender and answer requests until stdin closes.

    Args:
        load: Loads it.
        threads: It may use so many processors from then on, however many threads it has started.
        answers: What answers each request, called with what was loaded and the request; None for `ANSWERS`.
    """
    end_with_parent()
    known = ANSWERS if answers is None else answers
    # The answers have the real stdout for themselves; whatever a library prints goes to stderr.
    with os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8") as replies:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        system = load()
        _pin(threads)
        print(json.dumps({"ready": True}), file=replies, flush=True)
        for line in sys.stdin:
            request = json.loads(line)
            print(json.dumps(known[request.pop("do")](system, **request)), file=replies, flush=True)


def _pin(processors: int) -> None:
    """Keep all threads of this process on so many processors, the same ones for every contender."""
    tasks = Path("/proc/self/task")
    if hasattr(os, "sched_setaffinity") and tasks.is_dir():
        chosen = sorted(os.sched_getaffinity(0))[-processors:]  # the first ones serve most interrupts
        for task in tasks.iterdir():
            with contextlib.suppress(ProcessLookupError):  # it has ended
                os.sched_setaffinity(int(task.name), chosen)


def _labels(system: System, texts: list[str]) -> dict[str, Any]:
    return {"labels": system.answer(texts)}


def _probabilities(system: System, texts: list[str]) -> dict[str, Any]:
    probabilities = system.probabilities(texts)
    return {"probabilities": None if probabilities is None else probabilities.tolist()}


def timed(call: Callable[[], object], seconds: float, calls: int) -> list[float]:
    """Repeat a call for some seconds, and so often at least, after one that is not timed.

    Returns:
        Each one's wall time, in milliseconds.
    """
    times: list[float] = []
    call()  # whoever was stopped until now finds the caches cold
    end = time.perf_counter() + seconds
    while len(times) < calls or time.perf_counter() < end:
        times.append(_milliseconds(call))
    return times


def _milliseconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return (time.perf_counter() - start) * 1e3


def _repeat(system: System, texts: list[str], seconds: float, calls: int) -> dict[str, Any]:
    return {"ms": timed(lambda: system.answer(texts), seconds, calls)}


def _each(system: System, texts: list[str]) -> dict[str, Any]:
    system.answer(texts[:1])  # as in `timed`
    return {"ms": [_milliseconds(partial(system.answer, [text])) for text in texts]}


def _arrivals(system: System, texts: list[str], at_s: list[float]) -> dict[str, Any]:
    system.answer(texts[:1])  # as in `timed`
    start = time.perf_counter()
    times = []
    for text, arrival in zip(texts, at_s, strict=True):
        early = start + arrival - time.perf_counter()
        if early > 0:
            time.sleep(early)
        system.answer([text])
        times.append((time.perf_counter() - start - arrival) * 1e3)
    return {"ms": times}


def _once(system: System, texts: list[str]) -> dict[str, Any]:
    start, cpu = time.perf_counter(), time.process_time()
    system.answer(texts)
    return {"s": time.perf_counter() - start, "cpu_s": time.process_time() - cpu}


def _idle(system: System, texts: list[str]) -> dict[str, Any]:
    system.answer(texts)
    cpu = time.process_time()
    time.sleep(IDLE_SECONDS)
    return {"cpu_ms": (time.process_time() - cpu) * 1e3}


def _memory(_system: System) -> dict[str, Any]:
    status = Path("/proc/self/status")
    if not status.is_file():
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # bytes on macOS
        return {"rss_mb": peak, "peak_rss_mb": peak}
    # Not Linux's ru_maxrss: a process that was started by a larger one inherits that one's.
    lines = dict(line.split(":", 1) for line in status.read_text(encoding="utf-8").splitlines())
    rss, peak = (int(lines[key].split()[0]) * 1024 / 1e6 for key in ("VmRSS", "VmHWM"))
    return {"rss_mb": rss, "peak_rss_mb": peak}


ANSWERS: dict[str, Callable[..., dict[str, Any]]] = {
    "labels": _labels,
    "probabilities": _probabilities,
    "repeat": _repeat,
    "each": _each,
    "arrivals": _arrivals,
    "once": _once,
    "idle": _idle,
    "memory": _memory,
}


if __name__ == "__main__":
    main()
