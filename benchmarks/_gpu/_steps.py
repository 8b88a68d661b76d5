"""A run on a GPU, step by step: the device, its peaks, the contenders, their answers, the kernels, the times."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from benchmarks._agreement import Answers, compare
from benchmarks._contenders import Device, Quality
from benchmarks._environment import environment, noise, usage
from benchmarks._errors import BenchmarkError, ContenderFailed
from benchmarks._results import Status
from benchmarks._runner import Repeats, Roster, interleave, warm_up
from benchmarks._statistics import ratio
from benchmarks._warnings import warnings_of
from setfuse.runtime import Manifest, Scores, Task

from ._attention import Limits, as_record, measure_kernels
from ._budget import CALLS, WARM_UPS, Budget, Plan, least_s, make_plan
from ._cases import MIXED, Job, What, make_jobs
from ._crew import Crew, Engine, Probed
from ._goals import goals
from ._inputs import Reference
from ._registry import GPU_CONTENDERS, REFERENCES
from ._results import Absent, Entrant, GpuResults, Row
from ._system import CHECKPOINT, GpuContender, GpuModels
from ._work import Work
from ._worker import command

STAND_IN = "measured on the processor as a stand-in for a GPU: none of these figures says anything of a GPU"
FP16 = "bundle/model.fp16.onnx"
LOAD_S = 180.0
"""How long a contender may take until it is loaded: torch.compile and TensorRT take minutes at worst."""

Say = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Settings:
    """What is asked for.

    Attributes:
        models: The model in all its forms.
        device: Where to; the CPU stands in for a GPU in tests.
        minutes: That the run may take.
        threads: Of the processor, for each contender.
        only: Names of contenders, in the order of the registry.
    """

    models: GpuModels
    device: Device
    minutes: float
    threads: int
    only: tuple[str, ...]


def run(settings: Settings, say: Say) -> GpuResults:
    """Measure.

    Args:
        settings: What is asked for.
        say: Told what is done, for a person who waits.

    Raises:
        BenchmarkError: The check cannot run here, no contender can, or the bundle is one that they do not run.
    """
    budget = Budget(settings.minutes * 60)

    def tell(step: str) -> None:
        say(f"[{budget.spent:4.0f} s] {step}")

    settings.models.find(FP16)
    manifest = Manifest.read(settings.models.bundle)
    if manifest.task is not Task.SINGLE_LABEL or manifest.scores is not Scores.PROBABILITIES:
        raise BenchmarkError(
            f"{settings.models.bundle}: expected a bundle of single labels with probabilities, which every contender "
            f"can run, found {manifest.task} with {manifest.scores}; take another one"
        )
    reference = None if settings.models.inputs is None else Reference.read(settings.models.inputs, manifest.labels)
    tokenizer = Tokenizer.from_file(str(settings.models.find("bundle/tokenizer.json")))
    jobs = make_jobs(tokenizer, manifest.max_length)
    before = usage()
    machine = environment()
    with Crew(settings.device, settings.threads) as crew:
        tell("opening the device")
        probe = crew.probe()
        about = probe.about()
        tell(f"{about['name']}: its peaks")
        roof = probe.roof()
        measuring = _Measuring(settings, crew, budget, tell, jobs)
        measuring.load(probe)
        parity = measuring.compare(reference)
        limits = Limits(tokenizer.get_vocab_size(), manifest.max_length)
        attention, attention_absent = _attention(settings, about, limits, budget, tell)
        plan = measuring.plan()
        times = measuring.time(plan)
    machine |= noise(before, usage())
    entrants = measuring.entrants(times)
    rows = _rows(times, entrants, roof, _work(settings.models))
    stand_in = [STAND_IN] if settings.device is Device.CPU else []
    unheld = [] if reference else ["no --inputs: answers were compared with a contender's, not with torch's in fp32"]
    return GpuResults(
        environment=machine,
        device=about,
        settings=_said(settings, plan, budget),
        model={
            "labels": list(manifest.labels),
            "max_length": manifest.max_length,
            "embedding_dim": manifest.embedding_dim,
            "fp16_mb": round(settings.models.find(FP16).stat().st_size / 1e6, 1),
        },
        parity=parity,
        warnings=(*stand_in, *unheld, *warnings_of(machine, ())),
        roof=roof,
        contenders=entrants,
        rows=rows,
        absent=tuple(measuring.absent),
        left_out=tuple(measuring.left_out),
        attention=attention,
        attention_absent=tuple(attention_absent),
        goals=goals(entrants, rows),
    )


Times = dict[Job, dict[str, list[list[float]]]]
"""Milliseconds of each call, a list a round, by job and contender."""


class _Measuring:
    """The contenders of a run, and what became of each."""

    def __init__(self, settings: Settings, crew: Crew, budget: Budget, tell: Say, jobs: Sequence[Job]) -> None:
        self._settings = settings
        self._crew = crew
        self._budget = budget
        self._tell = tell
        self._jobs = jobs
        self._roster = Roster(settings.only)
        self._found = {name: _entrant(GPU_CONTENDERS[name]) for name in settings.only}
        self.absent: list[Absent] = []
        self.left_out: list[str] = []

    def load(self, probe: Probed) -> None:
        """Start all that can be started."""
        texts = next(job.case.texts for job in self._jobs if job.case.name == f"{MIXED[-1]} mixed")
        for name in self._settings.only:
            self._tell(f"loading {name}")
            try:
                self._load(name, probe, texts)
            except (BenchmarkError, ContenderFailed) as error:
                self._roster.fail(name, str(error))
        if not self._roster.running:
            reasons = "; ".join(f"{name}: {reason}" for name, reason in self._roster.failed.items())
            raise BenchmarkError(f"no contender can run here ({reasons:.1000})")

    def _load(self, name: str, probe: Probed, texts: Sequence[str]) -> None:
        settings = self._settings
        for file in GPU_CONTENDERS[name].reads:
            settings.models.find(file)
        if not self._budget.may_load:
            raise BenchmarkError(f"no time was left to load it; ask for more --minutes than {settings.minutes:g}")
        start = command(sys.executable, name, settings.models, settings.threads, settings.device)
        started = self._crew.add(name, start, probe, texts, min(LOAD_S, self._budget.left))
        self._found[name] = replace(self._found[name], **asdict(started))

    def compare(self, reference: Reference | None) -> dict[str, Any]:
        """Hold everybody's answers to torch's, or, where these are not there, to the first contender's."""
        self._tell("comparing answers")
        made_up = next(job.case.texts for job in self._jobs if job.case.name == f"{MIXED[-1]} mixed")
        texts = made_up if reference is None else reference.texts
        answers = interleave(self._roster, 1, lambda name, _: self._ask(name, texts), _no_tick)
        if not answers:
            raise BenchmarkError(f"no contender gave an answer: {self._roster.failed}")
        if reference is None:
            source = oracle_name = next(iter(answers))
            oracle = answers[oracle_name][0]
        else:
            source, oracle_name = reference.source, "torch fp32, from answers.json"
            oracle = Answers(reference.answers, reference.probabilities)
        for name, (given,) in answers.items():
            agreement = compare(given, oracle, texts, Quality.SAME)
            self._found[name] = replace(
                self._found[name],
                status=Status.STRUCK_OUT if agreement.wrong else Status.MEASURED,
                reason=agreement.wrong,
                label_agreement=agreement.label_agreement,
                mean_difference=agreement.mean_difference,
                max_difference=agreement.max_difference,
            )
        return {"oracle": oracle_name, "source": source if reference else "made-up texts", "texts": len(texts)}

    def _ask(self, name: str, texts: Sequence[str]) -> Answers:
        worker = self._crew[name]
        return Answers(tuple(worker.labels(texts)), worker.probabilities(texts))

    def plan(self) -> Plan:
        """Make one call of each, and choose how much is timed.

        What a job takes is reckoned from the smaller one before, by its tokens: one that cannot be timed is not tried.
        """
        costs: dict[Job, dict[str, float]] = {}
        needed = 0.0
        for job in self._jobs:
            smaller = next((other for other in reversed(costs) if other.what is job.what), None)
            growth = sum(job.case.tokens) / sum(smaller.case.tokens) if smaller else 0.0
            expected = least_s({name: ms * growth for name, ms in costs[smaller].items()}) if smaller else 0.0
            if needed + expected >= self._budget.left:
                self.left_out.append(f"{job.name}: no time was left")
                continue
            self._tell(f"trying {job.name}")
            costs[job] = self._try(job)
            needed += least_s(costs[job])
        plan = make_plan(costs, self._budget.left)
        self.left_out += [f"{job.name}: no time was left" for job in plan.left_out]
        self._tell(f"timing: {plan.rounds} rounds, turns of {plan.seconds:g} s, some {plan.cost_s:.0f} s in all")
        return plan

    def time(self, plan: Plan) -> Times:
        """Time all that was planned."""
        times: Times = {}
        for job in plan.jobs:
            if not self._budget.left:
                self.left_out.append(f"{job.name}: no time was left, since others took longer than reckoned")
                continue
            self._tell(f"timing {job.name}")
            times[job] = self._time(job, plan)
        return times

    def entrants(self, times: Times) -> tuple[Entrant, ...]:
        """Say what became of everyone: who failed whatever was asked of it has failed, and why."""
        found = []
        for name, entrant in self._found.items():
            reason = self._roster.failed.get(name, "")
            if not reason and not any(name in rounds for rounds in times.values()):
                reason = next((one.reason for one in self.absent if one.contender == name), "")
            found.append(replace(entrant, status=Status.FAILED, reason=reason) if reason else entrant)
        return tuple(found)

    def _roster_of(self, job: Job) -> Roster:
        missing = {one.contender for one in self.absent if (one.case, one.what) == (job.case.name, str(job.what))}
        able = [name for name in self._roster.running if job.what is What.TEXT or GPU_CONTENDERS[name].engine]
        return Roster([name for name in able if name not in missing])

    def _subject(self, job: Job, name: str) -> Repeats:
        worker = self._crew[name]
        return worker if job.what is What.TEXT else Engine(worker)

    def _try(self, job: Job) -> dict[str, float]:
        def turn(name: str, _: int) -> float:
            return self._subject(job, name).repeat(job.case.texts, 0, 1)[0]

        roster = self._roster_of(job)
        tried = interleave(roster, 1, turn, _no_tick)
        self._note(job, roster)
        return {name: ms for name, (ms,) in tried.items()}

    def _time(self, job: Job, plan: Plan) -> dict[str, list[list[float]]]:
        def warm(name: str, _: int) -> None:
            warm_up(self._subject(job, name), job.case.texts, plan.seconds / 2, WARM_UPS)

        def turn(name: str, _: int) -> list[float]:
            return self._subject(job, name).repeat(job.case.texts, plan.seconds, CALLS)

        roster = self._roster_of(job)
        interleave(roster, 1, warm, _no_tick)
        times = interleave(roster, plan.rounds, turn, _no_tick)
        self._note(job, roster)
        return times

    def _note(self, job: Job, roster: Roster) -> None:
        self.absent += [Absent(name, job.case.name, str(job.what), reason) for name, reason in roster.failed.items()]


