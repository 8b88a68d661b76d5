"""What a run has measured so far, kept as it goes, so that an interrupted one can go on."""

import fcntl
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from ._errors import BenchmarkError
from ._files import whole_file
from ._runner import Roster


class Journal:
    """A file of finished steps, one JSON line each; the first line says which run it is of.

    A step counts when its line is whole. The file of another run, or of other settings, is started over. `with` lets go
    of the folder at the end; until then no other run can write there.
    """

    def __init__(self, path: Path, run: Mapping[str, Any], *, fresh: bool) -> None:
        """Open a journal.

        Args:
            path: The file.
            run: Everything that the figures depend on; JSON.
            fresh: Start over, whatever is there.

        Raises:
            BenchmarkError: Another run writes here at this moment.
        """
        self._path = path
        head = json.dumps({"run": run}, sort_keys=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(path.with_suffix(".lock"))
        found, self._steps = _read(path, head)
        self.dropped = found - len(self._steps)
        if fresh:
            self._steps = {}
        with whole_file(path) as partial:
            lines = [head, *(json.dumps(step) for step in self._steps.values())]
            partial.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

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

    def complete(self) -> None:
        """Remove the file: the run is complete."""
        self._path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._lock.close()
        self._path.with_suffix(".lock").unlink(missing_ok=True)


def _locked(path: Path) -> IO[str]:
    """Open a file that no other process may open so; the system lets go of it when this process ends."""
    file = path.open("w", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise BenchmarkError(f"{path.parent}: another run writes its results here; choose another --out") from error
    return file


def _read(path: Path, head: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """Give how many steps are there, and those that are of this run, up to the first line that is damaged."""
    if not path.is_file():
        return 0, {}
    first, *lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    lines = lines[:-1]  # what follows the last newline was cut short
    steps: dict[str, dict[str, Any]] = {}
    for line in lines if first == head else ():
        try:
            step = json.loads(line)
            steps[step["step"]] = {key: step[key] for key in ("step", "failed", "data")}
        except (ValueError, KeyError, TypeError):
            break
    return len(lines), steps
