"""What a reader must know before believing the figures of a run."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ._environment import NOISY
from ._results import LatencyRow

BUSY = 0.5
"""Load before a run, a processor, above which somebody else was at work already."""
DRIFT = 1.25
"""How many times as long the slowest round may take as the fastest, in the middle of all rows."""


def warnings_of(environment: Mapping[str, Any], rows: Sequence[LatencyRow]) -> tuple[str, ...]:
    """Tell where the machine was noisy.

    Args:
        environment: Of the run, with the shares of the processors that others used.
        rows: What was measured.
    """
    found = []
    load = environment["load_1min"] / environment["cores_usable"]
    if load > BUSY:
        found.append(f"the machine was busy before the run: a load of {environment['load_1min']}")
    others, stolen = environment["others_share"], environment["stolen_share"]
    if others is not None and others > NOISY:
        found.append(f"others used {others:.0%} of the processors during the run")
    if stolen is not None and stolen > NOISY:
        found.append(f"the host took {stolen:.0%} of the processors away during the run")
    spread = [max(row.round_p50_ms) / min(row.round_p50_ms) for row in rows if row.kind in {"length", "batch"}]
    if spread and float(np.median(spread)) > DRIFT:
        found.append(
            f"times drifted: the slowest round took {np.median(spread):.2f} times as long as the fastest, in the "
            "middle of all rows; the ratios bear it, the milliseconds do not"
        )
    return tuple(found)
