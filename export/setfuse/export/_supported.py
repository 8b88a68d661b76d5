"""What the export supports, as a table for its README: taken from the tables that the code itself goes by."""

from collections.abc import Iterable

from setfuse.runtime import Precision

from ._families import ACTIVATIONS, FAMILIES
from ._fuse import FILES, TARGETS
from ._heads import supported_heads
from ._modules import DenseActivation, PoolingMode, supported_modules


def supported_tables() -> str:
    """Write the tables in Markdown."""
    parts: list[tuple[str, Iterable[str]]] = [
        ("encoder (`model_type`)", FAMILIES),
        ("its activation", ACTIVATIONS),
        ("module after the encoder", supported_modules()),
        ("pooling, one or several", PoolingMode),
        ("activation of Dense", DenseActivation),
    ]
    lines = ["| of the body | supported |", "|---|---|"]
    lines += [f"| {what} | {', '.join(names)} |" for what, names in parts]
    lines += ["", "| head | written as | gives |", "|---|---|---|"]
    lines += [f"| {' | '.join(row)} |" for row in supported_heads()]
    lines += ["", "| precision | for | file |", "|---|---|---|"]
    lines += [f"| {precision} | {TARGETS[precision]} | `{FILES[precision]}` |" for precision in Precision]
    return "\n".join(lines)
