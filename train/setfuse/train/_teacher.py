"""A classifier that teaches another: a checkpoint, or anything that labels texts and embeds them."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from setfuse.runtime import UsageError

from ._base import find_base
from ._errors import TeacherNotUsable


class Teacher(Protocol):
    """What can teach; a `setfuse.runtime.Classifier` of one label a text is one."""

    @property
    def labels(self) -> Sequence[str]:
        """All labels that it may give."""
        ...

    def predict(self, texts: list[str], /) -> Iterable[Any]:
        """Give one label a text."""
        ...

    def embed(self, texts: list[str], /) -> npt.NDArray[np.float32]:
        """Give float32 (texts, dim)."""
        ...


@dataclass(frozen=True, slots=True)
class Lesson:
    """What a teacher says of texts.

    Attributes:
        embeddings: float32 (texts, dim), each of length 1.
        labels: One a text.
        known: All labels that the teacher may give.
    """

    embeddings: npt.NDArray[np.float32]
    labels: list[str]
    known: list[str]


def ask(teacher: str | Path | Teacher, texts: list[str], *, progress: bool) -> Lesson:
    """Have texts labelled and embedded.

    Args:
        teacher: A checkpoint that `train` wrote, as a folder or on the Hub; or a `Teacher`.
        texts: What it is asked about.
        progress: Show a bar on stderr while a checkpoint embeds them.

    Raises:
        BaseModelNotFound: There is no such checkpoint, or sentence-transformers cannot load its body.
        TeacherNotUsable: The checkpoint has no head, or one that the training stage cannot read.
        UsageError: The teacher does not give each text one label.
    """
    if isinstance(teacher, str | Path):
        return _ask_checkpoint(find_base(teacher), texts, progress=progress)
    labels = list(teacher.predict(texts))
    odd = [label for label in labels if not isinstance(label, str)]
    if odd or len(labels) != len(texts):
        found = f"{odd[0]!r}" if odd else f"{len(labels)} for {len(texts)} texts"
        raise UsageError(f"teacher: expected one label for each text, got {found}; take one without abstain=")
    return Lesson(_unit(teacher.embed(texts)), labels, [*teacher.labels])


def _ask_checkpoint(folder: Path, texts: list[str], *, progress: bool) -> Lesson:
    # Seconds of importing torch, after what can be refused without it.
    head = _read_head(folder)
    from ._body import load_body

    embeddings = load_body(folder, None).encode(texts, convert_to_numpy=True, show_progress_bar=progress)
    known = [str(label) for label in head.classes_]
    return Lesson(_unit(embeddings), [str(label) for label in head.predict(embeddings)], known)


def _read_head(folder: Path) -> Any:
    import safetensors.numpy
    from safetensors import SafetensorError
    from sklearn.linear_model import LogisticRegression

    head = LogisticRegression()
    try:
        config = json.loads((folder / "head.json").read_text(encoding="utf-8"))
        kind = config["kind"]
        if kind == "LogisticRegression":
            tensors = safetensors.numpy.load_file(folder / "head.safetensors")
            head.classes_ = np.asarray(config["classes"])
            head.coef_, head.intercept_ = tensors["coef"], tensors["intercept"]
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise TeacherNotUsable(
            f"{folder}: expected a checkpoint with head.json and head.safetensors, cannot read them: {error}; "
            "train one, or export it and pass setfuse.runtime.Classifier.load(bundle) as the teacher"
        ) from error
    if kind != "LogisticRegression":
        raise TeacherNotUsable(
            f"{folder}: expected a teacher with a LogisticRegression, found {kind}; "
            "export it, and pass setfuse.runtime.Classifier.load(bundle) as the teacher"
        )
    return head


def _unit(embeddings: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
    return np.asarray(embeddings / np.maximum(lengths, np.finfo(np.float32).tiny), np.float32)
