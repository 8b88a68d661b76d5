"""The fp32 graph in TensorRT: what onnxruntime is told, and where engines are kept."""

import re
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from setfuse.runtime import Classifier, CudaOptions, Precision, UsageError
from setfuse.runtime._buckets import BATCH_SIZES, length_buckets
from setfuse.runtime._tensorrt import cache_folder, profiles
from tests.models import TEXTS

from .gpu import GPU, Machine, machine

__all__ = ["machine"]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_the_same_bundle_runs_in_tensorrt(tiny_bundle: Path, machine: Machine, cache: Path) -> None:
    classifier = Classifier.load(tiny_bundle, engine="tensorrt", cuda=CudaOptions(streams=1))
    machine.runs.clear()

    answers = classifier.predict_proba(TEXTS)

    plain = Classifier.load(tiny_bundle, device="cpu", precision="fp32", engine="onnxruntime").predict_proba(TEXTS)
    np.testing.assert_allclose(answers, plain, atol=1e-6)
    assert {graph for graph, _ in machine.runs} == {""}  # TensorRT captures by itself, or not at all
    ((providers, fallback),) = machine.sessions
    assert fallback == "1"
    assert [name for name, _ in providers] == ["TensorrtExecutionProvider", "CUDAExecutionProvider"]
    settings = providers[0][1]
    assert settings["trt_fp16_enable"] == settings["trt_engine_cache_enable"] == "1"
    assert Path(settings["trt_engine_cache_path"]).is_relative_to(cache)
    assert providers[1][1]["enable_cuda_graph"] == "0"
    assert (classifier.about.engine, classifier.about.precision) == ("tensorrt", "fp16")
    assert classifier.about.file == "model.onnx"


def test_in_fp32_where_that_is_asked_for(tiny_bundle: Path, machine: Machine) -> None:
    Classifier.load(tiny_bundle, device="cuda", engine="tensorrt", precision="fp32", cuda=CudaOptions(streams=1))

    assert machine.sessions[0][0][0][1]["trt_fp16_enable"] == "0"


def shapes(written: dict[str, str], kind: str) -> list[tuple[int, int]]:
    entries = written[f"trt_profile_{kind}_shapes"].split(",")
    found = [re.fullmatch(r"(input_ids|attention_mask):(\d+)x(\d+)", entry) for entry in entries]
    assert all(found)
    ids = [(int(entry[2]), int(entry[3])) for entry in found if entry and entry[1] == "input_ids"]
    assert ids == [(int(entry[2]), int(entry[3])) for entry in found if entry and entry[1] == "attention_mask"]
    return ids


@pytest.mark.parametrize(("longest", "max_tokens"), [(512, 16384), (512, 256), (48, 1000), (8, 1)])
def test_every_shape_that_is_planned_is_in_a_profile(
    longest: int, max_tokens: int, tiny_bundle: Path, machine: Machine
) -> None:
    variant = Classifier.load(tiny_bundle, device="cpu").variant
    written = profiles(variant, longest, max_tokens)
    smallest, best, largest = (shapes(written, kind) for kind in ("min", "opt", "max"))

    assert all(low <= middle <= high for low, middle, high in zip(smallest, best, largest, strict=True))
    for rows, width in product(BATCH_SIZES, length_buckets(longest)):
        if rows > 1 and rows * width > max_tokens:
            continue
        assert any(
            low[0] <= rows <= high[0] and low[1] <= width <= high[1]
            for low, high in zip(smallest, largest, strict=True)
        )
    assert not machine.runs


def test_engines_of_other_graphs_and_gpus_are_kept_apart(tiny_bundle: Path) -> None:
    import dataclasses

    variant = Classifier.load(tiny_bundle, device="cpu").variant
    other = dataclasses.replace(variant, file=dataclasses.replace(variant.file, sha256="0" * 64))
    folders = {
        cache_folder(graph, gpu)
        for graph in (variant, other)
        for gpu in (GPU, dataclasses.replace(GPU, capability=(8, 0)), dataclasses.replace(GPU, name="Other"))
    }

    assert len(folders) == 6
    assert cache_folder(variant, dataclasses.replace(GPU, index=3)) in folders


def test_a_cache_that_cannot_be_made_is_told(
    tiny_bundle: Path, machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))

    with pytest.raises(UsageError, match=r"expected a folder that TensorRT can keep its engines in: .*XDG_CACHE"):
        Classifier.load(tiny_bundle, engine="tensorrt")
    assert not machine.sessions


def test_int8_is_refused(tiny_bundle: Path) -> None:
    options: dict[str, Any] = {"engine": "tensorrt", "precision": str(Precision.INT8)}
    with pytest.raises(UsageError, match="TensorRT computes in fp16 or fp32 here, got int8"):
        Classifier.load(tiny_bundle, **options)
