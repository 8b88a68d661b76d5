"""SetFit's checkpoints are read, and SetFit reads ours: with the real SetFit, in an environment of its own."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks._environments import ENVIRONMENTS
from setfuse.export import export
from setfuse.export._heads import read_head
from setfuse.runtime import Classifier
from setfuse.train import TrainingArguments, train
from setfuse.train._head import fit_head
from setfuse.train._head_settings import HeadSettings
from tests.models import make_body
from tests.setfit_both_ways import KINDS, NAMES, OTHERWISE, SEVERAL, SINGLE, TEXTS, THREE

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
SEVERAL_NAMED = [[name for name, applies in zip(NAMES, row, strict=True) if applies] for row in SEVERAL]

TRAINED: dict[str, tuple[list[Any], dict[str, Any]]] = {
    "two-labels": (SINGLE, {}),
    "three-labels": (THREE, {"head_params": {"C": 10.0}}),
    "numbers-named-otherwise": ([OTHERWISE.index(label) for label in THREE], {"label_names": OTHERWISE}),
    "numbers-with-a-gap": ([5 * NAMES.index(label) for label in THREE], {}),
    "scaled": (THREE, {"head": make_pipeline(StandardScaler(), LogisticRegression())}),
    "one-vs-rest": (SEVERAL_NAMED, {"multi_target_strategy": "one-vs-rest"}),
    "multi-output": (SEVERAL_NAMED, {"multi_target_strategy": "multi-output"}),
    "classifier-chain": (SEVERAL_NAMED, {"multi_target_strategy": "classifier-chain"}),
    "classifier-chain-named-otherwise": (
        SEVERAL_NAMED,
        {"multi_target_strategy": "classifier-chain", "label_names": OTHERWISE},
    ),
    "differentiable-named-otherwise": (THREE, {"head": "differentiable", "label_names": OTHERWISE}),
    "differentiable": (THREE, {"head": "differentiable", "head_params": {"temperature": 0.5}}),
    "differentiable-unbiased": (SINGLE, {"head": "differentiable", "head_params": {"bias": False}}),
    "differentiable-several": (SEVERAL_NAMED, {"head": "differentiable"}),
}


def run_setfit(*arguments: object) -> None:
    """Run the script in SetFit's environment."""
    environment = ENVIRONMENTS["setfit"]
    if environment.reason:
        pytest.skip(environment.reason)
    done = subprocess.run(
        [environment.python, "-m", "tests.setfit_both_ways", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": "", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture(scope="module")
def written_by_setfit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of what SetFit saved, one of each kind."""
    folder = tmp_path_factory.mktemp("setfit")
    make_body(folder, normalize=False)
    run_setfit("write", folder / "body", folder)
    return folder


@pytest.fixture(scope="module")
def read_by_setfit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of what we trained for SetFit, one of each kind, with what SetFit answers."""
    folder = tmp_path_factory.mktemp("setfuse")
    make_body(folder)
    for kind, (labels, given) in TRAINED.items():
        train(
            [{"text": text, "label": label} for text, label in zip(TEXTS, labels, strict=True)],
            base=folder / "body",
            out=folder / kind,
            args=TrainingArguments(max_steps=2, save_strategy="no"),
            for_setfit=True,
            **given,
        )
    run_setfit("read", *(folder / kind for kind in TRAINED))
    return folder


def answers_of(folder: Path) -> dict[str, Any]:
    answers: dict[str, Any] = json.loads((folder / "answers.json").read_text(encoding="utf-8"))
    return answers


def named(answers: dict[str, Any]) -> list[Any]:
    """Give SetFit's predictions as names: it gives 0 and 1 for several labels, and numbers that have no names."""
    labels, predictions = answers["labels"], answers["predictions"]
    if isinstance(predictions[0], list):
        labels = labels or [str(column) for column in range(len(predictions[0]))]
        return [tuple(name for name, applies in zip(labels, row, strict=True) if applies) for row in predictions]
    return [str(prediction) for prediction in predictions]


@pytest.mark.parametrize("kind", KINDS)
def test_what_setfit_saved_is_exported_and_answers_the_same(kind: str, written_by_setfit: Path, tmp_path: Path) -> None:
    folder = written_by_setfit / kind
    assert (folder / "model_head.pkl").is_file()
    assert not (folder / "head.json").exists()

    export(folder, tmp_path / "bundle", ("fp32",))

    answers = answers_of(folder)
    with Classifier.load(tmp_path / "bundle", precision="fp32", engine="onnxruntime") as classifier:
        np.testing.assert_allclose(classifier.predict_proba(TEXTS), answers["probabilities"], rtol=0, atol=1e-5)
        assert list(classifier.predict(TEXTS)) == named(answers)


@pytest.mark.parametrize("kind", ["classifier-chain-named-otherwise", "numbers-named-otherwise"])
def test_heads_have_the_columns_of_setfits_in_its_order(kind: str, written_by_setfit: Path) -> None:
    embeddings = SentenceTransformer(str(written_by_setfit / kind), device="cpu").encode(TEXTS)
    several = kind.startswith("classifier-chain")
    settings = HeadSettings(multi_target_strategy="classifier-chain" if several else None)

    head = fit_head(embeddings, SEVERAL_NAMED if several else THREE, settings, OTHERWISE)

    answers = answers_of(written_by_setfit / kind)
    assert list(head.labels) == answers["labels"]
    np.testing.assert_allclose(head.predict_proba(embeddings), answers["probabilities"], rtol=0, atol=1e-6)
    assert head.predict(embeddings) == named(answers)


@pytest.mark.parametrize("kind", TRAINED)
def test_setfit_loads_what_was_trained_for_it_and_answers_the_same(
    kind: str, read_by_setfit: Path, tmp_path: Path
) -> None:
    folder = read_by_setfit / kind

    export(folder, tmp_path / "bundle", ("fp32",))

    answers = answers_of(folder)
    with Classifier.load(tmp_path / "bundle", precision="fp32", engine="onnxruntime") as classifier:
        assert answers["labels"] == list(classifier.labels)
        np.testing.assert_allclose(classifier.predict_proba(TEXTS), answers["probabilities"], rtol=0, atol=1e-5)
        assert list(classifier.predict(TEXTS)) == named(answers)


@pytest.mark.parametrize("kind", TRAINED)
def test_the_pickle_for_setfit_is_one_that_we_read(kind: str, read_by_setfit: Path, tmp_path: Path) -> None:
    folder = read_by_setfit / kind
    embeddings = np.random.default_rng(0).normal(size=(8, 32))
    expected = read_head(folder).answer(embeddings)
    (tmp_path / "model_head.pkl").write_bytes((folder / "model_head.pkl").read_bytes())

    np.testing.assert_allclose(read_head(tmp_path).answer(embeddings), expected, rtol=0, atol=1e-7)
