"""Which attention kernel onnxruntime runs, and which is the fastest: a process for each value of `sdpa_kernel`.

Read from onnxruntime's sources: the CUDA provider's option `sdpa_kernel` is a sum of bits (attention_common.h), 0 for
its own choice; with ORT_ENABLE_ATTENTION_KERNEL_DEBUG_INFO=1 each attention operator prints, at each run, one line on
stdout in colour, such as `Operator=MultiHeadAttention Node=... DataType=fp16 SdpaKernel=FLASH_ATTENTION`
(attention_kernel_options.cc). The unfused kernel cannot be switched off: where the wanted one does not run, it does.
"""

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._contenders import Device
from benchmarks._errors import BenchmarkError
from benchmarks._files import ROOT, end_with_parent
from benchmarks._worker import timed

from ._budget import Budget

DEBUG = "ORT_ENABLE_ATTENTION_KERNEL_DEBUG_INFO"

SDPA_KERNELS = {
    0: "onnxruntime's choice",
    1: "flash",
    2: "memory efficient",
    4: "TensorRT fused",
    8: "cuDNN flash",
    16: "unfused",
    36: "TensorRT fused and TensorRT flash",
}
"""Values of the option, and what they ask for. Bits: 1 FLASH_ATTENTION, 2 EFFICIENT_ATTENTION, 4 TRT_FUSED_ATTENTION,
8 CUDNN_FLASH_ATTENTION, 16 MATH, 32 TRT_FLASH_ATTENTION (for longer sequences than 4 alone)."""

SHAPES = ((1, 16), (1, 32), (1, 128), (32, 32), (64, 48))
"""Rows and tokens. Where there are several rows, their lengths differ."""
SECONDS = 0.15
"""For each shape."""
SHARE = 0.2
"""Of a run's minutes, at most."""
CALL_S = 60
"""A process may take so long."""
CLOSE = 0.01
"""Probabilities that differ more than this from those of onnxruntime's choice are of a kernel that is wrong here."""

MARGIN = 0.03
"""Another kernel must be faster by this share: the same kernel differs by as much from process to process."""