def _no_tick() -> None:
    """Count nothing: steps are told one by one."""


def _entrant(contender: GpuContender) -> Entrant:
    return Entrant(contender.name, contender.description, contender.arithmetic, contender.ours, Status.FAILED)


def _attention(
    settings: Settings, about: Mapping[str, Any], limits: Limits, budget: Budget, tell: Say
) -> tuple[dict[str, Any], list[str]]:
    measured, absent = measure_kernels(settings.models.find(FP16), settings.device, limits, budget, tell)
    return (as_record(about["capability"] or "none", measured) if measured else {}), absent


def _work(models: GpuModels) -> Work | None:
    """Find the model's shape: in the checkpoint, or in the part of it that stands among the inputs."""
    folders = [models.checkpoint, None if models.inputs is None else models.inputs / CHECKPOINT]
    return next((Work(folder) for folder in folders if folder is not None and folder.is_dir()), None)


def _said(settings: Settings, plan: Plan, budget: Budget) -> dict[str, Any]:
    return {
        "minutes": settings.minutes,
        "minutes_taken": round(budget.spent / 60, 2),
        "threads": settings.threads,
        "device": str(settings.device),
        "only": list(settings.only),
        "rounds": plan.rounds,
        "turn_s": plan.seconds,
        "calls": CALLS,
    }


