"""`inspect`: what a bundle's graphs are made of, in numbers and as a picture."""

from ._cli import add_inspect, run_inspect
from ._run import GraphInspection, Inspection, inspect

__all__ = ["GraphInspection", "Inspection", "add_inspect", "inspect", "run_inspect"]
