"""The runtime: a bundle in, labels, probabilities and embeddings out, with no torch installed.

Also what the stages share: the manifest of a bundle, the reader of labelled texts, the base of all errors.
"""

from ._classifier import Classifier, Prediction
from ._command import Command
from ._dataset import Row, as_rows, read_rows
from ._errors import (
    BundleCorrupt,
    BundleError,
    BundleNotFound,
    DatasetError,
    InvalidText,
    MissingExtra,
    OutputExists,
    SetfuseError,
    UnsupportedFormat,
    UsageError,
    VariantNotFound,
)
from ._evaluate import Evaluation, LabelMetrics, evaluate
from ._extras import require_extra
from ._folders import new_folder
from ._manifest import FORMAT_VERSION, BundleFile, Manifest, Parity, Precision, Scores, Target, Tensor, Variant

__all__ = [
    "FORMAT_VERSION",
    "BundleCorrupt",
    "BundleError",
    "BundleFile",
    "BundleNotFound",
    "Classifier",
    "Command",
    "DatasetError",
    "Evaluation",
    "InvalidText",
    "LabelMetrics",
    "Manifest",
    "MissingExtra",
    "OutputExists",
    "Parity",
    "Precision",
    "Prediction",
    "Row",
    "Scores",
    "SetfuseError",
    "Target",
    "Tensor",
    "UnsupportedFormat",
    "UsageError",
    "Variant",
    "VariantNotFound",
    "as_rows",
    "evaluate",
    "new_folder",
    "read_rows",
    "require_extra",
]
