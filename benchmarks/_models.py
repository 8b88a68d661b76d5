"""The model under test: is it one that contenders can run, and where its other forms are kept."""

import hashlib
from pathlib import Path

import numpy as np

from setfuse.export import CheckpointError, UnsupportedCheckpoint, read_checkpoint
from setfuse.runtime import Manifest, Task

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
        BenchmarkError: There is no such checkpoint, it is one that the contenders cannot all run, or the bundle has
            other labels.
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
    manifest = Manifest.read(bundle)
    if manifest.labels != found.labels or manifest.task is not Task.SINGLE_LABEL:
        raise BenchmarkError(
            f"{bundle}: expected the checkpoint's labels, {', '.join(found.labels):.80}, one a text; found "
            f"{', '.join(manifest.labels):.80} ({manifest.task}): is the bundle of this checkpoint?"
        )
    if found.head.kind != "LogisticRegression" or found.head.multi_label:
        raise BenchmarkError(
            f"{checkpoint}: expected a LogisticRegression of single labels, which every contender can run, found "
            f"{found.head.kind}{' of several labels' * found.head.multi_label}"
        )
    estimator = found.head.estimator
    head = Head(np.asarray(estimator.coef_), np.asarray(estimator.intercept_), found.labels)
    probe = np.random.default_rng(0).normal(size=(16, found.head.width))
    if not np.allclose(head.probabilities(probe), estimator.predict_proba(probe), atol=1e-9):
        raise BenchmarkError(f"{checkpoint}: expected a LogisticRegression with softmax, found one-vs-rest")
    if found.normalize_embeddings and not any(type(module).__name__ == "Normalize" for module in found.modules):
        raise BenchmarkError(
            f"{checkpoint}: expected the body to normalise its embeddings itself, found normalize_embeddings in "
            "config_setfit.json, which SetFit alone follows; add a Normalize module"
        )
    folder = artefacts / _hash(checkpoint)[:16]
    folder.mkdir(parents=True, exist_ok=True)
    head.write(folder)
    return Models(bundle, checkpoint, folder, train)


def _hash(folder: Path) -> str:
    """Give a hash of what a checkpoint folder holds, but for its prose."""
    made = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".md"):
        made.update(path.relative_to(folder).as_posix().encode())
        with path.open("rb") as file:
            made.update(hashlib.file_digest(file, "sha256").digest())
    return made.hexdigest()
