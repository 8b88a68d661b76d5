"""The real all-MiniLM-L6-v2 through the command line: train, export, predict, evaluate, info."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from setfuse.runtime import Classifier, read_rows

DATA = Path(__file__).parent.parent / "benchmarks" / "data" / "support_desk"


def setfuse(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "setfuse.runtime", *map(str, arguments)], capture_output=True, text=True, check=False
    )


def answer(*arguments: object) -> dict[str, object]:
    """Run a command with --json; there must be one document on stdout and nothing on stderr."""
    done = setfuse(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    value: dict[str, object] = json.loads(done.stdout)
    return value


@pytest.fixture(scope="module")
def trained(minilm: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    out = tmp_path_factory.mktemp("whole-way") / "checkpoint"
    steps = ("--max-steps", 8, "--batch-size", 32, "--seed", 1)
    return answer("train", DATA / "train.jsonl", "--base", minilm, "--out", out, "--eval", DATA / "test.jsonl", *steps)


@pytest.fixture(scope="module")
def bundle(trained: dict[str, object]) -> Path:
    out = Path(str(trained["checkpoint"])).parent / "bundle"
    manifest = answer("export", trained["checkpoint"], "--out", out, "--precision", "fp32")
    assert manifest == json.loads((out / "bundle.json").read_text(encoding="utf-8"))
    return out


def test_training_says_what_it_did(trained: dict[str, object]) -> None:
    assert trained["steps"] == 8
    assert float(str(trained["seconds"])) > 0
    # Untrained, the body with a head gives 0.81; chance is 0.125.
    assert float(str(trained["accuracy"])) > 0.7


def test_the_bundle_is_as_right_as_the_checkpoint(trained: dict[str, object], bundle: Path) -> None:
    evaluation = answer("evaluate", bundle, DATA / "test.jsonl")

    assert evaluation["accuracy"] == trained["accuracy"]
    assert isinstance(evaluation["labels"], dict)
    assert len(evaluation["labels"]) == 8


def test_embeddings_are_those_of_sentence_transformers_alone(trained: dict[str, object], bundle: Path) -> None:
    texts = [row.text for row in read_rows(DATA / "test.jsonl")]

    expected = SentenceTransformer(str(trained["checkpoint"]), device="cpu").encode(texts)

    np.testing.assert_allclose(Classifier.load(bundle).embed(texts), expected, rtol=0, atol=1e-5)


def test_predict_and_info(bundle: Path) -> None:
    prediction = answer("predict", bundle, "wheres my parcel")
    info = answer("info", bundle)

    assert prediction.keys() == {"label", "score", "scores"}
    assert prediction["label"] == Classifier.load(bundle)("wheres my parcel").label
    assert info["labels"] == sorted({row.label for row in read_rows(DATA / "train.jsonl")})


GOOD = b'{"text": "a b", "label": "x"}\n{"text": "c", "label": "x"}\n'


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file"),
        (GOOD + b"no json\n", "data.jsonl:3: expected one JSON object"),
        (GOOD + b'{"label": "y"}\n', "data.jsonl:3: expected text and label, found label"),
        (GOOD + b'{"text": " ", "label": "y"}\n', 'data.jsonl:3: expected a "text"'),
        (GOOD + b'{"text": "d"}\n', "data.jsonl:3: expected text and label, found text"),
        (GOOD, "data.jsonl:1: expected rows of at least two labels"),
        (GOOD + b'{"text": "caf\xe9", "label": "y"}\n', "data.jsonl:3: expected UTF-8, found byte 0xe9"),
    ],
    ids=["missing", "not JSON", "no text", "blank text", "no label", "one label", "not UTF-8"],
)
def test_bad_training_data_is_one_line_and_no_folder(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "data.jsonl"
    if content is not None:
        path.write_bytes(content)

    done = setfuse("train", path, "--base", "b", "--out", tmp_path / "out")

    assert done.returncode == 1
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert message in done.stderr
    assert not (tmp_path / "out").exists()


def test_other_bad_input_is_one_line_each(tmp_path: Path, tiny_checkpoint: Path, minilm: Path) -> None:
    data = DATA / "train.jsonl"
    existing = tmp_path / "existing"
    existing.mkdir()
    damaged = Path(shutil.copytree(tiny_checkpoint, tmp_path / "damaged"))
    (damaged / "config.json").write_text('{"model_type": "gpt2"}', encoding="utf-8")
    failures = [
        (
            1,
            ("train", data, "--base", "nobody/nothing", "--out", tmp_path / "x"),
            "expected a model folder or a Hub id",
        ),
        (1, ("train", data, "--base", minilm, "--out", existing), "pass --overwrite"),
        (2, ("train", data, "--base", minilm, "--out", tmp_path / "x", "--batch-size", 0), "batch_size: expected"),
        (2, ("train", data, "--base", minilm, "--out", tmp_path / "x", "--max-steps", "many"), "--max-steps"),
        (2, ("train", data, "--base", minilm), "--out"),
        (2, ("train", data, "--base", minilm, "--out", tmp_path / "x", "--max-length", 10**6), "max_length: expected"),
        (1, ("export", tmp_path / "nowhere", "--out", tmp_path / "x"), "expected a checkpoint folder"),
        (
            1,
            ("export", damaged, "--out", tmp_path / "x"),
            "found 'gpt2': not supported; optimum can export it: --via optimum",
        ),
        (1, ("export", tiny_checkpoint, "--out", existing), "pass --overwrite"),
        (2, ("export", tiny_checkpoint, "--out", tmp_path / "x", "--precision", "fp64"), "invalid choice: 'fp64'"),
    ]
    for status, arguments, message in failures:
        done = setfuse(*arguments)
        assert (done.returncode, done.stdout) == (status, ""), (arguments, done)
        assert len(done.stderr.splitlines()) == 1, done.stderr
        assert message in done.stderr
    assert not list(existing.iterdir())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["damaged", "existing"]
