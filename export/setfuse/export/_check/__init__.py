"""`check`: any ONNX graph against a checkpoint, and why the two differ."""

from ._cli import add_check, run_check
from ._report import CheckedOutput, CheckReport, Reason
from ._run import check

__all__ = ["CheckReport", "CheckedOutput", "Reason", "add_check", "check", "run_check"]
