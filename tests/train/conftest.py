"""Bodies whose every number is decided by its inputs."""

from pathlib import Path

import pytest
import torch
from sentence_transformers import SentenceTransformer

from tests.models import make_body


@pytest.fixture(scope="session")
def base_without_dropout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small base model whose configuration has no dropout."""
    folder = tmp_path_factory.mktemp("base-without-dropout")
    make_body(folder, dropout=0.0)
    return folder / "body"


@pytest.fixture
def body(base_without_dropout: Path) -> SentenceTransformer:
    """That model, to be trained in place."""
    return SentenceTransformer(str(base_without_dropout), device="cpu").train()


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs go to a folder below the current one."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Sums in one order."""
    torch.set_num_threads(1)
