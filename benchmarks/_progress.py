"""How far a run is, for a person who waits."""

import sys
from types import TracebackType
from typing import Self


class Progress:
    """A bar on stderr that counts turns; a line every ten seconds where stderr is no terminal."""

    def __init__(self, turns: int) -> None:
        """Show an empty bar."""
        from tqdm import tqdm

        self._bar = tqdm(total=turns, unit="turn", mininterval=0.1 if sys.stderr.isatty() else 10, smoothing=0.05)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.close()

    def describe(self, step: str) -> None:
        """Say what is measured now."""
        self._bar.set_description_str(step, refresh=False)

    def tick(self) -> None:
        """Count a turn."""
        self._bar.update()

    def nothing(self) -> None:
        """Count no turn: of work that the turns were not reckoned with."""
