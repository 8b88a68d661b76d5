"""Say why a graph answers differently, where one of the faults that exporters are known for explains it."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ._batches import Batch
from ._body_changes import Part, body_changes, combinations
from ._case import Case
from ._explain_inputs import cut_inside, ids_differ, inputs_swapped, run_fails
from ._explain_numbers import (
    depends_on_batch,
    dynamic_int8,
    float16,
    head_or_body,
    other_head,
    other_labels,
    static_int8,
)
from ._reference import Pooled, Recipe, Tokens
from ._report import Reason
from ._roles import FloatArray, OutputRole
from ._score_changes import UNCHANGED, ScoreChange, in_graphs_order, score_changes

EXPLAINS = 1 / 20
"""Share of a difference that an explanation may leave: what is left can be float16's or int8's rounding."""

NUMBERS: tuple[Callable[[Case, FloatArray], Reason | None], ...] = (float16, dynamic_int8, static_int8)
"""What rounding explains; each is given what the graph would answer without it."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """What explains the answers to texts by themselves.

    Attributes:
        reasons: In the order of the graph's parts; none, if the graph is right about the ids that it is given.
        predicted: What the checkpoint answers with these changes.
        recipe: The changes of the body.
        scores: The change of the scores.
    """

    reasons: tuple[Reason, ...]
    predicted: FloatArray
    recipe: Recipe = Recipe()  # noqa: RUF009 - frozen
    scores: ScoreChange = UNCHANGED


def explain(case: Case) -> list[Reason]:
    """Give the reasons why an output is not the checkpoint's; the last resort is a sentence that says what is known."""
    if reason := other_labels(case):
        return [*run_fails(case), reason]
    if case.on_own_embedding:
        return _explain_head(case)
    if case.difference(case.alone.rows, case.expected) > case.tolerance or not case.ran.all():
        reasons, alone = _explain_alone(case)
    else:
        reasons, alone = [], Explanation((), case.expected)
    # Of a graph that is wrong about a single text for reasons unknown, batches tell no more.
    if alone and case.difference(case.in_batch.rows, case.alone.rows) > case.tolerance:
        reasons += _explain_in_batch(case, alone, reasons)
    return reasons


def _explain_head(case: Case) -> list[Reason]:
    """Explain scores that are not the head's answer to the graph's own embedding: the body has no part in it."""
    found, expected = case.alone.rows[case.ran], case.expected[case.ran]
    difference = case.difference(case.alone.rows, case.expected)
    for change in score_changes(case.reference.head):
        if change is not UNCHANGED and found.size and change.residual(found, expected) <= EXPLAINS * difference:
            labels = in_graphs_order(case.subject.labels, found, expected)
            return [*run_fails(case), Reason(change.name, change.sentence.format(labels=labels))]
    return (
        [*run_fails(case), other_head("the checkpoint's head was asked about the graph's own embedding")]
        if found.size
        else run_fails(case)
    )


def _explain_alone(case: Case) -> tuple[list[Reason], Explanation | None]:
    if np.isnan(case.alone.rows).any(axis=1).all():
        return _explain_no_numbers(case), None
    reasons = run_fails(case)
    tokens = case.reference.tokens(case.batches, Recipe())
    right = case.predict(tokens, Recipe())
    if right is None:  # not of a checkpoint that the oracle could run
        return [*reasons, Reason("unexplained", "the checkpoint's own modules do not fit its head")], None
    reasons += ids_differ(case)
    difference = case.difference(case.alone.rows, right)
    if difference <= case.tolerance:
        return reasons, Explanation((), right)
    for look in (inputs_swapped, cut_inside):
        if reason := look(case, right):
            return [*reasons, reason], None
    alone = _search(case, case.batches, case.alone.rows, difference, tokens=tokens)
    if alone:
        reasons += alone.reasons
        if case.difference(case.alone.rows, alone.predicted) > case.tolerance and alone.scores is UNCHANGED:
            reasons += [reason for look in NUMBERS if (reason := look(case, alone.predicted))][:1]
        return reasons, alone
    rounding = [reason for look in NUMBERS if (reason := look(case, right))]
    return [*reasons, *(rounding[:1] or [head_or_body(case)])], None


