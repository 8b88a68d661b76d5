"""What a contender takes up: rows of memory, size and start."""

from collections.abc import Mapping, Sequence

import numpy as np

from ._contenders import Contender, Models
from ._environments import ENVIRONMENTS
from ._results import FootprintRow


def footprint_row(
    contender: Contender, models: Models, starts: Sequence[tuple[float, float]], memory: Mapping[str, float]
) -> FootprintRow:
    """Turn what was read of one contender's processes into a row.

    Args:
        contender: Which.
        models: What it runs.
        starts: Seconds to the first label and largest resident megabytes until then, of each new process.
        memory: `rss_mb`, `peak_rss_mb`, `rss_texts` and `idle_cpu_ms` of a process that has worked.
    """
    size = ENVIRONMENTS[contender.environment].size_bytes()
    seconds = tuple(second for second, _ in starts)
    return FootprintRow(
        contender=contender.name,
        install_mb=None if size is None else size / 1e6,
        artefact_mb=_artefact_bytes(contender, models) / 1e6,
        cold_start_s=float(np.median(seconds)),
        cold_start_samples_s=seconds,
        cold_rss_mb=max(peak for _, peak in starts),
        peak_rss_mb=memory["peak_rss_mb"],
        rss_mb=memory["rss_mb"],
        rss_texts=int(memory["rss_texts"]),
        idle_cpu_ms=memory["idle_cpu_ms"],
    )


def _artefact_bytes(contender: Contender, models: Models) -> int:
    roots = {"bundle": models.bundle, "checkpoint": models.checkpoint, "artefacts": models.artefacts}
    paths = set()
    for pattern in contender.loads:
        root, _, below = pattern.partition("/")
        paths |= {path for path in roots[root].glob(below) if path.is_file()}
    return sum(path.stat().st_size for path in paths)
