"""Every error of the training stage.

SetfuseError (setfuse.runtime)
├── UsageError (setfuse.runtime)      a hyperparameter is out of its range
├── DatasetError (setfuse.runtime)    the rows cannot be trained on
└── TrainingError
    ├── BaseModelNotFound             the base model is no folder and cannot be had from the Hub
    ├── TrainingDiverged              the loss, a gradient or a weight is no longer a number
    ├── OutOfMemory                   a step, the head or the embedding needs more memory than there is
    ├── RunNotSaved                   a checkpoint, of the run or at its end, cannot be written
    ├── RunNotResumable               there is no checkpoint of this run to go on with
    ├── SearchFailed                  no trial of a hyperparameter search succeeded
    └── TeacherNotUsable              a checkpoint that should teach has no head that can be read here
"""

from setfuse.runtime import SetfuseError


class TrainingError(SetfuseError):
    """Base of the training stage's own errors."""


class BaseModelNotFound(TrainingError):
    """The base model is no folder and cannot be had from the Hub."""


class TrainingDiverged(TrainingError):
    """The loss, a gradient or a weight is no longer a finite number."""


class RunNotResumable(TrainingError):
    """There is no checkpoint of a run to go on with, or it is of another run."""


class RunNotSaved(TrainingError):
    """A checkpoint, of the run or at its end, could not be written."""


class OutOfMemory(TrainingError):
    """A training step, the head or the embedding needed more memory than there is."""


class SearchFailed(TrainingError):
    """No trial of a hyperparameter search succeeded."""


class TeacherNotUsable(TrainingError):
    """A checkpoint that should teach has no head, or one that the training stage cannot read."""
