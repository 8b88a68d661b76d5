"""One contender in a process of its own: reads requests from stdin and answers on stdout, one JSON object a line.

The first answer, {"ready": true}, comes unasked when the model is loaded. {"texts": […]} then gives {"labels": […]};
{"texts": […], "seconds": s} repeats the call for s seconds, at least `MIN_CALLS` times, and gives {"ms": […]}, the wall
time of each call in milliseconds.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from ._contenders import CONTENDERS, Contender, Models

MIN_CALLS = 3


def main() -> None:
    """Serve the contender that the command line names."""
    parser = argparse.ArgumentParser()
    parser.add_argument("contender", choices=CONTENDERS)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--threads", type=int, required=True)
    options = parser.parse_args()
    models = Models(options.bundle, options.checkpoint)
    serve(lambda: CONTENDERS[options.contender](models, options.threads))


def serve(load: Callable[[], Contender]) -> None:
    """Load a contender and answer requests until stdin closes."""
    # The answers have the real stdout for themselves; whatever a library prints goes to stderr.
    with os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8") as answers:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        contender = load()
        print(json.dumps({"ready": True}), file=answers, flush=True)
        for line in sys.stdin:
            print(json.dumps(_answer(contender, json.loads(line))), file=answers, flush=True)


def _answer(contender: Contender, request: dict[str, object]) -> dict[str, object]:
    texts = request["texts"]
    if not isinstance(texts, list):
        raise TypeError(f"expected a list of texts, got {texts!r}")
    seconds = request.get("seconds")
    if not isinstance(seconds, int | float):
        return {"labels": contender.answer(texts)}
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < MIN_CALLS or time.perf_counter() < end:
        start = time.perf_counter()
        contender.answer(texts)
        times.append((time.perf_counter() - start) * 1e3)
    return {"ms": times}


if __name__ == "__main__":
    main()
