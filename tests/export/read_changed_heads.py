"""Change a few bytes of each pickle of a folder, again and again, and read what comes of it, in a process of its own.

Ends with status 0 if each was read or refused by one of our errors. Else the traceback is on standard error, behind the
pickle's name and the seed of the change; after a crash these two alone.
"""

import contextlib
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from setfuse.export import CheckpointError, UnsupportedCheckpoint
from setfuse.export._heads import read_head


def changed(data: bytes, seed: int) -> bytes:
    """Change one to three bytes: a bit, or the whole of it."""
    random = np.random.default_rng(seed)
    spoilt = bytearray(data)
    for at in random.integers(len(data), size=random.integers(1, 4)):
        spoilt[at] = spoilt[at] ^ (1 << random.integers(8)) if random.random() < 0.5 else random.integers(256)
    return bytes(spoilt)


def read_all(folder: Path, times: int) -> None:
    """Read each as often as that, changed."""
    with TemporaryDirectory() as scratch:
        for path in sorted(folder.iterdir()):
            data = path.read_bytes()
            for seed in range(times):
                sys.stderr.write(f"{path.name}, seed {seed}\n")
                (Path(scratch) / "model_head.pkl").write_bytes(changed(data, seed))
                with contextlib.suppress(CheckpointError, UnsupportedCheckpoint):
                    read_head(Path(scratch))


if __name__ == "__main__":
    read_all(Path(sys.argv[1]), int(sys.argv[2]))
