"""The contenders' processes on the GPU, started one after the other: what each takes of the device is told apart so."""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks._contenders import Device
from benchmarks._errors import BenchmarkError, ContenderFailed
from benchmarks._process import Limits, Worker
from benchmarks._workers import Workers

CALL_S = 30.0
"""How long an answer may take, beyond what it was asked to spend."""


@dataclass(frozen=True, slots=True)
class Started:
    """What starting a contender took.

    Attributes:
        load_s: From the start of its process until its model is loaded.
        device_mb: Memory of the device that was used after its first answers and not before, 10^6 bytes: by its
            context, its weights and its buffers, if nobody else used the device meanwhile.
        versions: Of its packages.
    """

    load_s: float
    device_mb: float
    versions: dict[str, str]


class Probed:
    """The device, through its process."""

    def __init__(self, worker: Worker) -> None:
        """Stand before the process."""
        self._worker = worker

    def about(self) -> dict[str, Any]:
        """Describe the device."""
        return self._worker.ask(0, do="about")

    def used_mb(self) -> float:
        """Give what is used of its memory, 10^6 bytes."""
        return float(self._worker.ask(0, do="used")["mb"])

    def roof(self) -> dict[str, float]:
        """Give its peaks: `gflops`, `gb_per_s`."""
        found = self._worker.ask(0, do="roof")
        return {name: float(found[name]) for name in ("gflops", "gb_per_s")}


class Engine:
    """The engine of a contender alone, as what can be timed."""

    def __init__(self, worker: Worker) -> None:
        """Stand before the process."""
        self._worker = worker

    def repeat(self, texts: Sequence[str], seconds: float, calls: int) -> list[float]:
        """Repeat a run for some seconds, and so often at least; give each one's wall time in milliseconds."""
        answer = self._worker.ask(seconds, do="engine", texts=list(texts), seconds=seconds, calls=calls)
        return self._worker.milliseconds(answer)


class Crew(Workers):
    """Processes that are loaded one after the other."""

    def __init__(self, device: Device, threads: int) -> None:
        """Start nothing yet.

        Args:
            device: That all use.
            threads: What each is told.
        """
        super().__init__(threads)
        self._device = device

    def probe(self) -> Probed:
        """Open the device.

        Raises:
            BenchmarkError: The check cannot run here; the message says what is missing.
        """
        command = [sys.executable, "-m", "benchmarks._gpu._probe", "--device", str(self._device)]
        worker = self.begin(command, Limits(120, CALL_S))
        try:
            self.ready(worker)
        except ContenderFailed as error:
            raise BenchmarkError(str(error).rpartition("status 1: ")[2]) from error
        return Probed(worker)

    def add(
        self, contender: str, command: Sequence[str], probe: Probed, texts: Sequence[str], load_s: float
    ) -> Started:
        """Start a contender and have it label some texts.

        Args:
            contender: Its name.
            command: What starts it.
            probe: Tells what it takes of the device.
            texts: What it labels before its memory is read.
            load_s: How long it may take until it is loaded.

        Raises:
            ContenderFailed: It cannot be loaded or cannot answer.
        """
        before, begun = probe.used_mb(), time.perf_counter()
        worker = self.begin(command, Limits(load_s, CALL_S))
        self.ready(worker)
        loaded = time.perf_counter() - begun
        worker.labels(texts)
        versions = worker.ask(0, do="versions")["versions"]
        used = probe.used_mb() - before
        self._workers[contender] = worker
        return Started(loaded, max(0.0, used), versions)
