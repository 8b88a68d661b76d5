"""Who is ahead of setfuse, where, and by how much: nothing left out."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ._document import Cell, Line, Section, Table, interval
from ._reading import Run, digits, threads_title
from ._results import Entrant, LatencyRow, Status, ThroughputRow


@dataclass(frozen=True, slots=True)
class Lead:
    """A contender that is ahead of setfuse's variant of the same quality, in one case.

    Attributes:
        contender: Its name.
        reference: Setfuse's variant.
        where: The case, or the number of threads.
        theirs: Its time or rate, with the unit.
        ours: Setfuse's.
        ratio: Its time or rate, divided by setfuse's.
        low: Lower end of the ratio's 95 % confidence interval.
        high: Upper end.
        gain: By how much it is ahead, in words.
        other_model: It is another model than setfuse's.
    """

    contender: str
    reference: str
    where: str
    theirs: str
    ours: str
    ratio: float
    low: float | None
    high: float | None
    gain: str
    other_model: bool

    @property
    def tie(self) -> bool:
        """Whether the confidence interval includes 1."""
        return self.low is not None and self.high is not None and self.low <= 1 <= self.high


def find_leads(run: Run) -> list[Lead]:
    """Give every case where a measured contender is ahead of its reference, ties among them."""
    return [lead for entrant in run.results.contenders if _competes(run, entrant) for lead in _leads(run, entrant)]


def _competes(run: Run, entrant: Entrant) -> bool:
    return entrant.status != Status.STRUCK_OUT and entrant.contender not in run.ours


def _leads(run: Run, entrant: Entrant) -> Iterator[Lead]:
    name, reference = entrant.contender, entrant.reference
    for case in run.cases:
        row, mine = run.latency.get((name, case.case)), run.latency.get((reference, case.case))
        if row and mine and row.ratio is not None and row.ratio < 1:
            gain = f"{1 - row.ratio:.1%} less time" if row.ratio > 0.5 else f"1/{digits(1 / row.ratio)} of the time"
            times = f"{digits(row.p50_ms)} ms", f"{digits(mine.p50_ms)} ms"
            yield _lead(entrant, case.title, times, row, gain)
    for threads in run.threads:
        rate, own = run.throughput.get((name, threads)), run.throughput.get((reference, threads))
        if rate and own and rate.ratio is not None and rate.ratio > 1:
            gain = f"{rate.ratio - 1:.1%} more texts" if rate.ratio < 2 else f"{digits(rate.ratio)} times as many texts"
            rates = f"{digits(rate.texts_per_s)} texts/s", f"{digits(own.texts_per_s)} texts/s"
            yield _lead(entrant, threads_title(threads), rates, rate, gain)


def _lead(entrant: Entrant, where: str, figures: tuple[str, str], row: LatencyRow | ThroughputRow, gain: str) -> Lead:
    return Lead(
        contender=entrant.contender,
        reference=entrant.reference,
        where=where,
        theirs=figures[0],
        ours=figures[1],
        ratio=row.ratio or 0.0,
        low=row.ratio_low,
        high=row.ratio_high,
        gain=gain,
        other_model=entrant.quality == "other",
    )


def _incomparable(run: Run) -> list[Entrant]:
    """Give those that were timed, but whose reference was not: nobody can say who is ahead."""
    rows: list[LatencyRow | ThroughputRow] = [*run.results.rows, *run.results.throughput]
    compared = {row.contender for row in rows if row.ratio is not None}
    alone = {row.contender for row in rows} - compared
    return [entrant for entrant in run.results.contenders if _competes(run, entrant) and entrant.contender in alone]


def ahead(run: Run) -> Section:
    """Name everyone who is ahead of setfuse's variant of the same quality, in anything that was measured."""
    leads, incomparable = find_leads(run), _incomparable(run)
    heading = "Who is ahead of setfuse"
    text = []
    sure = [lead for lead in leads if not lead.tie and not lead.other_model]
    ties = [lead for lead in leads if lead.tie and not lead.other_model]
    others = [lead for lead in leads if lead.other_model]
    timed = bool(run.results.rows or run.results.throughput)
    if not timed:
        text.append("No times were measured in this run.")
    elif not any((name, case.case) in run.latency for name in run.ours for case in run.cases) and not any(
        (name, threads) in run.throughput for name in run.ours for threads in run.threads
    ):
        text.append("Nobody can say: no variant of setfuse was measured in this run.")
    else:
        names = ", ".join(dict.fromkeys(lead.contender for lead in sure))
        same = f"Running the same model: {names}, in {len(sure)} case(s)"
        nobody = "Nobody, of the contenders that run the same model"
        tied = f"; {len(ties)} tie(s), where the interval includes 1"
        text.append(f"{same if sure else nobody}{tied if ties else ''}.")
    if others:
        names = ", ".join(dict.fromkeys(lead.contender for lead in others))
        text.append(f"With another model, of another accuracy: {names}, in {len(others)} case(s).")
    if incomparable:
        names = ", ".join(f"{entrant.contender} ({entrant.reference})" for entrant in incomparable)
        text.append(f"Not comparable, since the variant of setfuse in brackets was not measured: {names}.")
    text += _ahead_otherwise(run)
    columns = ("contender", "where", "its p50 or rate", "setfuse's", "variant", "ratio [95 % interval]", "ahead by")
    table = Table(
        "Every case in which a contender is ahead of setfuse's variant of the same quality.",
        columns,
        tuple(map(_line, leads)),
    )
    return Section(heading, tuple(text), (table,) if leads else ())


