"""Faults before the transformer: other token ids, swapped inputs, texts that are cut elsewhere or not taken at all."""

import itertools

import numpy as np

from ._batches import Batch
from ._case import Case
from ._reference import Recipe
from ._report import Reason
from ._roles import FloatArray, InputRole

_SAMPLE = 8


def run_fails(case: Case) -> list[Reason]:
    """Some texts are more than the graph takes."""
    if not case.alone.failures:
        return []
    lengths = case.lengths()
    failing = sorted(case.alone.failures)
    shortest = min(failing, key=lambda place: int(lengths[place]))
    works = lengths[case.ran]
    most = f"; the longest that it takes has {works.max()}" if len(works) else ""
    return [
        Reason(
            "run_fails",
            f"onnxruntime fails on {len(failing)} of {len(case.texts)} texts, the shortest of {lengths[shortest]} "
            f"tokens ({case.alone.failures[shortest]}){most}; the checkpoint takes {case.own.max_length}",
        )
    ]


def ids_differ(case: Case) -> list[Reason]:
    """The graph is used with another tokenizer, or cuts texts elsewhere, than the checkpoint."""
    maker, own = case.subject.maker, case.own
    reasons = []
    if maker.max_length != own.max_length and _any_other(own.ids(case.texts), own.ids(case.texts, maker.max_length)):
        reasons.append(
            Reason(
                "max_length",
                f"texts are cut at {maker.max_length} tokens for the graph, and at {own.max_length} by the checkpoint",
            )
        )
    if maker.prompt != own.prompt and _any_other(own.ids(case.texts), own.ids(case.texts, prompt=maker.prompt)):
        reasons.append(_other_prompt(maker.prompt, own.prompt))
    given, expected = maker.ids(case.texts), own.ids(case.texts, maker.max_length, maker.prompt)
    if not _any_other(given, expected):
        return reasons
    plain = [text for text in case.texts if text.isascii()]  # upper-case of other scripts does not come back
    lower, upper = [text.lower() for text in plain], [text.upper() for text in plain]
    folds, own_folds = (not _any_other(each.ids(lower), each.ids(upper)) for each in (maker, own))
    if folds != own_folds and not _any_other(maker.ids(lower), own.ids(lower, maker.max_length, maker.prompt)):
        one, other = ("lower-cases", "does not") if folds else ("does not lower-case", "does")
        return [*reasons, Reason("lower_casing", f"the tokenizer {one}, the checkpoint's {other}")]
    count = sum(a != b for a, b in zip(given, expected, strict=True))
    sentence = f"the tokenizer gives other ids than the checkpoint's for {count} of {len(case.texts)} texts"
    return [*reasons, Reason("tokenizer", sentence)]


def _other_prompt(given: str, own: str) -> Reason:
    if not given:
        return Reason("prompt_missing", f"the prompt is missing: the checkpoint puts {own!r} before each text")
    if not own:
        return Reason("prompt_extra", f"{given!r} is put before each text for the graph, nothing by the checkpoint")
    return Reason("prompt", f"{given!r} is put before each text for the graph, {own!r} by the checkpoint")


def _any_other(some: list[list[int]], others: list[list[int]]) -> bool:
    return any(a != b for a, b in zip(some, others, strict=True))


def inputs_swapped(case: Case, right: FloatArray) -> Reason | None:
    """Fed in another order of its inputs, the graph is right."""
    usual = {name: role for name, role in case.roles.items() if role is not InputRole.POSITIONS}
    places = np.argsort(case.lengths(), kind="stable")[-2 * _SAMPLE :: 2]  # not the shortest, which may be one token
    batches = [case.batches[place] for place in places]
    for order in itertools.permutations(usual.values()):
        roles = dict(case.roles) | dict(zip(usual, order, strict=True))
        if roles == case.roles:
            continue
        rows = case.subject.answer(case.output, batches, roles).rows
        if not np.isnan(rows).any() and case.difference(rows, right[places]) <= case.tolerance:
            taken = ", ".join(
                f"{name!r} is used as the {roles[name]}" for name in usual if roles[name] != case.roles[name]
            )
            return Reason("inputs_swapped", f"inputs are swapped: {taken}")
    return None


def cut_inside(case: Case, right: FloatArray) -> Reason | None:
    """The graph reads the first tokens only, so long texts differ and short ones do not."""
    if case.alone.rows.shape != right.shape:
        return None
    lengths = case.lengths()
    off = np.abs(case.alone.rows - right).max(axis=1) > case.tolerance
    off &= case.ran
    equal = case.ran & ~off
    if not off.any() or not equal.any() or lengths[equal].max() >= lengths[off].min():
        return None
    shortest = int(np.where(off, lengths, np.iinfo(np.int64).max).argmin())
    longest = int(np.where(off, lengths, 0).argmax())
    for length in range(int(lengths[equal].max()), int(lengths[shortest])):
        for ends in (False, True):
            rows = [_cut(case.batches[place], length, keep_end=ends) for place in (shortest, longest)]
            predicted = case.predict(case.reference.tokens(rows, Recipe()), Recipe())
            if (
                predicted is not None
                and case.difference(predicted, case.alone.rows[[shortest, longest]]) <= case.tolerance
            ):
                return Reason(
                    "max_length",
                    f"the graph reads the first {length} tokens only, the checkpoint up to {case.own.max_length}",
                )
    return None


def _cut(batch: Batch, length: int, *, keep_end: bool) -> Batch:
    # A graph can slice; a tokenizer keeps the separator at the end.
    kept = np.arange(length)
    if keep_end:
        kept[-1] = batch.ids.shape[1] - 1
    return Batch(batch.ids[:, kept], batch.mask[:, kept], batch.types[:, kept], batch.padding_id)
