"""The fp16 graph as a GPU would run it: shapes, captures, streams and failures, with onnxruntime's CPU kernels."""

import asyncio
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from setfuse.export import export
from setfuse.runtime import (
    BundleCorrupt,
    Classifier,
    CudaOptions,
    DeviceOutOfMemory,
    DeviceUnavailable,
    UsageError,
)
from setfuse.runtime._buckets import BATCH_SIZES, FREE_TOKENS
from setfuse.runtime._cuda import CAPTURED_TOKENS
from setfuse.runtime._cuda_stream import GATE, Gate, _Worker
from setfuse.runtime._gpu import _Started
from setfuse.runtime._provider import SDPA_KERNELS
from tests.models import LONG_TEXT, TEXTS

from .gpu import GPU, Machine, machine

__all__ = ["machine"]


@pytest.fixture(scope="module")
def bundle(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with a graph for GPUs."""
    folder = tmp_path_factory.mktemp("gpu-bundle") / "bundle"
    export(tiny_checkpoint, folder, ("fp32", "fp16"))
    return folder


@pytest.fixture(scope="module")
def expected(bundle: Path) -> np.ndarray[Any, np.dtype[np.float32]]:
    """The probabilities of the fp32 graph, texts alone, without padding."""
    classifier = Classifier.load(bundle, device="cpu", precision="fp32", threads=1)
    return np.concatenate([classifier.predict_proba([text]) for text in MANY])


MANY = [*TEXTS, LONG_TEXT, *(" ".join(["parcel"] * number) for number in range(1, 60))]

FP16 = 2e-3
"""float16 keeps 11 bits; two layers of random weights let through about one part in a thousand."""


@pytest.fixture(params=[True, False], ids=["captured", "uncaptured"])
def graphs(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.mark.usefixtures("machine")
def test_answers_are_those_of_the_texts_alone(graphs: bool, bundle: Path, expected: np.ndarray[Any, Any]) -> None:
    classifier = Classifier.load(bundle, device="cuda", cuda=CudaOptions(graphs=graphs))
    texts = [*MANY, *reversed(MANY)]

    np.testing.assert_allclose(classifier.predict_proba(texts), [*expected, *expected[::-1]], atol=FP16)
    for text, row in zip(MANY, expected, strict=True):
        np.testing.assert_allclose(classifier.predict_proba([text])[0], row, atol=FP16)
    assert classifier.embed(MANY).shape == (len(MANY), classifier.manifest.embedding_dim)


def test_captured_and_uncaptured_answers_are_equal(bundle: Path, machine: Machine) -> None:
    captured = Classifier.load(bundle, device="cuda").predict_proba(MANY)
    plain = Classifier.load(bundle, device="cuda", cuda=CudaOptions(graphs=False)).predict_proba(MANY)

    np.testing.assert_array_equal(captured, plain)
    assert machine.runs


@pytest.mark.usefixtures("machine")
def test_padding_leaves_no_trace(bundle: Path) -> None:
    classifier = Classifier.load(bundle, device="cuda")
    classifier.predict_proba(MANY)  # what it leaves in the buffers must not come back
    first = classifier.predict_proba(["where is my parcel"])

    for others in (["a"] * 3, MANY[:20], [LONG_TEXT] * 4):
        together = classifier.predict_proba(["where is my parcel", *others])
        np.testing.assert_allclose(together[0], first[0], atol=FP16)
    assert not np.isnan(classifier.predict_proba(["a"] * 3)).any()


def test_each_shape_is_captured_once_a_stream_and_then_replayed(bundle: Path, machine: Machine) -> None:
    classifier = Classifier.load(bundle, device="cuda", cuda=CudaOptions(streams=2))
    captured = [run for run in machine.runs if run[0] != "-1"]  # each stream's first run is none
    assert len(machine.runs) == len(captured) + 2
    shapes = {(rows, width) for rows in BATCH_SIZES for width in (8, 16, 24, 32, 40, 48)}
    small = {shape for shape in shapes if shape[0] * shape[1] <= CAPTURED_TOKENS}

    assert {tuple(shape) for _, shape in captured} == small
    assert len(captured) == 2 * len(small)
    assert len({graph for graph, _ in captured}) == len(small)
    machine.runs.clear()
    classifier.predict_proba(MANY)
    replayed = {tuple(shape): graph for graph, shape in captured}
    assert machine.runs
    assert all(replayed[tuple(shape)] == graph for graph, shape in machine.runs)


def test_what_was_not_captured_says_so(bundle: Path, machine: Machine) -> None:
    classifier = Classifier.load(bundle, device="cuda", max_batch_tokens=200)
    machine.runs.clear()

    classifier.embed(MANY)  # captured are the runs for the scores
    assert {graph for graph, _ in machine.runs} == {"-1"}
    assert all(rows * width <= 200 for _, (rows, width) in machine.runs)


def test_without_graphs_no_run_asks_for_one(bundle: Path, machine: Machine) -> None:
    Classifier.load(bundle, device="cuda", cuda=CudaOptions(graphs=False)).predict_proba(MANY)

    assert {graph for graph, _ in machine.runs} == {""}
    assert machine.sessions[0][0][0][1]["enable_cuda_graph"] == "0"


def test_capturing_stops_where_its_memory_is_used_up(
    bundle: Path, machine: Machine, caplog: pytest.LogCaptureFixture, expected: np.ndarray[Any, Any]
) -> None:
    def use(shape: list[int]) -> None:
        machine.library.free -= shape[0] * 2**20  # a MiB a row

    machine.fails = use
    with caplog.at_level(logging.INFO, logger="setfuse.runtime"):
        classifier = Classifier.load(bundle, device="cuda", cuda=CudaOptions(streams=1, graph_memory_mb=10))

    (first, _), *captured = machine.runs
    assert first == "-1"  # before the memory for captures is counted
    rows = [rows for _, (rows, _) in captured]
    assert sum(rows[:-1]) < 10 <= sum(rows)
    assert f"captured runs of {len(captured)} of " in caplog.text
    np.testing.assert_allclose(classifier.predict_proba(MANY), expected, atol=FP16)


def test_without_memory_for_graphs_nothing_but_the_first_is_captured(bundle: Path, machine: Machine) -> None:
    Classifier.load(bundle, device="cuda", cuda=CudaOptions(streams=1, graph_memory_mb=0))

    assert machine.runs == [("-1", [1, 8]), ("1", [1, 8])]


def test_a_capture_that_fails_is_told_and_the_rest_goes_on(
    bundle: Path, machine: Machine, caplog: pytest.LogCaptureFixture, expected: np.ndarray[Any, Any]
) -> None:
    def fail(shape: list[int]) -> None:
        if shape == [2, 16]:
            raise RuntimeError("CUDA failure 900: operation not permitted when stream is capturing")

    machine.fails = fail
    classifier = Classifier.load(bundle, device="cuda", cuda=CudaOptions(streams=1))
    machine.fails = lambda _: None

    assert "goes on without capturing more runs: model.fp16.onnx: Stand-in" in caplog.text
    np.testing.assert_allclose(classifier.predict_proba(MANY), expected, atol=FP16)


def test_the_provider_is_told_what_was_asked_for(bundle: Path, machine: Machine) -> None:
    options = CudaOptions(memory_mb=100, attention=8, streams=1)
    Classifier.load(bundle, device="cuda", cuda=options)

    ((providers, fallback),) = machine.sessions
    assert fallback == "1"  # no node may run on the CPU
    assert [name for name, _ in providers] == ["CUDAExecutionProvider"]
    settings = providers[0][1]
    assert "device_id" not in settings  # the first
    assert settings["gpu_mem_limit"] == str(100 * 2**20)
    assert settings["sdpa_kernel"] == "8"
    assert settings["enable_cuda_graph"] == "1"
    assert settings["use_tf32"] == "0"


def test_what_runs_is_told(bundle: Path, machine: Machine) -> None:
    about = Classifier.load(bundle).about

    assert (about.target, about.precision, about.gpu, about.threads) == ("cuda", "fp16", str(GPU), 1)
    assert str(about).startswith("fp16/cuda (model.fp16.onnx) in onnxruntime ")
    assert f", on {GPU}; fp16 is what the bundle has for GPUs" in str(about)
    assert Classifier.load(bundle, device="cpu").about.gpu == ""
    assert machine.sessions


# Memory


OUT = "Failed to allocate memory for requested buffer of size 1073741824"


def test_a_batch_that_does_not_fit_is_halved(
    bundle: Path, machine: Machine, caplog: pytest.LogCaptureFixture, expected: np.ndarray[Any, Any]
) -> None:
    classifier = Classifier.load(bundle, device="cuda")

    def fail(shape: list[int]) -> None:
        if shape[0] * shape[1] > 1100:
            raise RuntimeError(OUT)

    machine.fails = fail
    many, rows = MANY * 20, np.concatenate([expected] * 20)

    np.testing.assert_allclose(classifier.predict_proba(many), rows, atol=FP16)
    assert "goes on with runs of at most " in caplog.text
    assert "found too little" in caplog.text
    caplog.clear()
    np.testing.assert_allclose(classifier.predict_proba(many), rows, atol=FP16)
    assert not caplog.records  # it has learned


def test_a_moment_without_memory_does_not_make_runs_small_for_ever(bundle: Path, machine: Machine) -> None:
    classifier = Classifier.load(bundle, device="cuda", cuda=CudaOptions(graphs=False))

    def fail(shape: list[int]) -> None:
        if shape[0] > 1:
            raise RuntimeError(OUT)

    machine.fails = fail
    classifier.predict(MANY)
    machine.fails = lambda _: None
    machine.runs.clear()

    classifier.predict(MANY)

    assert max(rows * width for _, (rows, width) in machine.runs) > 512


def test_one_text_that_does_not_fit_is_an_error(bundle: Path, machine: Machine) -> None:
    classifier = Classifier.load(bundle, device="cuda")

    def fail(shape: list[int]) -> None:
        if shape[1] > 16:
            raise RuntimeError("CUDA failure 2: out of memory ; GPU=0")

    machine.fails = fail

    with pytest.raises(DeviceOutOfMemory, match=r"text 1: .*expected room for a run of 1 texts x 48 tokens") as caught:
        classifier.predict_proba(["a", LONG_TEXT])
    assert isinstance(caught.value, MemoryError)
    assert classifier.predict(["a"])  # the short ones go on


def test_a_second_stream_that_does_not_fit_is_done_without(
    bundle: Path, machine: Machine, caplog: pytest.LogCaptureFixture, expected: np.ndarray[Any, Any]
) -> None:
    def refuse(number: int) -> None:
        if number == 2:
            raise RuntimeError(OUT)

    machine.refuses = refuse
    classifier = Classifier.load(bundle, device="cuda", cuda=CudaOptions(streams=3))

    assert "goes on with 1 of 3 streams: model.fp16.onnx: expected room for the graph" in caplog.text
    np.testing.assert_allclose(classifier.predict_proba(MANY), expected, atol=FP16)


def test_a_model_that_does_not_fit_is_refused(bundle: Path, machine: Machine) -> None:
    def refuse(_: int) -> None:
        raise RuntimeError(OUT)

    machine.refuses = refuse
    with pytest.raises(DeviceOutOfMemory, match="expected room for the graph in the memory of Stand-in"):
        Classifier.load(bundle, device="cuda")


# Failures


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        ("CUDA failure 700: an illegal memory access", DeviceUnavailable, "fails on a run of 1 texts x 8 tokens"),
        ("cuDNN is required for operator Softmax", DeviceUnavailable, "fails on a run"),
        ("Invalid rank for input", BundleCorrupt, "onnxruntime fails on a run of 1 texts x 8 tokens: .*export"),
    ],
)
def test_what_fails_is_told(error: str, kind: type[Exception], message: str, bundle: Path, machine: Machine) -> None:
    classifier = Classifier.load(bundle, device="cuda", cuda=CudaOptions(graphs=False))

    def fail(_: list[int]) -> None:
        raise RuntimeError(error)

    machine.fails = fail
    with pytest.raises(kind, match=message):
        classifier("where is my parcel, please")
    machine.fails = lambda _: None
    assert classifier("where is my parcel").label


@pytest.mark.parametrize(
    ("problem", "message"),
    [
        ("", "expected kernels for all of the graph on Stand-in"),
        ("libcufft.so.12: no such file", "onnxruntime cannot load its CUDAExecutionProvider: libcufft"),
    ],
    ids=["a node without a kernel", "a provider that does not load"],
)
def test_what_would_run_on_the_cpu_is_refused(
    problem: str, message: str, bundle: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("setfuse.runtime._cuda.load_problem", lambda *_: problem)

    def refuse(_: int) -> None:
        raise RuntimeError(
            "This session contains graph nodes that are assigned to the default CPU EP, but fallback ..."
        )

    machine.refuses = refuse
    with pytest.raises(DeviceUnavailable, match=message):
        Classifier.load(bundle, device="cuda")


def test_a_session_that_is_not_on_the_gpu_is_refused(
    bundle: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.runtime.gpu.Session.get_providers", lambda _: ["CPUExecutionProvider"])

    with pytest.raises(DeviceUnavailable, match=r"expected CUDAExecutionProvider to run model\.fp16\.onnx on Stand-in"):
        Classifier.load(bundle, device="cuda")
    assert machine.sessions


def test_memory_that_cannot_be_locked_is_done_without(
    bundle: Path, machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    machine.library.failing["cuMemHostRegister_v2"] = 1
    with caplog.at_level(logging.INFO, logger="setfuse.runtime"):
        classifier = Classifier.load(bundle, device="cuda")

    assert "copies texts from memory that is not locked" in caplog.text
    assert classifier("where is my parcel").label


def test_memory_is_locked_a_stream_and_let_go_of(bundle: Path, machine: Machine) -> None:
    classifier = Classifier.load(bundle, device="cuda", cuda=CudaOptions(streams=3))
    assert machine.library.calls.count("cuMemHostRegister_v2") == 3
    assert "cuMemHostUnregister" not in machine.library.calls

    classifier.close()

    assert machine.library.calls.count("cuMemHostUnregister") == 3


def test_threads_end_with_the_classifier(bundle: Path, machine: Machine) -> None:
    before = set(threading.enumerate())
    classifier = Classifier.load(bundle, device="cuda", cuda=CudaOptions(streams=3))
    own = set(threading.enumerate()) - before
    assert len(own) == 3

    classifier.close()
    for thread in own:
        thread.join(30)

    assert not any(thread.is_alive() for thread in own)
    assert machine.sessions


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_is_told_that_cuda_cannot_go_on(
    bundle: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Started, "process", os.getpid())
    classifier = Classifier.load(bundle, device="cuda")
    assert classifier("a").label

    read, write = os.pipe()
    child = os.fork()
    if not child:
        try:
            classifier("a")
        except BaseException as error:  # noqa: BLE001 - whatever it is, the parent judges
            os.write(write, f"{type(error).__name__}: {error}".encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        told = pipe.read().decode()

    assert told.startswith("DeviceUnavailable: expected a process that CUDA can be started in")
    assert classifier("a").label
    assert machine.sessions


# Callers


def test_a_buffer_that_does_not_fit_is_told_as_a_run(bundle: Path, machine: Machine) -> None:
    classifier = Classifier.load(bundle, device="cuda", cuda=CudaOptions(graphs=False))

    def refuse(shape: list[int]) -> None:
        if shape == [1, 16]:
            raise RuntimeError(OUT)

    machine.makes = refuse
    with pytest.raises(DeviceOutOfMemory, match="expected room for a run of 1 texts x 16 tokens"):
        classifier("a " * 12)


@pytest.mark.parametrize("graphs", [True, False], ids=["captures", "does not"])
def test_a_gpu_that_runs_nothing_is_not_loaded(graphs: bool, bundle: Path, machine: Machine) -> None:
    def fail(_: list[int]) -> None:
        raise RuntimeError("CUDA failure 209: no kernel image is available for execution on the device")

    machine.fails = fail
    with pytest.raises(
        DeviceUnavailable, match=r"Stand-in .* fails on a run of 1 texts x 8 tokens: .* no kernel image"
    ):
        Classifier.load(bundle, device="cuda", cuda=CudaOptions(graphs=graphs))


def test_another_gpu(bundle: Path, machine: Machine) -> None:
    classifier = Classifier.load(bundle, device="cuda:1", cuda=CudaOptions(streams=1))

    assert classifier("a").label
    assert machine.sessions[0][0][0][1]["device_id"] == "1"
    assert "(cuda:1, " in classifier.about.gpu


def test_attention_kernels_that_were_measured_are_taken(
    bundle: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SDPA_KERNELS, GPU.capability, 3)
    Classifier.load(bundle, device="cuda", cuda=CudaOptions(streams=1))
    Classifier.load(bundle, device="cuda", cuda=CudaOptions(streams=1, attention=1))

    assert [session[0][0][1]["sdpa_kernel"] for session in machine.sessions] == ["3", "1"]


def test_no_text_is_blamed_for_a_gpu_that_fails(bundle: Path, machine: Machine) -> None:
    classifier = Classifier.load(bundle, device="cuda", cuda=CudaOptions(graphs=False))
    runs: list[list[int]] = []

    def fail(shape: list[int]) -> None:
        runs.append(shape)
        raise RuntimeError("CUDA failure 700: an illegal memory access")

    machine.fails = fail
    with pytest.raises(DeviceUnavailable, match=r"^model\.fp16\.onnx: Stand-in"):
        classifier.predict(["a"] * 64)
    assert len(runs) == 1  # nor is each of them tried alone

    async def ask() -> list[Any]:
        return await asyncio.gather(*(classifier.aclassify("a") for _ in range(20)), return_exceptions=True)

    told = asyncio.run(ask())
    assert {type(error) for error in told} == {DeviceUnavailable}
    assert not any("text " in str(error).partition("fails")[0] for error in told)


def test_a_first_embedding_waits_for_the_capture_of_another_classifier(bundle: Path, machine: Machine) -> None:
    classifier = Classifier.load(bundle, device="cuda", cuda=CudaOptions(graphs=False))
    made: list[list[int]] = []
    machine.makes = made.append
    with GATE.capture():
        caller = threading.Thread(target=classifier.embed, args=(["a"],))
        caller.start()
        caller.join(0.1)
        assert caller.is_alive()
        assert not made  # no buffer either: cudaMalloc would break the capture
    caller.join(30)

    assert not caller.is_alive()
    assert made


def test_a_classifier_answers_when_the_main_thread_has_ended(bundle: Path, machine: Machine) -> None:
    """Executors of the standard library refuse work then; here a thread without a main thread asks for it."""
    worker = _Worker()
    code = "import threading, sys; sys.path[:0] = sys.argv[1:]; from setfuse.runtime._cuda_stream import _Worker\n"
    code += "worker = _Worker()\ndef late():\n threading.main_thread().join()\n print(worker.do(lambda: 'answered'))\n"
    code += "threading.Thread(target=late).start()"

    done = subprocess.run(
        [sys.executable, "-c", code, *sys.path], capture_output=True, text=True, check=True, timeout=60
    )

    assert done.stdout == "answered\n"
    assert done.stderr == ""
    assert worker.do(lambda: 1) == 1
    assert machine.library
    assert bundle


def test_a_signals_handler_may_call_while_a_call_is_made(bundle: Path, machine: Machine) -> None:
    classifier = Classifier.load(bundle, device="cuda", cuda=CudaOptions(streams=1))
    answered: list[str | None] = []

    def handle(*_: object) -> None:
        answered.append(classifier("a").label)
        signal.setitimer(signal.ITIMER_REAL, 0.001)  # the next one, not in the middle of this

    before = signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.001)
    try:
        deadline = time.monotonic() + 30
        while len(answered) < 50 and time.monotonic() < deadline:
            classifier("a")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

    assert len(answered) >= 50
    assert machine.runs


def test_asyncio_pads_no_large_run_with_rows(bundle: Path, machine: Machine) -> None:
    classifier = Classifier.load(bundle, device="cuda", max_queue=2000)
    machine.runs.clear()

    async def ask() -> None:
        await asyncio.gather(*(classifier.aclassify("word " * 40) for _ in range(300)))

    asyncio.run(ask())
    large = [rows for _, (rows, width) in machine.runs if rows * width > FREE_TOKENS]
    rest = sum(rows for _, (rows, width) in machine.runs) - sum(large)
    assert large
    assert sum(large) + rest - 300 <= FREE_TOKENS / 48 * len(machine.runs)
    assert sum(large) <= 300


def test_callers_share_the_streams(bundle: Path, machine: Machine) -> None:
    classifier = Classifier.load(bundle, device="cuda", cuda=CudaOptions(streams=2))
    threads_of_runs: set[int] = set()
    both = threading.Barrier(2, timeout=30)

    def meet(_: list[int]) -> None:
        threads_of_runs.add(threading.get_ident())
        both.wait()

    machine.fails = meet
    callers = [threading.Thread(target=classifier, args=("a",)) for _ in range(2)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(30)

    assert len(threads_of_runs) == 2


def test_many_threads_get_their_own_answers(bundle: Path, machine: Machine, expected: np.ndarray[Any, Any]) -> None:
    classifier = Classifier.load(bundle, device="cuda")
    answers: dict[int, np.ndarray[Any, Any]] = {}

    def ask(start: int) -> None:
        answers[start] = classifier.predict_proba(MANY[start : start + 20])

    callers = [threading.Thread(target=ask, args=(start,)) for start in range(0, 48, 2)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(60)

    for start, answer in answers.items():
        np.testing.assert_allclose(answer, expected[start : start + 20], atol=FP16)
    assert len(answers) == 24
    assert machine.runs


def test_asyncio_drives_the_gpu(bundle: Path, machine: Machine, expected: np.ndarray[Any, Any]) -> None:
    async def ask() -> list[Any]:
        async with Classifier.load(bundle, device="cuda", max_queue=1000) as classifier:
            machine.runs.clear()
            return await asyncio.gather(*(classifier.aclassify(text) for text in MANY))

    predictions = asyncio.run(ask())

    labels = Classifier.load(bundle, device="cpu", precision="fp32").labels
    for prediction, row in zip(predictions, expected, strict=True):
        scores = dict(prediction.scores)
        np.testing.assert_allclose([scores[label] for label in labels], row, atol=FP16)
    assert len(machine.runs) < len(MANY) / 2  # they shared runs


def test_a_capture_waits_for_runs_and_runs_for_the_capture() -> None:
    gate = Gate()
    order: list[str] = []
    running, capturing, begun, done = (threading.Event() for _ in range(4))

    def run() -> None:
        with gate.work():
            running.set()
            assert capturing.wait(30)
            order.append("run")

    def capture() -> None:
        capturing.set()
        with gate.capture():
            order.append("capture")
            begun.set()
            assert not done.wait(0.05)  # long enough for the second run, if nothing kept it
            order.append("captured")

    def run_later() -> None:
        with gate.work():
            order.append("later")
            done.set()

    threads = [threading.Thread(target=work) for work in (run, capture)]
    threads[0].start()
    assert running.wait(30)
    threads[1].start()
    threads[0].join(30)
    threads.append(threading.Thread(target=run_later))
    assert begun.wait(30)
    threads[2].start()
    for thread in threads:
        thread.join(30)

    assert order == ["run", "capture", "captured", "later"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"graphs": 1}, "graphs: expected True or False, got 1"),
        ({"streams": 0}, "streams: expected a whole number from 1, got 0"),
        ({"streams": None}, "streams: expected a whole number from 1, got None"),
        ({"graph_memory_mb": -1}, "graph_memory_mb: expected a whole number from 0, got -1"),
        ({"memory_mb": 0}, "memory_mb: expected a whole number from 1, got 0"),
        ({"attention": 1.5}, "attention: expected a whole number from 0, got 1.5"),
        ({"memory_mb": True}, "memory_mb: expected a whole number from 1, got True"),
    ],
)
def test_options_out_of_their_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        CudaOptions(**options)
    assert str(caught.value) == message
