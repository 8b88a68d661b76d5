"""The subcommand `inspect`: its arguments, and what was found as text."""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from setfuse.runtime import Tensor

from ._parts import ModelPart
from ._picture import draw, megabytes, operations
from ._run import GraphInspection, inspect


def add_inspect(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("bundle", metavar="BUNDLE", help="a folder that setfuse export wrote, or any ONNX file")
    parser.add_argument("--variant", metavar="NAME", help="one graph of it, such as fp32 or int8/cpu; default: all")
    parser.add_argument("--picture", metavar="FILE.svg", help="draw the graphs into this file")
    parser.add_argument("--json", action="store_true", help="all of it as one JSON document")


def run_inspect(options: argparse.Namespace) -> None:
    """Inspect and print.

    Raises:
        OSError: The picture cannot be written.
    """
    inspection = inspect(options.bundle, variant=options.variant)
    if options.picture:
        Path(options.picture).write_text(draw(inspection), encoding="utf-8")
    if options.json:
        sys.stdout.write(json.dumps(inspection.to_json(), ensure_ascii=False) + "\n")
        return
    sys.stdout.write("\n\n".join("\n".join(_lines(graph)) for graph in inspection.graphs) + "\n")


def _lines(graph: GraphInspection) -> list[str]:
    name = f"{graph.file}  {graph.variant}".strip()
    opsets = ", ".join(f"{domain} {version}" for domain, version in graph.opsets.items())
    lines = [
        f"{name}: {megabytes(graph.bytes)}, opset {opsets}, IR {graph.ir_version}, by {graph.producer or 'unknown'}",
        f"  inputs      {_tensors(graph.inputs)}",
        f"  outputs     {_tensors(graph.outputs)}",
        f"  weights     {', '.join(f'{megabytes(size)} {dtype}' for dtype, size in graph.dtypes.items())}",
    ]
    if graph.metadata:
        lines.append(f"  metadata    {', '.join(f'{key} = {value}' for key, value in graph.metadata.items())}")
    lines += _cost_lines(graph)
    lines += ["  parts"]
    total = sum(graph.bytes_by_part.values())
    for part in ModelPart:
        sections = [section for section in graph.sections if section.part is part]
        size = sum(section.bytes for section in sections)
        nodes = sum(sum(section.operators.values()) for section in sections)
        if sections:
            share = size / total if total else 0
            lines.append(f"    {part:<26}{megabytes(size):>10}{share:>7.1%}{nodes:>6} nodes")
    lines.append(f"  as written  {_operators(graph.operators)}")
    if graph.operators_run is None:
        lines.append(f"  as run      {graph.refusal}")
    else:
        lines.append(f"  as run      {_operators(graph.operators_run)}")
    return lines


def _cost_lines(graph: GraphInspection) -> list[str]:
    cost = graph.multiply_adds
    if cost is None:
        return ["  multiply-adds  not counted: the graph does not run on token ids of any length"]
    at = ", ".join(f"{operations(cost.of(length))} at {length} tokens" for length in graph.lengths)
    pair, text = operations(cost.per_pair), operations(cost.per_text)
    return [f"  multiply-adds  {operations(cost.per_token)} a token, {pair} a pair of tokens, {text} a text: {at}"]


def _operators(counts: Mapping[str, int]) -> str:
    return f"{sum(counts.values())} nodes: " + ", ".join(f"{count} {name}" for name, count in counts.items())


def _tensors(tensors: Sequence[Tensor]) -> str:
    return ", ".join(f"{one.name} {one.dtype} {list(one.shape)}" for one in tensors)
