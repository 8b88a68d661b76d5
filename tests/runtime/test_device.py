"""On which device a bundle runs: what is asked for is had or refused, and where nothing is, a GPU that can be used."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from setfuse.runtime import (
    DeviceUnavailable,
    Manifest,
    MissingExtra,
    Precision,
    SetfuseError,
    Target,
    UsageError,
    VariantNotFound,
)
from setfuse.runtime._choice import Choice
from setfuse.runtime._device import Device, choose
from setfuse.runtime._driver import Gpu
from setfuse.runtime._engine import Engine

from .gpu import GPU

BUNDLES = {"all": ("fp32", "int8", "fp16"), "fp32": ("fp32",), "fp16": ("fp16",)}


@pytest.fixture(scope="module")
def bundles(tiny_bundle: Path) -> dict[str, Manifest]:
    manifest = Manifest.read(tiny_bundle)
    (single,) = manifest.variants
    graphs = {
        precision: dataclasses.replace(
            single,
            precision=precision,
            target=Target.CUDA if precision is Precision.FP16 else Target.CPU,
            file=dataclasses.replace(single.file, file=f"model.{precision}.onnx"),
        )
        for precision in Precision
    }
    return {
        name: dataclasses.replace(manifest, variants=tuple(graphs[Precision(kind)] for kind in kinds))
        for name, kinds in BUNDLES.items()
    }


def chosen(manifest: Manifest, missing: SetfuseError | None = None, **asked: Any) -> Choice:
    found: list[tuple[int, Engine]] = []

    def find_gpu(index: int, engine: Engine) -> Gpu:
        found.append((index, engine))
        if missing:
            raise missing
        return dataclasses.replace(GPU, index=index)

    choice = choose(
        manifest,
        device=Device.parse(asked.get("device", "auto")),
        precision=asked.get("precision"),
        engine=Engine(asked["engine"]) if "engine" in asked else None,
        flags=frozenset({"avx512_vnni"}),
        is_installed=lambda engine: engine is not Engine.OPENVINO,
        find_gpu=find_gpu,
    )
    assert (choice.gpu is not None) == (choice.target is Target.CUDA)
    assert choice.gpu is None or found == [(choice.gpu.index, choice.engine)]
    return choice


def told(choice: Choice) -> str:
    where = choice.target if choice.gpu is None else f"cuda:{choice.gpu.index}"
    return f"{choice.variant.file.file} as {choice.precision} in {choice.engine} on {where}"


@pytest.mark.parametrize(
    ("bundle", "asked", "expected"),
    [
        ("all", {}, "model.fp16.onnx as fp16 in onnxruntime on cuda:0"),
        ("all", {"device": "cpu"}, "model.int8.onnx as int8 in onnxruntime on cpu"),
        ("all", {"device": "cuda"}, "model.fp16.onnx as fp16 in onnxruntime on cuda:0"),
        ("all", {"device": "cuda:3"}, "model.fp16.onnx as fp16 in onnxruntime on cuda:3"),
        ("all", {"precision": "fp16"}, "model.fp16.onnx as fp16 in onnxruntime on cuda:0"),
        ("all", {"precision": "fp32"}, "model.fp32.onnx as fp32 in onnxruntime on cpu"),
        ("all", {"engine": "onnxruntime"}, "model.fp16.onnx as fp16 in onnxruntime on cuda:0"),
        ("all", {"engine": "openvino"}, "model.int8.onnx as int8 in openvino on cpu"),
        ("all", {"engine": "tensorrt"}, "model.fp32.onnx as fp16 in tensorrt on cuda:0"),
        ("all", {"engine": "tensorrt", "precision": "fp32"}, "model.fp32.onnx as fp32 in tensorrt on cuda:0"),
        ("fp32", {}, "model.fp32.onnx as fp32 in onnxruntime on cpu"),
        ("fp32", {"engine": "tensorrt", "device": "cuda"}, "model.fp32.onnx as fp16 in tensorrt on cuda:0"),
        ("fp16", {}, "model.fp16.onnx as fp16 in onnxruntime on cuda:0"),
    ],
)
def test_what_is_taken_where_there_is_a_gpu(
    bundle: str, asked: dict[str, str], expected: str, bundles: dict[str, Manifest]
) -> None:
    choice = chosen(bundles[bundle], **asked)

    assert told(choice) == expected
    assert choice.reason


@pytest.mark.parametrize(
    ("bundle", "asked", "kind", "message"),
    [
        ("fp32", {"device": "cuda"}, VariantNotFound, r"has no cuda graph \(has: fp32/cpu\)"),
        ("fp32", {"precision": "fp16"}, VariantNotFound, "has no fp16/cuda graph"),
        ("all", {"device": "cpu", "precision": "fp16"}, VariantNotFound, "fp16 is for cuda"),
        ("all", {"device": "cuda", "precision": "int8"}, VariantNotFound, "int8 is for cpu"),
        ("all", {"device": "cpu", "engine": "tensorrt"}, UsageError, "tensorrt is for GPUs"),
        ("all", {"device": "cuda", "engine": "openvino"}, UsageError, "OpenVINO, and bf16 with it, is for the CPU"),
        ("all", {"device": "cuda", "precision": "bf16"}, UsageError, "OpenVINO, and bf16 with it, is for the CPU"),
        ("all", {"engine": "tensorrt", "precision": "int8"}, UsageError, "TensorRT computes in fp16 or fp32"),
        ("fp16", {"engine": "tensorrt"}, VariantNotFound, "has no fp32/cpu graph"),
    ],
)
def test_what_does_not_go_together_is_refused(
    bundle: str, asked: dict[str, str], kind: type[SetfuseError], message: str, bundles: dict[str, Manifest]
) -> None:
    with pytest.raises(kind, match=message):
        chosen(bundles[bundle], **asked)


MISSING = [DeviceUnavailable("expected NVIDIA's driver, found none"), MissingExtra("setfuse.runtime needs onnxruntime")]


@pytest.mark.parametrize("missing", MISSING)
@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"device": "cuda"}, 'device="cuda": {}; or pass device="cpu"'),
        ({"device": "cuda:1"}, 'device="cuda": {}; or pass device="cpu"'),
        ({"precision": "fp16"}, 'precision="fp16": {}; or leave the precision out'),
        ({"engine": "tensorrt"}, 'engine="tensorrt": {}; or leave the engine out'),
    ],
)
def test_a_gpu_that_was_asked_for_is_had_or_refused(
    asked: dict[str, str], told: str, missing: SetfuseError, bundles: dict[str, Manifest]
) -> None:
    with pytest.raises(type(missing)) as caught:
        chosen(bundles["all"], missing, **asked)

    assert str(caught.value) == told.format(missing)


def test_without_a_gpu_the_cpu_is_taken_where_nothing_was_asked_for_and_the_reason_says_so(
    bundles: dict[str, Manifest],
) -> None:
    choice = chosen(bundles["all"], MISSING[0])

    assert told(choice) == "model.int8.onnx as int8 in onnxruntime on cpu"
    assert choice.reason.endswith("; no GPU is used: expected NVIDIA's driver, found none")
    assert "GPU" not in chosen(bundles["fp32"], MISSING[0]).reason


def test_a_bundle_for_gpus_alone_says_why_there_is_none(bundles: dict[str, Manifest]) -> None:
    with pytest.raises(DeviceUnavailable, match="expected NVIDIA's driver, found none"):
        chosen(bundles["fp16"], MISSING[0])


@pytest.mark.parametrize(
    "device", ["gpu", "cuda:", "cuda:-1", "cuda:x", "cuda:٣", "CUDA", "", " cpu", 0, None, ["cpu"]]
)
def test_devices_that_are_none(device: object) -> None:
    with pytest.raises(UsageError, match="device: expected auto, cpu, cuda, or cuda:N for the Nth GPU from 0, got "):
        Device.parse(device)
