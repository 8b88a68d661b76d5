"""Bundles with an fp32 and an int8 graph, for the engines of other people."""

from pathlib import Path

import pytest
from sentence_transformers import SentenceTransformer

from setfuse.export import export
from setfuse.runtime import read_rows
from setfuse.train._checkpoint import write_checkpoint
from setfuse.train._head import fit_head

SUPPORT_DESK = Path(__file__).parents[2] / "benchmarks" / "data" / "support_desk" / "train.jsonl"


@pytest.fixture(scope="session")
def small_pair(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of `tiny_checkpoint`, in both precisions."""
    bundle = tmp_path_factory.mktemp("small-pair") / "bundle"
    export(tiny_checkpoint, bundle, ("fp32", "int8"))
    return bundle


@pytest.fixture(scope="session")
def minilm_pair(minilm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The untrained all-MiniLM-L6-v2 with a head for eight labels, in both precisions."""
    folder = tmp_path_factory.mktemp("minilm-pair")
    rows = read_rows(SUPPORT_DESK)
    texts = [row.text for row in rows]
    body = SentenceTransformer(str(minilm), device="cpu")
    head = fit_head(body.encode(texts), [row.label for row in rows])
    training = {
        "base_model": "sentence-transformers/all-MiniLM-L6-v2",
        "rows": {},
        "eval_rows": 0,
        "accuracy": None,
        "arguments": {},
        "pairs": 0,
        "steps": 0,
        "seconds": 0.0,
        "versions": {"setfuse": "0"},
    }
    (folder / "checkpoint").mkdir()
    write_checkpoint(folder / "checkpoint", body, head, training)
    export(folder / "checkpoint", folder / "bundle", ("fp32", "int8"), calibrate_on=texts[::3])
    return folder / "bundle"


@pytest.fixture(scope="session", params=["small", "minilm"])
def pair(request: pytest.FixtureRequest) -> Path:
    """Each of the two bundles."""
    bundle: Path = request.getfixturevalue(f"{request.param}_pair")
    return bundle
