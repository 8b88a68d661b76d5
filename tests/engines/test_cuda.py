"""The bundle on a real GPU: what the stand-in of tests/runtime cannot tell."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from setfuse.export import export
from setfuse.runtime import Classifier, CudaOptions, DeviceUnavailable, MissingExtra
from setfuse.runtime._engine import Engine
from setfuse.runtime._source import _find_gpu
from tests.models import LONG_TEXT, TEXTS

pytestmark = pytest.mark.gpu

MANY = [*TEXTS, LONG_TEXT, *(" ".join(["parcel"] * number) for number in range(1, 60))]

FP16 = 5e-3
"""float16 in two layers of random weights, with another order of sums than the CPU's."""


@pytest.fixture(scope="module", autouse=True)
def _gpu() -> None:
    try:
        _find_gpu(0, Engine.ONNXRUNTIME)
    except (DeviceUnavailable, MissingExtra) as error:
        pytest.skip(f"no GPU can be used: {error}")


@pytest.fixture(scope="module")
def bundle(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gpu-bundle") / "bundle"
    export(tiny_checkpoint, folder, ("fp32", "fp16"))
    return folder


@pytest.fixture(scope="module")
def expected(bundle: Path) -> npt.NDArray[np.float32]:
    return Classifier.load(bundle, device="cpu", precision="fp32", engine="onnxruntime").predict_proba(MANY)


@pytest.mark.parametrize("options", [{}, {"graphs": False}, {"streams": 1}, {"graph_memory_mb": 0}], ids=str)
def test_answers_are_those_of_the_cpu(options: dict[str, Any], bundle: Path, expected: npt.NDArray[np.float32]) -> None:
    with Classifier.load(bundle, device="cuda", cuda=CudaOptions(**options)) as classifier:
        np.testing.assert_allclose(classifier.predict_proba(MANY), expected, atol=FP16)
        for text, row in zip(MANY, expected, strict=True):
            np.testing.assert_allclose(classifier.predict_proba([text])[0], row, atol=FP16)
        assert classifier.about.target == "cuda"


def test_captured_and_uncaptured_answers_are_equal(bundle: Path) -> None:
    captured = Classifier.load(bundle, device="cuda").predict_proba(MANY)
    plain = Classifier.load(bundle, device="cuda", cuda=CudaOptions(graphs=False)).predict_proba(MANY)

    np.testing.assert_allclose(captured, plain, atol=1e-6)


def test_threads_and_asyncio_share_it(bundle: Path, expected: npt.NDArray[np.float32]) -> None:
    classifier = Classifier.load(bundle, device="cuda")
    answers: dict[int, npt.NDArray[np.float32]] = {}

    def ask(start: int) -> None:
        answers[start] = classifier.predict_proba(MANY[start : start + 20])

    callers = [threading.Thread(target=ask, args=(start,)) for start in range(40)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    for start, answer in answers.items():
        np.testing.assert_allclose(answer, expected[start : start + 20], atol=FP16)

    async def all_of_them() -> list[Any]:
        return await asyncio.gather(*(classifier.aclassify(text) for text in MANY))

    for prediction, row in zip(asyncio.run(all_of_them()), expected, strict=True):
        np.testing.assert_allclose(list(prediction.scores.values()), row, atol=FP16)


def test_a_device_that_is_not_there(bundle: Path) -> None:
    with pytest.raises(DeviceUnavailable, match="expected the number of one of this machine's GPUs, got 99"):
        Classifier.load(bundle, device="cuda:99")
