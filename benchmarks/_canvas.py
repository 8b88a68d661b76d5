"""What all plots have in common: colours, figures, ticks, labels, the way to bytes."""

import io
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ._labels import Box, place, spread
from ._reading import Run
from ._results import Entrant, Status

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Setfuse's variants: strong and thick. The others: the darker colours of Paul Tol's "muted" scheme, which colour-blind
# people tell apart; who is who is told by a label at each line, so that a colour may come twice.
_OURS = ("#0072B2", "#D55E00", "#000000")
_OTHERS = ("#332288", "#117733", "#882255", "#44AA99", "#999933", "#AA4499", "#6699CC", "#997700", "#555555")
_MARKERS = "os^Dv<>pPX"
_DASHES: dict[str, Any] = {"same": "-", "rounded": (0, (5, 2)), "other": (0, (1, 1.5))}
_FAINT = "#9A9A9A"


@dataclass(frozen=True, slots=True)
class Plot:
    """A plot of a run.

    Attributes:
        name: Of its files, without the ending.
        title: What it shows.
        alt: What it says, for those who cannot see it.
        svg: The drawing, the same bytes for the same run.
        png: The same in pixels.
    """

    name: str
    title: str
    alt: str
    svg: bytes
    png: bytes


@dataclass(frozen=True, slots=True)
class Style:
    """How a contender is drawn.

    Attributes:
        color: Of its line and label.
        marker: Of its points.
        line: Its dashes: they tell what is promised of the answers.
        width: Of the line, in points.
        order: Setfuse's lie above the others', those above what was struck out.
    """

    color: str
    marker: str
    line: Any
    width: float
    order: int

    @property
    def weight(self) -> str:
        """Weight of its label."""
        return "bold" if self.order > 5 else "normal"


def make_styles(run: Run) -> dict[str, Style]:
    """Give each contender its style."""
    styles, counts = {}, {"ours": 0, "others": 0}
    for entrant in run.results.contenders:
        mine = entrant.contender in run.ours
        number = counts["ours" if mine else "others"]
        counts["ours" if mine else "others"] += 1
        line = _DASHES.get(entrant.quality, "-")
        if mine:
            color = _OURS[number % len(_OURS)]
            styles[entrant.contender] = Style(color, "o", line, 3.0, 6)
        elif entrant.status == Status.STRUCK_OUT:
            styles[entrant.contender] = Style(_FAINT, "x", line, 0.9, 2)
        else:
            color, marker = _OTHERS[number % len(_OTHERS)], _MARKERS[number % len(_MARKERS)]
            styles[entrant.contender] = Style(color, marker, line, 1.2, 4)
    return styles


def new_figure(width: float, height: float, panels: int = 1) -> tuple["Figure", list["Axes"]]:
    """Make a figure with panels side by side.

    Args:
        width: In inches.
        height: In inches.
        panels: How many; they share the vertical axis.
    """
    from matplotlib.figure import Figure  # not pyplot: that keeps figures and picks a backend for the whole process

    figure = Figure(figsize=(width, height))
    axes = list(figure.subplots(1, panels, sharey=True, squeeze=False)[0])
    for one in axes:
        one.spines[["top", "right"]].set_visible(False)
        one.grid(alpha=0.25, linewidth=0.6)
        one.set_axisbelow(True)
        one.tick_params(labelsize=9)
    figure.subplots_adjust(left=0.075, right=0.97, top=1 - 1.02 / height, bottom=0.95 / height, wspace=0.06)
    return figure, axes


def plain_ticks(axes: "Axes", lengths: Sequence[float] | None) -> None:
    """Write 5 and 20, not powers of ten; on the horizontal axis the lengths where they are given."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    for axis, scale in ((axes.xaxis, axes.get_xscale()), (axes.yaxis, axes.get_yscale())):
        if scale == "log":
            axis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=20))
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
            axis.set_minor_locator(NullLocator())
    if lengths:
        axes.set_xticks(lengths, [f"{length:g}" for length in lengths])


def name_of(entrant: Entrant) -> str:
    """Give a contender's name as a plot shows it."""
    name = plain(entrant.contender)
    return f"{name} (struck out)" if entrant.status == Status.STRUCK_OUT else name


def plain(text: str) -> str:
    """Keep a text from being read as a formula."""
    return text.replace("$", r"\$")


def label_ends(
    figure: "Figure", axes: "Axes", ends: Sequence[tuple[float, float]], texts: Sequence[str], styles: Sequence[Style]
) -> None:
    """Write a label at the right of each line, in the line's colour; room for them is made.

    Args:
        figure: Theirs.
        axes: With logarithmic vertical axis.
        ends: Last point of each line, in units of the axes.
        texts: The labels.
        styles: Of the lines.
    """
    room = min(0.006 * max(map(len, texts)) + 0.045, 0.42)
    figure.subplots_adjust(right=0.985 - room)
    height = axes.get_window_extent().height
    wanted = [axes.transAxes.inverted().transform(axes.transData.transform(end))[1] for end in ends]
    gap = 11.5 * figure.dpi / 72 / height
    placed = spread(wanted, gap, -0.02, 1.02)
    for end, text, style, position in zip(ends, texts, styles, placed, strict=True):
        axes.annotate(
            text,
            end,
            xytext=(1.035, position),
            textcoords="axes fraction",
            va="center",
            fontsize=8.5,
            color=style.color,
            fontweight=style.weight,
            arrowprops=_leader(style, 1, (0, 0.5)),
            annotation_clip=False,
        )


