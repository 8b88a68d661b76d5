"""Every error of the export stage.

SetfuseError (setfuse.runtime)
└── ExportError
    ├── CheckpointError           the folder is no checkpoint, or a file in it is damaged
    ├── UnsupportedCheckpoint     a sound checkpoint, with an architecture, module or head that is not supported yet
    └── ParityError               the graph does not answer as the torch checkpoint does; no bundle was written
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
