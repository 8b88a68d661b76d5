"""The machine's own limit: how many operations a second its matrix products reach, with everything in the cache.

`python -m benchmarks._roof --threads N` prints them for one number of threads; it runs in an environment with torch,
whose products (oneDNN's) came closest to the processor's arithmetic peak of those tried.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from ._files import ROOT, read_json
from ._process import child_environment

SHAPES = ((256, 384, 1536), (512, 512, 512), (1024, 1024, 1024))
"""Rows, inner and columns of the products: the peak is that of the best."""
SECONDS = 0.4
LIMIT_S = 120


def measure_roof(python: str, threads: int) -> dict[str, float]:
    """Measure the peak in GFLOP/s (GOP/s for int8) of each arithmetic; empty where it cannot be measured.

    Args:
        python: An interpreter whose environment has torch.
        threads: How many.
    """
    command = [python, "-m", "benchmarks._roof", "--threads", str(threads)]
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=child_environment(threads),
            capture_output=True,
            check=True,
            timeout=LIMIT_S,
            encoding="utf-8",
        )
    except (OSError, subprocess.SubprocessError):
        return {}
    peaks: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return peaks


def multiply_adds(checkpoint: Path, tokens: Sequence[int]) -> float | None:
    """Count the encoder's multiply-adds for texts of these lengths, without padding; None of an unknown config.

    Args:
        checkpoint: A sentence-transformers folder with a transformer's `config.json`.
        tokens: Tokens of each text, special tokens included.
    """
    path = checkpoint / "config.json"
    if not path.is_file():
        return None
    config = read_json(path)
    layers = config.get("num_hidden_layers", config.get("n_layers"))
    hidden = config.get("hidden_size", config.get("dim"))
    inner = config.get("intermediate_size", config.get("hidden_dim"))
    if not all(isinstance(number, int) for number in (layers, hidden, inner)):
        return None
    linear = 4 * hidden * hidden + 2 * hidden * inner  # query, key, value, output; feed-forward
    return float(layers * sum(length * linear + 2 * length * length * hidden for length in tokens))


def _peaks(threads: int) -> dict[str, float]:
    import torch

    torch.set_num_threads(threads)
    flags = Path("/proc/cpuinfo").read_text(encoding="utf-8") if Path("/proc/cpuinfo").is_file() else ""
    peaks = dict.fromkeys(("fp32", "int8"), 0.0)
    if "avx512_bf16" in flags or "amx_bf16" in flags:
        peaks["bf16"] = 0.0
    for rows, inner, columns in SHAPES:
        left, right = torch.rand(rows, inner), torch.rand(inner, columns)
        bytes_left = torch.randint(-60, 60, (rows, inner), dtype=torch.int8)
        bytes_right = torch.randint(-60, 60, (inner, columns), dtype=torch.int8)
        products: dict[str, Callable[[], object]] = {
            "fp32": partial(torch.mm, left, right),
            "bf16": partial(torch.mm, left.bfloat16(), right.bfloat16()),
            "int8": partial(torch._int_mm, bytes_left, bytes_right),  # noqa: SLF001  torch has no other name
        }
        for arithmetic in tuple(peaks):
            try:
                speed = 2 * rows * inner * columns / _fastest(products[arithmetic]) / 1e9
            except RuntimeError:  # torch has no such product on this processor
                del peaks[arithmetic]
            else:
                peaks[arithmetic] = max(peaks[arithmetic], speed)
    return peaks


def _fastest(call: Callable[[], object]) -> float:
    call()
    fastest = float("inf")
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        start = time.perf_counter()
        call()
        fastest = min(fastest, time.perf_counter() - start)
    return fastest


def main() -> int:
    """Print the peaks as one JSON object."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks._roof", description=__doc__)
    parser.add_argument("--threads", type=int, required=True)
    print(json.dumps(_peaks(parser.parse_args().threads)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
