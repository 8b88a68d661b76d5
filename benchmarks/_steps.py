"""The steps of a run, in their order: who is available, whose answers are right, then the measurements."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ._agreement import Agreement, Answers, compare
from ._availability import Command, find_available
from ._cases import Case, Corpus, Kind
from ._contenders import CONTENDERS, ORACLE, Contender, Models, Quality
from ._environment import usable_cores
from ._environments import ENVIRONMENTS, python_for
from ._errors import BenchmarkError
from ._footprint import footprint_row
from ._journal import Journal
from ._padding import padding_share
from ._plan import Measure, Plan
from ._process import CHUNK, Limits
from ._progress import Progress
from ._results import Entrant, FootprintRow, LatencyRow, Status, ThroughputRow
from ._roof import measure_roof, multiply_adds
from ._runner import Roster, interleave, latency_row, throughput_row, time_case
from ._team import Team

WARM_UP_TEXTS = 32
"""Texts of the call that warms up for many texts at once."""

REFERENCES = {Quality.SAME: "setfuse fp32", Quality.ROUNDED: "setfuse int8", Quality.OTHER: "setfuse int8"}
"""Whom a contender is compared with: ours that promises as much of the answers."""


@dataclass(frozen=True, slots=True)
class Measured:
    """The parts of `Results` that are measured; see there."""

    roof: dict[str, dict[str, float]]
    contenders: tuple[Entrant, ...]
    rows: tuple[LatencyRow, ...]
    throughput: tuple[ThroughputRow, ...]
    footprint: tuple[FootprintRow, ...]


@dataclass(frozen=True, slots=True)
class _Answered:
    """What stands in the journal of one contender's answers."""

    agreement: Agreement
    accuracy: float | None


