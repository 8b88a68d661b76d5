"""What setfuse wants to be on one modern data-centre GPU, held against what was measured."""

from collections.abc import Sequence

from benchmarks._agreement import MIN_LABELS
from benchmarks._contenders import Quality
from benchmarks._results import Status

from ._cases import LENGTHS, MIXED, What
from ._registry import CAPTURED, RUNTIME
from ._results import Entrant, Goal, Row

TEXT_MS = 0.35
ENGINE_MS = 0.25
GOAL_CASE = "1 x 32"


def goals(contenders: Sequence[Entrant], rows: Sequence[Row]) -> tuple[Goal, ...]:
    """Hold each goal against the figures.

    Args:
        contenders: Everyone.
        rows: What was measured; times that are struck out win nothing.
    """
    ours = {entrant.contender for entrant in contenders if entrant.ours}
    right = {entrant.contender for entrant in contenders if entrant.status is Status.MEASURED}
    others = [row for row in rows if row.contender in right - ours and row.what == What.TEXT]
    single = [row for row in others if row.case in {f"1 x {length}" for length in LENGTHS}]
    large = [row for row in others if row.case == f"{MIXED[-1]} mixed"]
    labels = next((entrant.label_agreement for entrant in contenders if entrant.contender == CAPTURED), None)
    wanted = MIN_LABELS[Quality.SAME]
    return (
        _at_most(TEXT_MS, What.TEXT, _find(rows, RUNTIME, What.TEXT)),
        _at_most(ENGINE_MS, What.ENGINE, _find(rows, CAPTURED, What.ENGINE)),
        _ahead("one text a call: ahead of every contender, text to label", single, ties=False),
        _ahead(f"{MIXED[-1]} texts of mixed lengths: at least equal to the fastest contender", large, ties=True),
        Goal(
            f"fp16 labels: at least {wanted:.1%} are torch's",
            "" if labels is None else f"{labels:.2%}",
            None if labels is None else labels >= wanted,
        ),
    )


def _find(rows: Sequence[Row], contender: str, what: What) -> Row | None:
    wanted = (contender, GOAL_CASE, what)
    return next((row for row in rows if (row.contender, row.case, row.what) == wanted), None)


def _at_most(limit_ms: float, what: What, row: Row | None) -> Goal:
    goal = f"one text of 32 tokens, {what}: p50 at most {limit_ms:g} ms"
    return Goal(goal, f"{row.p50_ms:.3f} ms ({row.contender})" if row else "", row.p50_ms <= limit_ms if row else None)


def _ahead(goal: str, others: Sequence[Row], *, ties: bool) -> Goal:
    """Judge by the contender that is nearest to setfuse, or ahead of it; a tie is an interval that includes 1."""
    compared = [row for row in others if row.ratio is not None]
    if not compared:
        return Goal(goal, "", None)
    nearest = min(compared, key=lambda row: row.ratio or 0.0)
    bound = nearest.ratio_high if ties else nearest.ratio_low
    reached = nearest.ratio if bound is None else bound
    said = f"{nearest.contender} takes {nearest.ratio:.2f} times as long as {nearest.reference} at {nearest.case}"
    return Goal(goal, said, (reached or 0.0) >= 1)
