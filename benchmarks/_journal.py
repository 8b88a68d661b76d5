"""What a run has measured so far, kept as it goes, so that an interrupted one can go on."""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ._runner import Roster


class Journal:
    """A file of finished steps, one JSON line each; the first line says which run it is of.

    A step counts when its line is whole. The file of another run, or of other settings, is started over.
    """

    def __init__(self, path: Path, run: Mapping[str, Any], *, fresh: bool) -> None:
        """Open a journal.

        Args:
            path: The file.
            run: Everything that the figures depend on; JSON.
            fresh: Start over, whatever is there.
        """
        self._path = path
        head = json.dumps({"run": run}, sort_keys=True)
        self._steps = {} if fresh else _read(path, head)
        lines = [head, *(json.dumps(step) for step in self._steps.values())]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    @property
    def finished(self) -> int:
        """How many steps were found."""
        return len(self._steps)

    def step(self, name: str, roster: Roster, measure: Callable[[], Any]) -> Any:
        """Give what a step measured: from the file, or by measuring it now.

        Args:
            name: The step.
            roster: Who is in the run; those who failed in a step that is found are taken out again.
            measure: Measures it; gives what JSON can hold.
        """
        if name not in self._steps:
            data = measure()
            self._steps[name] = {"step": name, "failed": dict(roster.failed), "data": data}
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(self._steps[name]) + "\n")
                file.flush()
                os.fsync(file.fileno())
        step = self._steps[name]
        for contender, reason in step["failed"].items():
            roster.fail(contender, reason)
        return step["data"]

    def close(self) -> None:
        """Remove the file: the run is complete."""
        self._path.unlink(missing_ok=True)


def _read(path: Path, head: str) -> dict[str, dict[str, Any]]:
    if not path.is_file():
        return {}
    first, *lines = path.read_text(encoding="utf-8").split("\n")
    if first != head:
        return {}
    steps = {}
    for line in lines[:-1]:  # what follows the last newline was cut short
        step = json.loads(line)
        steps[step["step"]] = step
    return steps
