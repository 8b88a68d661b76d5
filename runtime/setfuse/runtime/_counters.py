"""What threads count together."""

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._stats import Stats


class Counters:
    """Counts under the names of `Stats`."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # what the garbage collector ends while it is held may count, too
        self._counts: dict[str, float] = {}

    def add(self, **amounts: float) -> None:
        """Add to counts, named as in `Stats`."""
        with self._lock:
            for name, amount in amounts.items():
                self._counts[name] = self._counts.get(name, 0) + amount

    def snapshot(self) -> "Stats":
        """Give the counts of one moment."""
        from ._stats import Stats  # only who reads them needs their form

        with self._lock:
            return Stats(**self._counts)  # type: ignore[arg-type]  # only seconds are added as fractions
