"""A run on a GPU as Markdown."""

from collections.abc import Callable, Sequence

from benchmarks._canvas import Plot
from benchmarks._document import Cell, Line, Table, interval, share
from benchmarks._reading import digits
from benchmarks._report import escaped, markdown_grid, markdown_table
from benchmarks._results import Status

from ._cases import What
from ._results import Entrant, GpuResults, Row


def markdown(results: GpuResults, plots: Sequence[Plot]) -> str:
    """Write the report.

    Args:
        results: The run.
        plots: That lie beside it.
    """
    parts = ["# On a GPU", _opening(results)]
    parts += [f"**Warning**: {escaped(warning)}." for warning in results.warnings]
    parts += ["## Goals", _goals(results)]
    for what in What:
        rows = [row for row in results.rows if row.what == what]
        if rows:
            parts += [f"## {str(what).capitalize()}", _doc(what), *_times(results, rows)]
    parts += [f"![{escaped(plot.alt)}]({plot.name}.png)" for plot in plots]
    parts += ["## Answers, start, memory", _parity(results), markdown_grid(_answers(results))]
    parts += ["## Attention kernels", *_attention(results)]
    parts += ["## What is not here", *_missing(results)]
    return "\n\n".join(parts) + "\n"


def _opening(results: GpuResults) -> str:
    device, environment, settings = results.device, results.environment, results.settings
    gpu = f"{device['name']}" + (
        f" (compute capability {device['capability']}, {device['memory_gib']} GiB)" if device["capability"] else ""
    )
    packages = f"onnxruntime {device['onnxruntime']}, torch {device['torch']}"
    cuda = f", CUDA {device['cuda']}" if device["cuda"] else ""
    taken = f"{settings['minutes_taken']:g} of {settings['minutes']:g} minutes"
    rounds = f"{settings['rounds']} rounds, turns of {settings['turn_s']:g} s, {settings['threads']} threads"
    where = f"{gpu}; {environment['cpu']}; {packages}{cuda}; {environment['time'][:10]}"
    roof = f"Peaks measured: {digits(results.roof['gflops'] / 1e3)} TFLOP/s, {digits(results.roof['gb_per_s'])} GB/s."
    return f"{escaped(where)}. {taken}; {rounds}. {roof}"


def _goals(results: GpuResults) -> str:
    words = {True: "met", False: "missed", None: "not measured"}
    lines = tuple(Line(goal.goal, (Cell(goal.measured or "-"), Cell(words[goal.met]))) for goal in results.goals)
    return markdown_grid(Table("", ("goal", "measured", ""), lines))


def _doc(what: What) -> str:
    if what is What.TEXT:
        return "From texts to labels in the processor's memory: tokenizing, copies, body, pooling and head."
    return (
        "From token ids on the device to probabilities on the device: body, pooling and head. The shares are those of "
        "the measured peaks: of the products the model needs without padding, and of reading its layers' weights once."
    )


def _times(results: GpuResults, rows: Sequence[Row]) -> list[str]:
    cases = list(dict.fromkeys(row.case for row in rows))
    figures = {(row.contender, row.case): row for row in rows}
    reference = next((row.reference for row in rows if row.reference), "")

    def table(caption: str, show: Callable[[Row], str]) -> str:
        lines = []
        for entrant in results.contenders:
            found = [figures.get((entrant.contender, case)) for case in cases]
            if any(found):
                struck = entrant.status is Status.STRUCK_OUT
                cells = tuple(Cell(show(row) if row else "-", struck=struck and row is not None) for row in found)
                lines.append(Line(entrant.contender, cells, ours=entrant.ours))
        return markdown_table(Table(caption, ("contender", *cases), tuple(lines)))

    tables = [
        table("Milliseconds a call: p50 / p90 / p99.", _percentiles),
        table("Texts a second, at the median.", lambda row: digits(row.texts_per_s)),
    ]
    if reference:
        said = f"How many times as long as {reference}, with 95 % intervals; below 1: ahead of it."
        tables.append(table(said, lambda row: interval(row.ratio, row.ratio_low, row.ratio_high)))
    if rows[0].what == What.ENGINE:
        said = "Share of the peak of products / of the bandwidth."
        tables.append(table(said, lambda row: f"{share(row.flops_share)} / {share(row.bandwidth_share)}"))
    return tables


def _percentiles(row: Row) -> str:
    return " / ".join(digits(ms) for ms in (row.p50_ms, row.p90_ms, row.p99_ms))


def _parity(results: GpuResults) -> str:
    parity = results.parity
    return f"Compared with {escaped(parity['oracle'])}, on {parity['texts']} texts ({escaped(parity['source'])})."


def _answers(results: GpuResults) -> Table:
    columns = ("contender", "labels", "difference, mean", "max", "load, s", "device memory, MB")
    return Table("", columns, tuple(_answer(entrant) for entrant in results.contenders if entrant.load_s is not None))


def _answer(entrant: Entrant) -> Line:
    differences = (entrant.mean_difference, entrant.max_difference)
    shown = [share(entrant.label_agreement), *("-" if one is None else f"{one:.1e}" for one in differences)]
    cells = [*shown, digits(entrant.load_s), digits(entrant.device_mb)]
    return Line(entrant.contender, tuple(Cell(text) for text in cells), ours=entrant.ours)


def _attention(results: GpuResults) -> list[str]:
    parts = []
    for capability, record in results.attention.items():
        measured = record["measured"]
        shapes = list(next(iter(measured.values()))["ms"])
        lines = []
        for value, kernel in measured.items():
            cells = [
                f"{digits(kernel['ms'][shape])} {', '.join(kernel['kernels'].get(shape, ())) or 'not told'}"
                for shape in shapes
            ]
            cells.append(f"{kernel['difference']:.1e}")
            lines.append(Line(f"{value}: {kernel['asked']}", tuple(Cell(cell) for cell in cells)))
        columns = ("sdpa_kernel", *(f"{shape}, ms" for shape in shapes), "difference")
        parts.append(
            f"Compute capability {capability}: the fastest `sdpa_kernel` is {record['sdpa_kernel']}. What ran for each "
            "value, the engine alone, and the largest difference of a probability from onnxruntime's own choice."
        )
        parts.append(markdown_grid(Table("", columns, tuple(lines))))
    return parts or ["Not measured."]


def _missing(results: GpuResults) -> list[str]:
    fates = [
        f"{entrant.contender}: {entrant.status}: {entrant.reason}" for entrant in results.contenders if entrant.reason
    ]
    failed = {entrant.contender for entrant in results.contenders if entrant.status is Status.FAILED}
    cases = [
        f"{one.contender}, {one.case}, {one.what}: {one.reason}"
        for one in results.absent
        if one.contender not in failed
    ]
    missing = [*fates, *cases, *results.left_out, *results.attention_absent]
    return ["\n".join(f"- {escaped(line)}" for line in missing)] if missing else ["Nothing: everything was measured."]
