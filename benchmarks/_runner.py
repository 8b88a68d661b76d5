"""Run contenders side by side: each in a process of its own, their turns interleaved, so that drift hits all alike."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from tqdm import tqdm

from ._contenders import Models
from ._errors import BenchmarkError

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Case:
    """One piece of work that every contender is timed on.

    Attributes:
        name: What the tables call it.
        texts: The texts of one call.
        tokens: Tokens of all of them together, special tokens included.
    """

    name: str
    texts: tuple[str, ...]
    tokens: int


@dataclass(frozen=True, slots=True)
class Row:
    """How one contender fared in one case.

    Attributes:
        contender: Its name.
        case: The case's name.
        texts: Texts a call.
        tokens: Tokens a call.
        samples: How many calls were timed.
        p50_ms: Median wall time of a call, text in to label out, in milliseconds.
        p90_ms: 90th percentile.
        p99_ms: 99th percentile.
        ratio: How many times as long as the first contender it takes: median over the rounds of the ratio of the
            medians within a round.
        label_agreement: Share of all texts of the run that it gives the first contender's label, 0 to 1.
    """

    contender: str
    case: str
    texts: int
    tokens: int
    samples: int
    p50_ms: float
    p90_ms: float
    p99_ms: float
    ratio: float
    label_agreement: float


class Worker:
    """A contender's process."""

    def __init__(self, contender: str, models: Models, threads: int) -> None:
        """Start it; `wait` before the first request."""
        self.contender = contender
        arguments = ["--bundle", models.bundle, "--checkpoint", models.checkpoint, "--threads", threads]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks._worker", contender, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, **_thread_settings(threads)},
            text=True,
            encoding="utf-8",
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def wait(self) -> None:
        """Wait until the model is loaded.

        Raises:
            BenchmarkError: The process died.
        """
        self._read()

    def labels(self, texts: Sequence[str]) -> list[str]:
        """Ask for the labels of some texts."""
        answer = self._ask({"texts": list(texts)})["labels"]
        return [str(label) for label in answer]

    def times(self, texts: Sequence[str], seconds: float) -> list[float]:
        """Have a call repeated for some seconds; give each one's wall time in milliseconds."""
        return [float(ms) for ms in self._ask({"texts": list(texts), "seconds": seconds})["ms"]]

    def _ask(self, request: dict[str, object]) -> dict[str, Any]:
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):  # told by what it does not answer
                print(json.dumps(request), file=self._process.stdin, flush=True)
        return self._read()

    def _read(self) -> dict[str, Any]:
        line = self._process.stdout.readline() if self._process.stdout is not None else ""
        if not line:
            _, errors = self._process.communicate()
            last = (errors.strip().splitlines() or ["it said nothing"])[-1]
            raise BenchmarkError(f"{self.contender}: the process ended with status {self._process.returncode}: {last}")
        answer: dict[str, Any] = json.loads(line)
        return answer


def _thread_settings(threads: int) -> dict[str, str]:
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS")
    return {**dict.fromkeys(names, str(threads)), "TOKENIZERS_PARALLELISM": "true", "HF_HUB_OFFLINE": "1"}


@contextlib.contextmanager
def workers(contenders: Sequence[str], models: Models, threads: int) -> Iterator[list[Worker]]:
    """Start the contenders' processes, all at once, and end them whatever happens.

    Raises:
        BenchmarkError: One of them died while it loaded.
    """
    with contextlib.ExitStack() as stack:
        started = [stack.enter_context(Worker(contender, models, threads)) for contender in contenders]
        for worker in started:
            worker.wait()
        yield started


def agreement(contenders: Sequence[Worker], cases: Sequence[Case]) -> dict[str, float]:
    """Compare everybody's labels with the first contender's, before anything is timed.

    Returns:
        The share of the texts that each contender labels as the first does.

    Raises:
        BenchmarkError: Two contenders that run the same model differ: what they take for it would mean nothing.
    """
    texts = [text for case in cases for text in case.texts]
    expected = contenders[0].labels(texts)
    shares = {contenders[0].contender: 1.0}
    for worker in contenders[1:]:
        given = worker.labels(texts)
        same = [a == b for a, b in zip(expected, given, strict=True)]
        shares[worker.contender] = sum(same) / len(same)
        if not all(same):
            index = same.index(False)
            raise BenchmarkError(
                f"{worker.contender} says {given[index]!r} where {contenders[0].contender} says {expected[index]!r} "
                f"({len(same) - sum(same)} of {len(same)} texts differ, the first is {texts[index]!r:.60}): "
                "is the bundle of this checkpoint?"
            )
    return shares


def measure(
    contenders: Sequence[Worker], cases: Sequence[Case], *, rounds: int, seconds: float, warmup: float
) -> list[Row]:
    """Compare the labels, then time every contender on every case, turn by turn.

    Args:
        contenders: Ready to answer; ratios are taken to the first.
        cases: The work.
        rounds: How often everybody has a turn at every case; the order of the turns rotates.
        seconds: Length of a turn.
        warmup: Seconds of calls before a case's first round, not counted.

    Returns:
        A row a case and contender, in this order.

    Raises:
        BenchmarkError: A process died, or the labels differ.
    """
    shares = agreement(contenders, cases)
    rows = []
    with tqdm(total=len(cases) * rounds * len(contenders), desc="latency", unit="turn") as bar:
        for case in cases:
            bar.set_postfix_str(case.name)
            for worker in contenders:
                worker.times(case.texts, warmup)
            times: dict[str, list[list[float]]] = {worker.contender: [] for worker in contenders}
            for number in range(rounds):
                first = number % len(contenders)
                for worker in (*contenders[first:], *contenders[:first]):
                    times[worker.contender].append(worker.times(case.texts, seconds))
                    bar.update()
            reference = times[contenders[0].contender]
            rows += [summarize(name, case, taken, reference, shares[name]) for name, taken in times.items()]
    return rows


def summarize(contender: str, case: Case, rounds: list[list[float]], reference: list[list[float]], share: float) -> Row:
    """Turn the times of one contender in one case into a row.

    Args:
        contender: Its name.
        case: What was timed.
        rounds: Milliseconds of each call, a list a round.
        reference: The same of the first contender, in the same rounds.
        share: Its label agreement.
    """
    p50, p90, p99 = np.percentile(np.concatenate(rounds), [50, 90, 99])
    ratios = [np.median(own) / np.median(others) for own, others in zip(rounds, reference, strict=True)]
    return Row(
        contender=contender,
        case=case.name,
        texts=len(case.texts),
        tokens=case.tokens,
        samples=sum(map(len, rounds)),
        p50_ms=float(p50),
        p90_ms=float(p90),
        p99_ms=float(p99),
        ratio=float(np.median(ratios)),
        label_agreement=share,
    )
