"""The export: a checkpoint folder in, a bundle folder with one fused ONNX graph a precision out."""

from setfuse.runtime import require_extra

require_extra("export", needed_by="setfuse.export")

from ._checkpoint import Checkpoint, read_checkpoint  # noqa: E402 - only once the extra is known to be there
from ._errors import CheckpointError, ExportError, ParityError, UnsupportedCheckpoint  # noqa: E402
from ._export import export  # noqa: E402
from ._triton import write_triton_repository  # noqa: E402

__all__ = [
    "Checkpoint",
    "CheckpointError",
    "ExportError",
    "ParityError",
    "UnsupportedCheckpoint",
    "export",
    "read_checkpoint",
    "write_triton_repository",
]
