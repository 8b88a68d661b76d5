"""What can have happened to a body on its way into a graph, each as a change of the reference's recipe."""

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ._reference import POOLING_MODES, Recipe, Reference

_MOST_AT_ONCE = 3


class Part(StrEnum):
    """The part of the body that a change concerns; two changes of one part exclude each other, modules apart."""

    PADDING = "padding"
    PROMPT = "prompt"
    POOLING = "pooling"
    MODULES = "modules"
    SCALING = "scaling"


@dataclass(frozen=True, slots=True)
class BodyChange:
    """One thing that a graph may do differently with the body.

    Attributes:
        name: For the report's reader that is a program.
        sentence: What a person is told.
        part: What it concerns.
        recipe: The recipe's fields that change, and their values.
    """

    name: str
    sentence: str
    part: Part
    recipe: dict[str, Any]


def body_changes(reference: Reference) -> list[BodyChange]:
    """List what can be different from a checkpoint; what it does not have cannot be missing."""
    changes = [
        BodyChange(
            "padding_counted",
            "padding is counted: the pooling takes all tokens, and not those alone that attention_mask names",
            Part.PADDING,
            {"pools_padding": True},
        ),
        BodyChange(
            "padding_attended",
            "padding is attended to: the attention does not use attention_mask",
            Part.PADDING,
            {"attends_padding": True},
        ),
        BodyChange(
            "mask_ignored",
            "attention_mask is ignored, so padding counts as text: right for a text alone, wrong in a padded batch",
            Part.PADDING,
            {"attends_padding": True, "pools_padding": True},
        ),
    ]
    if reference.skips_prompt:
        sentence = (
            "the prompt is pooled: the checkpoint leaves the prompt's tokens out of the pooling, the graph does not"
        )
        changes.append(BodyChange("prompt_pooled", sentence, Part.PROMPT, {"pools_prompt": True}))
    changes += [
        BodyChange(
            f"pooling_{mode}",
            f"the pooling is {mode}, and {reference.pooling or 'another'} in the checkpoint",
            Part.POOLING,
            {"pooling": mode},
        )
        for mode in POOLING_MODES
        if mode != reference.pooling
    ]
    changes += _missing_stages(reference)
    if not reference.normalizes:
        sentence = "the graph scales the embedding to unit length, the checkpoint does not: a Normalize too many"
        changes.append(BodyChange("normalize_extra", sentence, Part.SCALING, {"normalizes_too": True}))
    return changes


_MISSING = {
    "Normalize": "the checkpoint scales the embedding to unit length before the head, the graph does not",
    "Dense": "the checkpoint puts the embedding through a dense layer, the graph does not",
    "LayerNorm": "the checkpoint normalises the embedding, the graph does not",
    "Truncate": "the checkpoint keeps the first numbers of the embedding (truncate_dim), the graph all of them",
}
"""What it means that a module after the pooling is missing, by its class."""

_NAMES = {
    "Normalize": "normalize_missing",
    "Dense": "dense_missing",
    "LayerNorm": "layer_norm_missing",
    "Truncate": "truncate_missing",
}

_SETFIT = "SetFit's export_onnx takes the transformer and the pooling alone"


def _missing_stages(reference: Reference) -> list[BodyChange]:
    names = [stage.name for stage in reference.stages]
    changes = []
    for place, stage in enumerate(names):
        which = f" number {names[: place + 1].count(stage)}" if names.count(stage) > 1 else ""
        hint = f" ({_SETFIT})" if len(names) == 1 else ""
        sentence = f"{stage}{which} is missing: {_MISSING[stage]}{hint}"
        changes.append(BodyChange(_NAMES[stage], sentence, Part.MODULES, {"without": frozenset({place})}))
    if len(names) > 1:
        sentence = f"all that comes after the pooling is missing: {', '.join(names)} ({_SETFIT})"
        changes.append(BodyChange("modules_missing", sentence, Part.MODULES, {"without": frozenset(range(len(names)))}))
    return changes


def combinations(
    changes: Sequence[BodyChange], start: Recipe, parts: Sequence[Part]
) -> Iterator[tuple[tuple[BodyChange, ...], Recipe]]:
    """Give every set of changes of some parts that go together, the smallest first, with its recipe."""
    usable = [change for change in changes if change.part in parts]
    for count in range(min(_MOST_AT_ONCE, len(usable)) + 1):
        for combination in itertools.combinations(usable, count):
            alone = [change.part for change in combination if change.part is not Part.MODULES]
            if len(set(alone)) == len(alone):
                yield combination, _changed(start, combination)


def _changed(start: Recipe, combination: Sequence[BodyChange]) -> Recipe:
    fields: dict[str, Any] = {}
    for change in combination:
        fields |= change.recipe
    missing = (change.recipe.get("without", frozenset()) for change in combination)
    return dataclasses.replace(start, **fields | {"without": start.without.union(*missing)})
