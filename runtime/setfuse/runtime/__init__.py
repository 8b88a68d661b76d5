"""The runtime: a bundle in, labels, probabilities and embeddings out, with no torch installed.

Also what the stages share: the manifest of a bundle, the reader of labelled texts, the base of all errors.
"""

from ._classifier import Classifier, Prediction
from ._command import Command
from ._dataset import MultiLabelRow, Row, as_rows, read_multi_label_rows, read_rows, read_texts
from ._errors import (
    BundleCorrupt,
    BundleError,
    BundleNotFound,
    DatasetError,
    HubError,
    InvalidText,
    MissingExtra,
    NoDecisionScores,
    NoProbabilities,
    OutputExists,
    SetfuseError,
    UnsupportedFormat,
    UsageError,
    VariantNotFound,
)
from ._evaluate import Evaluation, LabelMetrics, MultiLabelEvaluation, evaluate, evaluate_multi_label
from ._extras import require_extra
from ._folders import new_folder
from ._hub import find_on_hub
from ._manifest import FORMAT_VERSION, Manifest, Task, naming_hint
from ._push import push
from ._variant import BundleFile, Parity, Precision, Scores, Target, Tensor, Variant

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
    "HubError",
    "InvalidText",
    "LabelMetrics",
    "Manifest",
    "MissingExtra",
    "MultiLabelEvaluation",
    "MultiLabelRow",
    "NoDecisionScores",
    "NoProbabilities",
    "OutputExists",
    "Parity",
    "Precision",
    "Prediction",
    "Row",
    "Scores",
    "SetfuseError",
    "Target",
    "Task",
    "Tensor",
    "UnsupportedFormat",
    "UsageError",
    "Variant",
    "VariantNotFound",
    "as_rows",
    "evaluate",
    "evaluate_multi_label",
    "find_on_hub",
    "naming_hint",
    "new_folder",
    "push",
    "read_multi_label_rows",
    "read_rows",
    "read_texts",
    "require_extra",
]
