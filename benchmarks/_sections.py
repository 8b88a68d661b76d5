"""What a report says, before it is Markdown or HTML: sections of text and tables."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ._ahead import ahead
from ._document import Cell, Line, Section, Table, interval, note, share
from ._reading import Run, digits
from ._results import Entrant, LatencyRow, Results, Status, ThroughputRow


def title(results: Results) -> str:
    """Give the report's title: the model."""
    return f"{_model(results)}: from text to label, everyone side by side"


def opening(results: Results) -> str:
    """Say in a sentence what was measured on what machine."""
    environment, settings = results.environment, results.settings
    cores, usable = environment.get("cores"), environment.get("cores_usable")
    machine = f"{environment.get('cpu', 'an unknown processor')} ({usable} of {cores} cores usable)"
    measures = ", ".join(str(measure) for measure in settings.get("measures", ())) or "nothing"
    threads = settings.get("threads")
    others = [str(row) for row in sorted({row.threads for row in results.throughput} - {threads})]
    also = f" (throughput also with {', '.join(others)})" if others else ""
    quick = "; a quick run, of few rounds" if settings.get("quick") else ""
    return (
        f"{len(results.contenders)} contenders, measured for {measures} on {machine}, {threads} thread(s) each"
        f"{also}, {str(environment.get('time', 'at an unknown time'))[:10]}{quick}."
    )


def sections(results: Results) -> list[Section]:
    """Give everything that a report says of a run after its opening, in order; what was not measured is left out."""
    run = Run(results)
    found = [ahead(run)]
    if results.rows:
        found += [_latency(run), *_real_texts(run), _ratios(run)]
    if results.throughput:
        found.append(_throughput(run))
    found.append(_quality(run))
    if results.footprint:
        found.append(_footprint(run))
    if results.roof:
        found.append(_roof(results))
    return [*found, _contenders(run), _setup(results)]


def _model(results: Results) -> str:
    """Name the model by its base, as the checkpoint's folder is called."""
    training = results.model.get("provenance", {}).get("training") or {}
    base = Path(str(training.get("base_model", ""))).name or "A model"
    labels = results.model.get("labels")
    return f"{base}, {len(labels)} labels" if isinstance(labels, (list, tuple)) else base


def _table(run: Run, caption: str, columns: Sequence[str], cells: Callable[[Entrant], Sequence[Cell]]) -> Table:
    """Make a table of all contenders; those without a row get `-` everywhere."""
    notes = any(map(note, run.results.contenders))
    lines = []
    for entrant in run.results.contenders:
        figures = [*cells(entrant), *([Cell(note(entrant))] if notes else [])]
        lines.append(Line(entrant.contender, tuple(figures), entrant.contender in run.ours))
    return Table(caption, ("contender", *columns, *(["note"] if notes else [])), tuple(lines))


def _cell(entrant: Entrant, text: str, value: float | None) -> Cell:
    return Cell(text, value, struck=entrant.status == Status.STRUCK_OUT and text != "-")


def _figure(entrant: Entrant, value: float | None) -> Cell:
    return _cell(entrant, digits(value), value)


def _latency(run: Run) -> Section:
    def cells(entrant: Entrant) -> list[Cell]:
        rows = [run.latency.get((entrant.contender, case.case)) for case in run.cases]
        return [_figure(entrant, row.p50_ms if row else None) for row in rows]

    table = _table(run, "Median wall time of a call, text in to label out, in ms.", _titles(run), cells)
    reasons = {entrant.contender: Cell(note(entrant, whole=True)) for entrant in run.results.contenders}
    if table.columns[-1] == "note":  # the reasons in whole stand in this table; the others say in a word what happened
        lines = tuple(Line(line.head, (*line.cells[:-1], reasons[line.head]), line.ours) for line in table.lines)
        table = Table(table.caption, table.columns, lines)
    text = "Struck out: its answers are not those of the model, so its times are no times of the same work."
    struck = any(entrant.status == Status.STRUCK_OUT for entrant in run.results.contenders)
    return Section("Latency", (text,) if struck else (), (table,), ("latency", "accuracy"))


