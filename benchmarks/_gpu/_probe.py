"""The device, asked from a process of its own: what it is, how much of its memory is used, how fast it is at its best.

It speaks the protocol of `benchmarks._worker`:

| request | answer |
|---|---|
| {"do": "about"} | what it is |
| {"do": "used"} | {"mb": ...}: memory that anybody uses, 10^6 bytes |
| {"do": "roof"} | {"gflops": ..., "gb_per_s": ...} of a large product in fp16, and of a large copy |
"""

import argparse
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

from benchmarks._contenders import Device
from benchmarks._environment import has_cuda
from benchmarks._errors import BenchmarkError
from benchmarks._worker import serve

PRODUCT = {Device.CUDA: 8192, Device.CPU: 512}
"""Rows, columns and inner size of the product."""
COPY_MB = {Device.CUDA: 1024, Device.CPU: 64}
SECONDS = 0.5
"""For each of the two."""


class Probe:
    """Torch's view of the device."""

    def __init__(self, device: Device) -> None:
        """Open the device.

        Raises:
            BenchmarkError: Something that it takes is missing.
        """
        check(device)
        import torch

        self._torch = torch
        self._device = device
        if device is Device.CUDA:
            torch.zeros(1, device="cuda")  # its own context is there from now on, and in no difference

    def about(self) -> dict[str, Any]:
        """Describe it."""
        import onnxruntime

        torch = self._torch
        found = {
            "torch": str(torch.__version__),
            "onnxruntime": onnxruntime.__version__,
            "providers": onnxruntime.get_available_providers(),
        }
        if self._device is Device.CPU:
            return {
                **found,
                "name": "the processor, as a stand-in",
                "capability": None,
                "memory_gib": None,
                "cuda": None,
            }
        major, minor = torch.cuda.get_device_capability()
        return {
            **found,
            "name": torch.cuda.get_device_name(),
            "capability": f"{major}.{minor}",
            "memory_gib": round(torch.cuda.mem_get_info()[1] / 2**30, 1),
            "cuda": torch.version.cuda,
        }

    def used(self) -> dict[str, Any]:
        """Give the used memory; of the stand-in, this process's own."""
        if self._device is Device.CPU:
            return {"mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3}
        free, total = self._torch.cuda.mem_get_info()
        return {"mb": (total - free) / 1e6}

    def roof(self) -> dict[str, Any]:
        """Measure the two peaks: the best of all repetitions; what that took of the device is given back."""
        peaks = self._peaks()
        if self._device is Device.CUDA:
            self._torch.cuda.empty_cache()
        return peaks

    def _peaks(self) -> dict[str, Any]:
        torch, size = self._torch, PRODUCT[self._device]
        dtype = torch.float16 if self._device is Device.CUDA else torch.float32
        left, right = (torch.rand(size, size, device=str(self._device), dtype=dtype) for _ in range(2))
        out = torch.empty_like(left)
        source = torch.zeros(COPY_MB[self._device] * 10**6, device=str(self._device), dtype=torch.uint8)
        target = torch.empty_like(source)
        product_s = self._fastest(lambda: torch.mm(left, right, out=out))
        copy_s = self._fastest(lambda: target.copy_(source))
        return {"gflops": 2 * size**3 / product_s / 1e9, "gb_per_s": 2 * source.numel() / copy_s / 1e9}

    def _fastest(self, call: Callable[[], object]) -> float:
        self._wait(call)
        fastest = float("inf")
        end = time.perf_counter() + SECONDS
        while time.perf_counter() < end:
            start = time.perf_counter()
            self._wait(call)
            fastest = min(fastest, time.perf_counter() - start)
        return fastest

    def _wait(self, call: Callable[[], object]) -> None:
        call()
        if self._device is Device.CUDA:
            self._torch.cuda.synchronize()


def check(device: Device) -> None:
    """Make sure that the check can run here at all.

    Raises:
        BenchmarkError: A package, the driver or the provider is missing.
    """
    try:
        import torch
    except ImportError as error:
        raise BenchmarkError("needs torch, which is not installed: pip install torch") from error
    try:
        import onnxruntime
    except ImportError as error:
        raise BenchmarkError("needs onnxruntime-gpu, which is not installed: pip install onnxruntime-gpu") from error
    if device is Device.CPU:
        return
    if torch.version.cuda is None:
        raise BenchmarkError(f"needs torch with CUDA, found {torch.__version__}: install torch's CUDA build")
    if not torch.cuda.is_available():
        raise BenchmarkError(
            "needs an NVIDIA GPU that torch can use, and there is none here"
            + ("" if not has_cuda() else f", though a driver is loaded: is it too old for CUDA {torch.version.cuda}?")
        )
    providers = onnxruntime.get_available_providers()
    if "CUDAExecutionProvider" not in providers:
        raise BenchmarkError(
            f"needs an onnxruntime with CUDA, found {onnxruntime.__version__} with {', '.join(providers)}: "
            "pip uninstall onnxruntime, then pip install onnxruntime-gpu"
        )


def main() -> None:
    """Serve, or say in one line on stderr why not."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", type=Device, required=True)
    device = parser.parse_args().device
    answers: dict[str, Callable[[Probe], dict[str, Any]]] = {
        "about": Probe.about,
        "used": Probe.used,
        "roof": Probe.roof,
    }
    try:
        serve(lambda: Probe(device), 1, answers)
    except BenchmarkError as error:
        print(error, file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
