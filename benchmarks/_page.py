"""A run as one HTML page: everything inside, so that it opens from disk, without a server or network."""

import base64
import json
from collections.abc import Sequence
from html import escape

from ._canvas import Plot
from ._document import Cell, Line, Section, Table
from ._results import Results
from ._sections import opening, sections, title

# The browser itself is told to load nothing from anywhere.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1b1b; --paper: #fff; --quiet: #595959; --rule: #d5d5d5; --stripe: #f5f6f8;
  --ours: #005a92; --warn: #fff4d6; --edge: #d39b00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8e8; --paper: #16181c; --quiet: #aeb4bd; --rule: #3a3f47;
  --stripe: #1f2329; --ours: #7cc4ff; --warn: #3a2f10; --edge: #d39b00; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 78rem; color: var(--ink); background: var(--paper);
  font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.25; } h2 { margin-top: 2.5rem; border-bottom: 1px solid var(--rule); }
a { color: var(--ours); } nav a { margin-right: .9rem; display: inline-block; }
.warnings { background: var(--warn); border-left: .4rem solid var(--edge); padding: .5rem 1rem; }
.wide { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; overflow-wrap: normal; }
caption { text-align: left; color: var(--quiet); padding-bottom: .3rem; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid var(--rule); text-align: right; vertical-align: top; }
th[scope=row], .words { text-align: left; } td { white-space: nowrap; }
td.words { white-space: normal; min-width: 9rem; }
thead th { vertical-align: bottom; } thead button { font: inherit; font-weight: bold; color: inherit; background: none;
  border: 0; padding: 0; cursor: pointer; text-align: inherit; }
th[aria-sort=ascending] button::after { content: " \\25B2"; }
th[aria-sort=descending] button::after { content: " \\25BC"; }
tbody tr:nth-child(even) { background: var(--stripe); }
tr.ours th, tr.ours td { font-weight: bold; color: var(--ours); }
th[scope=row] { font-weight: normal; position: sticky; left: 0; background: var(--paper); min-width: 8.5rem;
  max-width: 14rem; }
tbody tr:nth-child(even) th { background: var(--stripe); }
s { color: var(--quiet); }
figure { margin: 1.5rem 0; } figure img { width: 100%; height: auto; background: #fff; border-radius: .3rem; }
fieldset { border: 1px solid var(--rule); } fieldset label { display: inline-block; margin-right: 1rem; }
[hidden] { display: none; }
"""

# Without it the page has all figures too: it sorts tables and hides rows.
_SCRIPT = """
"use strict";
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  const before = [...body.rows];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.title = "sort";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const order = { ascending: "descending", descending: "none" }[head.getAttribute("aria-sort")] || "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      if (order === "none") { body.append(...before); return; }
      head.setAttribute("aria-sort", order);
      const key = (row) => row.cells[column].dataset.value;
      const compare = (a, b) => key(a) !== undefined && key(b) !== undefined ? key(a) - key(b)
        : row_text(a).localeCompare(row_text(b));
      const row_text = (row) => row.cells[column].textContent;
      const known = before.filter((row) => row_text(row) !== "-").sort(compare);
      if (order === "descending") known.reverse();
      body.append(...known, ...before.filter((row) => row_text(row) === "-"));
    });
  });
}
const choice = document.getElementById("choice");
if (choice) {
  choice.hidden = false;
  choice.addEventListener("change", (event) => {
    for (const row of document.querySelectorAll("tr[data-contender]")) {
      if (row.dataset.contender === event.target.value) row.hidden = !event.target.checked;
    }
  });
}
"""


def page(results: Results, plots: Sequence[Plot]) -> str:
    """Write the page.

    Args:
        results: The run; the whole of it is in the page, to be downloaded as JSON.
        plots: What was drawn of it.
    """
    drawn = {plot.name: plot for plot in plots}
    parts = sections(results)
    heading = escape(title(results))
    names = {entrant.contender for entrant in results.contenders}
    body = "\n".join(_section(part, drawn, names) for part in parts)
    return f"""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<title>{heading}</title>
