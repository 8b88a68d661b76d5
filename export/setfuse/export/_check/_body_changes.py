"""What can have happened to a body on its way into a graph, each as a change of the reference's recipe."""

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ._reference import POOLING_MODES, Recipe, Reference, Scaling

_MOST_AT_ONCE = 3


class Part(StrEnum):
    """The part of the body that a change concerns; two changes of one part exclude each other."""

    PADDING = "padding"
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
    if reference.has_modules:
        changes.append(
            BodyChange(
                "modules_missing",
                f"the modules after the pooling are missing: {reference.modules}",
                Part.MODULES,
                {"modules": False},
            )
        )
    if reference.normalizes:
        sentence = (
            "Normalize is missing: the checkpoint scales the embedding to unit length before the head, the graph "
            "does not (SetFit's export_onnx leaves it out)"
        )
        changes.append(BodyChange("normalize_missing", sentence, Part.SCALING, {"scaling": Scaling.MISSING}))
    else:
        sentence = "the graph scales the embedding to unit length, the checkpoint does not: a Normalize too many"
        changes.append(BodyChange("normalize_extra", sentence, Part.SCALING, {"scaling": Scaling.EXTRA}))
    return changes


def combinations(
    changes: Sequence[BodyChange], start: Recipe, parts: Sequence[Part]
) -> Iterator[tuple[tuple[BodyChange, ...], Recipe]]:
    """Give every set of changes of some parts, at most one a part, the smallest first, with its recipe."""
    usable = [change for change in changes if change.part in parts]
    for count in range(min(_MOST_AT_ONCE, len(parts)) + 1):
        for combination in itertools.combinations(usable, count):
            if len({change.part for change in combination}) == count:
                fields: dict[str, Any] = {}
                for change in combination:
                    fields |= change.recipe
                yield combination, dataclasses.replace(start, **fields)
