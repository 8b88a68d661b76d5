"""Time contenders side by side: the labels compared first, then turn by turn, so that drift hits all alike."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ._errors import BenchmarkError


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


class Subject(Protocol):
    """What can be timed: a contender's process, or a stand-in for one."""

    contender: str

    def labels(self, texts: Sequence[str]) -> list[str]:
        """Give the label of each text."""

    def times(self, texts: Sequence[str], seconds: float) -> list[float]:
        """Repeat a call for some seconds; give each one's wall time in milliseconds."""


def agreement(subjects: Sequence[Subject], cases: Sequence[Case]) -> dict[str, float]:
    """Compare everybody's labels with the first contender's, before anything is timed.

    Returns:
        The share of the texts that each contender labels as the first does.

    Raises:
        BenchmarkError: Two contenders that run the same model differ: what they take for it would mean nothing.
    """
    texts = [text for case in cases for text in case.texts]
    first = subjects[0]
    expected = _labels(first, texts)
    shares = {first.contender: 1.0}
    for subject in subjects[1:]:
        given = _labels(subject, texts)
        same = [a == b for a, b in zip(expected, given, strict=True)]
        if not all(same):
            index = same.index(False)
            raise BenchmarkError(
                f"{subject.contender} says {given[index]!r} where {first.contender} says {expected[index]!r} "
                f"({len(same) - sum(same)} of {len(same)} texts differ, the first is {texts[index]!r:.60}): "
                "is the bundle of this checkpoint?"
            )
        shares[subject.contender] = sum(same) / len(same)
    return shares


def _labels(subject: Subject, texts: Sequence[str]) -> list[str]:
    labels = subject.labels(texts)
    if len(labels) != len(texts):
        raise BenchmarkError(f"{subject.contender}: expected {len(texts)} labels, one a text, got {len(labels)}")
    return labels


def measure(subjects: Sequence[Subject], cases: Sequence[Case], *, rounds: int, seconds: float) -> list[Row]:
    """Compare the labels, then time every contender on every case, turn by turn.

    Args:
        subjects: Ready to answer; ratios are taken to the first.
        cases: The work.
        rounds: How often everybody has a turn at every case; the order of the turns rotates. Before them comes a
            turn each that is not counted.
        seconds: Length of a turn.

    Returns:
        A row a case and contender, in this order.

    Raises:
        BenchmarkError: A process died, or the labels differ.
    """
    from tqdm import tqdm

    shares = agreement(subjects, cases)
    rows = []
    turns = len(cases) * (1 + rounds) * len(subjects)
    with tqdm(total=turns, desc="latency", unit="turn", mininterval=0.1 if sys.stderr.isatty() else 10) as bar:
        for case in cases:
            bar.set_postfix_str(case.name, refresh=False)
            times: dict[str, list[list[float]]] = {subject.contender: [] for subject in subjects}
            for number in range(1 + rounds):
                start = number % len(subjects)
                for subject in (*subjects[start:], *subjects[:start]):
                    times[subject.contender].append(subject.times(case.texts, seconds))
                    bar.update()
            counted = {contender: taken[1:] for contender, taken in times.items()}
            reference = counted[subjects[0].contender]
            rows += [summarize(name, case, taken, reference, shares[name]) for name, taken in counted.items()]
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