def _line(lead: Lead) -> Line:
    verdict = "a tie: the interval includes 1" if lead.tie else lead.gain
    if lead.low is None:
        verdict += "; too few rounds for an interval"
    ratio = Cell(interval(lead.ratio, lead.low, lead.high), lead.ratio)
    model = "; another model" if lead.other_model else ""
    cells = (Cell(lead.where), Cell(lead.theirs), Cell(lead.ours), Cell(lead.reference), ratio, Cell(verdict + model))
    return Line(lead.contender, cells)


def _ahead_otherwise(run: Run) -> list[str]:
    """Say who needs less of a machine, or is right more often, than setfuse's variant of the same quality."""
    kinds: tuple[tuple[str, str, Callable[[str], float | None]], ...] = (
        ("Start faster", "{:.2f} s", lambda name: run.footprint[name].cold_start_s),
        ("Take less memory at the start", "{:,.0f} MB", lambda name: run.footprint[name].cold_rss_mb),
        ("Take less memory at work", "{:,.0f} MB", lambda name: run.footprint[name].peak_rss_mb),
        ("Install smaller", "{:,.0f} MB", lambda name: run.footprint[name].install_mb),
        ("Read smaller files", "{:,.1f} MB", lambda name: run.footprint[name].artefact_mb),
        ("Burn less after a call", "{:.2f} CPU-ms", lambda name: run.footprint[name].idle_cpu_ms),
    )
    lines = []
    for verb, form, figure in kinds:
        found = []
        for entrant in run.results.contenders:
            names = entrant.contender, entrant.reference
            if (
                entrant.status != Status.MEASURED
                or entrant.contender in run.ours
                or not run.footprint.keys() >= {*names}
            ):
                continue
            theirs, mine = map(figure, names)
            if theirs is not None and mine is not None and theirs < mine:
                found.append(f"{entrant.contender} ({form.format(theirs)} against {form.format(mine)})")
        if found:
            lines.append(f"{verb}: {', '.join(found)}.")
    accuracies = {entrant.contender: entrant.accuracy for entrant in run.results.contenders}
    better = [
        f"{entrant.contender} ({entrant.accuracy:.4f} against {mine:.4f})"
        for entrant in run.results.contenders
        if entrant.status == Status.MEASURED and entrant.contender not in run.ours and entrant.accuracy is not None
        if (mine := accuracies.get(entrant.reference)) is not None and entrant.accuracy > mine
    ]
    return [*lines, *([f"Right more often: {', '.join(better)}."] if better else [])]
