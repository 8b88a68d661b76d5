"""Every error of the training stage.

SetfuseError (setfuse.runtime)
├── UsageError (setfuse.runtime)      a hyperparameter is out of its range
├── DatasetError (setfuse.runtime)    the rows cannot be trained on
└── TrainingError
    ├── BaseModelNotFound             the base model is no folder and cannot be had from the Hub
    └── TrainingDiverged              the loss is no longer a number
"""

from setfuse.runtime import SetfuseError


class TrainingError(SetfuseError):
    """Base of the training stage's own errors."""


class BaseModelNotFound(TrainingError):
    """The base model is no folder and cannot be had from the Hub."""


class TrainingDiverged(TrainingError):
    """The loss is no longer a finite number."""
