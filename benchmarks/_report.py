"""Show a latency run: a table for the terminal and a plot."""

from collections.abc import Sequence
from pathlib import Path

from ._runner import Row


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
        subtitle: What was measured, and on what.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    contenders = list(dict.fromkeys(row.contender for row in rows))
    figure, (single, batch) = plt.subplots(1, 2, figsize=(10, 4.5), width_ratios=[2.2, 1], layout="constrained")
    figure.suptitle("Text in to label out, the same model and the same labels\n" + subtitle, fontsize=10)
    for color, contender in zip(("#0b6e4f", "#c1666b", "#48639c", "#d4b483"), contenders, strict=False):
        own = [row for row in rows if row.contender == contender]
        alone = [row for row in own if row.texts == 1]
        lengths = [row.tokens for row in alone]
        single.plot(lengths, [row.p50_ms for row in alone], "o-", color=color, label=contender)
        single.fill_between(
            lengths, [row.p50_ms for row in alone], [row.p90_ms for row in alone], color=color, alpha=0.2
        )
        together = [row for row in own if row.texts > 1]
        bars = batch.bar([contender] * len(together), [row.p50_ms for row in together], color=color)
        batch.bar_label(bars, fmt="%.0f ms")
    single.set(xlabel="tokens", ylabel="ms a text: median, shaded to p90", xscale="log", yscale="log")
    lengths = sorted({row.tokens for row in rows if row.texts == 1})
    single.set_xticks(lengths, [str(length) for length in lengths], minor=False)
    single.minorticks_off()
    ticks = [tick for tick in (1, 2, 5, 10, 20, 50, 100, 200, 500) if _within(tick, rows)]
    single.set_yticks(ticks, [str(tick) for tick in ticks])
    single.grid(alpha=0.3)
    single.legend()
    batch.set(ylabel="ms a batch, median", title=next((row.case for row in rows if row.texts > 1), ""))
    batch.tick_params(axis="x", labelsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _within(tick: float, rows: Sequence[Row]) -> bool:
    times = [row.p50_ms for row in rows if row.texts == 1]
    return min(times) / 2 <= tick <= max(times) * 2
