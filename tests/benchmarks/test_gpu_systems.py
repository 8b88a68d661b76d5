"""The contenders on a GPU answer as torch does, the CPU standing in for the GPU, and each fails as it must."""

import importlib
import sys
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pytest
import torch
from safetensors import safe_open
from tokenizers import Tokenizer
from transformers import AutoModel

from benchmarks._contenders import Device
from benchmarks._environment import has_cuda
from benchmarks._errors import BenchmarkError, ContenderFailed
from benchmarks._files import read_json
from benchmarks._gpu._crew import Crew, Engine
from benchmarks._gpu._inputs import Reference
from benchmarks._gpu._probe import check
from benchmarks._gpu._registry import CAPTURED, GPU_CONTENDERS, PLAIN, REFERENCES
from benchmarks._gpu._session import Engine as Session
from benchmarks._gpu._system import GpuModels, GpuSystem
from benchmarks._gpu._work import BYTES, Work

from .gpu_fakes import command

FP16_TOLERANCE = 0.02
"""Of a probability: the small body has weights of 0.2 and a steep head, so that fp16 shows."""
RUNNABLE = [name for name in GPU_CONTENDERS if not {"packed", "compile", "TensorRT"} & set(name.split())]
"""Without a GPU: all but what has kernels for GPUs only, and the compiler, which takes a minute."""


@pytest.fixture(scope="module")
def models(gpu_bundle: Path, inputs: Path, tiny_checkpoint: Path) -> GpuModels:
    return GpuModels(gpu_bundle, inputs, tiny_checkpoint)


def load(name: str, models: GpuModels) -> GpuSystem:
    contender = GPU_CONTENDERS[name]
    module, kind = contender.system.split(":")
    system = getattr(importlib.import_module(f"benchmarks._gpu.{module}"), kind)
    loaded: GpuSystem = system(models, 1, Device.CPU, **contender.options)
    return loaded


@pytest.mark.parametrize("name", RUNNABLE)
def test_every_contender_answers_as_torch_does(name: str, models: GpuModels, inputs: Path) -> None:
    reference = Reference.read(inputs, ("late", "lost", "refund"))
    system = load(name, models)
    texts = list(reference.texts)

    probabilities = system.probabilities(texts)

    assert probabilities.dtype == np.float64
    assert probabilities == pytest.approx(reference.probabilities, abs=FP16_TOLERANCE)
    margin = np.sort(reference.probabilities, axis=1)
    sure = margin[:, -1] - margin[:, -2] > 2 * FP16_TOLERANCE
    assert sure.sum() > len(texts) / 2, "otherwise the next line proves little"
    assert np.array(system.answer(texts))[sure].tolist() == np.array(reference.answers)[sure].tolist()
    assert system.answer(texts[:1]) == [reference.answers[0]]
    if GPU_CONTENDERS[name].engine:
        system.engine(texts)()
    else:
        with pytest.raises(NotImplementedError):
            system.engine(texts)


@pytest.mark.parametrize("name", [CAPTURED, PLAIN])
def test_a_second_call_of_a_shape_has_its_own_answer(name: str, models: GpuModels, inputs: Path) -> None:
    """Buffers are used again: an old answer must not show through."""
    reference = Reference.read(inputs, ("late", "lost", "refund"))
    system = load(name, models)

    for text, expected in zip(reference.texts, reference.probabilities, strict=True):
        assert system.probabilities([text])[0] == pytest.approx(expected, abs=FP16_TOLERANCE), text


def test_the_packed_graph_has_no_kernel_on_the_cpu(models: GpuModels) -> None:
    with pytest.raises(Exception, match="PackedMultiHeadAttention"):  # onnxruntime's; on the CPU it has no such kernel
        load("setfuse packed", models)


def test_the_packed_graph_is_given_every_token_of_every_text(
    models: GpuModels, inputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine that only adds up the ids of each text stands in for the GPU's."""
    runs = []

    class Adder:
        metadata: ClassVar = {"setfuse.padding_id": "0"}

        def __init__(self, *_: object, **__: object) -> None:
            pass

        def run(self, feeds: dict[str, npt.NDArray[np.int32]], rows: int) -> npt.NDArray[np.float32]:
            starts = feeds["cumulative_sequence_length"]
            assert len(starts) == rows + 1
            assert feeds["position_ids"].min() == 1, "counted as the metadata asks for"
            runs.append(rows)
            parts = [feeds["input_ids"][start:end] for start, end in pairwise(starts)]
            return np.array([[part.sum(), 0, 0] for part in parts], np.float32)

    monkeypatch.setattr("benchmarks._gpu._packing.Engine", Adder)
    monkeypatch.setattr("benchmarks._gpu._packing.ROWS", 4)
    texts = list(Reference.read(inputs, ("late", "lost", "refund")).texts)
    tokenizer = Tokenizer.from_file(str(models.bundle / "tokenizer.json"))

    found = load("setfuse packed", models).probabilities(texts)

    assert found[:, 0].tolist() == [sum(encoding.ids) for encoding in tokenizer.encode_batch(texts)]
    assert runs == [4, 4, 3]


def test_the_registry_holds_together() -> None:
    assert set(REFERENCES) <= set(GPU_CONTENDERS)
    assert all(GPU_CONTENDERS[name].ours for name in REFERENCES)
    assert all(contender.ours == name.startswith("setfuse") for name, contender in GPU_CONTENDERS.items())
    assert list(GPU_CONTENDERS)[-2:] == ["torch fp16 compile", "setfuse TensorRT"], "what takes minutes comes last"


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("bundle/model.none.onnx", "needs model.none.onnx in .*, which setfuse export writes"),
        ("inputs/none.onnx", "needs none.onnx in .*, which benchmarks.gpu_inputs writes where it can"),
    ],
)
def test_what_is_not_there_is_told(wanted: str, message: str, models: GpuModels) -> None:
    with pytest.raises(BenchmarkError, match=message):
        models.find(wanted)


