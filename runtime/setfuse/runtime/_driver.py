"""What NVIDIA's driver tells of the GPUs, with no CUDA library installed."""

import contextlib
import ctypes
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ._errors import DeviceUnavailable

LIBRARY = "libcuda.so.1"
"""The driver's own; CUDA's libraries are others."""

_CAPABILITY = (75, 76)
"""CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR, in cuda.h."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """One of the machine's GPUs.

    Attributes:
        index: Its number, as in `cuda:0`.
        name: As the driver has it.
        capability: Compute capability, such as (9, 0).
        memory: Bytes, used or not.
    """

    index: int
    name: str
    capability: tuple[int, int]
    memory: int

    def __str__(self) -> str:
        major, minor = self.capability
        return f"{self.name} (cuda:{self.index}, compute capability {major}.{minor}, {self.memory / 2**30:.0f} GiB)"


class Driver:
    """The driver, as far as it is asked."""

    def __init__(self, library: Any) -> None:
        """Start the driver; users call `load`.

        Args:
            library: `libcuda`, loaded by ctypes.

        Raises:
            DeviceUnavailable: The driver does not start, as where there is no GPU.
        """
        self._library = library
        self._call("cuInit", ctypes.c_uint(0))

    @classmethod
    def load(cls) -> "Driver":
        """Load the driver.

        Raises:
            DeviceUnavailable: There is none, or it does not start.
        """
        try:
            library = ctypes.CDLL(LIBRARY)
        except OSError as error:
            raise DeviceUnavailable(
                f"expected NVIDIA's driver, found none ({error}); install it, or start a container with its GPUs "
                "(docker run --gpus all)"
            ) from error
        return cls(library)

    @property
    def cuda_version(self) -> tuple[int, int]:
        """The newest CUDA that it runs, such as (13, 0)."""
        version = ctypes.c_int()
        self._call("cuDriverGetVersion", ctypes.byref(version))
        return version.value // 1000, version.value % 1000 // 10

    def gpus(self) -> list[Gpu]:
        """Give the GPUs that this process may see (`CUDA_VISIBLE_DEVICES`)."""
        count = ctypes.c_int()
        self._call("cuDeviceGetCount", ctypes.byref(count))
        return [self._gpu(index) for index in range(count.value)]

    def _gpu(self, index: int) -> Gpu:
        device = self._device(index)
        name = ctypes.create_string_buffer(256)
        self._call("cuDeviceGetName", name, ctypes.c_int(len(name)), device)
        memory = ctypes.c_size_t()
        self._call("cuDeviceTotalMem_v2", ctypes.byref(memory), device)
        major, minor = ctypes.c_int(), ctypes.c_int()
        for value, attribute in zip((major, minor), _CAPABILITY, strict=True):
            self._call("cuDeviceGetAttribute", ctypes.byref(value), ctypes.c_int(attribute), device)
        return Gpu(index, name.value.decode(errors="replace"), (major.value, minor.value), memory.value)

    def free_memory(self, index: int) -> int:
        """Give the bytes that nobody uses on a GPU.

        Args:
            index: The GPU's number.
        """
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        with self._context(index):
            self._call("cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(total))
        return free.value

    def pin(self, index: int, address: int, size: int) -> None:
        """Lock memory of the host's in place, so that the GPU reads it by itself.

        Args:
            index: The GPU's number.
            address: Where it begins.
            size: Bytes.

        Raises:
            DeviceUnavailable: The driver refuses, as where the process may lock no more memory.
        """
        with self._context(index):
            self._call("cuMemHostRegister_v2", ctypes.c_void_p(address), ctypes.c_size_t(size), ctypes.c_uint(0))

    def unpin(self, index: int, address: int) -> None:
        """Undo `pin`; the memory must still be there."""
        with self._context(index):
            self._call("cuMemHostUnregister", ctypes.c_void_p(address))

    @contextlib.contextmanager
    def _context(self, index: int) -> Iterator[None]:
        """Work in the context that CUDA's libraries share in a process."""
        device = self._device(index)
        context = ctypes.c_void_p()
        self._call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
        try:
            self._call("cuCtxPushCurrent_v2", context)
            try:
                yield
            finally:
                self._call("cuCtxPopCurrent_v2", ctypes.byref(context))
        finally:
            self._call("cuDevicePrimaryCtxRelease_v2", device)

    def _device(self, index: int) -> ctypes.c_int:
        device = ctypes.c_int()
        self._call("cuDeviceGet", ctypes.byref(device), ctypes.c_int(index))
        return device

    def _call(self, function: str, *arguments: object) -> None:
        status = getattr(self._library, function)(*arguments)
        if status:
            text = ctypes.c_char_p()
            self._library.cuGetErrorString(ctypes.c_int(status), ctypes.byref(text))
            reason = text.value.decode(errors="replace") if text.value else "unknown error"
            raise DeviceUnavailable(f"{function}: NVIDIA's driver answers {reason!r} ({status})")