def label_points(
    figure: "Figure", axes: "Axes", points: Sequence[tuple[float, float]], texts: Sequence[str], styles: Sequence[Style]
) -> None:
    """Write a label near each point, so that none covers another, with a line to its point where it is far.

    Args:
        figure: Theirs.
        axes: Their limits are final.
        points: In units of the axes.
        texts: The labels.
        styles: Of the points.
    """
    scale = 72 / figure.dpi
    extent = axes.get_window_extent()
    frame = Box(extent.x0 * scale, extent.y0 * scale, extent.width * scale + 8, extent.height * scale)
    spots = [tuple(axes.transData.transform(point) * scale) for point in points]
    sizes = [_size(figure, text, style) for text, style in zip(texts, styles, strict=True)]
    placed = place(spots, sizes, frame, [index for index, style in enumerate(styles) if style.weight == "bold"])
    for box, (x, y), point, text, style in zip(placed, spots, points, texts, styles, strict=True):
        axes.annotate(
            text,
            point,
            xytext=(box.left - x + 1.5, box.bottom - y + box.height / 2),
            textcoords="offset points",
            va="center",
            fontsize=8.5,
            color=style.color,
            fontweight=style.weight,
            arrowprops=_leader(style, 0, (min(max((x - box.left) / box.width, 0), 1), 0 if box.bottom > y else 1)),
            zorder=8,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.6},
        )


def _leader(style: Style, gap: float, start: tuple[float, float]) -> dict[str, Any]:
    """Give the line from a label to what it names.

    Args:
        style: Of what is named.
        gap: Between the label and the line, in points.
        start: Where on the label it begins, as shares of its width and height.
    """
    line = {"arrowstyle": "-", "color": style.color, "linewidth": 0.6, "alpha": 0.6}
    return {**line, "shrinkA": gap, "shrinkB": 3, "relpos": start}


def _size(figure: "Figure", text: str, style: Style) -> tuple[float, float]:
    """Measure a label, in points."""
    drawn = figure.text(0, 0, text, fontsize=8.5, fontweight=style.weight)
    extent = drawn.get_window_extent()
    drawn.remove()
    return extent.width * 72 / figure.dpi + 3, extent.height * 72 / figure.dpi + 1


def name_lines(figure: "Figure", axes: "Axes", entrants: Sequence[Entrant], styles: dict[str, Style]) -> None:
    """Name the lines of the vertical axis after the contenders, the first at the bottom."""
    axes.set_yticks(range(len(entrants)), [name_of(entrant) for entrant in entrants])
    for label, entrant in zip(axes.get_yticklabels(), entrants, strict=True):
        style = styles[entrant.contender]
        label.set(color=style.color, fontweight=style.weight, fontsize=9)
    widest = max(label.get_window_extent().width for label in axes.get_yticklabels())
    figure.subplots_adjust(left=min((widest + 18) / figure.bbox.width, 0.5))
    for one in figure.axes:
        one.tick_params(axis="y", length=0)


def head(figure: "Figure", run: Run, title: str, subtitle: str) -> None:
    """Write the title, what is shown, and the machine."""
    environment, threads = run.results.environment, run.results.settings.get("threads")
    counted = "" if "thread" in subtitle else f"{threads} thread{'s' * (threads != 1)}, "
    machine = f"{counted}{environment.get('cpu', 'unknown processor')}, {str(environment.get('time', ''))[:10]}"
    height = figure.get_figheight()
    figure.text(0.012, 1 - 0.12 / height, title, fontsize=13, fontweight="bold", va="top")
    lines = [plain(line)[:150] for line in (subtitle, machine)]
    figure.text(0.012, 1 - 0.4 / height, "\n".join(lines), fontsize=9, va="top", color="#444444")


def foot(figure: "Figure", run: Run, drawn: Sequence[Entrant], *, dashes: bool = False) -> None:
    """Say what the dashes mean, and name those of whom nothing is drawn."""
    shown = {entrant.contender for entrant in drawn}
    missing = [
        f"{entrant.contender} ({entrant.status})" if entrant.status != Status.MEASURED else entrant.contender
        for entrant in run.results.contenders
        if entrant.contender not in shown
    ]
    key = "solid: the same model; dashed: the same in 8-bit integers; dotted: another model. " if dashes else ""
    text = key + (f"Not drawn: {', '.join(missing)}." if missing else "")
    lines = textwrap.wrap(plain(text), 150)[:3]
    figure.text(0.012, 0.08 / figure.get_figheight(), "\n".join(lines), fontsize=8, va="bottom", color="#444444")


def alt(run: Run) -> str:
    """Say where the figures of a plot stand, and whom it was drawn of."""
    names = ", ".join(entrant.contender for entrant in run.results.contenders if entrant.contender in run.ours)
    return f"setfuse's stand out ({names or 'none in this run'}); all figures are in the tables"


def finished(figure: "Figure", name: str, title: str, text: str) -> Plot:
    """Make the files of a figure; the same figure gives the same bytes.

    Args:
        figure: The figure.
        name: Of the files.
        title: What it shows.
        text: What it says, for those who cannot see it.
    """
    import matplotlib as mpl

    svg, png = io.BytesIO(), io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": name, "svg.fonttype": "path"}):
        figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    figure.savefig(png, format="png", dpi=150, metadata={"Software": None})
    return Plot(name, title, f"{title}. {text}.", svg.getvalue(), png.getvalue())
