"""A run's results: what stands in `results.json`, and what the report, the plots and the comparison read."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from ._errors import BenchmarkError
from ._files import read_json, write_json

SCHEMA_VERSION = 2
"""Raised when a key changes its meaning; `schema.json` beside this module describes the file."""


Row = TypeVar("Row")


class Status(StrEnum):
    """What became of a contender."""

    MEASURED = "measured"
    STRUCK_OUT = "struck out"
    """It ran, but its answers are not those of the model: its times are no times of the same work."""
    FAILED = "failed"
    """It could not be installed, prepared or run, or did not answer in time."""


@dataclass(frozen=True, slots=True)
class Entrant:
    """One contender of the run, whatever became of it.

    Attributes:
        contender: Its name.
        description: What it is.
        quality: `same`, `rounded` or `other`: what its answers are held to.
        arithmetic: Of its matrix products.
        batching: How it is given texts of different lengths.
        status: What became of it.
        reason: Why it was not measured, or was struck out; empty otherwise.
        reference: The contender that its times are divided by: setfuse's variant of the same quality.
        label_agreement: Share of the texts that it gives torch's label, 0 to 1; None if it gave none.
        accuracy: Share of the labelled texts that it labels rightly; None without labels.
        mean_probability_difference: From torch's, over all labels and texts; None where it gives no probabilities.
        max_probability_difference: The largest.
        versions: Packages of its environment, by name.
    """

    contender: str
    description: str
    quality: str
    arithmetic: str
    batching: str
    status: Status
    reason: str
    reference: str
    label_agreement: float | None
    accuracy: float | None
    mean_probability_difference: float | None
    max_probability_difference: float | None
    versions: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LatencyRow:
    """How long one contender took in one case, one text a call or one batch a call.

    Attributes:
        contender: Its name.
        case: The case's name.
        kind: `length` (made-up texts of an exact length), `batch` (one made-up batch), `closed` (real texts one after
            the other) or `open` (real texts that arrive at random, at half of what it can do; the wait is counted).
        texts: Texts a call.
        tokens: Tokens a call, special tokens included; a mean where the texts of the case differ.
        samples: How many calls were timed.
        p50_ms: Median wall time of a call, text in to label out, in milliseconds.
        p90_ms: 90th percentile.
        p99_ms: 99th percentile.
        max_ms: The longest.
        ratio: How many times as long as `reference` of its `Entrant` it takes: median over the rounds of the ratio of
            the medians within a round. None where the reference was not measured.
        ratio_low: Lower end of the ratio's 95 % bootstrap confidence interval.
        ratio_high: Its upper end.
        label_agreement: Share of all texts of the run that it gives torch's label, 0 to 1.
        roof_share: Share of the measured GEMM peak of its arithmetic, on as many threads, that the model's
            multiplications of a call (a mean, where texts differ) amount to in the median time, 0 to 1; None where no
            peak was measured.
        round_p50_ms: The median of each round.
        percentiles_ms: 0th, 1st, ..., 100th percentile, of the real texts only; empty otherwise.
    """

    contender: str
    case: str
    kind: str
    texts: int
    tokens: float
    samples: int
    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float
    ratio: float | None
    ratio_low: float | None
    ratio_high: float | None
    label_agreement: float
    roof_share: float | None
    round_p50_ms: tuple[float, ...]
    percentiles_ms: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class ThroughputRow:
    """How many texts of mixed lengths one contender labels in a second.

    Attributes:
        contender: Its name.
        threads: It was told to use.
        texts: Texts a call.
        tokens: Tokens of them, special tokens included.
        texts_per_s: Median over the rounds.
        ratio: How many times as many as `reference` of its `Entrant` (above 1: ahead): median over the rounds.
        ratio_low: Lower end of the ratio's 95 % bootstrap confidence interval.
        ratio_high: Its upper end.
        label_agreement: Share of all texts of the run that it gives torch's label, 0 to 1.
        padding_share: Share of the tokens it computes that are padding, 0 to 1, from its way of batching.
        cpu_s_per_1000: CPU-seconds of its process for a thousand texts.
        roof_share: Share of the measured GEMM peak of its arithmetic on as many threads; None without one.
        round_texts_per_s: Each round's.
    """

    contender: str
    threads: int
    texts: int
    tokens: int
    texts_per_s: float
    ratio: float | None
    ratio_low: float | None
    ratio_high: float | None
    label_agreement: float
    padding_share: float
    cpu_s_per_1000: float
    roof_share: float | None
    round_texts_per_s: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class FootprintRow:
    """What one contender takes up.

    Attributes:
        contender: Its name.
        install_mb: Everything that its environment holds beyond an empty one, in megabytes (10^6); None where it has
            none of its own.
        artefact_mb: Files that it reads at load.
        cold_start_s: From the start of its process to the first label, warm disk, median.
        cold_start_samples_s: Each start.
        cold_rss_mb: Largest resident memory of such a process.
        peak_rss_mb: Largest resident memory after `rss_texts` texts, in a process that was told all processors and had
            answered before; None where it was not measured.
        rss_mb: Resident memory then.
        rss_texts: How many texts it had labelled by then.
        idle_cpu_ms: CPU-milliseconds that this process burns in the second after a call.
    """

    contender: str
    install_mb: float | None
    artefact_mb: float
    cold_start_s: float
    cold_start_samples_s: tuple[float, ...]
    cold_rss_mb: float
    peak_rss_mb: float | None
    rss_mb: float | None
    rss_texts: int
    idle_cpu_ms: float


@dataclass(frozen=True, slots=True)
class Results:
    """A run.

    Attributes:
        environment: The machine, the settings of its processor, versions, load before and during.
        settings: What was asked for.
        model: The labels, and the bundle's provenance.
        warnings: What a reader must know before believing the figures, such as a noisy machine.
        roof: Measured GEMM peak in GFLOP/s (GOP/s for int8), by number of threads and arithmetic.
        contenders: Everyone, measured or not, in the order of the tables.
        rows: Latency.
        throughput: Texts a second.
        footprint: Memory, size, start.
    """

    environment: dict[str, Any]
    settings: dict[str, Any]
    model: dict[str, Any]
    warnings: tuple[str, ...]
    roof: dict[str, dict[str, float]]
    contenders: tuple[Entrant, ...]
    rows: tuple[LatencyRow, ...] = ()
    throughput: tuple[ThroughputRow, ...] = ()
    footprint: tuple[FootprintRow, ...] = ()

    def write(self, path: Path) -> None:
        """Write the file, whole or not at all."""
        write_json(path, self.to_json())

    def to_json(self) -> dict[str, Any]:
        """Give the run as `json.dump` takes it."""
        return {"schema_version": SCHEMA_VERSION, **dataclasses.asdict(self)}

    @classmethod
    def read(cls, path: Path) -> "Results":
        """Read a file that `write` wrote.

        Raises:
            BenchmarkError: It is missing, of another schema version, or damaged.
        """
        try:
            found = read_json(path)
        except FileNotFoundError as error:
            raise BenchmarkError(f"{path}: expected the results of a run, found no such file") from error
        except (OSError, ValueError) as error:
            raise BenchmarkError(f"{path}: expected the results of a run in JSON: {error}") from error
        version = found.get("schema_version") if isinstance(found, dict) else None
        if version != SCHEMA_VERSION:
            raise BenchmarkError(
                f"{path}: expected results of schema version {SCHEMA_VERSION}, found "
                f"{'none' if version is None else version}; measure again with this version of the benchmarks"
            )
        try:
            return cls(
                environment=_object(found, "environment"),
                settings=_object(found, "settings"),
                model=_object(found, "model"),
                warnings=tuple(found["warnings"]),
                roof=_object(found, "roof"),
                contenders=tuple(_row(Entrant, row) for row in found["contenders"]),
                rows=tuple(_row(LatencyRow, row) for row in found["rows"]),
                throughput=tuple(_row(ThroughputRow, row) for row in found["throughput"]),
                footprint=tuple(_row(FootprintRow, row) for row in found["footprint"]),
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise BenchmarkError(f"{path}: expected results of schema version {SCHEMA_VERSION}: {error}") from error


def _object(found: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = found[key]
    if not isinstance(value, dict):
        raise TypeError(f"{key} is {value!r:.60}")
    return value


def _row(kind: type[Row], found: Mapping[str, Any]) -> Row:
    """Make a row of what JSON holds.

    Raises:
        TypeError: A key is missing, unknown, or of another type.
    """
    hints = get_type_hints(kind)
    for key, value in found.items():
        if key in hints and not _fits(value, hints[key]):
            raise TypeError(f"{key} is {value!r:.60}")
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in found.items()}
    if "status" in values:
        values["status"] = Status(values["status"])
    return kind(**values)


def _fits(value: object, hint: Any) -> bool:
    arguments = get_args(hint)
    if get_origin(hint) is UnionType:
        return any(_fits(value, each) for each in arguments)
    if get_origin(hint) is tuple:
        return isinstance(value, list) and all(_fits(each, arguments[0]) for each in value)
    if get_origin(hint) is dict:
        return isinstance(value, dict)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if issubclass(hint, StrEnum):
        return value in list(hint)
    return isinstance(value, hint)
