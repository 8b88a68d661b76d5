"""The README's table of the card's training, from what was measured."""

from collections.abc import Mapping
from typing import Any

from benchmarks._environment import NOISY
from benchmarks._report import escaped


def training_table(found: Mapping[str, Any]) -> str:
    """Write what was stated and what was trained, a row each, and the ratio below.

    Args:
        found: The content of `training.json`.
    """
    card, setfit = found["card"], found["setfit_on_a_cpu"]
    head = ("", "loss, step 1", "mean loss, steps 2 to 50", f"right of {card['texts']:,}", "seconds", "peak MB")
    rows = [head, ["---"] * len(head)]
    rows += [
        [name, *_figures(stated, round(stated["accuracy"] * stated["texts"])), "", ""]
        for name, stated in (("the card, on a GPU", card), ("SetFit 1.2.0, on a CPU", setfit))
    ]
    for run in sorted(found["runs"], key=lambda run: (run["who"] == "setfuse", found["runs"].index(run))):
        peak = "-" if run["peak_mb"] is None else f"{run['peak_mb']:,.0f}"
        rows.append([f"{run['who']}, seed {run['seed']}", *_figures(run, run["right"]), f"{run['seconds']:.1f}", peak])
    lines = [f"| {' | '.join(row)} |" for row in rows]
    for name, ratios in (found["against_setfit"] or {}).items():
        each = ", ".join(f"{ratio:.2f}" for ratio in ratios["rounds"])
        lines += ["", f"SetFit's {name} over setfuse's: {ratios['median']:.2f} (round by round: {each})."]
    machine, threads = found["environment"], found["runs"][0]["threads"]
    lines += [
        "",
        f"{escaped(str(machine['cpu']))}, {threads} thread{'s' * (threads > 1)}, {escaped(str(machine['time'])[:10])}.",
    ]
    others = found["noise"]["others_share"]
    if others is not None and others > NOISY:
        lines += ["", f"Warning: others used {others:.0%} of the processors during the run."]
    return "\n".join(lines)


def _figures(of: Mapping[str, Any], right: int) -> list[str]:
    mean = "-" if of["mean_2_to_50"] is None else f"{of['mean_2_to_50']:.4f}"
    return [f"{of['step_1']:.4f}", mean, f"{right:,}"]
