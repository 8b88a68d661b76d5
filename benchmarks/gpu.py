"""Measure a bundle's fp16 graph on a GPU beside torch and onnxruntime: answers, latency, throughput, kernels, the roof.

It needs numpy, tokenizers, torch with CUDA and onnxruntime-gpu, and the sources on PYTHONPATH. What more packages would
measure (sentence-transformers) or draw (matplotlib) is left out with its reason.
"""

import argparse
import importlib.util
import math
import sys
from collections.abc import Sequence
from pathlib import Path

from setfuse.runtime import SetfuseError

from ._contenders import Device
from ._environment import usable_cores
from ._errors import BenchmarkError
from ._files import check_writable, whole_file, write_json
from ._gpu._plots import draw
from ._gpu._registry import GPU_CONTENDERS
from ._gpu._report import markdown
from ._gpu._results import GpuResults
from ._gpu._steps import Settings, run
from ._gpu._system import GpuModels

MINUTES = 8.0
SHORTEST = 0.5
THREADS = 8
"""Tokenizing a batch gains little from more."""


def write(results: GpuResults, out: Path) -> None:
    """Write `gpu.json`, `gpu.md`, the kernels' record `attention.json`, and the plots where matplotlib is installed.

    Args:
        results: The run.
        out: The folder; made if need be. Each file is whole or not there.
    """
    plots = draw(results) if importlib.util.find_spec("matplotlib") else ()
    write_json(out / "gpu.json", results.to_json())
    if results.attention:
        write_json(out / "attention.json", results.attention)
    files = {"gpu.md": markdown(results, plots).encode()}
    for plot in plots:
        files |= {f"{plot.name}.png": plot.png, f"{plot.name}.svg": plot.svg}
    for name, content in files.items():
        with whole_file(out / name) as partial:
            partial.write_bytes(content)


def main(arguments: Sequence[str] | None = None, device: Device = Device.CUDA) -> int:
    """Run the command line and return its exit status.

    Args:
        arguments: None for those of the process.
        device: The CPU stands in for a GPU where there is none: for the tests of this program, and for nothing else.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--bundle", type=Path, required=True, help="a bundle with an fp16 graph")
    parser.add_argument("--inputs", type=Path, help="what benchmarks.gpu_inputs wrote: torch's answers, other graphs")
    parser.add_argument("--checkpoint", type=Path, help="the checkpoint, for the contenders on torch")
    parser.add_argument("--out", type=Path, required=True, help="where results go")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="that it may take; default: %(default)g")
    parser.add_argument("--threads", type=int, default=min(THREADS, usable_cores()), help="default: %(default)s")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="contenders whose name contains this")
    options = parser.parse_args(arguments)
    unknown = [wanted for wanted in options.only if not any(wanted in name for name in GPU_CONTENDERS)]
    if unknown:
        parser.error(f"--only: expected a part of one of these names: {', '.join(GPU_CONTENDERS)}; got {unknown[0]!r}")
    if not SHORTEST <= options.minutes < math.inf:
        parser.error(f"--minutes: expected {SHORTEST:g} or more, got {options.minutes:g}")
    if options.threads < 1:
        parser.error(f"--threads: expected 1 or more, got {options.threads}")
    only = [name for name in GPU_CONTENDERS if not options.only or any(wanted in name for wanted in options.only)]
    models = GpuModels(options.bundle, options.inputs, options.checkpoint)
    settings = Settings(models, device, options.minutes, options.threads, tuple(only))
    try:
        check_writable(options.out)
        results = run(settings, lambda step: print(step, file=sys.stderr, flush=True))
        write(results, options.out)
    except (BenchmarkError, SetfuseError, OSError) as error:
        print(f"benchmarks.gpu: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("benchmarks.gpu: interrupted; nothing was written", file=sys.stderr)
        return 130
    for goal in results.goals:
        word = {True: "met", False: "missed", None: "not measured"}[goal.met]
        print(f"{word:<13} {goal.goal}{f': {goal.measured}' if goal.measured else ''}")
    print(f"\n{options.out}/gpu.md, {options.out}/gpu.json")
    return 0


if __name__ == "__main__":
    sys.exit(main())
