"""The runtime: a bundle in, labels, probabilities and embeddings out, with no torch installed.

Also what the stages share: the manifest of a bundle, the reader of labelled texts, the base of all errors.
"""

from typing import TYPE_CHECKING

from ._classifier import Classifier
from ._errors import (
    BundleCorrupt,
    BundleError,
    BundleNotFound,
    ClassifierClosed,
    DatasetError,
    DeadlineExceeded,
    DeviceOutOfMemory,
    DeviceUnavailable,
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
from ._hub import find_on_hub
from ._manifest import FORMAT_VERSION, Manifest, Task, naming_hint
from ._prediction import Prediction
from ._variant import BundleFile, Parity, Precision, Scores, Target, Tensor, Variant

if TYPE_CHECKING:
    from ._about import About
    from ._command import Command
    from ._cuda_options import CudaOptions
    from ._dataset import (
        MultiLabelRow,
        Row,
        as_rows,
        read_multi_label_rows,
        read_records,
        read_rows,
        read_texts,
        to_multi_label_row,
        to_row,
    )
    from ._evaluate import Evaluation, LabelMetrics, MultiLabelEvaluation, evaluate, evaluate_multi_label
    from ._explain import Explanation, WordEffect
    from ._extras import require_extra
    from ._folders import check_new_folder, new_folder
    from ._push import push
    from ._stats import Stats

__all__ = [
    "FORMAT_VERSION",
    "About",
    "BundleCorrupt",
    "BundleError",
    "BundleFile",
    "BundleNotFound",
    "Classifier",
    "ClassifierClosed",
    "Command",
    "CudaOptions",
    "DatasetError",
    "DeadlineExceeded",
    "DeviceOutOfMemory",
    "DeviceUnavailable",
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
    "check_new_folder",
    "evaluate",
    "evaluate_multi_label",
    "find_on_hub",
    "naming_hint",
    "new_folder",
    "push",
    "read_multi_label_rows",
    "read_records",
    "read_rows",
    "read_texts",
    "require_extra",
    "to_multi_label_row",
    "to_row",
]

_LATER = {
    "_about": "About",
    "_command": "Command",
    "_cuda_options": "CudaOptions",
    "_dataset": "MultiLabelRow Row as_rows read_multi_label_rows read_records read_rows read_texts "
    "to_multi_label_row to_row",
    "_evaluate": "Evaluation LabelMetrics MultiLabelEvaluation evaluate evaluate_multi_label",
    "_explain": "Explanation WordEffect",
    "_extras": "require_extra",
    "_folders": "check_new_folder new_folder",
    "_push": "push",
    "_stats": "Stats",
}
"""What a process that only predicts does without: imported when it is asked for."""


def __getattr__(name: str) -> object:
    for module, names in _LATER.items():
        if name in names.split():
            from importlib import import_module

            return getattr(import_module(f".{module}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
