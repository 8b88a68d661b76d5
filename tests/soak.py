"""A million short texts through a small model: memory, threads and open files must not grow. `make soak` runs it."""

import asyncio
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from setfuse.runtime import Classifier

PARTS = 10
GROWTH = 12.0
"""Megabytes by which it may hold more than after the first tenth. A leak of a few bytes shows in the stream; with 64
calls at once the engine's memory grows, ever more slowly, to what most of them need together."""


@dataclass(frozen=True, slots=True)
class Use:
    """What a process holds.

    Attributes:
        megabytes: Of memory, resident.
        threads: The engine's among them.
        files: That are open.
    """

    megabytes: float
    threads: int
    files: int

    @classmethod
    def now(cls) -> "Use":
        """Look."""
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        threads, files = (sum(1 for _ in Path(f"/proc/self/{name}").iterdir()) for name in ("task", "fd"))
        return cls(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, threads, files)


def texts(count: int) -> Iterator[str]:
    """Give short texts, of which hardly two are alike, the empty one among them."""
    words = ("parcel", "refund", "late", "where", "is", "my", "app", "!", "é", "zzz")
    for number in range(count):
        yield " ".join(words[int(digit)] for digit in str(number * 7919 % 100_003)) if number % 50 else ""


def streamed(classifier: Classifier, count: int) -> None:
    """Answer a stream."""
    for prediction in classifier.stream(texts(count)):
        prediction.top_k(1)


def empty(classifier: Classifier, count: int) -> None:
    """Answer empty texts, all in one call."""
    classifier.predict([""] * count)


def by_threads(classifier: Classifier, count: int) -> None:
    """Answer texts of 64 threads, one by one."""
    threads = [threading.Thread(target=lambda: [classifier(text) for text in texts(count // 64)]) for _ in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def by_tasks(classifier: Classifier, count: int) -> None:
    """Answer texts of 64 tasks, of which some give up."""

    async def caller() -> None:
        for number, text in enumerate(texts(count // 64)):
            if number % 10:
                await classifier.aclassify(text, timeout=60)
            else:
                task = asyncio.create_task(classifier.aclassify(text))
                await asyncio.sleep(0)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def all_of_them() -> None:
        await asyncio.gather(*(caller() for _ in range(64)))

    asyncio.run(all_of_them())


WAYS: dict[str, tuple[Callable[[Classifier, int], None], int]] = {
    "stream": (streamed, 500_000),
    "empty": (empty, 300_000),
    "64 threads": (by_threads, 102_400),
    "64 tasks": (by_tasks, 102_400),
}


def soak(bundle: str) -> int:
    """Answer a million texts; give 1 if anything grew, 0 if not."""
    grown = False
    with Classifier.load(bundle) as classifier:
        for name, (answer, count) in WAYS.items():
            uses = []
            for _ in range(PARTS):
                answer(classifier, count // PARTS)
                time.sleep(0.2)  # threads that were joined may not have left the kernel yet
                uses.append(Use.now())
            first, most = uses[0], max(use.megabytes for use in uses)
            flat = most - first.megabytes <= GROWTH and (uses[-1].threads, uses[-1].files) == (
                first.threads,
                first.files,
            )
            grown = grown or not flat
            sys.stdout.write(
                f"{name}: {count} texts: MB {' '.join(f'{use.megabytes:.1f}' for use in uses)}; {uses[-1]}\n"
            )
            sys.stdout.flush()
        sys.stdout.write(f"{classifier.stats}\n")
    return int(grown)


def main() -> int:
    """Make a small bundle, and answer in a process that has no torch."""
    if len(sys.argv) > 1:
        return soak(sys.argv[1])
    from setfuse.export import export

    from .models import make_body, make_checkpoint

    with tempfile.TemporaryDirectory() as name:
        checkpoint = make_checkpoint(Path(name), make_body(Path(name)), ("late", "lost", "refund"))
        export(checkpoint, Path(name) / "bundle", ("fp32",))
        # glibc gives every few threads an arena of their own, the sizes of which say nothing of a leak.
        environment = {**os.environ, "MALLOC_ARENA_MAX": "2"}
        command = [sys.executable, "-m", "tests.soak", f"{name}/bundle"]
        return subprocess.run(command, check=False, env=environment).returncode


if __name__ == "__main__":
    sys.exit(main())
