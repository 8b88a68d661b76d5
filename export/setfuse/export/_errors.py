"""Every error of the export stage.

SetfuseError (setfuse.runtime)
└── ExportError
    ├── CheckpointError           the folder is no checkpoint, or a file in it is damaged
    ├── UnsupportedCheckpoint     a sound checkpoint, with an architecture, module or head that is not supported yet
    ├── ParityError               a graph does not answer as the torch checkpoint does
    └── GraphError                a file is no ONNX graph that can be checked or inspected; exit status 2
"""

from setfuse.runtime import SetfuseError


class ExportError(SetfuseError):
    """Base of the export stage's errors."""


class CheckpointError(ExportError):
    """The folder is no checkpoint, or a file in it is missing or damaged."""


class UnsupportedCheckpoint(ExportError):
    """The checkpoint has an architecture, module, activation or head that is not supported yet."""


class ParityError(ExportError):
    """The graph does not answer as the torch checkpoint does."""


class GraphError(ExportError):
    """The file is no ONNX graph, or not one whose inputs and outputs can be understood."""

    # As cmp and diff have it: 1 says that two things differ, 2 that they could not be compared.
    exit_status = 2