def test_what_was_not_given_is_told(gpu_bundle: Path) -> None:
    for name in ("inputs/head.npz", "checkpoint"):
        with pytest.raises(BenchmarkError, match=f"needs --{name.partition('/')[0]}"):
            GpuModels(gpu_bundle, None, None).find(name)


@pytest.mark.skipif(has_cuda(), reason="there is a GPU: nothing falls back")
def test_a_session_that_would_fall_back_to_the_cpu_is_refused(gpu_bundle: Path) -> None:
    with pytest.raises(Exception, match="CUDAExecutionProvider"):  # ours, or onnxruntime's own
        Session(gpu_bundle / "model.fp16.onnx", Device.CUDA)


def test_the_work_is_what_torch_counts(inputs: Path, tiny_checkpoint: Path) -> None:
    from torch.utils.flop_counter import FlopCounterMode

    work = Work(inputs / "checkpoint")
    model = AutoModel.from_pretrained(tiny_checkpoint, attn_implementation="eager", add_pooling_layer=False)
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        model(input_ids=torch.ones(1, 9, dtype=torch.long))
    assert work.flops([9]) == pytest.approx(counter.get_total_flops())
    with safe_open(next(tiny_checkpoint.rglob("model.safetensors")), "np") as tensors:
        names = [name for name in tensors.keys() if ".layer." in name]  # noqa: SIM118 - it is no dict
        matrices = [tensors.get_tensor(name) for name in names if tensors.get_tensor(name).ndim == 2]
    assert work.weight_bytes() == BYTES * sum(matrix.size for matrix in matrices)
    assert Work(inputs / "nothing").weight_bytes() is None
    assert Work(inputs / "nothing").flops([9]) is None


@pytest.mark.skipif(torch.version.cuda is not None, reason="torch has CUDA here")
def test_a_torch_without_cuda_is_told() -> None:
    with pytest.raises(BenchmarkError, match=rf"needs torch with CUDA, found {torch.__version__[:4]}.*: install torch"):
        check(Device.CUDA)
    check(Device.CPU)


@pytest.mark.parametrize("package", ["torch", "onnxruntime"])
def test_a_missing_package_is_told(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)

    with pytest.raises(BenchmarkError, match=f"needs {package}.*, which is not installed: pip install {package}"):
        check(Device.CUDA)


def test_no_gpu_no_driver_and_no_provider_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("benchmarks._gpu._probe.has_cuda", lambda: False)
    with pytest.raises(BenchmarkError, match=r"needs an NVIDIA GPU that torch can use, and there is none here$"):
        check(Device.CUDA)
    monkeypatch.setattr("benchmarks._gpu._probe.has_cuda", lambda: True)
    with pytest.raises(BenchmarkError, match=r"though a driver is loaded: is it too old for CUDA 13.0\?"):
        check(Device.CUDA)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    if "CUDAExecutionProvider" not in importlib.import_module("onnxruntime").get_available_providers():
        with pytest.raises(BenchmarkError, match=r"needs an onnxruntime with CUDA, found .*CPUExecutionProvider: pip"):
            check(Device.CUDA)


def test_the_device_is_told_and_a_contender_that_runs_out_of_memory_goes_on() -> None:
    with Crew(Device.CPU, 1) as crew:
        probe = crew.probe()
        about, roof = probe.about(), probe.roof()
        assert about["torch"] == torch.__version__
        assert probe.used_mb() > 50, "of a process with torch"
        assert 0.1 < roof["gflops"] < 1e5
        assert 0.1 < roof["gb_per_s"] < 1e4

        started = crew.add("greedy", command("Greedy"), probe, ["a", "b"], 60)
        crew.add("no engine", command("NoEngine"), probe, ["a"], 60)
        assert started.load_s > 0
        assert started.device_mb >= 0
        assert started.versions["numpy"] == np.__version__
        with pytest.raises(ContenderFailed, match=r"^RuntimeError: CUDA out of memory. Tried to allocate 2.00 GiB$"):
            crew["greedy"].repeat(["a"] * 2000, 0, 1)
        assert len(crew["greedy"].repeat(["a"], 0, 2)) == 2
        assert len(Engine(crew["greedy"]).repeat(["a"], 0, 3)) == 3
        with pytest.raises(ContenderFailed, match=r"^ValueError: no reason given$"):
            Engine(crew["no engine"]).repeat(["a"], 0, 1)
        with pytest.raises(ContenderFailed, match="No module named 'no_such_package'"):
            crew.add("never", command("NeverLoads"), probe, ["a"], 60)


def test_the_schema_is_a_schema() -> None:
    import jsonschema

    from benchmarks._files import ROOT

    jsonschema.Draft202012Validator.check_schema(read_json(ROOT / "benchmarks" / "_gpu" / "schema.json"))
