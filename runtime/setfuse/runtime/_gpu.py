"""Whether a GPU can be used, and if not, what is missing: asked in the order in which a user would mend it."""

import ctypes
import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING

from ._driver import Driver, Gpu
from ._errors import DeviceUnavailable
from ._log import log

if TYPE_CHECKING:
    import onnxruntime

CUDA = "CUDAExecutionProvider"
TENSORRT = "TensorrtExecutionProvider"

_LIBRARIES = ("libcudart.so.{cuda}", "libcublasLt.so.{cuda}", "libcublas.so.{cuda}", "libcurand.so.10")
"""What onnxruntime's CUDA provider is linked to, in an order in which one needs only those before."""


_PLAIN_NAMES = 13
"""From this CUDA on NVIDIA's packages do not have its number in their names, but cuDNN's."""


class _Started:
    """In which process this one's CUDA was started: a forked child cannot go on with it.

    Attributes:
        process: Its number; 0 for none.
    """

    process = 0


def find_gpu(index: int, onnxruntime: "onnxruntime") -> Gpu:
    """Make sure that onnxruntime can run graphs on a GPU, with CUDA's libraries loaded from wherever pip put them.

    Args:
        index: The GPU's number.
        onnxruntime: The module.

    Raises:
        DeviceUnavailable: It cannot; the message names the first thing that is missing.
    """
    _check_package(onnxruntime)
    check_process()
    driver = Driver.load()
    _Started.process = os.getpid()
    needed = _needed_cuda(onnxruntime)
    if driver.cuda_version < (needed, 0):
        major, minor = driver.cuda_version
        raise DeviceUnavailable(
            f"expected a driver for CUDA {needed}, which {_package(onnxruntime)} is built for, found one for at most "
            f"CUDA {major}.{minor}; update the driver, or install a release of onnxruntime-gpu for CUDA {major}"
        )
    gpus = driver.gpus()
    if not 0 <= index < len(gpus):
        has = ", ".join(map(str, gpus)) or "none"
        raise DeviceUnavailable(f"expected the number of one of this machine's GPUs, got {index} (has: {has})")
    _load_libraries(onnxruntime, needed)
    return gpus[index]


def check_process() -> None:
    """Make sure that CUDA can be used in this process.

    Raises:
        DeviceUnavailable: It was forked from one that uses it.
    """
    if _Started.process not in {0, os.getpid()}:
        raise DeviceUnavailable(
            "expected a process that CUDA can be started in, but this one was forked from one that uses it; load the "
            'classifier after the fork only, or start processes with "spawn"'
        )


def check_tensorrt(onnxruntime: "onnxruntime") -> None:
    """Make sure that onnxruntime can load TensorRT.

    Raises:
        DeviceUnavailable: It cannot; the message says what is missing.
    """
    if TENSORRT not in onnxruntime.get_available_providers():
        raise DeviceUnavailable(f"expected a package with {TENSORRT}, but {_package(onnxruntime)} has none")
    cuda = _needed_cuda(onnxruntime)
    for name in ("libcudnn.so.9", "libnvinfer.so.10", "libnvonnxparser.so.10"):
        _load(name, f'pip install "tensorrt-cu{cuda}==10.*" nvidia-cudnn-cu{cuda}')


def install_cudnn(onnxruntime: "onnxruntime") -> str:
    """Say how to install the cuDNN that onnxruntime was built for."""
    return f"pip install nvidia-cudnn-cu{_needed_cuda(onnxruntime)}"


def load_problem(onnxruntime: "onnxruntime", provider: str) -> str:
    """Say why a provider that onnxruntime has tried to load is not there; empty where it is.

    onnxruntime tells that to stderr alone. Before it has tried, this would keep it from ever loading it.

    Args:
        onnxruntime: The module.
        provider: `CUDAExecutionProvider` or `TensorrtExecutionProvider`.
    """
    name = provider.removesuffix("ExecutionProvider").lower()
    try:
        ctypes.CDLL(str(Path(onnxruntime.__file__).parent / "capi" / f"libonnxruntime_providers_{name}.so"))
    except OSError as error:
        return str(error)
    return ""


def _package(onnxruntime: "onnxruntime") -> str:
    return f"{getattr(onnxruntime, 'package_name', 'onnxruntime')} {onnxruntime.__version__}"


def _check_package(onnxruntime: "onnxruntime") -> None:
    providers = onnxruntime.get_available_providers()
    both = [f"{name} {version}" for name in ("onnxruntime", "onnxruntime-gpu") if (version := _version(name))]
    if len(both) > 1:
        mixed = f"{' and '.join(both)} are both installed, into the same folder"
        remedy = 'pip uninstall both of them, then pip install "setfuse[gpu]"'
        if CUDA not in providers:
            raise DeviceUnavailable(f"{mixed}, and what is imported has no CUDA; {remedy}")
        log(f"{mixed}: each has overwritten files of the other; {remedy}", "CUDA", warning=True)
    if CUDA in providers:
        return
    raise DeviceUnavailable(
        f"expected a package with {CUDA}, but {_package(onnxruntime)} has {', '.join(providers)}; "
        'pip uninstall onnxruntime, then pip install "setfuse[gpu]"'
    )


def _version(distribution: str) -> str:
    from importlib import metadata

    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""


def _needed_cuda(onnxruntime: "onnxruntime") -> int:
    """Tell the major version of CUDA that onnxruntime was built for."""
    version = str(getattr(onnxruntime, "cuda_version", "") or "").partition(".")[0]
    return int(version) if version.isdigit() else 12  # releases that do not tell are of CUDA 12


def _load_libraries(onnxruntime: "onnxruntime", cuda: int) -> None:
    cublas = "nvidia-cublas" if cuda >= _PLAIN_NAMES else f"nvidia-cublas-cu{cuda}"
    for name in _LIBRARIES:
        _load(name.format(cuda=cuda), f'pip install "onnxruntime-gpu[cuda,cudnn]" {cublas}')
    if hasattr(onnxruntime, "preload_dlls"):
        onnxruntime.preload_dlls()  # what else there is, cuDNN among it; it would print what is missing of the above


def _load(name: str, remedy: str) -> None:
    """Load a library of NVIDIA's from where the system has it, or a package of theirs, or torch's wheels.

    Raises:
        DeviceUnavailable: There is none, or it cannot be loaded.
    """
    try:
        ctypes.CDLL(name, mode=ctypes.RTLD_GLOBAL)
    except OSError as missing:
        error = missing
        for path in _in_packages(name):
            try:
                ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
            except OSError as broken:
                error = broken
            else:
                return
        raise DeviceUnavailable(
            f"expected {name}, which onnxruntime's provider needs, but it cannot be loaded ({error}); {remedy}, or "
            "name its folder in LD_LIBRARY_PATH"
        ) from error


def _in_packages(name: str) -> list[Path]:
    found = []
    for package in ("nvidia", "tensorrt_libs"):
        spec = importlib.util.find_spec(package)
        for folder in (spec.submodule_search_locations or []) if spec else []:
            found += [*Path(folder).glob(name), *Path(folder).glob(f"*/lib/{name}")]
    return found
