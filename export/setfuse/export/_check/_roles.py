"""Find out what the inputs and outputs of a graph are: by name where it says so, by their shapes where it does not."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from setfuse.runtime import Scores

FloatArray = npt.NDArray[np.float64]


class InputRole(StrEnum):
    """What an input is fed with."""

    IDS = "token ids"
    MASK = "mask"
    TYPES = "token types"
    POSITIONS = "positions"


class OutputRole(StrEnum):
    """What an output holds."""

    SCORES = "scores"
    EMBEDDING = "embedding"
    TOKENS = "token embeddings"
    LABELS = "labels"


_INPUT_NAMES = {
    InputRole.IDS: ("input_ids", "token_ids", "ids"),
    InputRole.MASK: ("attention_mask", "input_mask", "mask"),
    InputRole.TYPES: ("token_type_ids", "segment_ids", "token_types", "type_ids"),
    InputRole.POSITIONS: ("position_ids", "positions"),
}

PREFERRED_OUTPUTS = {
    OutputRole.SCORES: ("probabilities", "decision_scores", "output_probability", "scores", "logits"),
    OutputRole.EMBEDDING: ("sentence_embedding", "sentence_embeddings", "embedding", "embeddings"),
    OutputRole.TOKENS: ("token_embeddings", "last_hidden_state"),
    OutputRole.LABELS: ("label", "labels", "output_label"),
}
"""The names that common exporters give, for graphs with several outputs of one kind."""


def input_roles(names: Sequence[str]) -> list[dict[str, InputRole]]:
    """List what the inputs may be, those with a known name apart.

    Args:
        names: Names of the inputs.

    Returns:
        All assignments in question; one, if every name is known; none, if no input can be the token ids.
    """
    known = {name: role for name in names if (role := _role_of(name))}
    unknown = [name for name in names if name not in known]
    free = [role for role in (InputRole.IDS, InputRole.MASK, InputRole.TYPES) if role not in known.values()]
    choices = []
    for roles in itertools.permutations(free, len(unknown)):
        assignment = known | dict(zip(unknown, roles, strict=True))
        if InputRole.IDS in assignment.values():
            choices.append(assignment)
    return choices


def _role_of(name: str) -> InputRole | None:
    plain = name.rpartition("/")[2].partition(":")[0].lower()  # TensorFlow's names are like `serving/input_ids:0`
    return next((role for role, names in _INPUT_NAMES.items() if plain in names), None)


@dataclass(frozen=True, slots=True)
class Shapes:
    """What a checkpoint's answers to one text look like.

    Attributes:
        tokens: How many tokens the text has.
        hidden: Width of a token's embedding.
        widths: Those that the text's embedding has after the pooling and after each module.
        labels: How many labels there are.
        multi_label: Whether a text can have several.
    """

    tokens: int
    hidden: int
    widths: tuple[int, ...]
    labels: int
    multi_label: bool


def output_role(value: Any, shapes: Shapes, name: str) -> OutputRole | None:
    """Tell what an output is from what it holds for one text.

    Args:
        value: What the graph put out for a batch of one text.
        shapes: What the checkpoint's answers look like.
        name: The output's name, which decides where the shape does not.

    Returns:
        The role, or None for something else.
    """
    if isinstance(value, list):
        is_map = bool(value) and isinstance(value[0], Mapping)
        return OutputRole.SCORES if is_map and len(value[0]) == shapes.labels else None
    shape = np.shape(value)
    if np.asarray(value).dtype.kind in "biuOUS":
        label_shapes = {(1,), (1, 1), *([(1, shapes.labels)] if shapes.multi_label else [])}
        return OutputRole.LABELS if shape in label_shapes else None
    return _float_role(shape, shapes, name)


def of_another_head(value: Any, name: str) -> bool:
    """Tell whether an output is scores by its name, and of another number of labels: a column a label, and no more."""
    if isinstance(value, list):
        return bool(value) and isinstance(value[0], Mapping)
    is_numbers = np.asarray(value).dtype.kind == "f" and len(np.shape(value)) == 2  # noqa: PLR2004 - texts and labels
    return is_numbers and name in PREFERRED_OUTPUTS[OutputRole.SCORES]


def _float_role(shape: tuple[int, ...], shapes: Shapes, name: str) -> OutputRole | None:
    labels = shapes.labels
    score_shapes: set[tuple[int, ...]] = {(1, labels)}
    if shapes.multi_label:
        score_shapes.add((labels, 1, 2))  # skl2onnx's MultiOutputClassifier: no and yes, a label
    elif labels == 2:  # noqa: PLR2004 - one number may be enough
        score_shapes |= {(1, 1), (1,)}
    if shape not in score_shapes and shape in {(1, shapes.tokens, shapes.hidden), (1, 1, shapes.hidden)}:
        return OutputRole.TOKENS
    is_embedding = shape in {(1, width) for width in shapes.widths}
    if shape in score_shapes and not (is_embedding and name in PREFERRED_OUTPUTS[OutputRole.EMBEDDING]):
        return OutputRole.SCORES
    # BERT has a pooler_output of its own, which no sentence-transformers body uses.
    return OutputRole.EMBEDDING if is_embedding and name != "pooler_output" else None


def as_scores(value: Any, labels: Sequence[str], kind: Scores) -> FloatArray:
    """Give scores as float64 (texts, labels), whatever form the graph has them in; another head's have its own columns.

    A single number a text, of two labels, is taken for the second label's: its probability, its logit, or its decision
    score, of which the first label has the negative.
    """
    if isinstance(value, list):
        return np.asarray([_in_order(row, labels) for row in value], dtype=np.float64)
    scores = np.asarray(value, dtype=np.float64)
    if scores.ndim == 3:  # noqa: PLR2004 - (labels, texts, 2): no and yes, a label
        yes: FloatArray = scores[:, :, 1].T
        return yes
    if scores.ndim == 1 or (scores.shape[1] == 1 and len(labels) == 2):  # noqa: PLR2004 - one number is enough
        second = scores.reshape(-1)
        if kind is Scores.DECISION:
            return np.stack([-second, second], axis=1)
        is_probability = bool((second >= 0).all() and (second <= 1).all())
        return np.stack([1 - second if is_probability else np.zeros_like(second), second], axis=1)
    return scores


def _in_order(row: Mapping[Any, float], labels: Sequence[str]) -> list[float]:
    by_name = {str(label): score for label, score in row.items()}
    if by_name.keys() == set(labels):
        return [by_name[label] for label in labels]
    return list(row.values())


def as_labels(value: Any, labels: Sequence[str]) -> FloatArray:
    """Give labels as float64 (texts, labels), 1 where a text has the label; no 1 for what is none of them."""
    given: FloatArray
    if np.shape(value)[1:] == (len(labels),):
        given = np.asarray(value).astype(np.float64)
        return given
    found = [item.decode() if isinstance(item, bytes) else str(item) for item in np.asarray(value).reshape(-1)]
    places = {label: place for place, label in enumerate(labels)}
    if not places.keys() >= set(found):
        places = {str(place): place for place in range(len(labels))}
    numbers = np.asarray([places.get(item, -1) for item in found], dtype=np.int64)
    given = (numbers[:, None] == np.arange(len(labels))).astype(np.float64)
    return given
