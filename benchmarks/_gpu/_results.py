"""A run's results on a GPU: what stands in `gpu.json`; `schema.json` beside this module describes it."""

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from benchmarks._results import Status

SCHEMA_VERSION = 1
"""Raised when a key changes its meaning."""


@dataclass(frozen=True, slots=True)
class Entrant:
    """One contender, whatever became of it.

    Attributes:
        contender: Its name.
        description: What it is.
        arithmetic: Of its matrix products.
        ours: Whether it is setfuse's.
        status: What became of it.
        reason: Why it was not measured, or was struck out; empty otherwise.
        label_agreement: Share of the texts that it gives torch's label, 0 to 1; None if it gave none.
        mean_difference: Of the probabilities from torch's, over all labels and texts.
        max_difference: The largest.
        load_s: From the start of its process until its model is loaded.
        device_mb: Memory of the device that it took, 10^6 bytes.
        versions: Of its packages.
    """

    contender: str
    description: str
    arithmetic: str
    ours: bool
    status: Status
    reason: str = ""
    label_agreement: float | None = None
    mean_difference: float | None = None
    max_difference: float | None = None
    load_s: float | None = None
    device_mb: float | None = None
    versions: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Row:
    """How long one contender took in one case, timed in one way.

    Attributes:
        contender: Its name.
        case: The case's name.
        what: `text to label` or `engine alone`.
        texts: Texts a call.
        tokens: Tokens a call, special tokens included, padding not.
        samples: Calls that were timed.
        p50_ms: Median wall time of a call, in milliseconds.
        p90_ms: 90th percentile.
        p99_ms: 99th percentile.
        max_ms: The longest.
        texts_per_s: Texts a second, at the median.
        reference: The contender that its times are divided by; empty without one.
        ratio: How many times as long as that it takes: median over the rounds of the ratio of the medians.
        ratio_low: Lower end of the ratio's 95 % bootstrap interval.
        ratio_high: Its upper end.
        flops_share: Share of the measured peak of fp16 products that the model's products amount to in the median time,
            0 to 1; None where either is not known.
        bandwidth_share: Share of the measured bandwidth that reading the layers' weights once amounts to.
        round_p50_ms: The median of each round.
    """

    contender: str
    case: str
    what: str
    texts: int
    tokens: int
    samples: int
    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float
    texts_per_s: float
    reference: str
    ratio: float | None
    ratio_low: float | None
    ratio_high: float | None
    flops_share: float | None
    bandwidth_share: float | None
    round_p50_ms: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Absent:
    """A figure that is not there.

    Attributes:
        contender: Whose.
        case: In which case.
        what: Timed in which way.
        reason: Why.
    """

    contender: str
    case: str
    what: str
    reason: str


@dataclass(frozen=True, slots=True)
class Goal:
    """What is wanted on one modern data-centre GPU, and what was measured.

    Attributes:
        goal: In words.
        measured: The figure in words; empty where there is none.
        met: Whether it is met; None where nothing was measured.
    """

    goal: str
    measured: str
    met: bool | None


@dataclass(frozen=True, slots=True)
class GpuResults:
    """A run.

    Attributes:
        environment: The machine, its processor, and the noise during the run.
        device: The GPU, and the packages that drive it.
        settings: What was asked for, and what was planned.
        model: The labels, and the bundle's provenance.
        parity: What the answers are compared with, and of how many texts.
        warnings: What a reader must know before believing the figures.
        roof: `gflops` of fp16 products and `gb_per_s` of a copy, measured; empty without.
        contenders: Everyone, in the order of the tables.
        rows: Times.
        absent: Times that could not be had.
        left_out: What there was no time for.
        attention: By compute capability, the fastest `sdpa_kernel` and what was measured; empty without.
        attention_absent: What of that could not be had, and why.
        goals: What is wanted.
    """

    environment: dict[str, Any]
    device: dict[str, Any]
    settings: dict[str, Any]
    model: dict[str, Any]
    parity: dict[str, Any]
    warnings: tuple[str, ...]
    roof: dict[str, float]
    contenders: tuple[Entrant, ...]
    rows: tuple[Row, ...]
    absent: tuple[Absent, ...]
    left_out: tuple[str, ...]
    attention: dict[str, Any]
    attention_absent: tuple[str, ...]
    goals: tuple[Goal, ...]

    def to_json(self) -> dict[str, Any]:
        """Give the run as `json.dump` takes it."""
        return {"schema_version": SCHEMA_VERSION, **dataclasses.asdict(self)}

    def row(self, contender: str, case: str, what: str) -> Row | None:
        """Find one row."""
        wanted = (contender, case, what)
        return next((row for row in self.rows if (row.contender, row.case, row.what) == wanted), None)
