"""Runs made up for the tests of what is shown of a run: known figures, odd names, everything that can go wrong."""

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np

from benchmarks._canvas import Plot
from benchmarks._plots import draw
from benchmarks._results import Entrant, FootprintRow, LatencyRow, Results, Status, ThroughputRow

LENGTHS = (8, 16, 32, 64, 128, 256)
CASES = (
    *((f"1 x {length}", "length", 1, float(length)) for length in LENGTHS),
    ("32 x 8-40", "batch", 32, 768.0),
    ("real texts, closed loop", "closed", 1, 25.3),
    ("real texts, open loop", "open", 1, 25.3),
)
ODD = "ødd | <b>name</b> \N{SNOWMAN}"
HANGS = "hangs"
WRONG = "wrong int8"
OTHER = "model2vec"
TIED = "tied"
AHEAD = "ahead int8"

# name, quality, arithmetic, how many times as long as setfuse fp32 it takes, accuracy
Spec = tuple[str, str, str, float, float | None]
SMALL: tuple[Spec, ...] = (
    ("setfuse fp32", "same", "fp32", 1.0, 0.8704),
    ("setfuse int8", "rounded", "int8", 0.41, 0.8699),
    (ODD, "same", "fp32", 2.3, 0.8704),
    (TIED, "same", "fp32", 0.995, None),
    (AHEAD, "rounded", "int8", 0.36, 0.8682),
    (WRONG, "rounded", "int8", 0.5, 0.5124),
    (HANGS, "same", "bf16", 1.0, None),
    (OTHER, "other", "", 0.012, 0.7715),
)
LARGE: tuple[Spec, ...] = (
    ("setfuse fp32", "same", "fp32", 1.0, 0.8704),
    ("setfuse int8", "rounded", "int8", 0.41, 0.8699),
    ("sentence-transformers", "same", "fp32", 2.3, 0.8704),
    ("sentence-transformers compile", "same", "fp32", 1.75, 0.8704),
    ("sentence-transformers bf16", "same", "bf16", 1.9, 0.8710),
    ("SetFit", "same", "fp32", 2.6, 0.8704),
    ("SetFit ONNX", "same", "fp32", 1.22, 0.8704),
    ("sentence-transformers ONNX", "same", "fp32", 1.32, 0.8704),
    ("sentence-transformers ONNX O3", "same", "fp32", 1.25, 0.8704),
    ("sentence-transformers ONNX int8", "rounded", "int8", 0.62, 0.8677),
    ("fastembed", "same", "fp32", 1.28, 0.8704),
    ("OpenVINO fp32", "same", "fp32", 0.97, 0.8704),
    ("OpenVINO int8", "rounded", "int8", 0.38, 0.8671),
    ("CTranslate2 fp32", "same", "fp32", 1.41, 0.8704),
    ("CTranslate2 int8", "rounded", "int8", 0.55, 0.8693),
    ("onnxruntime dynamic int8", "rounded", "int8", 0.5, 0.7912),
    ("model2vec", "other", "", 0.008, 0.7715),
    ("torch fp16 compile", "same", "fp16", 1.0, None),
)
STRUCK = {WRONG, "onnxruntime dynamic int8"}
FAILED = {HANGS, "torch fp16 compile"}


def make_results(specs: Sequence[Spec] = SMALL, *, seed: int = 0, rounds: int = 10, noise: float = 0.02) -> Results:
    """Make a run.

    Args:
        specs: The contenders.
        seed: Of the noise.
        rounds: How many.
        noise: Standard deviation of a round's median, as a share of it.
    """
    rng = np.random.default_rng(seed)
    speeds = {name: speed for name, _, _, speed, _ in specs}
    ran = [spec for spec in specs if spec[0] not in FAILED]
    rows = [_latency_row(rng, spec, work, speeds, rounds=rounds, noise=noise) for work in CASES for spec in ran]
    return Results(
        environment={
            "time": "2026-11-24T17:20:00+00:00",
            "cpu": "AMD EPYC 9B45 <128-Core>",
            "cpu_flags": ["avx2", "avx512_vnni"],
            "cores": 2,
            "cores_usable": 2,
            "memory_gib": 23.5,
            "load_1min": 0.42,
            "platform": "Linux-6.18-x86_64",
            "python": "3.11.7",
            "governor": None,
            "versions": {"setfuse": "0.1.0", "onnxruntime": "1.32.0", "torch": "2.13.0+cpu"},
        },
        settings={
            "threads": 1,
            "all_threads": 2,
            "quick": False,
            "lengths": list(LENGTHS),
            "measures": ["latency", "throughput", "footprint"],
            "texts": 1821,
            "texts_source": "SST-2's test sentences",
        },
        model={
            "labels": ["negative", "positive"],
            "provenance": {"training": {"base_model": "models/bge-small-en-v1.5"}},
        },
        warnings=("the load was 1.7 while measuring: <other> programs ran | beside it",),
        roof={"1": {"fp32": 142.0, "bf16": 260.5, "int8": 510.0}, "2": {"fp32": 270.0, "bf16": 490.0, "int8": 950.0}},
        contenders=tuple(_entrant(*spec) for spec in specs),
        rows=tuple(rows),
        throughput=tuple(
            _throughput_row(rng, spec, threads, speeds, rounds=rounds, noise=noise)
            for threads in (1, 2)
            for spec in ran
        ),
        footprint=tuple(_footprint_row(*spec) for spec in ran),
    )