def _rows(times: Times, entrants: Sequence[Entrant], roof: Mapping[str, float], work: Work | None) -> tuple[Row, ...]:
    right = {entrant.contender for entrant in entrants if entrant.status is Status.MEASURED}
    rows = []
    for job, measured in times.items():
        reference = next((name for name in REFERENCES if name in right and name in measured), "")
        medians = {name: [float(np.median(own)) for own in rounds] for name, rounds in measured.items()}
        for name, rounds in measured.items():
            calls = np.concatenate(rounds)
            p50, p90, p99 = np.percentile(calls, [50, 90, 99]).tolist()
            compared = ratio(medians[name], medians.get(reference))
            flops = work.flops(job.case.tokens) if work else None
            weights = work.weight_bytes() if work else None
            rows.append(
                Row(
                    contender=name,
                    case=job.case.name,
                    what=str(job.what),
                    texts=job.case.per_call,
                    tokens=sum(job.case.tokens),
                    samples=len(calls),
                    p50_ms=p50,
                    p90_ms=p90,
                    p99_ms=p99,
                    max_ms=float(calls.max()),
                    texts_per_s=job.case.per_call / p50 * 1e3,
                    reference=reference,
                    ratio=compared.value,
                    ratio_low=compared.low,
                    ratio_high=compared.high,
                    flops_share=None if flops is None else flops / (p50 / 1e3) / (roof["gflops"] * 1e9),
                    bandwidth_share=None if weights is None else weights / (p50 / 1e3) / (roof["gb_per_s"] * 1e9),
                    round_p50_ms=tuple(medians[name]),
                )
            )
    return tuple(rows)
