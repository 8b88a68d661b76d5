"""Make the forms of the model that contenders load, each in an environment that has the tools for it.

A form is a folder below `Models.artefacts`, whole or not there, and made once; what its makers said is in NAME.log
beside it. `python -m benchmarks._prepare NAME ...` is the inside of such a process.
"""

import argparse
import contextlib
import importlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from ._contenders import Models, Preparation
from ._environments import ENVIRONMENTS, last_reason, python_for
from ._errors import BenchmarkError
from ._files import ROOT, end_with_parent

LIMIT_S = 600.0
"""How long one may take."""
REGISTRY = "benchmarks._contenders"


def prepare(
    names: Iterable[str], models: Models, *, limit_s: float = LIMIT_S, registry: str = REGISTRY
) -> dict[str, str]:
    """Make some preparations and all that they read; those that are there already are left alone.

    Args:
        names: Of `PREPARATIONS`.
        models: What they are made from. `artefacts` belongs to one checkpoint: names alone tell what is there.
        limit_s: Seconds that each may take.
        registry: The package that holds `PREPARATIONS` and the modules of their functions.

    Returns:
        Each one that was asked for, and each that these need: why it could not be made, or the empty string.
    """
    preparations: Mapping[str, Preparation] = importlib.import_module(registry).PREPARATIONS
    reasons: dict[str, str] = {}
    for name in _in_order(names, preparations):
        missing = next((reasons[need] for need in preparations[name].needs if reasons[need]), "")
        reasons[name] = missing or _make(preparations[name], models, limit_s, registry)
    return reasons


def _in_order(names: Iterable[str], preparations: Mapping[str, Preparation]) -> list[str]:
    """Give them and their needs, needs first, each once."""
    ordered: dict[str, None] = {}
    for name in names:
        ordered |= dict.fromkeys([*_in_order(preparations[name].needs, preparations), name])
    return list(ordered)


def _make(preparation: Preparation, models: Models, limit_s: float, registry: str) -> str:
    """Make one in its environment, unless it is there; give the reason if it cannot be made."""
    if (models.artefacts / preparation.name).is_dir():
        return ""
    try:
        python = python_for(ENVIRONMENTS[preparation.environment])
    except BenchmarkError as error:
        return f"preparation {preparation.name}: {error}"
    folders = {"--bundle": models.bundle, "--checkpoint": models.checkpoint, "--artefacts": models.artefacts}
    folders |= {"--train": models.train} if models.train else {}
    paths = [word for option, path in folders.items() for word in (option, str(path.resolve()))]
    command = [str(python), "-m", "benchmarks._prepare", preparation.name, "--registry", registry, *paths]
    log = models.artefacts / f"{preparation.name}.log"
    print(f"preparing {preparation.name}, once a checkpoint", file=sys.stderr, flush=True)
    try:
        status = _run(command, log, limit_s)
    except subprocess.TimeoutExpired:
        return f"preparation {preparation.name} was not done after {limit_s:.0f} s and was ended; it said: {_end(log)}"
    finally:
        shutil.rmtree(_partial(models, preparation.name), ignore_errors=True)
    return f"preparation {preparation.name}: {_end(log)}" if status else ""


def _run(command: list[str], log: Path, limit_s: float) -> int:
    """Run a process to its end, or end it and all that it started."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            return process.wait(limit_s)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _end(log: Path) -> str:
    return last_reason(log.read_text(encoding="utf-8", errors="replace"))


def _partial(models: Models, name: str) -> Path:
    return models.artefacts / f".{name}.partial"


def main() -> int:
    """Make one preparation in this process."""
    end_with_parent()
    parser = argparse.ArgumentParser(prog="python -m benchmarks._prepare")
    parser.add_argument("name")
    parser.add_argument("--registry", default=REGISTRY)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--artefacts", type=Path, required=True)
    parser.add_argument("--train", type=Path)
    options = parser.parse_args()
    models = Models(options.bundle, options.checkpoint, options.artefacts, options.train)
    package = importlib.import_module(options.registry)
    preparation: Preparation = package.PREPARATIONS[options.name]
    module, _, function = preparation.function.partition(":")
    partial = _partial(models, preparation.name)
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    getattr(importlib.import_module(f"{options.registry}.{module}"), function)(models, partial)
    partial.rename(models.artefacts / preparation.name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
