"""Read our own head: `head.json`, with `head.safetensors` or `head.onnx` or both."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import safetensors
import safetensors.numpy

from setfuse.export._errors import CheckpointError, UnsupportedCheckpoint
from setfuse.export._json import read_object

from ._rebuild import Files, rebuild

if TYPE_CHECKING:
    from ._formulas import Array

CONFIG = "head.json"
TENSORS = "head.safetensors"
GRAPH = "head.onnx"
FORMAT_VERSION = 2

_INDEPENDENT = ("one-vs-rest", "multi-output")
"""Multi-target strategies that version 1 knew: a LogisticRegression a label."""


def read_stored(folder: Path) -> tuple[Any, tuple[str, ...]]:
    """Read the head that `setfuse train` wrote, in this version of its format or an earlier one.

    Returns:
        The estimator, as `rebuild` gives it, and the names of its columns.

    Raises:
        CheckpointError: A file is missing or damaged, or the weights are not finite.
        UnsupportedCheckpoint: The head is of another kind or format version.
    """
    path = folder / CONFIG
    written = read_object(path)
    try:
        spec, files = _upgraded(written, _files(folder))
        return rebuild(_own_classes(spec), files), _names(spec)
    except (CheckpointError, UnsupportedCheckpoint) as error:
        raise type(error)(f"{path}: {error}") from error
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: expected the description of a head, found damage ({error!r:.200})") from error


def _names(spec: Mapping[str, Any]) -> tuple[str, ...]:
    """Give the names of the columns.

    Raises:
        CheckpointError: Two are alike, or they are not those of the estimator behind a Pipeline's scalers.
    """
    names = tuple(str(label) for label in spec["classes"])
    if len(set(names)) != len(names):
        raise CheckpointError(f"expected classes of different names, found {', '.join(names):.200}")
    if spec["kind"] == "Pipeline" and "graph" not in spec and not spec["multi_label"]:
        inside = tuple(str(label) for label in spec["steps"][-1]["classes"])
        numbers = tuple(map(str, range(len(names))))  # what is fitted to labels whose order is not their names'
        if inside not in (names, numbers):
            raise CheckpointError(
                f"expected the Pipeline's classes to be its classifier's, found {', '.join(names):.200} and "
                f"{', '.join(inside):.200}"
            )
    return names


def _own_classes(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    """Give the estimator's own classes: of several labels a text their numbers, whatever their names are.

    What stands behind a Pipeline's scalers has the same.
    """
    if not spec["multi_label"]:
        return spec
    own = {**spec, "classes": list(range(len(spec["classes"])))}
    if spec["kind"] == "Pipeline" and "graph" not in spec:
        *before, last = spec["steps"]
        own["steps"] = [*before, {**last, "multi_label": True}]
    return own


def _files(folder: Path) -> Files:
    tensors: dict[str, Array] = {}
    graph = None
    try:
        if (folder / TENSORS).is_file():
            tensors = safetensors.numpy.load_file(folder / TENSORS)
        if (folder / GRAPH).is_file():
            graph = (folder / GRAPH).read_bytes()
    except (OSError, safetensors.SafetensorError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"expected the numbers of a head in {TENSORS} or {GRAPH}, found damage ({error})"
        ) from error
    return Files(tensors, graph)


def _upgraded(spec: Mapping[str, Any], files: Files) -> tuple[Mapping[str, Any], Files]:
    """Say in the words of this version what an earlier one says.

    Raises:
        UnsupportedCheckpoint: The version is unknown, or it says something that it did not know.
    """
    version = spec.get("format_version")
    if version == 1:
        return _upgraded_from_1(spec, files)
    if version != FORMAT_VERSION:
        raise UnsupportedCheckpoint(
            f"expected format_version {FORMAT_VERSION} or 1, found {version!r}; upgrade setfuse, or train again"
        )
    return spec, files


def _upgraded_from_1(spec: Mapping[str, Any], files: Files) -> tuple[Mapping[str, Any], Files]:
    """Version 1 was a LogisticRegression, or one a label with all coefficients in one tensor.

    Raises:
        UnsupportedCheckpoint: It is of another kind.
    """
    strategy = spec.get("multi_target_strategy")
    if spec.get("kind") != "LogisticRegression" or strategy not in (None, *_INDEPENDENT):
        raise UnsupportedCheckpoint(
            f"expected a LogisticRegression and, at most, one of the multi-target strategies "
            f"{', '.join(_INDEPENDENT)} in a head of version 1; found {spec.get('kind')!r} with {strategy!r}"
        )
    if strategy is None:
        return {**spec, "multi_label": False}, files
    coef, intercept = files.tensor("coef"), files.tensor("intercept")
    parts = [{"kind": "LogisticRegression", "classes": [0, 1]} for _ in spec["classes"]]
    tensors = {}
    for number, _ in enumerate(parts):
        tensors[f"estimators.{number}.coef"] = np.atleast_2d(coef[number])
        tensors[f"estimators.{number}.intercept"] = np.atleast_1d(intercept[number])
    upgraded = {**spec, "kind": "MultiOutputClassifier", "multi_label": True, "estimators": parts}
    return upgraded, Files(tensors, None)