class Steps:
    """One run. Each step is kept in the journal as soon as it is finished, and read from there when it is found."""

    def __init__(
        self,
        models: Models,
        journal: Journal,
        corpus: Corpus,
        *,
        plan: Plan,
        named: Sequence[str],
        threads: int,
        limits: Limits,
    ) -> None:
        """Begin.

        Args:
            models: What is run.
            journal: Of this run.
            corpus: Real texts.
            plan: How much is measured.
            named: The contenders.
            threads: For every contender; the throughput is measured on all processors as well, if the plan says so.
            limits: How long a contender may take.
        """
        self._models = models
        self._plan = plan
        self._named = tuple(named)
        self._threads = threads
        self._all_threads = usable_cores() if plan.all_threads else threads
        self._limits = limits
        self._corpus = corpus
        self._journal = journal
        self._roster = Roster(list(dict.fromkeys([*named, ORACLE])))

    def measure(self, measures: Sequence[Measure], cases: Sequence[Case]) -> Measured:
        """Take all steps.

        Args:
            measures: What is wanted; the answers are compared in any case.
            cases: The made-up texts.

        Raises:
            BenchmarkError: Torch's own labels cannot be had, or the bundle is not the checkpoint's.
        """
        counts: tuple[int, ...] = (self._threads,)
        if set(measures) - {Measure.LATENCY}:
            counts = tuple(dict.fromkeys([self._all_threads, self._threads]))
        commands = find_available(self._roster, self._models)
        latency: list[LatencyRow] = []
        throughput: list[ThroughputRow] = []
        memory: dict[str, Any] = {}
        footprint: list[FootprintRow] = []
        with Progress(self._turns(measures, len(cases), len(counts))) as progress:
            roof = self._step(progress, "roof", lambda: self._measure_roof(counts))
            for count in counts:
                with Team({name: command(count) for name, command in commands.items()}, count, self._limits) as team:
                    if count == counts[0]:
                        answered = self._compare_answers(team, cases, progress)
                    if count == self._threads and Measure.LATENCY in measures:
                        latency = self._measure_latency(team, cases, answered, roof, progress)
                    if Measure.THROUGHPUT in measures:
                        throughput += self._measure_throughput(team, count, answered, roof, progress)
                    if count == counts[0] and Measure.FOOTPRINT in measures:
                        memory = self._step(progress, "memory", lambda: self._measure_memory(team, progress))
            if Measure.FOOTPRINT in measures:
                footprint = self._measure_footprint(commands, memory, progress)
        entrants = tuple(self._entrant(CONTENDERS[name], answered.get(name)) for name in self._named)
        return Measured(roof, entrants, tuple(latency), tuple(throughput), tuple(footprint))

    def _step(self, progress: Progress, name: str, measure: Callable[[], Any]) -> Any:
        progress.describe(name)
        return self._journal.step(name, self._roster, measure)

    def _turns(self, measures: Sequence[Measure], cases: int, teams: int) -> int:
        contenders = len(self._roster.running)
        turns = teams + 1  # loading, and the answers
        if Measure.LATENCY in measures:
            turns += (cases + 1 + bool(self._plan.open_texts)) * (1 + self._plan.rounds)
        if Measure.THROUGHPUT in measures:
            turns += teams * (1 + self._plan.throughput_rounds)
        if Measure.FOOTPRINT in measures:
            turns += 1 + self._plan.cold_starts
        return turns * contenders

    def _measure_roof(self, counts: Sequence[int]) -> dict[str, dict[str, float]]:
        python = str(python_for(ENVIRONMENTS[CONTENDERS[ORACLE].environment]))
        return {str(count): measure_roof(python, count) for count in counts}

    def _compare_answers(self, team: Team, cases: Sequence[Case], progress: Progress) -> dict[str, _Answered]:
        texts = [*self._corpus.texts, *(text for case in cases for text in case.texts)]

        def measure() -> dict[str, Any]:
            team.load(self._roster, progress.tick)
            asked = interleave(
                self._roster, 1, lambda name, _: _ask(team, name, texts, self._plan.probability_texts), progress.tick
            )
            if ORACLE not in asked:
                raise BenchmarkError(
                    f"expected torch's labels to compare with, but {ORACLE}: {self._roster.failed[ORACLE]}"
                )
            found = {}
            for name, (answers,) in asked.items():
                agreement = compare(answers, asked[ORACLE][0], texts, CONTENDERS[name].quality)
                found[name] = {"agreement": asdict(agreement), "accuracy": self._accuracy(answers.labels)}
            return found

        recorded = self._step(progress, "answers", measure)
        answered = {
            name: _Answered(Agreement(**found["agreement"]), found["accuracy"]) for name, found in recorded.items()
        }
        ours = REFERENCES[Quality.SAME]
        if ours in answered and answered[ours].agreement.wrong:
            raise BenchmarkError(f"{ours}: {answered[ours].agreement.wrong}: is the bundle of this checkpoint?")
        if ORACLE not in self._named:
            self._roster.running.remove(ORACLE)
        return answered

    def _accuracy(self, labels: Sequence[str]) -> float | None:
        if self._corpus.labels is None:
            return None
        right = [own == given for own, given in zip(labels, self._corpus.labels, strict=False)]  # made-up texts follow
        return sum(right) / len(right)

    def _measure_latency(
        self,
        team: Team,
        cases: Sequence[Case],
        answered: Mapping[str, _Answered],
        roof: Mapping[str, Mapping[str, float]],
        progress: Progress,
    ) -> list[LatencyRow]:
        rows = []
        closed_ms: dict[str, float] = {}
        for case in (*cases, *self._real_cases()):

            def measure(case: Case = case, closed_ms: Mapping[str, float] = closed_ms) -> dict[str, list[list[float]]]:
                team.load(self._roster, progress.nothing)
                return time_case(
                    case,
                    self._roster,
                    team.__getitem__,
                    rounds=self._plan.rounds,
                    seconds=self._plan.seconds,
                    calls=self._plan.calls,
                    warm_ups=self._plan.warm_ups,
                    closed_ms=closed_ms,
                    tick=progress.tick,
                )

            times = self._step(progress, case.name, measure)
            if case.kind is Kind.CLOSED:
                closed_ms = {name: float(np.mean(np.concatenate(rounds))) for name, rounds in times.items()}
            for name in filter(times.__contains__, self._named):
                contender = CONTENDERS[name]
                peak = roof[str(self._threads)].get(contender.arithmetic)
                rows.append(
                    latency_row(
                        name,
                        case,
                        times[name],
                        times.get(_reference(contender, answered)),
                        agreement=answered[name].agreement.label_agreement,
                        roof_ms=None if case.kind is Kind.OPEN else self._roof_ms(case, peak),
                    )
                )
        return rows

    def _real_cases(self) -> list[Case]:
        closed, opened = self._corpus.sample(self._plan.closed_texts), self._corpus.sample(self._plan.open_texts)
        cases = [Case("real texts", Kind.CLOSED, closed.texts, closed.tokens)]
        if self._plan.open_texts:
            cases.append(Case("real texts, open loop", Kind.OPEN, opened.texts, opened.tokens))
        return cases

    def _roof_ms(self, case: Case, peak: float | None) -> float | None:
        """Give how long the multiplications of a call take at the machine's peak."""
        operations = multiply_adds(self._models.checkpoint, case.tokens)
        if operations is None or not peak:
            return None
        return 2 * operations / (len(case.texts) / case.per_call) / peak / 1e6

    def _measure_throughput(
        self,
        team: Team,
        count: int,
        answered: Mapping[str, _Answered],
        roof: Mapping[str, Mapping[str, float]],
        progress: Progress,
    ) -> list[ThroughputRow]:
        corpus = self._corpus.sample(self._plan.throughput_texts)

        def measure() -> dict[str, list[tuple[float, float]]]:
            team.load(self._roster, progress.nothing)
            interleave(self._roster, 1, lambda name, _: team[name].once(corpus.texts[:WARM_UP_TEXTS]), progress.tick)
            rounds = self._plan.throughput_rounds
            return interleave(self._roster, rounds, lambda name, _: team[name].once(corpus.texts), progress.tick)

        times = self._step(progress, f"throughput, {count} thread{'s' * (count > 1)}", measure)
        operations = multiply_adds(self._models.checkpoint, corpus.tokens)
        rows = []
        for name in filter(times.__contains__, self._named):
            contender = CONTENDERS[name]
            peak = roof[str(count)].get(contender.arithmetic)
            rows.append(
                throughput_row(
                    name,
                    corpus,
                    times[name],
                    times.get(_reference(contender, answered)),
                    threads=count,
                    agreement=answered[name].agreement.label_agreement,
                    padding=padding_share(corpus.tokens, contender.batching),
                    roof_s=2 * operations / peak / 1e9 if operations and peak else None,
                )
            )
        return rows

    def _measure_memory(self, team: Team, progress: Progress) -> dict[str, dict[str, float]]:
        """Read the memory of processes that have labelled many texts, and what they burn when nobody asks them."""
        texts = self._corpus.texts

        def turn(name: str, _: int) -> dict[str, float]:
            worker = team[name]
            count, end = 0, time.monotonic() + self._plan.memory_seconds
            while count < self._plan.memory_texts and time.monotonic() < end:
                chunk = [
                    texts[index % len(texts)] for index in range(count, min(count + CHUNK, self._plan.memory_texts))
                ]
                worker.labels(chunk)
                count += len(chunk)
            rss, peak = worker.memory()
            return {"rss_mb": rss, "peak_rss_mb": peak, "rss_texts": count, "idle_cpu_ms": worker.idle(texts[:1])}

        team.load(self._roster, progress.nothing)
        return {name: found for name, (found,) in interleave(self._roster, 1, turn, progress.tick).items()}

    def _measure_footprint(
        self, commands: Mapping[str, Command], memory: Mapping[str, Any], progress: Progress
    ) -> list[FootprintRow]:
        text = self._corpus.texts[0]
        spent = dict.fromkeys(self._named, 0.0)

        def turn(name: str, _: int) -> tuple[float, float] | None:
            if spent[name] > self._plan.start_seconds:
                return None
            with Team({name: commands[name](self._threads)}, self._threads, self._limits) as team:
                start = team.cold_start(name, text)
            spent[name] += start.seconds
            return start.seconds, start.peak_rss_mb

        def measure() -> dict[str, list[tuple[float, float] | None]]:
            return interleave(self._roster, self._plan.cold_starts, turn, progress.tick)

        starts = self._step(progress, "cold start", measure)
        return [
            footprint_row(CONTENDERS[name], self._models, [start for start in starts[name] if start], memory[name])
            for name in filter(starts.__contains__, self._named)
        ]

    def _entrant(self, contender: Contender, answered: _Answered | None) -> Entrant:
        failed = self._roster.failed.get(contender.name, "")
        agreement = answered.agreement if answered else Agreement(0, None, None, "")
        wrong = agreement.wrong
        return Entrant(
            contender=contender.name,
            description=contender.description,
            quality=str(contender.quality),
            arithmetic=contender.arithmetic,
            batching=str(contender.batching),
            status=Status.FAILED if failed else Status.STRUCK_OUT if wrong else Status.MEASURED,
            reason=failed or wrong,
            reference=REFERENCES[contender.quality],
            label_agreement=agreement.label_agreement if answered else None,
            accuracy=answered.accuracy if answered else None,
            mean_probability_difference=agreement.mean_difference,
            max_probability_difference=agreement.max_difference,
            versions=ENVIRONMENTS[contender.environment].versions(),
        )


def _reference(contender: Contender, answered: Mapping[str, _Answered]) -> str:
    """Name whom a contender is compared with; nobody, where that one's answers are wrong."""
    name = REFERENCES[contender.quality]
    return "" if name in answered and answered[name].agreement.wrong else name


def _ask(team: Team, name: str, texts: Sequence[str], probability_texts: int) -> Answers:
    labels = team[name].labels(texts)
    return Answers(tuple(labels), team[name].probabilities(texts[:probability_texts]))
