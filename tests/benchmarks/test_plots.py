"""The plots of a run: files that open, the same for the same run, with everyone in them and labels that can be read."""

import dataclasses
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from benchmarks._canvas import Plot, make_styles
from benchmarks._labels import Box, place, spread
from benchmarks._plots import draw
from benchmarks._reading import Run
from benchmarks._results import Results
from tests.benchmarks.results_fixture import HANGS, LARGE, ODD, SMALL, WRONG, drawn, make_results

NAMES = ("latency", "accuracy", "distribution", "throughput")


@pytest.fixture(scope="module")
def results() -> Results:
    return make_results()


@pytest.fixture(scope="module")
def plots() -> tuple[Plot, ...]:
    return drawn()


def drawn_texts(results: Results, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Give every text of each plot that can be seen."""
    from matplotlib.figure import Figure
    from matplotlib.text import Text

    found: list[list[str]] = []

    def keep(figure: Figure, _: object, **kwargs: object) -> None:
        if kwargs["format"] == "png":
            found.append([text.get_text() for text in figure.findobj(Text) if isinstance(text, Text)])

    monkeypatch.setattr(Figure, "savefig", keep)
    return dict(zip([plot.name for plot in draw(results)], found, strict=True))


def test_all_four_are_drawn_as_svg_and_png(plots: tuple[Plot, ...]) -> None:
    assert tuple(plot.name for plot in plots) == NAMES
    for plot in plots:
        assert plot.png.startswith(b"\x89PNG\r\n\x1a\n")
        assert ET.fromstring(plot.svg).tag == "{http://www.w3.org/2000/svg}svg"  # noqa: S314  our own drawing
        assert plot.title in plot.alt


def test_the_same_run_gives_the_same_bytes_without_a_date(results: Results, plots: tuple[Plot, ...]) -> None:
    for first, second in zip(plots, draw(results), strict=True):
        assert first == second
        assert b"dc:date" not in first.svg
        assert b"Software" not in first.png


def test_everyone_who_ran_is_in_every_plot_and_the_others_are_named_below(
    results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = drawn_texts(results, monkeypatch)

    assert tuple(texts) == NAMES
    for name, found in texts.items():
        for contender, *_ in SMALL:
            # Of those without an accuracy there is no point in that plot: the line below says so.
            missing = contender == HANGS or (name == "accuracy" and contender == "tied")
            if missing:
                assert any(re.search(rf"Not drawn: .*{contender}", " ".join(text.split())) for text in found)
            else:
                assert any(text.startswith(contender) for text in found), (name, contender)
        assert any(text.startswith(f"{WRONG} (struck out)") for text in found)
        assert any("AMD EPYC" in text and "2026-11-24" in text for text in found)


def test_without_accuracies_the_labels_shared_with_torch_are_drawn(
    results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    contenders = tuple(dataclasses.replace(entrant, accuracy=None) for entrant in results.contenders)
    texts = drawn_texts(dataclasses.replace(results, contenders=contenders, throughput=()), monkeypatch)

    assert "share of torch's labels" in texts["accuracy"]
    assert "accuracy" not in texts["accuracy"]


@pytest.mark.parametrize(
    ("kept", "expected"),
    [
        ({"rows"}, ("latency", "accuracy", "distribution")),
        ({"throughput"}, ("throughput",)),
        ({"footprint"}, ()),
    ],
    ids=["latency-only", "throughput-only", "footprint-only"],
)
def test_what_was_not_measured_is_not_drawn(results: Results, kept: set[str], expected: tuple[str, ...]) -> None:
    empty = {name: () for name in ("rows", "throughput", "footprint") if name not in kept}

    assert tuple(plot.name for plot in draw(dataclasses.replace(results, **empty))) == expected  # type: ignore[arg-type]


def test_one_contender_one_length_and_one_number_of_threads_are_enough(results: Results) -> None:
    one = dataclasses.replace(
        results,
        contenders=results.contenders[:1],
        rows=tuple(row for row in results.rows if row.contender == "setfuse fp32" and row.case == "1 x 16"),
        throughput=tuple(row for row in results.throughput if row.contender == "setfuse fp32" and row.threads == 1),
    )

    assert tuple(plot.name for plot in draw(one)) == ("latency", "accuracy", "throughput")


def test_dollars_and_odd_names_are_drawn_as_they_are(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = "$x_1$ {y} \\frac"
    contenders = (dataclasses.replace(results.contenders[0], contender=odd, reference=odd), *results.contenders[1:])
    rows = tuple(
        dataclasses.replace(row, contender=odd) if row.contender == "setfuse fp32" else row for row in results.rows
    )
    changed = dataclasses.replace(results, contenders=contenders, rows=rows, throughput=())

    assert len(draw(changed)) == 3
    assert any(ODD in text for text in drawn_texts(changed, monkeypatch)["latency"])


def test_setfuse_stands_out_and_what_is_struck_out_is_faint() -> None:
    run = Run(make_results(LARGE))
    styles = make_styles(run)
    others = [style for name, style in styles.items() if name not in run.ours]

    assert run.ours == {"setfuse fp32", "setfuse int8"}
    for name in run.ours:
        assert styles[name].width > 2 * max(other.width for other in others)
        assert styles[name].order > max(other.order for other in others)
        assert styles[name].color not in {other.color for other in others}
    assert styles["onnxruntime dynamic int8"].marker == "x"
    assert len({(style.color, style.marker, str(style.line)) for style in styles.values()}) == len(styles)


def test_a_point_has_its_contenders_figures(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.figure import Figure

    kept: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, _, **__: kept.append(figure))
    draw(results)
    lines = kept[0].axes[0].get_lines()
    expected = [row.p50_ms for row in results.rows if row.contender == "setfuse fp32" and row.kind == "length"]

    assert np.asarray(lines[0].get_xdata()).tolist() == [8, 16, 32, 64, 128, 256]
    assert np.asarray(lines[0].get_ydata()).tolist() == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(5))
def test_labels_at_line_ends_keep_their_order_and_distance(seed: int) -> None:
    wanted = np.random.default_rng(seed).normal(0.5, 0.05, 20).tolist()
    placed = spread(wanted, 0.03, 0.0, 1.0)

    assert np.argsort(placed).tolist() == np.argsort(wanted).tolist()
    assert np.diff(np.sort(placed)).min() >= 0.03 - 1e-9
    assert 0 <= min(placed) <= max(placed) <= 1
    assert np.mean(placed) == pytest.approx(np.mean(wanted), abs=1e-9), "moved as little as can be: no drift"


def test_labels_that_are_far_apart_stay_and_too_many_share_the_room() -> None:
    assert spread([0.9, 0.1, 0.5], 0.03, 0.0, 1.0) == pytest.approx([0.9, 0.1, 0.5])
    assert spread([], 0.1, 0.0, 1.0) == []
    assert spread([2.0], 0.1, 0.0, 1.0) == [1.0]
    assert sorted(spread([0.5] * 11, 0.5, 0.0, 1.0)) == pytest.approx(np.linspace(0, 1, 11).tolist())


@pytest.mark.parametrize("seed", range(2))
def test_labels_of_points_in_a_row_do_not_cover_each_other(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = [(float(x), 200.0) for x in rng.uniform(100, 600, 18)]
    sizes = [(float(width), 11.0) for width in rng.uniform(40, 150, 18)]

    boxes = place(points, sizes, Box(0, 0, 700, 400))

    for index, box in enumerate(boxes):
        assert (box.width, box.height) == sizes[index]
        assert box.left >= 0
        assert box.left + box.width <= 700
        for other in boxes[:index]:
            across = min(box.left + box.width, other.left + other.width) - max(box.left, other.left)
            up = min(box.bottom + box.height, other.bottom + other.height) - max(box.bottom, other.bottom)
            assert min(across, up) <= 0
