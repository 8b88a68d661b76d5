"""Two runs beside each other: what changed, what is noise, and what the machine did."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from ._errors import BenchmarkError
from ._reading import ours, threads_title
from ._results import LatencyRow, Results, Status, ThroughputRow

SMALLEST = 0.02
"""Less than this is noise whatever the interval says: the rounds of one run share a placement in memory and a clock,
and what two runs differ by for that is in no round."""

RESAMPLES = 1_000


class Verdict(StrEnum):
    """What became of a figure."""

    FASTER = "faster"
    SLOWER = "slower"
    NOISE = "noise"
    """The confidence interval includes no change, or the change is below `SMALLEST`."""


@dataclass(frozen=True, slots=True)
class Change:
    """One contender in one case, in both runs.

    Attributes:
        contender: Its name.
        case: The latency's case, or the number of threads.
        unit: `ms` (less is better) or `texts/s`.
        before: Median of the first run.
        after: Of the second.
        change: Relative change of the median over the rounds, the machine's taken out: 0.2 is a fifth more.
        low: Lower end of its 95 % bootstrap confidence interval; None with fewer than two rounds.
        high: Its upper end.
        machine: Relative change of the yardsticks, the median: what is taken out.
        yardsticks: How many other contenders that are not setfuse it was taken from; with none, nothing is taken out.
        verdict: What became of it.
    """

    contender: str
    case: str
    unit: str
    before: float
    after: float
    change: float
    low: float | None
    high: float | None
    machine: float
    yardsticks: int
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs.

    Attributes:
        warnings: Why the runs may not be comparable.
        changes: Of all times and rates in both runs.
        others: What else changed, a line each: answers, fates, versions, sizes.
        only_before: Rows of the first run alone.
        only_after: Rows of the second alone.
    """

    warnings: tuple[str, ...]
    changes: tuple[Change, ...]
    others: tuple[str, ...]
    only_before: tuple[str, ...]
    only_after: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Series:
    """The rounds of one contender in one case, of both runs, as logarithms."""

    before: npt.NDArray[np.float64]
    after: npt.NDArray[np.float64]


Row = LatencyRow | ThroughputRow


def compare(before: Results, after: Results) -> Comparison:
    """Compare two runs.

    Raises:
        BenchmarkError: They are of models with different labels: their times say nothing of each other.
    """
    first, second = before.model.get("labels"), after.model.get("labels")
    if first != second:
        raise BenchmarkError(
            f"expected two runs of one model, found one of the labels {_shown(first)} and one of {_shown(second)}; "
            "compare runs of the same model"
        )
    old, new = _rows(before), _rows(after)
    common = [key for key in old if key in new and _work(old[key]) == _work(new[key])]
    different = [
        f"{_title(key)}: {_work(old[key])} then {_work(new[key])} (texts, tokens): other work, not compared"
        for key in old
        if key in new and key not in common
    ]
    return Comparison(
        warnings=(*_warnings(before, after), *different),
        changes=tuple(_changes(before, after, [(key, old[key], new[key]) for key in common])),
        others=tuple(_others(before, after)),
        only_before=tuple(_title(key) for key in old if key not in new),
        only_after=tuple(_title(key) for key in new if key not in old),
    )


def _rows(results: Results) -> dict[tuple[str, str], Row]:
    found: dict[tuple[str, str], Row] = {(row.contender, row.case): row for row in results.rows}
    return found | {(row.contender, threads_title(row.threads)): row for row in results.throughput}


def _title(key: tuple[str, str]) -> str:
    return f"{key[0]}, {key[1]}"


def _work(row: Row) -> tuple[int, float]:
    return row.texts, row.tokens


def _rounds(row: Row) -> tuple[float, ...]:
    return row.round_p50_ms if isinstance(row, LatencyRow) else row.round_texts_per_s


def _median(row: Row) -> float:
    return row.p50_ms if isinstance(row, LatencyRow) else row.texts_per_s


def _changes(before: Results, after: Results, common: Sequence[tuple[tuple[str, str], Row, Row]]) -> Iterator[Change]:
    excluded = ours(before) | ours(after)
    versions = {one.contender: one.versions for one in before.contenders}
    excluded |= {one.contender for one in after.contenders if one.versions != versions.get(one.contender)}
    for results in (before, after):  # what failed or answers wrongly may do other work in the other run
        excluded |= {one.contender for one in results.contenders if one.status != Status.MEASURED}
    series = {key: _Series(_logs(_rounds(old)), _logs(_rounds(new))) for key, old, new in common}
    enough = {key for key, rounds in series.items() if min(rounds.before.size, rounds.after.size) >= 2}
    for key, old, new in common:
        if not min(series[key].before.size, series[key].after.size):
            continue
        others = [
            rounds
            for (contender, case), rounds in series.items()
            if case == key[1] and contender not in {key[0], *excluded} and (contender, case) in enough
        ]
        change, machine, interval = _estimate(series[key], others, bounded=key in enough)
        unit = "ms" if isinstance(new, LatencyRow) else "texts/s"
        low, high = interval
        verdict = _verdict(change, low, high, more_is_better=unit != "ms")
        medians = _median(old), _median(new)
        yield Change(*key, unit, *medians, change, low, high, machine, len(others), verdict)


