"""What the tests of the check on a GPU share."""

from pathlib import Path

import pytest

from benchmarks import gpu_inputs
from setfuse.export import export
from tests.models import TEXTS, write_rows


@pytest.fixture(scope="session")
def gpu_bundle(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of `tiny_checkpoint` with an fp16 graph. Tests copy it before they change it."""
    bundle = tmp_path_factory.mktemp("gpu-bundle") / "bundle"
    export(tiny_checkpoint, bundle, ("fp32", "fp16"))
    return bundle


@pytest.fixture(scope="session")
def gpu_texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Texts whose answers are compared."""
    return write_rows(tmp_path_factory.mktemp("gpu-texts") / "texts.jsonl", [(text, "late") for text in TEXTS if text])


@pytest.fixture(scope="session")
def inputs(gpu_bundle: Path, tiny_checkpoint: Path, gpu_texts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `benchmarks.gpu_inputs` writes for them. Tests copy it before they change it."""
    out = tmp_path_factory.mktemp("gpu-inputs")
    paths = {"--bundle": gpu_bundle, "--checkpoint": tiny_checkpoint, "--texts": gpu_texts, "--out": out}
    assert gpu_inputs.main([str(part) for pair in paths.items() for part in pair]) == 0
    return out
