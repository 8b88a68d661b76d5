"""Show a latency run: a table for the terminal and a plot."""

import itertools
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ._files import whole_file
from ._runner import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Colours of Okabe and Ito, which colour-blind people tell apart; the markers also differ in a grey print.
_STYLES = (("#0072B2", "o"), ("#D55E00", "s"), ("#009E73", "^"), ("#CC79A7", "D"), ("#E69F00", "v"), ("#56B4E9", "P"))


def table(rows: Sequence[Row]) -> str:
    """Lay the rows out for a terminal: milliseconds a call, text in to label out."""
    header = ["texts x tokens", "contender", "p50 ms", "p90 ms", "p99 ms", "calls", "ratio", "same labels"]
    lines = [header]
    for number, row in enumerate(rows):
        new_case = number == 0 or rows[number - 1].case != row.case
        lines.append(
            [
                row.case if new_case else "",
                row.contender,
                f"{row.p50_ms:.2f}",
                f"{row.p90_ms:.2f}",
                f"{row.p99_ms:.2f}",
                str(row.samples),
                f"{row.ratio:.2f}",
                f"{row.label_agreement:.1%}",
            ]
        )
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if position < 2 else cell.rjust(width)
            for position, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def plot(rows: Sequence[Row], path: Path, subtitle: str) -> None:
    """Draw the median latency of single texts against their length, and that of the batch, as a PNG.

    Args:
        rows: One case after the other, the contenders in the same order in each.
        path: The file to write.
        subtitle: What it was measured on.
    """
    from matplotlib.figure import Figure  # not pyplot: that keeps figures and picks a backend for the whole process

    figure = Figure(figsize=(10, 4.8), layout="constrained")
    single, batch = figure.subplots(1, 2, width_ratios=[1.6, 1])
    figure.suptitle(f"Latency from text to label: one model, the same labels\n{subtitle}", fontsize=12)
    styles = dict(zip(dict.fromkeys(row.contender for row in rows), itertools.cycle(_STYLES), strict=False))
    _draw_single([row for row in rows if row.texts == 1], single, styles)
    _draw_batch([row for row in rows if row.texts > 1], batch, styles)
    figure.legend(loc="outside lower center", ncols=4, frameon=False)
    for axes in (single, batch):
        axes.spines[["top", "right"]].set_visible(False)
    with whole_file(path) as partial:
        figure.savefig(partial, format="png", dpi=150)


def _draw_single(rows: Sequence[Row], axes: "Axes", styles: Mapping[str, tuple[str, str]]) -> None:
    from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

    for contender, (color, marker) in styles.items():
        own = [row for row in rows if row.contender == contender]
        lengths, medians = [row.tokens for row in own], [row.p50_ms for row in own]
        axes.fill_between(lengths, medians, [row.p90_ms for row in own], color=color, alpha=0.2, linewidth=0)
        axes.plot(lengths, medians, marker=marker, color=color, linewidth=2, label=contender)
    axes.set(xscale="log", yscale="log", xlabel="tokens in the text", ylabel="milliseconds a call (log scale)")
    axes.set_title("one text in one call: median, shaded up to p90", fontsize=10.5, loc="left")
    lengths = sorted({row.tokens for row in rows})
    axes.set_xticks(lengths, [str(length) for length in lengths])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_ylim(min(row.p50_ms for row in rows) / 1.6, max(row.p90_ms for row in rows) * 1.6)  # never without a tick
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.grid(alpha=0.3)


def _draw_batch(rows: Sequence[Row], axes: "Axes", styles: Mapping[str, tuple[str, str]]) -> None:
    names = [textwrap.fill(row.contender, 10, break_long_words=False) for row in rows]  # long names would overlap
    colors = [styles[row.contender][0] for row in rows]
    bars = axes.bar(names, [row.p50_ms for row in rows], color=colors, width=0.6)
    axes.bar_label(bars, [f"{_short(row.p50_ms)} ms\n{row.ratio:.2f}x" for row in rows], padding=3, fontsize=9)
    axes.set_ylim(0, 1.2 * max(row.p50_ms for row in rows))  # room for the labels
    axes.tick_params(axis="x", labelsize=8.5, length=0)
    axes.set_title(f"{rows[0].case} tokens in one call: median", fontsize=10.5, loc="left")
    axes.set_ylabel("milliseconds a call")


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