def _titles(run: Run) -> list[str]:
    return [case.title for case in run.cases]


def _real_texts(run: Run) -> list[Section]:
    tables = []
    for case in run.cases:
        if case.kind not in {"closed", "open"}:
            continue

        def cells(entrant: Entrant, case_name: str = case.case) -> list[Cell]:
            row = run.latency.get((entrant.contender, case_name))
            return [*_percentiles(entrant, row), _roof_cell(entrant, row), _samples(row)]

        columns = ("p50", "p90", "p99", "max", "ratio [95 % interval]", "of the roof", "calls")
        loop = {"closed": "one after the other", "open": "arriving at random, the wait counted"}[case.kind]
        tables.append(_table(run, f"{case.title}: ms, {loop}.", columns, cells))
    source = run.results.settings.get("texts_source")
    text = f"Texts of {source} in their own lengths, one a call; how many stands under calls."
    return [Section("Real texts", (text,), tuple(tables), ("distribution",))] if tables else []


def _percentiles(entrant: Entrant, row: LatencyRow | None) -> list[Cell]:
    figures = (row.p50_ms, row.p90_ms, row.p99_ms, row.max_ms) if row else (None,) * 4
    return [*(_figure(entrant, figure) for figure in figures), _ratio(entrant, row)]


def _ratio(entrant: Entrant, row: LatencyRow | ThroughputRow | None) -> Cell:
    text = interval(row.ratio, row.ratio_low, row.ratio_high) if row else "-"
    return _cell(entrant, text, row.ratio if row else None)


def _roof_cell(entrant: Entrant, row: LatencyRow | ThroughputRow | None) -> Cell:
    value = row.roof_share if row else None
    return _cell(entrant, share(value), value)


def _samples(row: LatencyRow | None) -> Cell:
    return Cell(f"{row.samples:,}", row.samples) if row else Cell("-")


def _ratios(run: Run) -> Section:
    def cells(entrant: Entrant) -> list[Cell]:
        return [_ratio(entrant, run.latency.get((entrant.contender, case.case))) for case in run.cases]

    text = (
        "How many times as long as setfuse's variant of the same quality it takes: above 1, setfuse is ahead. Median "
        "over the rounds of the ratio within a round; in brackets the 95 % bootstrap confidence interval."
    )
    return Section("Ratios", (text,), (_table(run, "Time, divided by setfuse's.", _titles(run), cells),))


def _throughput(run: Run) -> Section:
    tables = []
    for threads in run.threads:

        def cells(entrant: Entrant, threads: int = threads) -> list[Cell]:
            row = run.throughput.get((entrant.contender, threads))
            if row is None:
                return [Cell("-")] * 5
            padding = _cell(entrant, share(row.padding_share), row.padding_share)
            rate, cpu = _figure(entrant, row.texts_per_s), _figure(entrant, row.cpu_s_per_1000)
            return [rate, _ratio(entrant, row), padding, cpu, _roof_cell(entrant, row)]

        columns = ("texts/s", "ratio [95 % interval]", "padding", "CPU-s per 1,000", "of the roof")
        tables.append(_table(run, f"{threads} thread{'s' * (threads > 1)}.", columns, cells))
    text = "Texts of mixed lengths, as many as a call takes; above a ratio of 1, the contender is ahead of setfuse."
    return Section("Throughput", (text,), tuple(tables), ("throughput",))


