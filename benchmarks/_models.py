"""The model under test: is it one that contenders can run, and where its other forms are kept."""

import hashlib
from pathlib import Path

import numpy as np

from setfuse.export import CheckpointError, UnsupportedCheckpoint, read_checkpoint

from ._contenders import Head, Models
from ._errors import BenchmarkError
from ._files import ROOT

ARTEFACTS = ROOT / "build" / "artefacts"


def find_models(bundle: Path, checkpoint: Path, train: Path | None = None, artefacts: Path = ARTEFACTS) -> Models:
    """Check a checkpoint, and make the folder where its other forms go, with the head in it.

    Args:
        bundle: What was exported from it.
        checkpoint: A checkpoint folder, ours or SetFit's, with a LogisticRegression of single labels.
        train: Labelled texts for contenders that fit a head of their own.
        artefacts: Where the other forms are kept, a folder a checkpoint: a changed checkpoint gets another one.

    Raises:
        BenchmarkError: There is no such checkpoint, or it is one that the contenders cannot all run.
    """
    if not checkpoint.is_dir():
        raise BenchmarkError(
            f"{checkpoint}: expected a checkpoint folder, found none; "
            "`make demo` makes one, or pass --checkpoint and --bundle"
        )
    try:
        found = read_checkpoint(checkpoint)
    except (CheckpointError, UnsupportedCheckpoint) as error:
        raise BenchmarkError(f"{error}") from error
    if found.head.kind != "LogisticRegression" or found.head.multi_label:
        raise BenchmarkError(
            f"{checkpoint}: expected a LogisticRegression of single labels, which every contender can run, found "
            f"{found.head.kind}{' of several labels' * found.head.multi_label}"
        )
    folder = artefacts / _hash(checkpoint)[:16]
    folder.mkdir(parents=True, exist_ok=True)
    estimator = found.head.estimator
    Head(np.asarray(estimator.coef_), np.asarray(estimator.intercept_), found.labels).write(folder)
    return Models(bundle, checkpoint, folder, train)


def _hash(folder: Path) -> str:
    """Give a hash of what a checkpoint folder holds, but for its prose."""
    made = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".md"):
        made.update(path.relative_to(folder).as_posix().encode())
        with path.open("rb") as file:
            made.update(hashlib.file_digest(file, "sha256").digest())
    return made.hexdigest()
