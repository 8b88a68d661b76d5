"""A stand-in for a GPU: NVIDIA's driver in Python, and onnxruntime's CUDA provider on the CPU.

Everything around the provider is the real thing: the graph, onnxruntime's sessions, bindings, values and run options.
"""

import ctypes
import dataclasses
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import onnxruntime
import pytest

from setfuse.runtime import _cuda, _source
from setfuse.runtime._driver import Driver, Gpu
from setfuse.runtime._session import create_session

GPU = Gpu(0, "Stand-in", (9, 0), 80 * 2**30)

ERRORS = {100: b"no CUDA-capable device is detected", 1: b"invalid argument"}


class Library:
    """Stands in for `libcuda`: each function takes what ctypes would pass, and gives a status."""

    def __init__(self, gpus: int = 1, version: int = 13000, **failing: int) -> None:
        self.gpus = gpus
        self.version = version
        self.failing = failing
        self.calls: list[str] = []
        self.free = 60 * 2**30
        self.contexts = 0

    def __getattr__(self, name: str) -> Callable[..., int]:
        def call(*arguments: Any) -> int:
            self.calls.append(name)
            if name in self.failing:
                return self.failing[name]
            done = getattr(type(self), f"_{name}", None)
            return 0 if done is None else int(done(self, *arguments) or 0)

        return call

    def _cuGetErrorString(self, status: Any, text: Any) -> None:  # noqa: N802 - as all of them
        text._obj.value = ERRORS.get(status.value)

    def _cuDriverGetVersion(self, version: Any) -> None:  # noqa: N802
        version._obj.value = self.version

    def _cuDeviceGetCount(self, count: Any) -> None:  # noqa: N802
        count._obj.value = self.gpus

    def _cuDeviceGet(self, device: Any, index: Any) -> None:  # noqa: N802
        device._obj.value = index.value

    def _cuDeviceGetName(self, name: Any, size: Any, device: Any) -> None:  # noqa: N802
        name.value = f"Stand-in {device.value}".encode()[: size.value]

    def _cuDeviceTotalMem_v2(self, memory: Any, device: Any) -> None:  # noqa: N802, ARG002
        memory._obj.value = 80 * 2**30

    def _cuDeviceGetAttribute(self, value: Any, attribute: Any, device: Any) -> None:  # noqa: N802, ARG002
        value._obj.value = {75: 9, 76: 0}[attribute.value]

    def _cuCtxPushCurrent_v2(self, context: Any) -> None:  # noqa: N802, ARG002
        self.contexts += 1

    def _cuCtxPopCurrent_v2(self, context: Any) -> None:  # noqa: N802, ARG002
        self.contexts -= 1

    def _cuMemGetInfo_v2(self, free: Any, total: Any) -> None:  # noqa: N802
        assert self.contexts == 1
        free._obj.value, total._obj.value = self.free, 80 * 2**30

    def _cuMemHostRegister_v2(self, address: Any, size: Any, flags: Any) -> int:  # noqa: N802, ARG002
        ctypes.memset(address, 0, size.value)  # dies where the memory is not there
        return int(address.value % 4096 != 0)


@dataclass
class Machine:
    """A machine with a GPU.

    Attributes:
        library: The driver.
        runs: What each run was: its `gpu_graph_id`, and the shape of its token ids.
        sessions: What each session was made with: its providers, and whether it may fall back to the CPU.
        fails: Raises, told the shape of the token ids, what a run is to raise.
        refuses: Raises, told the number of the session from 1, what making it is to raise.
        makes: Raises, told its shape, what making a buffer on the GPU is to raise.
        gpu: The GPU that was taken.
    """

    library: Library
    runs: list[tuple[str, list[int]]] = field(default_factory=list)
    sessions: list[tuple[list[Any], str]] = field(default_factory=list)
    fails: Callable[[list[int]], object] = lambda _: None
    refuses: Callable[[int], object] = lambda _: None
    makes: Callable[[list[int]], object] = lambda _: None
    gpu: Gpu = GPU

    def on(self, index: int) -> Gpu:
        """Take the GPU of a number."""
        self.gpu = dataclasses.replace(GPU, index=index)
        return self.gpu


class Session:
    """A session on the CPU that says it were on the GPU, and remembers its runs."""

    def __init__(self, real: onnxruntime.InferenceSession, name: str, machine: Machine) -> None:
        self._real = real
        self._name = name
        self._machine = machine
        self._ids: dict[int, Any] = {}
        self._captured: dict[str, tuple[int, int]] = {}

    def get_providers(self) -> list[str]:
        return [self._name, "CPUExecutionProvider"]

    def io_binding(self) -> Any:
        binding = self._real.io_binding()
        bind = binding.bind_ortvalue_input

        def remember(name: str, value: onnxruntime.OrtValue) -> None:
            if name == "input_ids":
                self._ids[id(binding)] = (binding, value.shape())
            bind(name, value)

        binding.bind_ortvalue_input = remember
        return binding

    def run_with_iobinding(self, binding: Any, options: onnxruntime.RunOptions | None) -> None:
        shape = self._ids[id(binding)][1]
        graph = options.get_run_config_entry("gpu_graph_id") if options else ""
        if graph not in {"", "-1"}:
            # As onnxruntime has it: in the thread of the capture, and in the buffers of the capture.
            here = (threading.get_ident(), id(binding))
            assert self._captured.setdefault(graph, here) == here
        self._machine.fails(shape)
        self._machine.runs.append((graph, shape))
        self._real.run_with_iobinding(binding, options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """This machine, with a GPU that is none."""
    machine = Machine(Library())

    def create(model: Any, options: Any, providers: Any, **others: Any) -> Session:
        fallback = options.get_session_config_entry("session.disable_cpu_ep_fallback")
        machine.sessions.append((list(providers), fallback))
        machine.refuses(len(machine.sessions))
        plain = onnxruntime.SessionOptions()
        plain.log_severity_level = 4
        plain.intra_op_num_threads = 1
        return Session(create_session(model, plain, [("CPUExecutionProvider", {})], **others), providers[0][0], machine)

    def on_the_cpu(shape: list[int], dtype: Any, device: str, index: int) -> onnxruntime.OrtValue:
        assert (device, index) == ("cuda", machine.gpu.index)
        machine.makes(shape)
        return make_value(shape, dtype, "cpu", 0)

    make_value = onnxruntime.OrtValue.ortvalue_from_shape_and_type
    monkeypatch.setattr(_cuda, "create_session", create)
    monkeypatch.setattr(onnxruntime.OrtValue, "ortvalue_from_shape_and_type", staticmethod(on_the_cpu))
    monkeypatch.setattr(Driver, "load", classmethod(lambda cls: cls(machine.library)))
    monkeypatch.setattr(_source, "_find_gpu", lambda index, engine: machine.on(index))  # noqa: ARG005
    return machine


def package(*providers: str, cuda: str = "13.0", **others: Any) -> Any:
    """Make a stand-in for the module onnxruntime."""
    values = {"__version__": "1.31.1", "package_name": "onnxruntime-gpu", "cuda_version": cuda}
    return SimpleNamespace(get_available_providers=lambda: list(providers), **{**values, **others})
