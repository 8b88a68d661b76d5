"""What the export supports, as a table for its README: taken from the tables that the code itself goes by."""

from collections.abc import Iterable

from setfuse.runtime import Precision

from ._families import ACTIVATIONS, FAMILIES
from ._fuse import FILES, TARGETS
from ._heads import supported_heads
from ._modules import DenseActivation, PoolingMode, supported_modules


def supported_tables() -> str:
    """Write the tables in Markdown."""
    lines = [
        "| of the body | supported |",
        "|---|---|",
        _row("encoder (`model_type`)", FAMILIES),
        _row("its activation", ACTIVATIONS),
        _row("module after the encoder", supported_modules()),
        _row("pooling, one or several", PoolingMode),
        _row("activation of Dense", DenseActivation),
    ]
    lines += ["", "| head | written as | gives |", "|---|---|---|"]
    lines += [f"| {' | '.join(row)} |" for row in supported_heads()]
    lines += ["", "| precision | for | file |", "|---|---|---|"]
    lines += [f"| {precision} | {TARGETS[precision]} | `{FILES[precision]}` |" for precision in Precision]
    return "\n".join(lines)


def _row(what: str, names: Iterable[str]) -> str:
    return f"| {what} | {', '.join(names)} |"
