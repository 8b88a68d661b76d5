"""Training from the Hub: base and data are downloaded from a Hub on this machine, and then found without one."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import datasets
import pytest

from setfuse.train import TrainingArguments, train
from tests.runtime.hub import DATASETS, Hub, serve

TABLE = {
    "sentence": [f"{word} parcel {number}" for number in range(4) for word in ("late", "refund")],
    "label": [1, 0] * 4,
}


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serve() as running:
        yield running


def setfuse(hub: Hub, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command line, to which `hub` is the Hub, with a cache of its own."""
    own = {"HF_ENDPOINT": hub.address, "HF_HUB_OFFLINE": "0", "HF_HOME": str(Path("home").absolute()), "HF_TOKEN": ""}
    own |= {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_XET": "1", "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-m", "setfuse.runtime", *map(str, arguments)],
        env={**os.environ, **own, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_base_and_data_come_from_the_hub_and_then_from_its_cache(hub: Hub, base_without_dropout: Path) -> None:
    base = Path("base")
    shutil.copytree(base_without_dropout, base)
    (base / "onnx").mkdir()
    (base / "onnx" / "model.onnx").write_bytes(b"of no use here")
    hub.add("org/tiny", base)
    features = datasets.Features({"sentence": datasets.Value("string"), "label": datasets.ClassLabel(names=["b", "a"])})
    data = datasets.Dataset.from_dict(TABLE, features=features)
    Path("data").mkdir()
    data.to_parquet("data/train-00000-of-00001.parquet")
    hub.add(f"{DATASETS}org/desk", Path("data"))
    columns = {"sentence": "text"}
    args = TrainingArguments(max_steps=3, body_learning_rate=1e-3)
    train(data, base=base, out="here", args=args, columns=columns)

    command = ["train", "org/desk", "--base", "org/tiny", "--columns", "sentence=text", "--max-steps", "3"]
    command += ["--body-learning-rate", "1e-3", "--json", "--out"]
    online = setfuse(hub, *command, "online")
    asked = len(hub.asked)
    offline = setfuse(hub, *command, "offline", HF_HUB_OFFLINE="1")

    for done, out in ((online, "online"), (offline, "offline")):
        assert done.returncode == 0, done.stderr
        for name in ("model.safetensors", "head.safetensors", "head.json"):
            assert Path(out, name).read_bytes() == Path("here", name).read_bytes()
    assert json.loads(Path("online/training.json").read_text(encoding="utf-8"))["base_model"] == "org/tiny"
    assert json.loads(Path("online/head.json").read_text(encoding="utf-8"))["classes"] == ["b", "a"]
    assert {"model.safetensors", "tokenizer.json", "train-00000-of-00001.parquet"} <= set(hub.downloads())
    assert "onnx/model.onnx" not in hub.downloads()
    assert len(hub.asked) == asked


def test_what_the_hub_does_not_have_is_told_in_a_line(hub: Hub, base_without_dropout: Path) -> None:
    hub.add("org/tiny", base_without_dropout)

    for data, base in (("org/none", "org/tiny"), ("rows.jsonl", "org/none")):
        Path("rows.jsonl").write_text('{"text": "a", "label": "b"}\n{"text": "c", "label": "d"}\n', encoding="utf-8")
        done = setfuse(hub, "train", data, "--base", base, "--out", "out")

        assert (done.returncode, done.stdout) == (1, "")
        assert "org/none: expected a " in done.stderr.splitlines()[-1]
        assert "Hub" in done.stderr
    assert not Path("out").exists()
