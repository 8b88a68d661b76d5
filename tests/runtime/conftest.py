"""What the tests of the runtime share: a bundle to damage."""

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def own_bundle(tiny_bundle: Path, tmp_path: Path) -> Path:
    """A copy of `tiny_bundle` that the test may change."""
    return Path(shutil.copytree(tiny_bundle, tmp_path / "own-bundle"))
