"""What a graph is compared on: texts, what torch answers to them, and which labels are right where that is known."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from setfuse.runtime import (
    DatasetError,
    Row,
    Scores,
    as_rows,
    read_multi_label_rows,
    read_texts,
)

from ._check_texts import CHECK_TEXTS
from ._checkpoint import Checkpoint

BUILT_IN = "built-in texts"

CheckData = str | Path | Iterable[Row | Mapping[str, object]]


@dataclass(frozen=True, slots=True)
class CheckSet:
    """Texts to compare on.

    Attributes:
        name: What they are, for the manifest.
        texts: At least one.
        labels: The right labels of each; None where they are not known.
    """

    name: str
    texts: tuple[str, ...]
    labels: tuple[tuple[str, ...], ...] | None = None


def read_check_set(data: CheckData | None, checkpoint: Checkpoint) -> CheckSet:
    """Take the texts to compare on.

    Args:
        data: JSON lines with `text` and, in all of them or none, `label` (multi-label: a list); or rows; None for the
            built-in texts.
        checkpoint: Whose labels they must be.

    Raises:
        DatasetError: They cannot be read, or a label is none of the checkpoint's.
    """
    if data is None:
        return CheckSet(BUILT_IN, CHECK_TEXTS)
    name = Path(data).name if isinstance(data, str | Path) else "texts of the caller"
    if isinstance(data, str | Path) and not _has_labels(Path(data)):
        return CheckSet(name, tuple(read_texts(data)))
    labelled: list[tuple[str, tuple[str, ...], str]]
    if not checkpoint.head.multi_label:
        labelled = [(row.text, (row.label,), row.origin) for row in as_rows(data)]
    elif isinstance(data, str | Path):
        labelled = [(row.text, row.labels, row.origin) for row in read_multi_label_rows(data)]
    else:
        raise DatasetError("check_on: expected a file for a multi-label checkpoint, got rows")
    for _, labels, origin in labelled:
        unknown = [label for label in labels if label not in checkpoint.labels]
        if unknown:
            raise DatasetError(
                f"{origin}: expected one of the checkpoint's labels ({', '.join(checkpoint.labels)}), "
                f"found {unknown[0]!r}"
            )
    texts, own, _ = zip(*labelled, strict=True)
    return CheckSet(name, texts, own)


def _has_labels(path: Path) -> bool:
    # Only a glance: the readers say what is wrong with a file.
    try:
        with path.open("rb") as lines:
            rows = (json.loads(line) for line in lines if b'"label"' in line)
            return any(isinstance(row, dict) and "label" in row for row in rows)
    except (OSError, ValueError, RecursionError):
        return True


def chosen(
    scores: npt.NDArray[np.floating], *, multi_label: bool, kind: Scores = Scores.PROBABILITIES
) -> npt.NDArray[np.bool_]:
    """Tell which labels a text is given: (texts, labels)."""
    result: npt.NDArray[np.bool_]
    if multi_label:
        result = scores > _threshold(kind)
        return result
    result = np.arange(scores.shape[1]) == scores.argmax(axis=1)[:, None]
    return result


def margin(
    scores: npt.NDArray[np.floating], *, multi_label: bool, kind: Scores = Scores.PROBABILITIES
) -> npt.NDArray[np.floating]:
    """Give how sure the answer is, a number a text: how far the best label is ahead of the second.

    Of several labels a text each is a question of its own, whose two answers are twice as far apart as the score is
    from its threshold; the least sure one counts.
    """
    result: npt.NDArray[np.floating]
    if multi_label:
        result = 2 * np.abs(scores - _threshold(kind)).min(axis=1)
        return result
    ordered = np.sort(scores, axis=1)
    result = ordered[:, -1] - ordered[:, -2]
    return result


def _threshold(kind: Scores) -> float:
    return 0.0 if kind is Scores.DECISION else 0.5
