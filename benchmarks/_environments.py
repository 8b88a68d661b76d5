"""The Python environments that contenders run in: each as small as its own users would have it, built once and kept."""

import os
from dataclasses import dataclass
from pathlib import Path

from ._files import ROOT

FOLDER = Path(os.environ.get("SETFUSE_BENCHMARK_ENVIRONMENTS", ROOT / "build" / "environments"))


@dataclass(frozen=True, slots=True)
class Environment:
    """What is installed together.

    Attributes:
        name: Its folder.
        requirements: What pip installs, pinned, so that two runs measure the same.
        probe: Modules that tell, in the interpreter that runs the suite, whether it will do as well: the environment
            need not be built then, but its size cannot be told.
    """

    name: str
    requirements: tuple[str, ...]
    probe: tuple[str, ...] = ()


ENVIRONMENTS: dict[str, Environment] = {}
