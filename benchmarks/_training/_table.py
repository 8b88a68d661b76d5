"""What was stated of the card's training and what was trained, a row each, for the README and for a terminal."""

from collections.abc import Mapping
from typing import Any

from benchmarks._report import aligned, escaped
from benchmarks._warnings import warnings_of


def training_table(found: Mapping[str, Any]) -> str:
    """Write the rows, the ratio, the machine and the versions in Markdown.

    Args:
        found: The content of `training.json`.
    """
    head, *rows = _rows(found)
    lines = [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]
    machine, threads = found["environment"], found["runs"][0]["threads"]
    where = f"{machine['cpu']}, {threads} thread{'s' * (threads > 1)}, {str(machine['time'])[:10]}"
    versions = {run["who"]: ", ".join(map(" ".join, run["versions"].items())) for run in found["runs"]}
    notes = [*_ratios(found), f"{where}. Installed: {'; '.join(versions.values())}.", *_warnings(found)]
    return "\n\n".join(["\n".join(lines), *map(escaped, notes)])


def losses_table(found: Mapping[str, Any]) -> str:
    """Lay the rows and the ratio out for a terminal.

    Args:
        found: As above.
    """
    return "\n".join([*aligned(_rows(found)), *_ratios(found), *_warnings(found)])


def _rows(found: Mapping[str, Any]) -> list[list[str]]:
    card, setfit = found["card"], found["setfit_on_a_cpu"]
    rows = [["", "loss, step 1", "mean loss, steps 2 to 50", f"right of {card['texts']:,}", "seconds", "peak MB"]]
    for name, stated in (("the card, on a GPU", card), ("SetFit 1.2.0, on a CPU", setfit)):
        if stated is not None:
            rows.append([name, *_figures(stated, round(stated["accuracy"] * stated["texts"])), "-", "-"])
    for run in sorted(found["runs"], key=lambda run: run["who"] == "setfuse"):
        peak = "-" if run["peak_mb"] is None else f"{run['peak_mb']:,.0f}"
        rows.append([f"{run['who']}, seed {run['seed']}", *_figures(run, run["right"]), f"{run['seconds']:.1f}", peak])
    return rows


def _figures(of: Mapping[str, Any], right: int) -> list[str]:
    mean = "-" if of["mean_2_to_50"] is None else f"{of['mean_2_to_50']:.4f}"
    return [f"{of['step_1']:.4f}", mean, f"{right:,}"]


def _ratios(found: Mapping[str, Any]) -> list[str]:
    lines = []
    for name, ratios in (found["against_setfit"] or {}).items():
        each = ", ".join(f"{ratio:.2f}" for ratio in ratios["rounds"])
        lines.append(f"SetFit's {name} over setfuse's: {ratios['median']:.2f} (round by round: {each}).")
    return lines


def _warnings(found: Mapping[str, Any]) -> list[str]:
    return [f"Warning: {warning}." for warning in warnings_of({**found["environment"], **found["noise"]}, ())]