def _quality(run: Run) -> Section:
    def cells(entrant: Entrant) -> list[Cell]:
        mean, largest = entrant.mean_probability_difference, entrant.max_probability_difference
        accuracy = entrant.accuracy
        return [
            Cell(entrant.quality),
            Cell("-" if accuracy is None else f"{accuracy:.4f}", accuracy),
            Cell(share(entrant.label_agreement), entrant.label_agreement),
            Cell("-" if mean is None else f"{mean:.1e}", mean),
            Cell("-" if largest is None else f"{largest:.1e}", largest),
        ]

    columns = ("promised", "accuracy", "torch's labels", "mean difference", "max difference")
    caption = "Accuracy on the labelled texts; labels and probabilities compared with torch's."
    plots = () if run.results.rows else ("accuracy",)
    return Section("Quality", (), (_table(run, caption, columns, cells),), plots)


def _footprint(run: Run) -> Section:
    def cells(entrant: Entrant) -> list[Cell]:
        row = run.footprint.get(entrant.contender)
        if row is None:
            return [Cell("-")] * 8
        megabytes = (row.cold_rss_mb, row.rss_mb, row.peak_rss_mb, row.install_mb, row.artefact_mb)
        sizes = [_figure(entrant, size) for size in megabytes]
        return [
            _figure(entrant, row.cold_start_s),
            *sizes,
            Cell(f"{row.rss_texts:,}", row.rss_texts),
            _cell(entrant, f"{row.idle_cpu_ms:.0f}", row.idle_cpu_ms),
        ]

    columns = (
        "cold start, s",
        "RSS at first label, MB",
        "RSS at work, MB",
        "its peak, MB",
        "installed, MB",
        "model files, MB",
        "texts by then",
        "idle CPU, ms",
    )
    text = (
        "Cold start: from the start of the process to the first label, warm disk. Idle CPU: burnt in the second after "
        "a call. RSS at work and idle CPU: on all processors, after as many texts as the column says. Installed: "
        "beyond an empty environment; - where it has none of its own."
    )
    return Section("Footprint", (text,), (_table(run, "What it takes up.", columns, cells),))


def _roof(results: Results) -> Section:
    arithmetics = sorted({name for peaks in results.roof.values() for name in peaks})
    lines = tuple(
        Line(
            str(threads),
            tuple(Cell(digits(peaks.get(name)), peaks.get(name)) for name in arithmetics),
        )
        for threads, peaks in results.roof.items()
    )
    text = "The fastest matrix product that this machine was seen to do, by number of threads."
    return Section("The roof", (text,), (Table("GFLOP/s (GOP/s for int8).", ("threads", *arithmetics), lines),))


def _contenders(run: Run) -> Section:
    lines = []
    for entrant in run.results.contenders:
        versions = ", ".join(f"{name} {version}" for name, version in entrant.versions.items()) or "-"
        words = (entrant.description, _fate(entrant), entrant.quality)
        more = (entrant.arithmetic or "-", entrant.batching, entrant.reference or "-", versions)
        lines.append(Line(entrant.contender, tuple(map(Cell, (*words, *more))), entrant.contender in run.ours))
    columns = ("contender", "what it is", "status", "promised", "arithmetic", "batching", "compared with", "versions")
    return Section("Contenders", (), (Table("Everyone of the run.", columns, tuple(lines)),))


def _fate(entrant: Entrant) -> str:
    return f"{entrant.status}: {entrant.reason}" if entrant.reason else str(entrant.status)


def _setup(results: Results) -> Section:
    parts = (("Settings", results.settings), ("Environment", results.environment), ("Model", results.model))
    tables = tuple(
        Table(caption, ("key", "value"), tuple(Line(key, (Cell(_words(value)),)) for key, value in _flat(part).items()))
        for caption, part in parts
        if part
    )
    return Section("Settings and environment", (), tables)


def _flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """Give nested mappings as one, of dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            flat |= {f"{key}.{inner}": content for inner, content in _flat(value).items()}
        else:
            flat[str(key)] = value
    return flat


def _words(value: object) -> str:
    if isinstance(value, (list, tuple)) and all(isinstance(item, (str, int, float)) for item in value):
        return ", ".join(map(str, value)) or "-"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
