"""Read each head of a folder, in a process of its own: a file that breaks it must not take pytest along.

Prints JSON: what became of each, in the order that they were read, and how much memory all took together.
"""

import json
import resource
import sys
from pathlib import Path

from setfuse.export import ExportError
from setfuse.export._heads import read_head


def read_all(folder: Path, warm: str) -> dict[str, object]:
    """Read them.

    Args:
        folder: Of checkpoints.
        warm: One that is sound: what reading it takes is no head's fault.

    Returns:
        `outcomes`, by name: `read`, or the error; `megabytes` at the peak beyond what the sound one took.
    """
    read_head(folder / warm)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcomes = {}
    for head in sorted(folder.iterdir()):
        sys.stderr.write(f"reading {head.name}\n")  # the last one is it, if the process dies
        try:
            read_head(head)
            outcomes[head.name] = "read"
        except ExportError as error:
            outcomes[head.name] = f"{type(error).__name__}: {error}"
    return {
        "outcomes": outcomes,
        "megabytes": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024,
    }


if __name__ == "__main__":
    json.dump(read_all(Path(sys.argv[1]), sys.argv[2]), sys.stdout)
