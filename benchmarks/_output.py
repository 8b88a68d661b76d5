"""Everything that is written of a run, besides its results: the report, the page, the plots."""

from pathlib import Path

from ._files import whole_file
from ._page import page
from ._plots import draw
from ._report import markdown
from ._results import Results


def write_report(results: Results, out: Path) -> None:
    """Write `report.md`, `report.html` and the plots, as PNG and SVG, into a folder.

    Args:
        results: The run.
        out: The folder; made if need be. Of an older report, the plots that this run has no figures for stay.
    """
    plots = draw(results)
    files = {"report.md": markdown(results, plots).encode(), "report.html": page(results, plots).encode()}
    for plot in plots:
        files |= {f"{plot.name}.png": plot.png, f"{plot.name}.svg": plot.svg}
    for name, content in files.items():
        with whole_file(out / name) as partial:
            partial.write_bytes(content)