_MARK = "shape "
_LINE = re.compile(r"Operator=(?P<operator>\w+).* SdpaKernel=(?P<kernel>[A-Z_0-9]+)")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a model can read.

    Attributes:
        vocabulary: Token ids are below it.
        max_length: Tokens of the longest text: longer shapes are left out.
    """

    vocabulary: int
    max_length: int


@dataclass(frozen=True, slots=True)
class Kernel:
    """What ran for one value of the option.

    Attributes:
        asked: What the value asks for.
        kernels: The kernels that ran, by shape (`rows x tokens`); several where a graph's operators differ.
        ms: Median time of a run of the engine alone, by shape, in milliseconds.
        difference: The largest difference of a probability from onnxruntime's choice.
    """

    asked: str
    kernels: dict[str, tuple[str, ...]]
    ms: dict[str, float]
    difference: float


def parse_kernels(output: str) -> dict[str, tuple[str, ...]]:
    """Read the kernels out of what a process printed.

    Args:
        output: Its stdout: onnxruntime's lines, after a line `shape ROWS x TOKENS` for each shape.

    Returns:
        The different kernels of each shape, in the order in which they ran; none where no line says so.
    """
    found: dict[str, dict[str, None]] = {}
    shape = ""
    for line in output.splitlines():
        if line.startswith(_MARK):
            shape = line.removeprefix(_MARK)
            found[shape] = {}
        elif shape and (match := _LINE.search(line)):
            found[shape][match["kernel"]] = None
    return {shape: tuple(kernels) for shape, kernels in found.items()}


def fastest(measured: Mapping[int, Kernel]) -> int:
    """Give the value whose times are the shortest: the geometric mean over the shapes, so that each counts alike.

    Args:
        measured: By value, 0 among them. Those whose answers are wrong do not count.

    Returns:
        0 where no other is faster by more than `MARGIN`.
    """
    times = {
        value: float(np.exp(np.mean(np.log(list(kernel.ms.values())))))
        for value, kernel in measured.items()
        if kernel.difference <= CLOSE
    }
    best = min(times, key=lambda value: times[value])
    return best if times[best] < times[0] * (1 - MARGIN) else 0


def measure_kernels(
    graph: Path, device: Device, limits: Limits, budget: Budget, say: Callable[[str], object]
) -> tuple[dict[int, Kernel], list[str]]:
    """Run a graph with each value of the option.

    Args:
        graph: An fp16 graph of a bundle.
        device: Where.
        limits: The model's.
        budget: Of the run; a share of it is taken.
        say: Told what is done.

    Returns:
        What ran by value, and why others are not there.
    """
    end = budget.spent + budget.left * SHARE
    measured: dict[int, Kernel] = {}
    absent: list[str] = []
    first: list[Any] = []
    for value, asked in SDPA_KERNELS.items():
        if budget.spent > end:
            absent.append(f"sdpa_kernel {value} ({asked}): no time was left")
            continue
        say(f"attention: {asked}")
        try:
            kernels, found = _run(graph, device, limits, value)
        except BenchmarkError as error:
            absent.append(f"sdpa_kernel {value} ({asked}): {error}")
            if value == 0:
                return {}, absent  # nothing to compare the others with
            continue
        first = first or found["probabilities"]
        pairs = zip(found["probabilities"], first, strict=True)
        differences = [np.abs(np.subtract(own, other)) for own, other in pairs]
        difference = max(
            float(np.nan_to_num(one, nan=1.0).max()) for one in differences
        )  # 1: no probability is farther
        measured[value] = Kernel(asked, kernels, found["ms"], difference)
    return measured, absent


def as_record(capability: str, measured: Mapping[int, Kernel]) -> dict[str, Any]:
    """Give what a runtime can choose by: the fastest value on cards of a compute capability, and all figures.

    Args:
        capability: As `9.0`.
        measured: By value, 0 among them.
    """
    figures = {str(value): asdict(kernel) for value, kernel in measured.items()}
    return {capability: {"sdpa_kernel": fastest(measured), "measured": figures}}


def _run(graph: Path, device: Device, limits: Limits, value: int) -> tuple[dict[str, tuple[str, ...]], dict[str, Any]]:
    command = [sys.executable, "-m", "benchmarks._gpu._attention", "--graph", str(graph.resolve())]
    command += ["--vocabulary", str(limits.vocabulary), "--max-length", str(limits.max_length)]
    try:
        done = subprocess.run(
            [*command, "--sdpa-kernel", str(value), "--device", str(device)],
            cwd=ROOT,
            capture_output=True,
            check=True,
            timeout=CALL_S,
            encoding="utf-8",
            errors="replace",
        )
    except subprocess.TimeoutExpired as error:
        raise BenchmarkError(f"no answer within {CALL_S} s") from error
    except subprocess.CalledProcessError as error:
        lines = [line.strip() for line in error.stderr.splitlines() if line.strip()]
        raise BenchmarkError(lines[-1] if lines else f"status {error.returncode}, and it said nothing") from error
    return parse_kernels(done.stdout), json.loads(done.stdout.splitlines()[-1])


def _inputs(rows: int, tokens: int, vocabulary: int) -> dict[str, Any]:
    rng = np.random.default_rng(tokens)
    lengths = np.linspace(tokens, max(2, tokens // 3), rows).astype(int)
    mask = (np.arange(tokens) < lengths[:, None]).astype(np.int64)
    return {"input_ids": rng.integers(1, vocabulary, (rows, tokens)) * mask, "attention_mask": mask}


def _measure(graph: Path, device: Device, limits: Limits, value: int) -> dict[str, Any]:
    from ._session import Engine

    shapes = [(rows, tokens) for rows, tokens in SHAPES if tokens <= limits.max_length]
    settings = {"sdpa_kernel": str(value)} if device is Device.CUDA else None
    os.environ[DEBUG] = "1"  # read when a kernel is made
    talking = Engine(graph, device, settings=settings)
    for rows, tokens in shapes:
        print(f"{_MARK}{rows} x {tokens}", flush=True)
        talking.run(_inputs(rows, tokens, limits.vocabulary), rows)
    del os.environ[DEBUG]  # a kernel that prints is no faster for it
    engine = Engine(graph, device, settings=settings)
    found: dict[str, Any] = {"ms": {}, "probabilities": []}
    for rows, tokens in shapes:
        feeds = _inputs(rows, tokens, limits.vocabulary)
        found["probabilities"].append(engine.run(feeds, rows).tolist())
        found["ms"][f"{rows} x {tokens}"] = float(np.median(timed(engine.alone(feeds, rows), SECONDS, 1)))
    return found


def main() -> None:
    """Run one graph with one value, print what onnxruntime says, and then the figures as one JSON object."""
    end_with_parent()
    parser = argparse.ArgumentParser()
    parser.add_argument("--graph", type=Path, required=True)
    parser.add_argument("--sdpa-kernel", type=int, required=True)
    parser.add_argument("--device", type=Device, required=True)
    parser.add_argument("--vocabulary", type=int, required=True)
    parser.add_argument("--max-length", type=int, required=True)
    options = parser.parse_args()
    limits = Limits(options.vocabulary, options.max_length)
    found = _measure(options.graph, options.device, limits, options.sdpa_kernel)
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
