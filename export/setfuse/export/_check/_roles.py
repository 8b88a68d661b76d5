"""Find out what the inputs and outputs of a graph are: by name where it says so, by their shapes where it does not."""

import itertools
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

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
    OutputRole.SCORES: ("probabilities", "output_probability", "scores", "logits"),
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


def output_role(value: Any, *, tokens: int, labels: int, dim: int, name: str) -> OutputRole | None:
    """Tell what an output is from what it holds for one text.

    Args:
        value: What the graph put out for a batch of one text.
        tokens: How many tokens the text has.
        labels: How many labels the checkpoint has.
        dim: Width of its embedding.
        name: The output's name, which decides where the shape does not.

    Returns:
        The role, or None for something else.
    """
    if isinstance(value, list):
        is_map = bool(value) and isinstance(value[0], Mapping)
        return OutputRole.SCORES if is_map and len(value[0]) == labels else None
    shape = np.shape(value)
    if np.asarray(value).dtype.kind in "iuOUS":
        return OutputRole.LABELS if shape in {(1,), (1, 1)} else None
    if len(shape) == 3 and shape[1] in {tokens, 1}:  # noqa: PLR2004 - texts, tokens, hidden
        return OutputRole.TOKENS
    by_width = {
        (1, labels): OutputRole.SCORES,
        **({(1, 1): OutputRole.SCORES, (1,): OutputRole.SCORES} if labels == 2 else {}),  # noqa: PLR2004
    }
    by_width.setdefault((1, dim), OutputRole.EMBEDDING)
    if labels == dim and name in PREFERRED_OUTPUTS[OutputRole.EMBEDDING]:
        return OutputRole.EMBEDDING
    if name == "pooler_output":  # BERT's own, which no sentence-transformers body uses
        return None
    return by_width.get(shape)


def as_scores(value: Any, labels: Sequence[str]) -> FloatArray:
    """Give scores as float64 (texts, labels), whatever form the graph has them in.

    A single number a text, of two labels, is taken for the second label's: its probability, or its logit.
    """
    if isinstance(value, list):
        return np.asarray([_in_order(row, labels) for row in value], dtype=np.float64)
    scores = np.asarray(value, dtype=np.float64)
    if scores.ndim == 1 or scores.shape[1] == 1:
        second = scores.reshape(-1)
        is_probability = bool((second >= 0).all() and (second <= 1).all())
        return np.stack([1 - second if is_probability else np.zeros_like(second), second], axis=1)
    return scores


def _in_order(row: Mapping[Any, float], labels: Sequence[str]) -> list[float]:
    by_name = {str(label): score for label, score in row.items()}
    if by_name.keys() == set(labels):
        return [by_name[label] for label in labels]
    return list(row.values())


def as_labels(value: Any, labels: Sequence[str]) -> npt.NDArray[np.int64]:
    """Give labels as int64 (texts,) places in the checkpoint's labels; -1 for what is none of them."""
    found = [item.decode() if isinstance(item, bytes) else str(item) for item in np.asarray(value).reshape(-1)]
    places = {label: place for place, label in enumerate(labels)}
    if not places.keys() >= set(found):
        places = {str(place): place for place in range(len(labels))}
    return np.asarray([places.get(item, -1) for item in found], dtype=np.int64)
