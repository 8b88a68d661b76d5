"""Draw a bundle's graphs as one SVG: a column a graph, a block a part, alike layers as one block."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from setfuse.runtime import Tensor

from ._cost import NONE, MultiplyAdds
from ._parts import ModelPart
from ._run import GraphInspection, Inspection, Section

_WIDTH = 520
_GAP = 28
_MARGIN = 24
_LINE = 17
_HEADER = 74
_BAR = 130

_SMALL = 1_000
"""Bytes: constants of fewer that no operator stands beside are not drawn."""

_NORMALIZE = {"ReduceL2", "Max", "Clip", "Div", "Shape", "Expand", "Identity"}
"""What scaling to unit length is written with."""

_COLOURS = {
    ModelPart.TOKENIZER: "#4f6d7a",
    ModelPart.EMBEDDINGS: "#3b7dd8",
    ModelPart.ATTENTION: "#c2571a",
    ModelPart.FEED_FORWARD: "#2a8f6d",
    ModelPart.NORMS: "#8a8f98",
    ModelPart.POOLING: "#7a5bc7",
    ModelPart.MODULES: "#b0458c",
    ModelPart.HEAD: "#b8860b",
    ModelPart.OTHER: "#8a8f98",
}

# Plain rules, no variables: programs other than browsers draw SVG too.
_STYLE = """
text { font-family: system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; font-size: 12px; }
.page { fill: #ffffff; }
.block { fill: #f5f6f8; stroke: #d4d8de; }
.pill { fill: #ffffff; stroke: #d4d8de; }
.bar { fill: #dfe3e8; }
.wire { stroke: #59636e; stroke-width: 1.5; fill: none; }
.tip { fill: #59636e; }
.text { fill: #1c2128; }
.quiet { fill: #59636e; font-size: 11px; }
.title { font-size: 16px; font-weight: 600; }
.name { font-size: 13px; font-weight: 600; }
@media (prefers-color-scheme: dark) {
.page { fill: #14181d; }
.block { fill: #1f252c; stroke: #3a424c; }
.pill { fill: #14181d; stroke: #3a424c; }
.bar { fill: #3a424c; }
.wire { stroke: #9aa5b1; }
.tip { fill: #9aa5b1; }
.text { fill: #e8ebef; }
.quiet { fill: #9aa5b1; }
}
"""


@dataclass(frozen=True, slots=True)
class _Scale:
    """What the bars are shares of.

    Attributes:
        bytes: Of all constants.
        multiply_adds: Of the whole graph; 0 if they could not be counted.
        length: Tokens that they are counted at.
    """

    bytes: int
    multiply_adds: int
    length: int


@dataclass(frozen=True, slots=True)
class _Row:
    """One part inside a block.

    Attributes:
        part: Which.
        operators: Of one layer.
        bytes: Of all the layers that the block stands for.
        multiply_adds: Of all of them.
    """

    part: ModelPart
    operators: Counter[str]
    bytes: int
    multiply_adds: MultiplyAdds


@dataclass(frozen=True, slots=True)
class _Block:
    """What is drawn as one box.

    Attributes:
        title: What it is called.
        rows: Its parts.
    """

    title: str
    rows: tuple[_Row, ...]


def draw(inspection: Inspection) -> str:
    """Draw the graphs side by side.

    Returns:
        An SVG document that needs no other file and follows the reader's light or dark scheme.
    """
    columns = [_column(graph, _MARGIN + place * (_WIDTH + _GAP)) for place, graph in enumerate(inspection.graphs)]
    width = 2 * _MARGIN + len(columns) * _WIDTH + (len(columns) - 1) * _GAP
    height = max(bottom for _, bottom in columns) + _MARGIN
    body = "\n".join(line for lines, _ in columns for line in lines)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="{_safe("The graphs of " + inspection.path)}">\n<style>{_STYLE}</style>\n'
        f'<rect class="page" width="{width}" height="{height}"/>\n{body}\n</svg>\n'
    )


def blocks_of(graph: GraphInspection) -> list[_Block]:
    """Put the parts together to blocks, neighbouring layers that are alike to one."""
    before = _outside(graph, (ModelPart.TOKENIZER, ModelPart.EMBEDDINGS, ModelPart.ATTENTION))
    after = _outside(graph, (ModelPart.POOLING, ModelPart.MODULES, ModelPart.HEAD))
    rest = _outside(graph, (ModelPart.FEED_FORWARD, ModelPart.NORMS, ModelPart.OTHER))
    layers: dict[int, list[Section]] = {}
    for section in graph.sections:
        if section.layer is not None:
            layers.setdefault(section.layer, []).append(section)
    alike: list[list[int]] = []
    for number in sorted(layers):
        same = alike and _are_alike(layers[alike[-1][0]], layers[number])
        alike[-1].append(number) if same else alike.append([number])
    middle = [_layers_block([layers[number] for number in run], run, len(layers)) for run in alike]
    return [*before, *middle, *after, *rest]


def _outside(graph: GraphInspection, parts: Sequence[ModelPart]) -> list[_Block]:
    """Give a block to each part outside of the layers, but for a few numbers (shapes) that several layers share."""
    return [
        _Block(_title(section), (_row([section]),))
        for section in graph.sections
        if section.layer is None and section.part in parts and (section.operators or section.bytes >= _SMALL)
    ]


def _title(section: Section) -> str:
    """Name a part outside of the layers after what is in it, in no more letters than there is room for."""
    operators = section.operators.keys()
    if not operators:
        return "shared constants"
    if section.part is ModelPart.ATTENTION:  # a mask chooses between two numbers, relative positions are a table's rows
        holds = [name for operator, name in (("Where", "mask"), ("Gather", "positions")) if operator in operators]
        return " and ".join(holds) or "shared by the layers"
    if section.part is ModelPart.MODULES and "ReduceL2" in operators and operators <= _NORMALIZE:
        return "normalize"
    if section.part is ModelPart.OTHER and "Loop" in operators:
        return "loop over the texts"
    return str(section.part)


def _row(sections: Sequence[Section]) -> _Row:
    """Put the same part of alike layers into one row, with the operators of the first."""
    cost = sum((section.multiply_adds or NONE for section in sections), NONE)
    total = sum(section.bytes for section in sections)
    return _Row(sections[0].part, Counter(sections[0].operators), total, cost)


def _are_alike(first: Sequence[Section], other: Sequence[Section]) -> bool:
    """Tell whether two layers compute alike, with weights of their own or with the first one's (ALBERT)."""
    if [(one.part, one.multiply_adds) for one in first] != [(one.part, one.multiply_adds) for one in other]:
        return False
    # What a first layer makes for all that follow (shapes, masks) does not make it another kind of layer.
    sizes = [[one.parameters // 256 for one in sections] for sections in (first, other)]
    return sizes[0] == sizes[1] or not any(sizes[1])


def _layers_block(layers: Sequence[Sequence[Section]], run: Sequence[int], count: int) -> _Block:
    rows = tuple(_row(sections) for sections in zip(*layers, strict=True))
    if len(run) == 1:
        return _Block(f"layer {run[0] + 1} of {count}", rows)
    shared = any(not sum(section.bytes for section in sections) for sections in layers)
    weights = ", with shared weights" if shared else ""
    return _Block(f"layers {run[0] + 1} to {run[-1] + 1}: {len(run)} alike{weights}, operators of one of them", rows)


def _column(graph: GraphInspection, left: int) -> tuple[list[str], int]:
    length = next((one for one in graph.lengths if one >= 128), graph.lengths[-1])  # noqa: PLR2004 - a usual length
    scale = _Scale(
        bytes=sum(section.bytes for section in graph.sections),
        multiply_adds=graph.multiply_adds.of(length) if graph.multiply_adds else 0,
        length=length,
    )
    bars = f"bars: share of {megabytes(scale.bytes)}"
    if scale.multiply_adds:
        bars += f", and of {operations(scale.multiply_adds)} multiply-adds at {length} tokens"
    lines = [
        _text(left, _MARGIN + 14, f"{graph.file}  {graph.variant}", "text title"),
        _text(left, _MARGIN + 36, _summary(graph), "quiet"),
        _text(left, _MARGIN + 54, bars, "quiet"),
    ]
    y = _MARGIN + _HEADER
    lines += _pill(left, y, _interface(graph.inputs))
    y += 30
    for block in blocks_of(graph):
        lines += _arrow(left, y)
        y += 20
        drawn, y = _draw_block(block, left, y, scale)
        lines += drawn
    lines += _arrow(left, y)
    lines += _pill(left, y + 20, _interface(graph.outputs))
    return lines, y + 50


def _draw_block(block: _Block, left: int, top: int, scale: _Scale) -> tuple[list[str], int]:
    single = len(block.rows) == 1
    height = (0 if single else 26) + sum(_row_height(row) for row in block.rows) + 8
    lines = [f'<rect class="block" x="{left}" y="{top}" width="{_WIDTH}" height="{height}" rx="8"/>']
    y = top + 4
    if not single:
        lines.append(_text(left + 14, y + 17, block.title, "text name"))
        y += 26
    for row in block.rows:
        name = block.title if single else str(row.part)
        cost, colour = row.multiply_adds.of(scale.length), _COLOURS[row.part]
        lines.append(
            f'<rect x="{left + 6}" y="{y + 3}" width="4" height="{_row_height(row) - 6}" rx="2" fill="{colour}"/>'
        )
        lines.append(_text(left + 18, y + 16, name, "text name" if single else "text"))
        right = left + _WIDTH - _BAR - 14
        if row.bytes:
            lines += _bar(right - _BAR - 16, y + 11, row.bytes / (scale.bytes or 1), megabytes(row.bytes), colour)
        if cost:
            lines += _bar(right, y + 11, cost / scale.multiply_adds, operations(cost), colour)
        for number, line in enumerate(_operator_lines(row.operators)):
            lines.append(_text(left + 18, y + 41 + number * _LINE, line, "quiet"))
        y += _row_height(row)
    return lines, top + height


def _row_height(row: _Row) -> int:
    return 34 + _LINE * len(_operator_lines(row.operators))


def _operator_lines(operators: Counter[str]) -> list[str]:
    """List operators, the most frequent first, in lines that fit."""
    lines: list[str] = []
    for name, count in operators.most_common():
        short = f"{count} {name.rpartition('.')[2]}"
        if lines and len(lines[-1]) + len(short) < 80:  # noqa: PLR2004 - letters in a line
            lines[-1] += f" · {short}"
        else:
            lines.append(short)
    return lines


def _bar(x: int, y: int, share: float, label: str, colour: str) -> list[str]:
    percent = "< 1%" if 0 < share < 0.005 else f"{share:.0%}"  # noqa: PLR2004 - would be rounded to none
    return [
        f'<rect class="bar" x="{x}" y="{y + 9}" width="{_BAR}" height="4" rx="2"/>',
        f'<rect x="{x}" y="{y + 9}" width="{share * _BAR:.1f}" height="4" rx="2" fill="{colour}"/>',
        _text(x, y + 4, label, "quiet"),
        _text(x + _BAR, y + 4, percent, "quiet", anchor="end"),
    ]


def _pill(left: int, top: int, label: str) -> list[str]:
    return [
        f'<rect class="pill" x="{left}" y="{top}" width="{_WIDTH}" height="30" rx="15"/>',
        _text(left + _WIDTH // 2, top + 19, label if len(label) < 90 else label[:87] + "...", "text", anchor="middle"),  # noqa: PLR2004
    ]


def _arrow(left: int, top: int) -> list[str]:
    x = left + _WIDTH // 2
    return [
        f'<path class="wire" d="M{x} {top} V{top + 14}"/>',
        f'<path class="tip" d="M{x - 4} {top + 13} h8 l-4 6 z"/>',
    ]


def _text(x: int, y: int, content: str, style: str, *, anchor: str = "start") -> str:
    return f'<text x="{x}" y="{y}" class="{style}" text-anchor="{anchor}">{_safe(content)}</text>'


def _safe(content: str) -> str:
    return escape("".join(letter for letter in content if letter.isprintable()))


def _summary(graph: GraphInspection) -> str:
    run = "" if graph.operators_run is None else f", {sum(graph.operators_run.values())} as onnxruntime runs them"
    weights = " + ".join(f"{megabytes(size)} {dtype}" for dtype, size in graph.dtypes.items() if size >= 10_000)  # noqa: PLR2004
    return f"{megabytes(graph.bytes)}{f': {weights}' if weights else ''} · {sum(graph.operators.values())} nodes{run}"


def _interface(tensors: Sequence[Tensor]) -> str:
    return " · ".join(f"{one.name} ({', '.join(str(axis) for axis in one.shape)})" for one in tensors)


def megabytes(count: int) -> str:
    """Give a number of bytes as people read it."""
    for unit, size in (("MB", 1_000_000), ("kB", 1_000)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} B"


def operations(count: int) -> str:
    """Give a number of multiply-adds as people read it."""
    for unit, size in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return str(count)
