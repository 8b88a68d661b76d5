"""Draw a run: latency against length, accuracy against latency, how latencies are distributed, throughput."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ._canvas import (
    Plot,
    Style,
    alt,
    finished,
    foot,
    head,
    label_ends,
    label_points,
    make_styles,
    name_lines,
    name_of,
    new_figure,
    plain_ticks,
)
from ._reading import Run, digits
from ._results import Results, Status

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw(results: Results) -> tuple[Plot, ...]:
    """Draw all that the run has figures for.

    Args:
        results: The run; a contender that was struck out is drawn faint with a cross, one that failed is named below.
    """
    run = Run(results)
    styles = make_styles(run)
    made = (_latency(run, styles), _accuracy(run, styles), _distribution(run, styles), _throughput(run, styles))
    return tuple(plot for plot in made if plot is not None)


def _latency(run: Run, styles: dict[str, Style]) -> Plot | None:
    cases = [case for case in run.cases if case.kind == "length"]
    drawn = [
        (entrant, [(row.tokens, row.p50_ms) for row in rows if row and row.p50_ms > 0])
        for entrant in run.results.contenders
        if any(rows := [run.latency.get((entrant.contender, case.case)) for case in cases])
    ]
    drawn = [(entrant, points) for entrant, points in drawn if points]
    if not drawn:
        return None
    figure, (axes,) = new_figure(10.5, max(5.0, 1.6 + 0.235 * len(drawn)))
    axes.set(xscale="log", yscale="log", xlabel="tokens in the text", ylabel="milliseconds a call")
    for entrant, points in drawn:
        style = styles[entrant.contender]
        lengths, times = zip(*points, strict=True)
        axes.plot(
            lengths,
            times,
            color=style.color,
            linestyle=style.line,
            linewidth=style.width,
            marker=style.marker,
            markersize=4.5 if style.order < 6 else 6,
            zorder=style.order,
        )
    plain_ticks(axes, sorted({case.tokens for case in cases}))
    ends = [points[-1] for _, points in drawn]
    texts = [f"{name_of(entrant)}  {digits(end[1])}" for (entrant, _), end in zip(drawn, ends, strict=True)]
    label_ends(figure, axes, ends, texts, [styles[entrant.contender] for entrant, _ in drawn])
    title = "Latency against length: text in to label out, one text a call"
    head(figure, run, title, f"median; at the right, ms at {ends[0][0]:g} tokens")
    foot(figure, run, [entrant for entrant, _ in drawn], dashes=True)
    return finished(figure, "latency", title, f"One line a contender, {len(drawn)} in all; {alt(run)}")


def _accuracy(run: Run, styles: dict[str, Style]) -> Plot | None:
    case = run.main
    if case is None:
        return None
    by_accuracy = any(entrant.accuracy is not None for entrant in run.results.contenders)
    drawn = []
    for entrant in run.results.contenders:
        row = run.latency.get((entrant.contender, case.case))
        height = entrant.accuracy if by_accuracy else entrant.label_agreement
        if row and height is not None and row.p50_ms > 0:
            drawn.append((entrant, row.p50_ms, height))
    if not drawn:
        return None
    what = "accuracy" if by_accuracy else "share of torch's labels"
    figure, (axes,) = new_figure(10.5, 6.4)
    axes.set(xscale="log", xlabel=f"median milliseconds a call, {case.title}", ylabel=what)
    for entrant, time, height in drawn:
        style = styles[entrant.contender]
        size = 110 if style.order > 5 else 42
        axes.scatter([time], [height], s=size, color=style.color, marker=style.marker, zorder=style.order)
    times, heights = [time for _, time, _ in drawn], [height for *_, height in drawn]
    axes.set_xlim(min(times) / 1.5, max(times) * 1.9)
    room = max(max(heights) - min(heights), 0.03)  # else one text more looks like a world
    axes.set_ylim(min(heights) - 0.22 * room, max(heights) + 0.6 * room)
    axes.set_yticks([tick for tick in axes.get_yticks() if min(heights) - 0.22 * room <= tick <= 1.0])
    plain_ticks(axes, None)
    points = list(zip(times, heights, strict=True))
    label_points(
        figure, axes, points, [name_of(one) for one, *_ in drawn], [styles[one.contender] for one, *_ in drawn]
    )
    title = f"{what[0].upper()}{what[1:]} against latency: up and to the left is better"
    head(figure, run, title, f"{case.title}; median of a call")
    foot(figure, run, [entrant for entrant, *_ in drawn])
    return finished(figure, "accuracy", title, f"A point a contender, {len(drawn)} in all; {alt(run)}")


def _distribution(run: Run, styles: dict[str, Style]) -> Plot | None:
    cases = [case for case in run.cases if case.kind in {"closed", "open"}]
    rows = {
        key: row for key, row in run.latency.items() if len(row.percentiles_ms) == 101 and row.percentiles_ms[0] > 0
    }
    cases = [case for case in cases if any(key[1] == case.case for key in rows)]
    if not cases:
        return None
    names = {name for name, _ in rows}
    entrants = [entrant for entrant in run.results.contenders if entrant.contender in names]
    entrants.sort(key=lambda one: max(row.p50_ms for key, row in rows.items() if key[0] == one.contender), reverse=True)
    every = [row.percentiles_ms for row in rows.values()]
    figure, panels = new_figure(10.5, 1.9 + 0.3 * len(entrants), panels=len(cases))
    for axes, case in zip(panels, cases, strict=True):
        axes.set(xscale="log", xlabel="milliseconds a call")
        axes.set_title(case.title, fontsize=10.5, loc="left")
        for height, entrant in enumerate(entrants):
            row = rows.get((entrant.contender, case.case))
            if row:
                _strip(axes, height, row.percentiles_ms, styles[entrant.contender])
        axes.set_ylim(-0.7, len(entrants) - 0.3)
        axes.set_xlim(min(p[0] for p in every) / 1.2, max(p[100] for p in every) * 1.2)
        plain_ticks(axes, None)
    name_lines(figure, panels[0], entrants, styles)
    title = "How long a call takes on real texts"
    subtitle = "box: the middle half, and the median; lines: p10 to p90, p1 to p99; dot: the longest call"
    head(figure, run, title, subtitle)
    foot(figure, run, entrants)
    return finished(figure, "distribution", title, f"A strip a contender, {len(entrants)} in all; {alt(run)}")


def _strip(axes: "Axes", height: int, percentiles: Sequence[float], style: Style) -> None:
    low, tenth, quarter, median, most, ninetieth, high = (percentiles[q] for q in (1, 10, 25, 50, 75, 90, 99))
    strong = style.order > 5
    axes.hlines(height, low, high, color=style.color, linewidth=1.0, zorder=style.order)
    axes.hlines(height, tenth, ninetieth, color=style.color, linewidth=3.2 if strong else 2.4, zorder=style.order)
    axes.barh(
        height,
        most - quarter,
        left=quarter,
        height=0.62 if strong else 0.5,
        color=style.color,
        alpha=1.0 if strong else 0.75,
        zorder=style.order,
    )
    axes.plot([median, median], [height - 0.3, height + 0.3], color="white", linewidth=1.6, zorder=style.order + 1)
    axes.plot([percentiles[100]], [height], marker=".", markersize=4, color=style.color, zorder=style.order)


def _throughput(run: Run, styles: dict[str, Style]) -> Plot | None:
    rates = {key: row.texts_per_s for key, row in run.throughput.items() if row.texts_per_s > 0}
    if not rates:
        return None
    names = {name for name, _ in rates}
    entrants = [entrant for entrant in run.results.contenders if entrant.contender in names]
    entrants.sort(key=lambda one: max(rate for key, rate in rates.items() if key[0] == one.contender))
    figure, (axes,) = new_figure(10.5, 1.9 + 0.3 * len(entrants))
    axes.set(xscale="log", xlabel="texts a second")
    for height, entrant in enumerate(entrants):
        style = styles[entrant.contender]
        own = [
            (threads, rates[entrant.contender, threads])
            for threads in run.threads
            if (entrant.contender, threads) in rates
        ]
        values = [rate for _, rate in own]
        axes.hlines(height, min(values), max(values), color=style.color, linewidth=style.width, zorder=style.order)
        for number, (threads, rate) in enumerate(own):
            face = style.color if threads == run.threads[-1] else "white"
            size = 9 if style.order > 5 else 6.5
            marker = "X" if entrant.status == Status.STRUCK_OUT else "o"
            axes.plot([rate], [height], marker, color=style.color, markerfacecolor=face, markersize=size, zorder=7)
            if number in {0, len(own) - 1}:
                left = number == 0 < len(own) - 1
                axes.annotate(
                    digits(rate),
                    (rate, height),
                    xytext=(-9 if left else 9, 0),
                    textcoords="offset points",
                    ha="right" if left else "left",
                    va="center",
                    fontsize=8.5,
                    color=style.color,
                    fontweight=style.weight,
                )
    axes.set_ylim(-0.7, len(entrants) - 0.3)
    axes.set_xlim(min(rates.values()) / 1.8, max(rates.values()) * 1.8)
    plain_ticks(axes, None)
    name_lines(figure, axes, entrants, styles)
    title = "Throughput against threads: texts of mixed lengths"
    counts = " to ".join(dict.fromkeys((str(run.threads[0]), str(run.threads[-1]))))
    subtitle = f"from the hollow to the full dot: {counts} threads" if len(run.threads) > 1 else f"{counts} thread(s)"
    head(figure, run, title, subtitle)
    foot(figure, run, entrants)
    return finished(figure, "throughput", title, f"A line a contender, {len(entrants)} in all; {alt(run)}")
