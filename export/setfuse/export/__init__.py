"""The export: a checkpoint folder in, a bundle folder with one fused ONNX graph a precision out."""

from setfuse.runtime import require_extra

require_extra("export", needed_by="setfuse.export")

from ._check import CheckedOutput, CheckReport, Reason, check  # noqa: E402 - only once the extra is known to be there
from ._checkpoint import Checkpoint, read_checkpoint  # noqa: E402
from ._errors import CheckpointError, ExportError, GraphError, ParityError, UnsupportedCheckpoint  # noqa: E402
from ._export import export  # noqa: E402
from ._inspect import GraphInspection, Inspection, inspect  # noqa: E402
from ._packed import write_packed_graph  # noqa: E402
from ._triton import write_triton_repository  # noqa: E402

__all__ = [
    "CheckReport",
    "CheckedOutput",
    "Checkpoint",
    "CheckpointError",
    "ExportError",
    "GraphError",
    "GraphInspection",
    "Inspection",
    "ParityError",
    "Reason",
    "UnsupportedCheckpoint",
    "check",
    "export",
    "inspect",
    "read_checkpoint",
    "write_packed_graph",
    "write_triton_repository",
]
