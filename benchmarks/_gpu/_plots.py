"""A run on a GPU as plots: how long everybody takes, and how near the device's peaks the engines come."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from benchmarks._canvas import Plot, finished, new_figure, plain
from benchmarks._reading import digits
from benchmarks._results import Status

from ._cases import What
from ._results import Entrant, GpuResults, Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

OURS = "#0072B2"
OTHERS = "#777777"
STRUCK_OUT = "#C9C9C9"
_LEFT_IN = 2.3
"""Inches for the names."""


def draw(results: GpuResults) -> tuple[Plot, ...]:
    """Draw the times, one plot for each way of timing, and the engines' shares of the roof.

    Args:
        results: The run; a contender that was struck out is drawn faint.
    """
    made = [_times(results, what) for what in What]
    return tuple(plot for plot in (*made, _roof(results)) if plot is not None)


def _times(results: GpuResults, what: What) -> Plot | None:
    rows = [row for row in results.rows if row.what == what]
    if not rows:
        return None
    cases = list(dict.fromkeys(row.case for row in rows))
    drawn = [entrant for entrant in results.contenders if any(row.contender == entrant.contender for row in rows)]
    title = f"Milliseconds a call, {what}"
    figure, panels = _figure(results, drawn, len(cases), title, "bar: median; line: to the 99th percentile")
    for axes, case in zip(panels, cases, strict=True):
        found = {row.contender: row for row in rows if row.case == case}
        axes.set_title(case, fontsize=9)
        for place, entrant in enumerate(drawn):
            row = found.get(entrant.contender)
            if row is not None:
                axes.barh(place, row.p50_ms, height=0.6, color=_color(entrant))
                axes.hlines(place, row.p50_ms, row.p99_ms, color="#333333", linewidth=1)
        _label(axes, [(place, found.get(entrant.contender)) for place, entrant in enumerate(drawn)])
    name = "gpu_latency" if what is What.TEXT else "gpu_engine"
    said = f"{len(drawn)} contenders in {len(cases)} cases; all figures are in the tables"
    return finished(figure, name, title, said)


def _roof(results: GpuResults) -> Plot | None:
    rows = [row for row in results.rows if row.what == What.ENGINE and row.flops_share is not None]
    if not rows:
        return None
    cases = list(dict.fromkeys(row.case for row in rows))
    drawn = [entrant for entrant in results.contenders if any(row.contender == entrant.contender for row in rows)]
    title = "Share of the measured peaks, engine alone"
    figure, panels = _figure(results, drawn, len(cases), title, "bar: of fp16 products; ring: of the bandwidth")
    for axes, case in zip(panels, cases, strict=True):
        axes.set_title(case, fontsize=9)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        for place, entrant in enumerate(drawn):
            row = results.row(entrant.contender, case, What.ENGINE)
            if row is not None and row.flops_share is not None:
                axes.barh(place, row.flops_share, height=0.6, color=_color(entrant))
                if row.bandwidth_share is not None:
                    axes.scatter(row.bandwidth_share, place, s=28, facecolors="none", edgecolors="#333333", zorder=3)
        axes.set_xlim(left=0)
    return finished(
        figure, "gpu_roof", title, f"{len(drawn)} engines in {len(cases)} cases; all figures are in the tables"
    )


def _figure(
    results: GpuResults, drawn: Sequence[Entrant], panels: int, title: str, key: str
) -> tuple["Figure", list["Axes"]]:
    width, height = _LEFT_IN + 1.9 * panels, max(2.8, 1.7 + 0.3 * len(drawn))
    figure, axes = new_figure(width, height, panels)
    figure.subplots_adjust(left=_LEFT_IN / width, bottom=0.5 / height, top=1 - 1.05 / height, wspace=0.12)
    axes[0].set_yticks(range(len(drawn)), [plain(entrant.contender) for entrant in drawn], fontsize=9)
    axes[0].invert_yaxis()
    for label, entrant in zip(axes[0].get_yticklabels(), drawn, strict=True):
        label.set(color=_color(entrant), fontweight="bold" if entrant.ours else "normal")
    figure.text(0.012, 1 - 0.12 / height, title, fontsize=13, fontweight="bold", va="top")
    machine = f"{results.device['name']}, {results.environment['time'][:10]}; {key}"
    figure.text(0.012, 1 - 0.42 / height, plain(machine), fontsize=9, va="top", color="#444444")
    return figure, axes


def _label(axes: "Axes", rows: Sequence[tuple[int, Row | None]]) -> None:
    """Write the medians at the bars' ends, and leave room for them."""
    longest = max(row.p99_ms for _, row in rows if row is not None)
    axes.set_xlim(0, longest * 1.35)
    for place, row in rows:
        if row is not None:
            axes.text(row.p99_ms + longest * 0.03, place, digits(row.p50_ms), va="center", fontsize=8)


def _color(entrant: Entrant) -> str:
    if entrant.status is Status.STRUCK_OUT:
        return STRUCK_OUT
    return OURS if entrant.ours else OTHERS
