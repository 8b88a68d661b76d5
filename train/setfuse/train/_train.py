"""Training: labelled rows in, checkpoint folder out."""

import importlib.metadata
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from setfuse.runtime import DatasetError, Row, as_rows, new_folder

from ._arguments import TrainingArguments
from ._base import find_base
from ._pairs import make_pairs

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from sklearn.linear_model import LogisticRegression

Rows = str | Path | Iterable[Row | Mapping[str, object]]


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """What a training run left behind, and what was measured.

    Attributes:
        checkpoint: The folder that was written.
        seconds: Wall time of both phases, in seconds.
        steps: Steps of the contrastive phase.
        pairs: Pairs an epoch.
        labels: How many training rows each label has.
        losses: The loss of each step.
        accuracy: On the held-out rows, 0 to 1; None if there were none.
    """

    checkpoint: Path
    seconds: float
    steps: int
    pairs: int
    labels: Mapping[str, int]
    losses: tuple[float, ...]
    accuracy: float | None

    def to_json(self) -> dict[str, Any]:
        """Give the result as `json.dump` takes it."""
        return {
            "checkpoint": str(self.checkpoint),
            "seconds": self.seconds,
            "steps": self.steps,
            "pairs": self.pairs,
            "labels": dict(self.labels),
            "losses": list(self.losses),
            "accuracy": self.accuracy,
        }


def train(
    rows: Rows,
    *,
    base: str | Path,
    out: str | Path,
    args: TrainingArguments | None = None,
    eval_rows: Rows | None = None,
    overwrite: bool = False,
    progress: bool = False,
) -> TrainingResult:
    """Fine-tune a body contrastively on labelled rows, fit the head, and write the checkpoint.

    Two runs with the same rows, arguments, library versions and thread count give the same checkpoint.

    Args:
        rows: A JSON lines file, or `Row`s or mappings with `text` and `label`: at least two labels, each at least
            twice.
        base: A Hub id such as `BAAI/bge-small-en-v1.5`, or a sentence-transformers folder.
        out: The checkpoint folder to write.
        args: The hyperparameters; None for SetFit's defaults.
        eval_rows: Held-out rows to measure the accuracy on, in any form that `rows` may have.
        overwrite: Replace an existing folder, whole.
        progress: Show progress bars on stderr.

    Returns:
        The checkpoint's path and what was measured.

    Raises:
        DatasetError: The rows cannot be read or cannot be trained on.
        BaseModelNotFound: `base` is no folder and cannot be had from the Hub.
        OutputExists: `out` exists and `overwrite` is false, or it must not be replaced.
        TrainingDiverged: The loss is no longer a number.
    """
    args = args or TrainingArguments()
    training_rows = as_rows(rows)
    held_out = as_rows(eval_rows) if eval_rows is not None else []
    _check_trainable(training_rows, held_out)
    pairs = make_pairs([row.label for row in training_rows], args.sampling_strategy, args.num_iterations)
    keep = [path for path in (rows, eval_rows, base) if isinstance(path, str | Path) and Path(path).exists()]
    with new_folder(out, overwrite=overwrite, keep=tuple(keep)) as staging:
        folder = find_base(base)
        # Seconds of importing torch, after all that can be refused without it.
        import torch

        from ._body import load_body
        from ._checkpoint import write_checkpoint
        from ._contrastive import fine_tune
        from ._head import fit_head

        texts = [row.text for row in training_rows]
        labels = [row.label for row in training_rows]
        with torch.random.fork_rng():
            torch.manual_seed(args.seed)
            body = load_body(folder, args.max_length)
            start = time.perf_counter()
            steps = fine_tune(body, texts, pairs, args, progress=progress)
            head = fit_head(_embed(body, texts, progress=False), labels)
            seconds = time.perf_counter() - start
        accuracy = _accuracy(body, head, held_out, progress=progress) if held_out else None
        losses = tuple(step.loss for step in steps)
        counts = dict(sorted(Counter(labels).items()))
        training = {
            # A folder's name, not its path: checkpoints and bundles are passed on.
            "base_model": Path(base).absolute().name if Path(base).is_dir() else str(base),
            "rows": counts,
            "eval_rows": len(held_out),
            "accuracy": accuracy,
            "arguments": args.to_json(),
            "pairs": len(pairs),
            "steps": len(steps),
            "first_loss": losses[0],
            "last_loss": losses[-1],
            "seconds": seconds,
            "versions": {
                name: importlib.metadata.version(name)
                for name in ("setfuse", "torch", "sentence-transformers", "transformers", "scikit-learn")
            },
        }
        write_checkpoint(staging, body, head, training)
    return TrainingResult(
        checkpoint=Path(out),
        seconds=seconds,
        steps=len(steps),
        pairs=len(pairs),
        labels=counts,
        losses=losses,
        accuracy=accuracy,
    )


def _check_trainable(rows: Sequence[Row], held_out: Sequence[Row]) -> None:
    counts = Counter(row.label for row in rows)
    if len(counts) < 2:  # noqa: PLR2004 - one label leaves nothing to tell apart
        raise DatasetError(
            f"{rows[0].origin}: expected rows of at least two labels, found only {rows[0].label!r} in {len(rows)} rows"
        )
    for row in rows:
        if counts[row.label] == 1:
            raise DatasetError(
                f"{row.origin}: expected every label at least twice, found {row.label!r} once; "
                "add a text with this label, or correct it if it is misspelt"
            )
    for row in held_out:
        if row.label not in counts:
            raise DatasetError(
                f"{row.origin}: expected one of the training labels ({', '.join(sorted(counts))}), found {row.label!r}"
            )


def _embed(body: "SentenceTransformer", texts: Sequence[str], *, progress: bool) -> Any:
    return body.encode(list(texts), convert_to_numpy=True, show_progress_bar=progress)


def _accuracy(body: "SentenceTransformer", head: "LogisticRegression", rows: Sequence[Row], *, progress: bool) -> float:
    given = head.predict(_embed(body, [row.text for row in rows], progress=progress))
    return sum(str(label) == row.label for label, row in zip(given, rows, strict=True)) / len(rows)