def _logs(rounds: Sequence[float]) -> npt.NDArray[np.float64]:
    return np.log([value for value in rounds if value > 0])


def _estimate(
    own: _Series, others: Sequence[_Series], *, bounded: bool
) -> tuple[float, float, tuple[float | None, float | None]]:
    """Estimate a change, the machine's, and the confidence interval of the first.

    The yardsticks are resampled together with the contender, so that the interval holds what is not known of them.
    """
    samples = [own.before, own.after]
    for other in others:
        samples += [other.before, other.after]

    def statistic(*resampled: npt.NDArray[np.float64], axis: int = -1) -> npt.NDArray[np.float64]:
        medians = [np.median(sample, axis=axis) for sample in resampled]
        shifts = [new - old for old, new in zip(medians[::2], medians[1::2], strict=True)]
        return np.asarray(shifts[0] - (np.median(shifts[1:], axis=0) if others else 0.0), np.float64)

    change = float(np.expm1(statistic(*samples)))
    shifts = [np.median(other.after) - np.median(other.before) for other in others]
    machine = float(np.expm1(np.median(shifts))) if others else 0.0
    return change, machine, _interval(samples, statistic) if bounded else (None, None)


def _interval(samples: Sequence[npt.NDArray[np.float64]], statistic: Callable[..., Any]) -> tuple[float, float]:
    from scipy.stats import bootstrap  # it publishes no type information

    found = bootstrap(
        samples,
        statistic,
        n_resamples=RESAMPLES,
        method="percentile",
        vectorized=True,
        rng=np.random.default_rng(0),
    ).confidence_interval
    return float(np.expm1(found.low)), float(np.expm1(found.high))


def _verdict(change: float, low: float | None, high: float | None, *, more_is_better: bool) -> Verdict:
    if low is None or high is None or low <= 0 <= high or abs(change) < SMALLEST:
        return Verdict.NOISE
    return Verdict.FASTER if (change > 0) == more_is_better else Verdict.SLOWER


def _warnings(before: Results, after: Results) -> Iterator[str]:
    for key, what in (("cpu", "processors"), ("cores_usable", "numbers of cores"), ("governor", "governors")):
        yield from _differs(f"different {what}", before.environment.get(key), after.environment.get(key))
    for key, what in (("threads", "numbers of threads"), ("quick", "kinds of run (quick)"), ("lengths", "lengths")):
        yield from _differs(f"different {what}", before.settings.get(key), after.settings.get(key))
    yield from _differs("different texts", before.settings.get("texts_source"), after.settings.get("texts_source"))
    if before.model != after.model:
        yield "the models are not of one export: provenance differs"
    for name, results in (("first", before), ("second", after)):
        yield from (f"of the {name} run: {warning}" for warning in results.warnings)


def _differs(what: str, first: object, second: object) -> Iterator[str]:
    if first != second:
        yield f"{what}: {_shown(first)}, then {_shown(second)}"


def _others(before: Results, after: Results) -> Iterator[str]:
    old = {entrant.contender: entrant for entrant in before.contenders}
    for entrant in after.contenders:
        earlier = old.get(entrant.contender)
        if earlier is None:
            yield f"{entrant.contender}: new, {entrant.status}"
            continue
        for key in (
            "status",
            "reason",
            "label_agreement",
            "accuracy",
            "quality",
            "arithmetic",
            "batching",
            "reference",
        ):
            first, second = getattr(earlier, key), getattr(entrant, key)
            if first != second:
                yield f"{entrant.contender}: {key.replace('_', ' ')} {_shown(first)}, then {_shown(second)}"
        yield from _mapping(f"{entrant.contender}: version of", earlier.versions, entrant.versions)
    yield from (f"{name}: gone" for name in old if name not in {entrant.contender for entrant in after.contenders})
    versions = [results.environment.get("versions") or {} for results in (before, after)]
    yield from _mapping("environment: version of", *versions)
    yield from _footprints(before, after)


def _mapping(what: str, first: Mapping[str, object], second: Mapping[str, object]) -> Iterator[str]:
    for key in dict.fromkeys((*first, *second)):
        if first.get(key) != second.get(key):
            yield f"{what} {key} {_shown(first.get(key))}, then {_shown(second.get(key))}"


def _footprints(before: Results, after: Results) -> Iterator[str]:
    """Tell what takes up more or less than before, by `SMALLEST` or more; CPU after a call by a millisecond or more."""
    old = {row.contender: row for row in before.footprint}
    names = ("install_mb", "artefact_mb", "cold_start_s", "cold_rss_mb", "peak_rss_mb", "rss_mb", "idle_cpu_ms")
    for row in after.footprint:
        for name in names if row.contender in old else ():
            first, second = getattr(old[row.contender], name), getattr(row, name)
            if first is None or second is None:
                if first is not second:
                    yield f"{row.contender}: {name} {_shown(first)}, then {_shown(second)}"
            elif abs(second - first) >= (1.0 if name == "idle_cpu_ms" else SMALLEST * max(first, second)) > 0:
                yield f"{row.contender}: {name} {first:.4g}, then {second:.4g}"


def _shown(value: object) -> str:
    if value is None or (not value and isinstance(value, str)):
        return "none"
    return (
        ", ".join(map(str, value))
        if isinstance(value, (list, tuple))
        else f"{value:.4f}"
        if isinstance(value, float)
        else str(value)
    )
