"""Training: a few labelled texts in, a checkpoint folder out (sentence-transformers layout, head without pickle)."""

from setfuse.runtime import require_extra

require_extra("train", needed_by="setfuse.train")

from ._arguments import TrainingArguments  # noqa: E402 - only once the extra is known to be there
from ._data import read_data  # noqa: E402
from ._distill import distill  # noqa: E402
from ._errors import (  # noqa: E402
    BaseModelNotFound,
    OutOfMemory,
    RunNotResumable,
    RunNotSaved,
    SearchFailed,
    TeacherNotUsable,
    TrainingDiverged,
    TrainingError,
)
from ._few_shot import get_templated_dataset, sample_dataset  # noqa: E402
from ._labelled_rows import LabelledRows  # noqa: E402
from ._result import TrainingResult  # noqa: E402
from ._search import SearchResult, SearchTrial, default_space, search  # noqa: E402
from ._train import train  # noqa: E402

__all__ = [
    "BaseModelNotFound",
    "LabelledRows",
    "OutOfMemory",
    "RunNotResumable",
    "RunNotSaved",
    "SearchFailed",
    "SearchResult",
    "SearchTrial",
    "TeacherNotUsable",
    "TrainingArguments",
    "TrainingDiverged",
    "TrainingError",
    "TrainingResult",
    "default_space",
    "distill",
    "get_templated_dataset",
    "read_data",
    "sample_dataset",
    "search",
    "train",
]