@functools.cache
def drawn() -> tuple[Plot, ...]:
    """Give the plots of the run that `make_results` makes: drawing takes seconds."""
    return draw(make_results())


def slower(results: Results, factor: float, contenders: Sequence[str] | None = None) -> Results:
    """Give a run in which some contenders, or all, take `factor` times as long."""
    names = contenders if contenders is not None else [entrant.contender for entrant in results.contenders]
    rows = tuple(
        dataclasses.replace(row, p50_ms=row.p50_ms * factor, round_p50_ms=tuple(ms * factor for ms in row.round_p50_ms))
        if row.contender in names
        else row
        for row in results.rows
    )
    throughput = tuple(
        dataclasses.replace(
            row,
            texts_per_s=row.texts_per_s / factor,
            round_texts_per_s=tuple(rate / factor for rate in row.round_texts_per_s),
        )
        if row.contender in names
        else row
        for row in results.throughput
    )
    return dataclasses.replace(results, rows=rows, throughput=throughput)


def _reference(quality: str) -> str:
    return "setfuse int8" if quality == "rounded" else "setfuse fp32"


def _entrant(name: str, quality: str, arithmetic: str, _: float, accuracy: float | None) -> Entrant:
    failed, struck = name in FAILED, name in STRUCK
    status = Status.FAILED if failed else Status.STRUCK_OUT if struck else Status.MEASURED
    reason = "did not answer within 60 s | <killed>" if failed else "gives 51.2 % of torch's labels" if struck else ""
    agreement = {"same": 1.0, "rounded": 0.993, "other": 0.81}[quality]
    return Entrant(
        contender=name,
        description=f"what {name} is, `in` one *line*",
        quality=quality,
        arithmetic=arithmetic,
        batching="sorted, padded",
        status=status,
        reason=reason,
        reference=_reference(quality),
        label_agreement=None if failed else 0.512 if struck else agreement,
        accuracy=None if failed else accuracy,
        mean_probability_difference=None if failed or quality == "other" else 9.9e-8,
        max_probability_difference=None if failed or quality == "other" else 1.1e-6,
        versions={"numpy": "2.4.6", "a<b": "1|2"},
    )


def _latency_row(
    rng: np.random.Generator,
    spec: Spec,
    work: tuple[str, str, int, float],
    speeds: dict[str, float],
    *,
    rounds: int,
    noise: float,
) -> LatencyRow:
    name, quality, arithmetic, _, _ = spec
    case, kind, texts, tokens = work
    median = (2.2 + 0.21 * tokens) * speeds[name] * (1.25 if kind == "open" else 1) + 0.05
    medians = median * (1 + noise * rng.standard_normal(rounds))
    calls = median * np.exp(0.25 * rng.standard_normal(2000)) * (1 + (rng.random(2000) < 0.02))
    ratio = speeds[name] / speeds.get(_reference(quality), 1.0)
    return LatencyRow(
        contender=name,
        case=case,
        kind=kind,
        texts=texts,
        tokens=tokens,
        samples=2000,
        p50_ms=float(median),
        p90_ms=float(median * 1.32),
        p99_ms=float(median * 2.1),
        max_ms=float(median * 3.4),
        ratio=ratio,
        ratio_low=ratio * 0.99,
        ratio_high=ratio * 1.012,
        label_agreement=0.512 if name in STRUCK else 1.0,
        roof_share=0.31 if arithmetic else None,
        round_p50_ms=tuple(map(float, medians)),
        percentiles_ms=tuple(map(float, np.percentile(calls, range(101)))) if kind in {"closed", "open"} else (),
    )


def _throughput_row(
    rng: np.random.Generator, spec: Spec, threads: int, speeds: dict[str, float], *, rounds: int, noise: float
) -> ThroughputRow:
    name, quality, arithmetic, speed, _ = spec
    rate = 155 / speed * (1.8 if threads > 1 else 1)
    ratio = speeds.get(_reference(quality), 1.0) / speed
    return ThroughputRow(
        contender=name,
        threads=threads,
        texts=1821,
        tokens=46_071,
        texts_per_s=rate,
        ratio=ratio,
        ratio_low=ratio * 0.99,
        ratio_high=ratio * 1.012,
        label_agreement=0.512 if name in STRUCK else 1.0,
        padding_share=0.04,
        cpu_s_per_1000=1000 / rate * threads,
        roof_share=0.4 if arithmetic else None,
        round_texts_per_s=tuple(map(float, rate * (1 + noise * rng.standard_normal(rounds)))),
    )


def _footprint_row(name: str, _quality: str, _arithmetic: str, speed: float, _accuracy: float | None) -> FootprintRow:
    ours = name.startswith("setfuse")
    start = 0.5 if ours else 1 + 2 * speed
    return FootprintRow(
        contender=name,
        install_mb=200.4 if ours else None if name in {ODD, OTHER} else 1210.7,
        artefact_mb=132.9 if speed >= 0.9 else 34.5,
        cold_start_s=start,
        cold_start_samples_s=(start * 0.98, start, start * 1.1),
        cold_rss_mb=324.0 if ours else 496.0,
        peak_rss_mb=340.0 if ours else None,
        rss_mb=330.0 if ours else None,
        rss_texts=10_000,
        idle_cpu_ms=0.4 if ours else 12.0,
    )