def _explain_no_numbers(case: Case) -> list[Reason]:
    """Explain that there is nothing to compare changes with."""
    right = case.predict(case.reference.tokens(case.batches, Recipe()), Recipe())
    swapped = None if right is None else inputs_swapped(case, right)  # a mask of zeros gives NaN, too
    return run_fails(case) or [swapped or Reason("not_a_number", "the graph answers every text with NaN")]


def _explain_in_batch(case: Case, alone: Explanation, so_far: Sequence[Reason]) -> list[Reason]:
    if case.is_padded:
        found = _search(
            case,
            case.padded,
            case.in_batch.rows,
            case.difference(case.in_batch.rows, case.alone.rows),
            start=alone.recipe,
            parts=(Part.PADDING,),
            scores=(alone.scores,),
        )
        if found:
            return list(found.reasons)
    reason = dynamic_int8(case, case.alone.rows) or depends_on_batch(case)
    return [] if reason.name in {earlier.name for earlier in so_far} else [reason]


def _search(
    case: Case,
    batches: Sequence[Batch],
    found: FloatArray,
    difference: float,
    *,
    start: Recipe = Recipe(),  # noqa: B008 - frozen
    parts: Sequence[Part] = tuple(Part),
    scores: Sequence[ScoreChange] | None = None,
    tokens: list[Tokens] | None = None,
) -> Explanation | None:
    """Try combinations of changes, the smallest first, and take the nearest of the first size that explains."""
    parts, scores = _applicable(case, batches, parts, scores or score_changes(case.reference.head))
    known = {} if tokens is None else {False: tokens}
    for attends in (False, True) if Part.PADDING in parts else (start.attends_padding,):
        if attends not in known:
            known[attends] = case.reference.tokens(batches, Recipe(attends_padding=attends))
    answered = ~np.isnan(found).any(axis=1)
    if not answered.any():
        return None
    difference = min(difference, float(np.ptp(found[answered])))  # infinite where the embedding has another width
    pooled: dict[Recipe, Pooled] = {}
    best: dict[int, tuple[float, Explanation]] = {}
    for combination, recipe in combinations(body_changes(case.reference), start, parts):
        if best and min(best) < len(combination):
            break
        so_far = dataclasses.replace(recipe, without=frozenset(), normalizes_too=False)
        if so_far not in pooled:
            pooled[so_far] = case.reference.pool(known[recipe.attends_padding], so_far)
        predicted = case.predict_from(pooled[so_far], recipe)
        if predicted is None or predicted.shape != found.shape:
            continue
        for change in scores:
            new = () if len(scores) == 1 or change is UNCHANGED else (change,)
            size = len(combination) + len(new)
            residual = change.residual(found[answered], predicted[answered])
            if size and residual <= EXPLAINS * difference and residual < best.get(size, (np.inf,))[0]:
                labels = in_graphs_order(case.subject.labels, found[answered], predicted[answered])
                reasons = [Reason(one.name, one.sentence.format(labels=labels)) for one in (*combination, *new)]
                best[size] = residual, Explanation(tuple(reasons), predicted, recipe, change)
    return best[min(best)][1] if best else None


def _applicable(
    case: Case, batches: Sequence[Batch], parts: Sequence[Part], scores: Sequence[ScoreChange]
) -> tuple[Sequence[Part], Sequence[ScoreChange]]:
    """Leave out what cannot be seen in this output, or in these batches."""
    if all(batch.mask.all() for batch in batches):
        parts = [part for part in parts if part is not Part.PADDING]
    if case.output.role is OutputRole.TOKENS:  # pooled by the checkpoint itself
        parts = [part for part in parts if part is Part.PADDING]
    return parts, scores if case.output.role is OutputRole.SCORES else (UNCHANGED,)
