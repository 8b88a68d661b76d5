"""Weights & Biases and MLflow, where they are installed: what they keep of a run is what was logged."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent.parent

TRAIN = """
import json, sys
from setfuse.runtime import Row
from setfuse.train import TrainingArguments, train
from tests.train.recording import Recorder

service, base = sys.argv[1:]
rows = [Row(f"{word} parcel {number}", word) for word in ("late", "refund") for number in range(4)]
recorder = Recorder()
args = TrainingArguments(
    max_steps=5, save_strategy="no", report_to=service, run_name="the third", logging_steps=2, eval_steps=3
)
train(rows, base=base, out="out", args=args, eval_rows=rows, callbacks=[recorder])
"""

KEPT_BY = {
    # Its files have no reader in the package; what it sums a run up with is the last value of each name.
    "wandb": """
import wandb
kept = {"name": wandb.run.name, "values": {
    name: [value] for name, value in dict(wandb.run.summary).items() if isinstance(value, (int, float))
}}
""",
    "mlflow": """
from mlflow.tracking import MlflowClient
client = MlflowClient()
run, = client.search_runs(["0"])
kept = {"name": run.info.run_name, "values": {
    name: [entry.value for entry in client.get_metric_history(run.info.run_id, name)] for name in run.data.metrics
}}
""",
}


@pytest.mark.parametrize("service", KEPT_BY)
def test_what_a_service_keeps_is_what_was_logged(tiny_base: Path, tmp_path: Path, service: str) -> None:
    if importlib.util.find_spec(service) is None:
        pytest.skip(f"{service} is not installed")
    own = {
        "WANDB_MODE": "offline",
        "WANDB_DIR": str(tmp_path),
        "WANDB_SILENT": "true",
        "MLFLOW_TRACKING_URI": (tmp_path / "mlflow").as_uri(),
        "MLFLOW_ALLOW_FILE_STORE": "true",
    }
    code = TRAIN + KEPT_BY[service] + "print(json.dumps({'kept': kept, 'logs': recorder.logs}))"

    done = subprocess.run(
        [sys.executable, "-c", code, service, str(tiny_base)],
        cwd=tmp_path,
        env={**os.environ, **own, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    logged: dict[str, list[float]] = {}
    for line in found["logs"]:
        for name, value in line.items():
            if name != "step":
                logged.setdefault(_name(service, name), []).append(value)
    kept = {name: values for name, values in found["kept"]["values"].items() if name in logged}
    assert kept.keys() == logged.keys()
    for name, values in kept.items():
        assert values == pytest.approx(logged[name][-len(values) :])
    assert {len(kept[name]) for name in kept if name.endswith("learning_rate")} == {1 if service == "wandb" else 3}
    assert found["kept"]["name"] == "the third"


def _name(service: str, name: str) -> str:
    """Give the name under which transformers hands it over; what there is once a run, W&B has without a phase."""
    if service == "mlflow" or name.startswith("train_") or name == "total_flos":
        return name
    return f"eval/{name.removeprefix('eval_')}" if name.startswith("eval_") else f"train/{name}"
