"""What is measured, and how much of it."""

from dataclasses import dataclass
from enum import StrEnum


class Measure(StrEnum):
    """What can be measured."""

    LATENCY = "latency"
    THROUGHPUT = "throughput"
    FOOTPRINT = "footprint"


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured.

    Attributes:
        lengths: Tokens of the single texts; those above the model's maximum are left out.
        rounds: How often every contender has a turn at every case.
        seconds: Length of a turn.
        calls: Of a turn at least, however long they take.
        warm_ups: Turns that warm up a contender, at most.
        labelled_texts: Real texts whose labels are compared, at most.
        probability_texts: Of those, the first ones whose probabilities are compared, too: more would say the same.
        closed_texts: Real texts that are timed one after the other, at most.
        open_texts: Real texts that arrive by themselves, at most; 0 leaves the case out.
        throughput_texts: Real texts of mixed lengths in one call, at most.
        throughput_rounds: How often everybody labels them.
        all_threads: Whether the throughput is measured on all processors, too.
        cold_starts: New processes a contender.
        start_seconds: No further process is started for a contender whose starts have taken so long together.
        memory_texts: Texts after which the memory is read.
        memory_seconds: It is read after so long at the latest.
    """

    lengths: tuple[int, ...]
    rounds: int
    seconds: float
    calls: int
    warm_ups: int
    labelled_texts: int
    probability_texts: int
    closed_texts: int
    open_texts: int
    throughput_texts: int
    throughput_rounds: int
    all_threads: bool
    cold_starts: int
    start_seconds: float
    memory_texts: int
    memory_seconds: float


FULL = Plan(
    lengths=(8, 16, 32, 64, 128, 256),
    rounds=10,
    seconds=0.3,
    calls=3,
    warm_ups=8,
    labelled_texts=5_000,
    probability_texts=200,
    closed_texts=300,
    open_texts=200,
    throughput_texts=200,
    throughput_rounds=6,
    all_threads=True,
    cold_starts=3,
    start_seconds=10,
    memory_texts=10_000,
    memory_seconds=10,
)
QUICK = Plan(
    lengths=(16, 64),
    rounds=3,
    seconds=0.1,
    calls=1,
    warm_ups=1,
    labelled_texts=40,
    probability_texts=20,
    closed_texts=20,
    open_texts=0,
    throughput_texts=30,
    throughput_rounds=1,
    all_threads=False,
    cold_starts=1,
    start_seconds=0,
    memory_texts=100,
    memory_seconds=5,
)
