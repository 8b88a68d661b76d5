"""Every error of the runtime, and the base that the other stages' errors share.

    SetfuseError                  anything setfuse itself refuses; the command line prints it as one line, exit status 1
    ├── UsageError                an argument out of its range (also a ValueError); exit status 2
    ├── MissingExtra              a package that an extra brings is not installed (also an ImportError)
    ├── DatasetError              a labelled file or its rows cannot be used
    ├── OutputExists              an output folder is there already, or is one that must not be replaced
    ├── InvalidText               something handed in as a text is not one (also a TypeError)
    ├── NoProbabilities           predict_proba of a bundle with decision scores (also an AttributeError)
    ├── NoDecisionScores          decision_function of a bundle with probabilities (also an AttributeError)
    ├── ClassifierClosed          a call after close, or one that close overtook (also a ValueError)
    ├── Overloaded                asyncio's callers have filled the queue
    ├── DeadlineExceeded          an asyncio call was not answered in its time (also a TimeoutError)
    ├── DeviceUnavailable         a GPU was asked for and cannot be used, and why
    ├── DeviceOutOfMemory         a text does not fit into the GPU's memory (also a MemoryError)
    ├── HubError                  the Hub did not give, or did not take, what was asked
    └── BundleError               a bundle cannot be read
        ├── BundleNotFound        no folder, or no bundle.json in it
        ├── BundleCorrupt         a file is missing, cut short or altered
        ├── UnsupportedFormat     bundle.json is of another format version
        └── VariantNotFound       the bundle has no such precision or target

A message says what was wrong, what was expected, what was found and what to do next.
"""


class SetfuseError(Exception):
    """Base of all errors that setfuse raises on purpose."""

    exit_status = 1


class UsageError(SetfuseError, ValueError):
    """An argument is out of its range."""

    exit_status = 2


class MissingExtra(SetfuseError, ImportError):
    """A stage was imported without the packages that its extra brings."""


class DatasetError(SetfuseError):
    """A labelled data file, or a row in it, cannot be used."""


class OutputExists(SetfuseError):
    """The output folder exists, or must not be replaced."""


class InvalidText(SetfuseError, TypeError):
    """Something handed in as a text, or as a list of texts, is not one."""


class NoProbabilities(SetfuseError, AttributeError):
    """The bundle's head gives decision scores.

    Also an AttributeError, which is what a scikit-learn classifier without `predict_proba` raises: who falls back to
    `decision_function` on that goes on doing so.
    """


class NoDecisionScores(SetfuseError, AttributeError):
    """The bundle's head gives probabilities; an AttributeError for the reason of `NoProbabilities`."""


class ClassifierClosed(SetfuseError, ValueError):
    """The classifier was closed; a ValueError as well, as a closed file raises."""


class Overloaded(SetfuseError):
    """More texts are waiting than the classifier's `max_queue` allows: try again later, or elsewhere."""


class DeadlineExceeded(SetfuseError, TimeoutError):
    """The answer did not come within the caller's `timeout`."""


class DeviceUnavailable(SetfuseError):
    """A GPU was asked for and cannot be used: the package, the driver, a library or the GPU itself is missing."""


class DeviceOutOfMemory(SetfuseError, MemoryError):
    """A single text, or the model, does not fit into what is left of the GPU's memory."""


class HubError(SetfuseError):
    """The Hub did not give, or did not take, what was asked."""


class BundleError(SetfuseError):
    """A bundle cannot be read."""


class BundleNotFound(BundleError):
    """There is no bundle at the path."""


class BundleCorrupt(BundleError):
    """A file of the bundle is missing, cut short or altered."""


class UnsupportedFormat(BundleError):
    """The bundle was written in a format version that this release does not read."""


class VariantNotFound(BundleError):
    """The bundle has no variant for what was asked."""
