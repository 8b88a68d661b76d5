"""What is said where a GPU cannot be used: the first thing that is missing, and what to do about it."""

import ctypes
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from setfuse.runtime import DeviceUnavailable
from setfuse.runtime._driver import LIBRARY, Driver
from setfuse.runtime._gpu import CUDA, TENSORRT, _Started, check_tensorrt, find_gpu, load_problem

from .gpu import Library, package

CPU = "CPUExecutionProvider"


@pytest.fixture(autouse=True)
def _nothing_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Started, "process", 0)


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Callable[[Library], None]:
    """Install a driver."""

    def install(library: Library) -> None:
        monkeypatch.setattr(Driver, "load", classmethod(lambda cls: cls(library)))

    return install


@pytest.fixture
def libraries(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What ctypes finds, and no more; what was loaded is added."""
    there = ["libcudart.so.13", "libcublasLt.so.13", "libcublas.so.13", "libcurand.so.10"]

    def load(name: str, mode: int = 0) -> object:  # noqa: ARG001 - as ctypes has it
        if name not in there and not os.path.exists(name):  # noqa: PTH110 - as a loader does
            raise OSError(f"{name}: cannot open shared object file: No such file or directory")
        there.append(f"loaded {name}")
        return object()

    monkeypatch.setattr(ctypes, "CDLL", load)
    return there


def versions(monkeypatch: pytest.MonkeyPatch, **found: str) -> None:
    from importlib import metadata

    def version(name: str) -> str:
        try:
            return found[name.replace("-", "_")]
        except KeyError:
            raise metadata.PackageNotFoundError(name) from None

    monkeypatch.setattr(metadata, "version", version)


def refusal(index: int, onnxruntime: Any) -> str:
    with pytest.raises(DeviceUnavailable) as caught:
        find_gpu(index, onnxruntime)
    return str(caught.value)


def test_a_gpu_that_can_be_used(driver: Callable[[Library], None], libraries: list[str]) -> None:
    driver(Library(gpus=2))
    told: list[str] = []

    gpu = find_gpu(1, package(CUDA, CPU, preload_dlls=lambda: told.append("preloaded")))

    assert str(gpu) == "Stand-in 1 (cuda:1, compute capability 9.0, 80 GiB)"
    assert told == ["preloaded"]  # CUDA's and cuDNN's libraries, from their packages
    assert "loaded libcublasLt.so.13" in libraries


def test_a_package_without_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    versions(monkeypatch, onnxruntime="1.32.0")

    told = refusal(0, package(CPU, package_name="onnxruntime", __version__="1.32.0"))

    assert told == (
        f"expected a package with {CUDA}, but onnxruntime 1.32.0 has {CPU}; "
        'pip uninstall onnxruntime, then pip install "setfuse[gpu]"'
    )


def test_both_packages_in_one_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    versions(monkeypatch, onnxruntime="1.32.0", onnxruntime_gpu="1.31.1")

    told = refusal(0, package(CPU, package_name="onnxruntime", __version__="1.32.0"))

    assert told.startswith("onnxruntime 1.32.0 and onnxruntime-gpu 1.31.1 are both installed, into the same folder")
    assert told.endswith('pip uninstall both of them, then pip install "setfuse[gpu]"')


def test_both_packages_where_the_one_with_cuda_is_imported(
    driver: Callable[[Library], None],
    libraries: list[str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    driver(Library())
    versions(monkeypatch, onnxruntime="1.32.0", onnxruntime_gpu="1.31.1")

    find_gpu(0, package(CUDA, CPU))

    assert "onnxruntime 1.32.0 and onnxruntime-gpu 1.31.1 are both installed" in caplog.text
    assert "each has overwritten files of the other; pip uninstall both" in caplog.text
    assert libraries


def test_no_driver(libraries: list[str]) -> None:
    told = refusal(0, package(CUDA))

    assert told.startswith(f"expected NVIDIA's driver, found none ({LIBRARY}: cannot open shared object file")
    assert "docker run --gpus all" in told
    assert libraries


def test_a_driver_without_a_gpu(driver: Callable[[Library], None]) -> None:
    driver(Library(cuInit=100))

    told = refusal(0, package(CUDA))

    assert told == "cuInit: NVIDIA's driver answers 'no CUDA-capable device is detected' (100)"


def test_an_error_that_the_driver_has_no_words_for(driver: Callable[[Library], None]) -> None:
    driver(Library(cuInit=777))

    assert refusal(0, package(CUDA)) == "cuInit: NVIDIA's driver answers 'unknown error' (777)"


@pytest.mark.parametrize(
    ("version", "cuda", "fits"),
    [(12080, "13.0", False), (13000, "13.2", True), (13010, "12.8", True), (12000, "12.8", True), (11080, "", False)],
)
def test_a_driver_for_another_cuda(
    version: int, cuda: str, fits: bool, driver: Callable[[Library], None], libraries: list[str]
) -> None:
    driver(Library(version=version))
    libraries += ["libcudart.so.12", "libcublasLt.so.12", "libcublas.so.12"]

    if fits:
        find_gpu(0, package(CUDA, cuda=cuda))
        return
    told = refusal(0, package(CUDA, cuda=cuda))

    major, minor = version // 1000, version % 1000 // 10
    needed = cuda.partition(".")[0] or "12"
    assert f"expected a driver for CUDA {needed}, which onnxruntime-gpu 1.31.1 is built for" in told
    assert f"found one for at most CUDA {major}.{minor}; update the driver" in told


@pytest.mark.parametrize(("gpus", "has"), [(0, "none"), (2, "Stand-in 0 (cuda:0, compute capability 9.0, 80 GiB), ")])
def test_a_gpu_that_is_not_there(gpus: int, has: str, driver: Callable[[Library], None]) -> None:
    driver(Library(gpus=gpus))

    told = refusal(2, package(CUDA))

    assert f"expected the number of one of this machine's GPUs, got 2 (has: {has}" in told


@pytest.mark.parametrize("missing", ["libcudart.so.13", "libcublasLt.so.13", "libcublas.so.13", "libcurand.so.10"])
def test_a_library_that_is_missing(missing: str, driver: Callable[[Library], None], libraries: list[str]) -> None:
    driver(Library())
    libraries.remove(missing)

    told = refusal(0, package(CUDA))

    assert told.startswith(f"expected {missing}, which onnxruntime's provider needs, but it cannot be loaded")
    assert 'pip install "onnxruntime-gpu[cuda,cudnn]" nvidia-cublas' in told


def test_for_cuda_12_the_packages_have_other_names(driver: Callable[[Library], None], libraries: list[str]) -> None:
    driver(Library())
    assert "libcublasLt.so.12" not in libraries

    told = refusal(0, package(CUDA, cuda="12.8"))

    assert told.startswith("expected libcudart.so.12, ")
    assert 'pip install "onnxruntime-gpu[cuda,cudnn]" nvidia-cublas-cu12' in told


def test_a_library_that_is_found_but_cannot_be_loaded_says_why(
    driver: Callable[[Library], None], libraries: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver(Library())
    libraries.remove("libcublas.so.13")
    (tmp_path / "nvidia" / "cu13" / "lib").mkdir(parents=True)
    (tmp_path / "nvidia" / "cu13" / "lib" / "libcublas.so.13").touch()
    monkeypatch.syspath_prepend(tmp_path)
    load = ctypes.CDLL

    def damaged(name: str, mode: int = 0) -> object:
        if name.startswith(str(tmp_path)):
            raise OSError(f"{name}: file too short")
        return load(name, mode=mode)

    monkeypatch.setattr(ctypes, "CDLL", damaged)

    assert "it cannot be loaded (" + str(tmp_path) in (told := refusal(0, package(CUDA)))
    assert "file too short" in told


def test_a_library_in_a_package_of_nvidias(
    driver: Callable[[Library], None], libraries: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver(Library())
    libraries.remove("libcublas.so.13")
    folder = tmp_path / "nvidia" / "cu13" / "lib"
    folder.mkdir(parents=True)
    (folder / "libcublas.so.13").touch()
    monkeypatch.syspath_prepend(tmp_path)

    find_gpu(0, package(CUDA))

    assert f"loaded {folder / 'libcublas.so.13'}" in libraries


def test_why_a_provider_was_not_loaded(libraries: list[str], tmp_path: Path) -> None:
    module = package(CUDA, __file__=str(tmp_path / "__init__.py"))
    provider = tmp_path / "capi" / "libonnxruntime_providers_cuda.so"

    assert load_problem(module, CUDA) == f"{provider}: cannot open shared object file: No such file or directory"
    provider.parent.mkdir()
    provider.touch()
    assert load_problem(module, CUDA) == ""
    assert f"loaded {provider}" in libraries


def test_tensorrt_that_is_missing(libraries: list[str]) -> None:
    with pytest.raises(DeviceUnavailable, match=f"expected a package with {TENSORRT}, but onnxruntime-gpu 1"):
        check_tensorrt(package(CUDA, CPU))

    libraries.append("libcudnn.so.9")
    with pytest.raises(DeviceUnavailable, match=r"expected libnvinfer\.so\.10, .* pip install \"tensorrt-cu13"):
        check_tensorrt(package(TENSORRT, CUDA))

    libraries += ["libnvinfer.so.10", "libnvonnxparser.so.10"]
    check_tensorrt(package(TENSORRT, CUDA))


def test_a_forked_child_of_a_process_that_uses_cuda(
    driver: Callable[[Library], None], libraries: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    driver(Library())
    find_gpu(0, package(CUDA))
    find_gpu(0, package(CUDA))  # again in the same process
    parent = os.getpid()

    monkeypatch.setattr(os, "getpid", lambda: parent + 1)

    assert 'start processes with "spawn"' in refusal(0, package(CUDA))
    assert libraries


def test_memory_is_asked_for_and_locked_in_the_context_that_all_share() -> None:
    library = Library()
    driver = Driver(library)

    assert driver.free_memory(0) == library.free
    buffer = ctypes.create_string_buffer(3 * 4096)
    page = -(-ctypes.addressof(buffer) // 4096) * 4096
    driver.pin(0, page, 4096)
    driver.unpin(0, page)

    assert library.contexts == 0
    assert library.calls.count("cuDevicePrimaryCtxRetain") == library.calls.count("cuDevicePrimaryCtxRelease_v2") == 3
    assert "cuMemHostUnregister" in library.calls


def test_a_context_is_given_back_where_a_call_fails() -> None:
    library = Library(cuMemGetInfo_v2=1)

    with pytest.raises(DeviceUnavailable, match=r"cuMemGetInfo_v2: NVIDIA's driver answers 'invalid argument' \(1\)"):
        Driver(library).free_memory(0)

    assert library.contexts == 0
    assert "cuDevicePrimaryCtxRelease_v2" in library.calls
