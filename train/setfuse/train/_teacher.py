"""A classifier that teaches another: a checkpoint, or anything that labels texts and embeds them."""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from setfuse.runtime import UsageError

from ._base import find_base
from ._errors import TeacherNotUsable
from ._runs import hash_of_model

MANIFEST = "bundle.json"
"""What makes a folder a bundle."""


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
class Taught:
    """What a teacher says of texts.

    Attributes:
        embeddings: float32 (texts, dim), each of length 1.
        labels: One a text.
        known: All labels that the teacher may give.
        sha256: Of the teacher's files, or, of an object, of its embeddings.
    """

    embeddings: npt.NDArray[np.float32]
    labels: list[str]
    known: list[str]
    sha256: str


def ask(
    teacher: str | Path | Teacher,
    texts: list[str],
    *,
    refuse: Callable[[list[str]], None],
    device: str | None,
    progress: bool,
) -> Taught:
    """Have texts labelled and embedded.

    Args:
        teacher: A bundle's folder; a checkpoint that `train` wrote, as a folder or on the Hub; or a `Teacher`.
        texts: What it is asked about.
        refuse: Is handed all labels that the teacher may give, before it reads any text; may raise.
        device: Where a checkpoint is to work: see `TrainingArguments`.
        progress: Show a bar on stderr while a checkpoint embeds them.

    Raises:
        BundleError: The bundle cannot be loaded.
        BaseModelNotFound: There is no such checkpoint, or sentence-transformers cannot load its body.
        TeacherNotUsable: The checkpoint has no head, or one that the training stage cannot read.
        UsageError: The teacher does not give each text one label, or one that is not among its `labels`.
    """
    if not isinstance(teacher, str | Path):
        return _ask(teacher, texts, refuse)
    bundle = Path(teacher).expanduser()
    if (bundle / MANIFEST).is_file():
        from setfuse.runtime import Classifier  # with onnxruntime

        with Classifier.load(bundle) as classifier:
            manifest = (bundle / MANIFEST).read_bytes()  # which has its files' hashes
            return dataclasses.replace(_ask(classifier, texts, refuse), sha256=hashlib.sha256(manifest).hexdigest())
    return _ask_checkpoint(find_base(teacher), texts, refuse, device=device, progress=progress)


def _ask(teacher: Teacher, texts: list[str], refuse: Callable[[list[str]], None]) -> Taught:
    known = [*teacher.labels]
    refuse(known)
    labels = list(teacher.predict(texts))
    odd = [label for label in labels if not isinstance(label, str)]
    if odd or len(labels) != len(texts):
        found = f"{odd[0]!r}" if odd else f"{len(labels)} for {len(texts)} texts"
        advice = "without abstain=" if None in odd else "that gives each text one label"
        raise UsageError(f"teacher: expected one label for each text, got {found}; take one {advice}")
    if strange := sorted(set(labels) - set(known)):
        raise UsageError(f"teacher: expected one of its labels ({', '.join(known)}) for each text, got {strange[0]!r}")
    embeddings = _unit(teacher.embed(texts))
    return Taught(embeddings, labels, known, hashlib.sha256(embeddings.tobytes()).hexdigest())


def _ask_checkpoint(
    folder: Path, texts: list[str], refuse: Callable[[list[str]], None], *, device: str | None, progress: bool
) -> Taught:
    head = _read_head(folder)
    known = [str(label) for label in head.classes_]
    refuse(known)
    from ._body import load_body
    from ._classify import encode
    from ._reports import bars_hidden

    with bars_hidden(not progress):
        embeddings = encode(load_body(folder, None, device), texts, progress=progress)
    if embeddings.shape[1] != head.coef_.shape[1]:
        raise TeacherNotUsable(
            f"{folder}: expected a head for embeddings of {embeddings.shape[1]} numbers, which the body gives, found "
            f"one for {head.coef_.shape[1]}; train the teacher again"
        )
    labels = [str(label) for label in head.predict(embeddings)]
    return Taught(_unit(embeddings), labels, known, hash_of_model(folder))


def _read_head(folder: Path) -> Any:
    """Read a stored LogisticRegression.

    Raises:
        TeacherNotUsable: It is another head, of a later format, or damaged.
    """
    import safetensors.numpy
    from safetensors import SafetensorError
    from sklearn.linear_model import LogisticRegression

    head = LogisticRegression()
    try:
        config = json.loads((folder / "head.json").read_text(encoding="utf-8"))
        _check_version(config["format_version"])
        kind = config["kind"]
        if kind == "LogisticRegression":
            tensors = safetensors.numpy.load_file(folder / "head.safetensors")
            head.classes_ = np.asarray(config["classes"])
            head.coef_, head.intercept_ = tensors["coef"], tensors["intercept"]
            _check_numbers(head)
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise TeacherNotUsable(
            f"{folder}: expected a checkpoint with head.json and head.safetensors, cannot read them: {error}; "
            "train one, or export it (setfuse export) and give the bundle as the teacher"
        ) from error
    if kind != "LogisticRegression":
        raise TeacherNotUsable(
            f"{folder}: expected a teacher with a LogisticRegression, found {kind}; "
            "export it (setfuse export), and give the bundle as the teacher"
        )
    return head


def _check_version(version: object) -> None:
    """See that the format is known.

    Raises:
        ValueError: It is not.
    """
    from ._head import FORMAT_VERSION  # with torch

    if version not in range(1, FORMAT_VERSION + 1):
        raise ValueError(f"format version {version!r}, where at most {FORMAT_VERSION} is known")


def _check_numbers(head: Any) -> None:
    """See that classes, weights and intercepts belong together.

    Raises:
        ValueError: They do not, or are not finite.
    """
    classes = len(head.classes_)
    rows = 1 if classes == 2 else classes  # noqa: PLR2004 - of two classes scikit-learn weighs the second only
    matrix = head.coef_.ndim == 2  # noqa: PLR2004 - rows and columns
    if classes < 2 or not matrix or len(head.coef_) != rows or head.intercept_.shape != (rows,):  # noqa: PLR2004 - see above
        raise ValueError(f"{classes} classes, weights {head.coef_.shape} and intercepts {head.intercept_.shape}")
    if not (np.isfinite(head.coef_).all() and np.isfinite(head.intercept_).all()):
        raise ValueError("weights that are not finite")


def _unit(embeddings: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
    return np.asarray(embeddings / np.maximum(lengths, np.finfo(np.float32).tiny), np.float32)