<style>{_STYLE}</style>
</head>
<body>
<header>
<h1>{heading}</h1>
<p>{escape(opening(results))}</p>
{_warnings(results)}
<nav aria-label="Sections">{"".join(_link(part) for part in parts)}</nav>
<p><a download="results.json" href="{_data(_json(results), "application/json")}">All figures as JSON</a></p>
{_choice(results)}
</header>
<main>
{body}
</main>
<script>{_SCRIPT}</script>
</body>
</html>
"""


def _section(section: Section, drawn: dict[str, Plot], names: set[str]) -> str:
    text = "\n".join(f"<p>{escape(paragraph)}</p>" for paragraph in section.text)
    tables = "\n".join(_table(table, names) for table in section.tables)
    figures = "\n".join(_figure(drawn[name]) for name in section.plots if name in drawn)
    return (
        f'<section id="{_anchor(section)}">\n<h2>{escape(section.title)}</h2>\n{text}\n{tables}\n{figures}\n</section>'
    )


def _figure(plot: Plot) -> str:
    source = _data(plot.svg, "image/svg+xml")
    return f'<figure><img alt="{escape(plot.alt)}" src="{source}"></figure>'


def _table(table: Table, names: set[str]) -> str:
    wordy = [any(_is_words(line.cells[index]) for line in table.lines) for index in range(len(table.columns) - 1)]
    heads = [
        f'<th scope="col"{_words_class(words)}>{escape(column)}</th>'
        for column, words in zip(table.columns, [True, *wordy], strict=True)
    ]
    rows = "\n".join(_row(line, wordy, names) for line in table.lines)
    caption = escape(table.caption)
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{caption}">\n<table class="sortable">\n'
        f"<caption>{caption}</caption>\n<thead><tr>{''.join(heads)}</tr></thead>\n"
        f"<tbody>\n{rows}\n</tbody>\n</table>\n</div>"
    )


def _row(line: Line, wordy: Sequence[bool], names: set[str]) -> str:
    cells = "".join(_cell(cell, words=words) for cell, words in zip(line.cells, wordy, strict=True))
    contender = f' data-contender="{escape(line.head)}"' if line.head in names else ""
    mark = ' class="ours"' if line.ours else ""
    return f'<tr{contender}{mark}><th scope="row">{escape(line.head)}</th>{cells}</tr>'


def _cell(cell: Cell, *, words: bool) -> str:
    value = "" if cell.value is None else f' data-value="{float(cell.value)!r}"'
    text = f"<s>{escape(cell.text)}</s>" if cell.struck else escape(cell.text)
    return f"<td{_words_class(words)}{value}>{text}</td>"


def _is_words(cell: Cell) -> bool:
    return cell.value is None and cell.text != "-"


def _words_class(words: bool) -> str:
    return ' class="words"' if words else ""


def _warnings(results: Results) -> str:
    if not results.warnings:
        return ""
    items = "".join(f"<li>{escape(warning)}</li>" for warning in results.warnings)
    return f'<div class="warnings" role="note"><strong>Before believing the figures:</strong><ul>{items}</ul></div>'


def _choice(results: Results) -> str:
    """Write the boxes that hide contenders; without a script they would do nothing, so they are hidden then."""
    names = [escape(entrant.contender) for entrant in results.contenders]
    boxes = "".join(f'<label><input type="checkbox" checked value="{name}"> {name}</label>' for name in names)
    return f'<fieldset id="choice" hidden><legend>Rows shown in the tables</legend>{boxes}</fieldset>'


def _anchor(section: Section) -> str:
    return section.title.casefold().replace(" ", "-")


def _link(section: Section) -> str:
    return f'<a href="#{_anchor(section)}">{escape(section.title)}</a>'


def _json(results: Results) -> bytes:
    return json.dumps(results.to_json(), ensure_ascii=False, separators=(",", ":")).encode()


def _data(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
