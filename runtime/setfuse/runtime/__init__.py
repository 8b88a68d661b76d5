"""The runtime: a bundle in, labels, probabilities and embeddings out, with no torch installed.

Also what the stages share: the manifest of a bundle, the reader of labelled texts, the base of all errors.
"""

from ._classifier import Classifier
from ._command import Command
from ._dataset import MultiLabelRow, Row, as_rows, read_multi_label_rows, read_rows, read_texts
from ._errors import (
    BundleCorrupt,
    BundleError,
    BundleNotFound,
    ClassifierClosed,
    DatasetError,
    DeadlineExceeded,
    HubError,
    InvalidText,
    MissingExtra,
    NoDecisionScores,
    NoProbabilities,
    OutputExists,
    Overloaded,
    SetfuseError,
    UnsupportedFormat,
    UsageError,
    VariantNotFound,
)
from ._evaluate import Evaluation, LabelMetrics, MultiLabelEvaluation, evaluate, evaluate_multi_label
from ._explain import Explanation, WordEffect
from ._extras import require_extra
from ._folders import new_folder
from ._hub import find_on_hub
from ._manifest import FORMAT_VERSION, Manifest, Task, naming_hint
from ._prediction import Prediction
from ._push import push
from ._stats import Stats
from ._variant import BundleFile, Parity, Precision, Scores, Target, Tensor, Variant

__all__ = [
    "FORMAT_VERSION",
    "BundleCorrupt",
    "BundleError",
    "BundleFile",
    "BundleNotFound",
    "Classifier",
    "ClassifierClosed",
    "Command",
    "DatasetError",
    "DeadlineExceeded",
    "Evaluation",
    "Explanation",
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
    "Overloaded",
    "Parity",
    "Precision",
    "Prediction",
    "Row",
    "Scores",
    "SetfuseError",
    "Stats",
    "Target",
    "Task",
    "Tensor",
    "UnsupportedFormat",
    "UsageError",
    "Variant",
    "VariantNotFound",
    "WordEffect",
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
