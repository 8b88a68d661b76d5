"""Microseconds around the engine: `python -m benchmarks.overhead --bundle B`.

What a call costs besides the engine's own run: tokenizing, arrays, the engine's Python wrapper, results. Only the
innermost call is replaced, from Python into onnxruntime. `kept`: it gives back an answer that it gave before, so that
all else is measured apart. `between runs`: it runs, and its time is taken off: what the same code costs once a run has
emptied the processor's caches of it.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from setfuse.runtime import Classifier, Precision, SetfuseError

from ._command_line import DEMO

TEXT = "a moving , if uneven , success story for all of us now ."
"""16 tokens with bge-small's tokenizer, two of them special."""
SHORT_TEXTS = [f"{TEXT} {'again ' * (number % 20)}" for number in range(1000)]
WARM_UPS = 20


class Engine:
    """Stands where onnxruntime's own session stands, and passes everything on; of `run` it knows the time."""

    def __init__(self, session: Any, *, keeps: bool) -> None:
        """Stand in.

        Args:
            session: Onnxruntime's own.
            keeps: Whether an answer is given again for token ids of the same shape, without a run.
        """
        self._session = session
        self._keeps = keeps
        self._kept: dict[object, Any] = {}
        self.spent_ns = 0

    def run(self, outputs: Sequence[str], feeds: dict[str, Any], options: object) -> Any:
        """Run, or give what was kept."""
        start = time.perf_counter_ns()
        key = tuple(feed.shape for feed in feeds.values())
        found = self._kept.get(key) if self._keeps else None
        if found is None:
            found = self._kept[key] = self._session.run(outputs, feeds, options)
        self.spent_ns += time.perf_counter_ns() - start
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)


@dataclass(frozen=True, slots=True)
class Overhead:
    """Microseconds a text around the engine's run.

    Attributes:
        what: What is called.
        tokens: Of a text, in the mean.
        p10_us: 10th percentile over the calls: a shared machine disturbs the others.
        p50_us: Median.
    """

    what: str
    tokens: float
    p10_us: float
    p50_us: float


def measure(classifier: Classifier, texts: str | list[str], what: str, *, keeps: bool, calls: int) -> Overhead:
    """Measure calls with the innermost one replaced; it is put back at the end."""
    model = classifier._resident.model()  # noqa: SLF001 - there is no other way to measure what is around it
    wrapper = model._graph._usual._session  # type: ignore[attr-defined]  # noqa: SLF001
    own = wrapper._sess  # noqa: SLF001
    wrapper._sess = engine = Engine(own, keeps=keeps)  # noqa: SLF001
    as_list = [texts] if isinstance(texts, str) else texts
    times = []
    try:
        for _ in range(WARM_UPS if isinstance(texts, str) else 1):
            classifier(texts)
        for _ in range(calls):
            engine.spent_ns = 0
            start = time.perf_counter_ns()
            classifier(texts)
            times.append((time.perf_counter_ns() - start - engine.spent_ns) / 1e3 / len(as_list))
    finally:
        wrapper._sess = own  # noqa: SLF001
    tokens = float(np.mean([len(ids) for ids in model.tokenizer.encode(as_list)]))
    p10, p50 = np.percentile(times, [10, 50]).tolist()
    return Overhead(what, tokens, p10, p50)


def measure_tokenizer(classifier: Classifier, calls: int) -> Overhead:
    """Measure the tokenizers package alone, on one text."""
    tokenizer = classifier._resident.model().tokenizer._tokenizer  # noqa: SLF001 - as above
    times = []
    for _ in range(calls):
        start = time.perf_counter_ns()
        tokenizer.encode_batch_fast([TEXT])
        times.append((time.perf_counter_ns() - start) / 1e3)
    p10, p50 = np.percentile(times, [10, 50]).tolist()
    return Overhead("tokenizers alone, one text", len(tokenizer.encode(TEXT).ids), p10, p50)


def measure_all(classifier: Classifier, calls: int) -> list[Overhead]:
    """Measure one text, one text between runs, and a list of a thousand."""
    return [
        measure(classifier, TEXT, "one text, kept", keeps=True, calls=calls),
        measure_tokenizer(classifier, calls),
        measure(classifier, TEXT, "one text, between runs", keeps=False, calls=max(1, calls // 10)),
        measure(classifier, SHORT_TEXTS, "a list of 1,000 texts, kept", keeps=True, calls=max(1, calls // 100)),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.overhead", description=__doc__.split("\n\n", 1)[0])
    parser.add_argument("--bundle", type=Path, default=DEMO / "bundle", help="default: the one of make demo")
    parser.add_argument("--precision", choices=list(map(str, Precision)), help="default: what suits the machine")
    parser.add_argument("--calls", type=int, default=3000, help="default: %(default)s")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args(arguments)
    if options.calls < 1:
        parser.error(f"--calls: expected 1 or more, got {options.calls}")
    try:
        with Classifier.load(
            options.bundle, precision=options.precision, engine="onnxruntime", threads=1
        ) as classifier:
            about = classifier.about
            rows = measure_all(classifier, options.calls)
    except SetfuseError as error:
        print(f"benchmarks.overhead: {error}", file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps({"about": asdict(about), "overhead": [asdict(row) for row in rows]}, indent=2))
        return 0
    print(about)
    for row in rows:
        print(f"{row.what:<30} {row.tokens:5.1f} tokens   p10 {row.p10_us:7.1f} us   p50 {row.p50_us:7.1f} us a text")
    return 0


if __name__ == "__main__":
    sys.exit(main())
