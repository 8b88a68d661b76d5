"""Heads: read from a checkpoint, known as a formula, written into the graph."""

from ._estimators import supported_heads
from ._head import Head
from ._read import read_head
from ._write import add_head

__all__ = ["Head", "add_head", "read_head", "supported_heads"]
