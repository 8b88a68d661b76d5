"""What the fake preparations do."""

import subprocess
import sys
import time
from pathlib import Path

from benchmarks._contenders import Models


def good(models: Models, folder: Path) -> None:
    with (models.artefacts / "calls").open("a") as calls:
        calls.write("x")
    (folder / "made").write_text("whole")


def read(models: Models, folder: Path) -> None:
    (folder / "made").write_text((models.artefacts / "good" / "made").read_text() + " again")


def fail(models: Models, folder: Path) -> None:
    (folder / "half").write_text("half")
    raise ValueError(f"cannot be made from {models.checkpoint.name}")


def hang(models: Models, folder: Path) -> None:
    (folder / "half").write_text("half")
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
    (models.artefacts / "child").write_text(str(child.pid))
    sys.stderr.write("working on it\n")
    sys.stderr.flush()
    time.sleep(300)


def use_train(models: Models, folder: Path) -> None:
    if models.train is None:
        raise ValueError("no labelled texts")
    (folder / "made").write_text(models.train.read_text())
