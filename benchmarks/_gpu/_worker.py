"""One contender on the GPU in a process of its own; it speaks the protocol of `benchmarks._worker`, and two words more.

| request | answer |
|---|---|
| {"do": "engine", "texts": [...], "seconds": s, "calls": n} | {"ms": [...]}: the engine alone |
| {"do": "versions"} | {"versions": {...}} of the packages that it has loaded |

A request that fails is answered with {"failed": reason}: a contender that runs out of memory in one case goes on with
the others.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks._contenders import Device
from benchmarks._process import serve_command
from benchmarks._worker import ANSWERS, serve, timed

from ._registry import GPU_CONTENDERS
from ._system import GpuModels, GpuSystem

_TOLD = ("setfuse", "onnxruntime", "torch", "transformers", "sentence_transformers", "tokenizers", "numpy")


def command(python: str, contender: str, models: GpuModels, threads: int, device: Device) -> list[str]:
    """Give the command line that serves one of `GPU_CONTENDERS`."""
    paths = {"bundle": models.bundle, "inputs": models.inputs, "checkpoint": models.checkpoint}
    return [*serve_command(python, "benchmarks._gpu._worker", contender, paths, threads), "--device", str(device)]


def main() -> None:
    """Serve the contender that the command line names."""
    parser = argparse.ArgumentParser()
    parser.add_argument("contender", choices=GPU_CONTENDERS)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--inputs", type=Path)
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--device", type=Device, required=True)
    options = parser.parse_args()
    contender = GPU_CONTENDERS[options.contender]
    models = GpuModels(options.bundle, options.inputs, options.checkpoint)
    given = (models, options.threads, options.device)
    serve_gpu(lambda: contender.load("benchmarks._gpu", *given), options.threads)


def serve_gpu(load: Callable[[], GpuSystem], threads: int) -> None:
    """Load a contender and answer requests until stdin closes: see `benchmarks._worker.serve`."""
    answers: dict[str, Callable[..., dict[str, Any]]] = {**ANSWERS, "engine": _engine, "versions": _versions}
    serve(load, threads, {word: _surviving(answer) for word, answer in answers.items()})


def _surviving(answer: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    def guarded(system: GpuSystem, **request: Any) -> dict[str, Any]:
        try:
            return answer(system, **request)
        except Exception as error:  # noqa: BLE001  libraries raise what they like
            said = next((line.strip() for line in str(error).splitlines() if line.strip()), "no reason given")
            return {"failed": f"{type(error).__name__}: {said:.300}"}

    return guarded


def _engine(system: GpuSystem, texts: list[str], seconds: float, calls: int) -> dict[str, Any]:
    return {"ms": timed(system.engine(texts), seconds, calls)}


def _versions(_system: GpuSystem) -> dict[str, Any]:
    found = {name: getattr(sys.modules.get(name), "__version__", None) for name in _TOLD}
    return {"versions": {name: str(version) for name, version in found.items() if version}}


if __name__ == "__main__":
    main()
