"""The wheel in an environment of its own, with nothing but what `[cpu]` brings: the machine that users deploy to."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MEGABYTE = 10**6
LARGEST = 220 * MEGABYTE
ABSENT = ("torch", "transformers", "sentence_transformers", "sklearn", "onnx", "scipy", "pip")

PREDICT = """
import importlib.util, json, sys
from setfuse.runtime import Classifier
clf = Classifier.load(sys.argv[1])
print(json.dumps({
    "labels": clf.predict(["where is my parcel", "refund the money please"]),
    "importable": [name for name in sys.argv[2:] if importlib.util.find_spec(name)],
    "from": clf.__class__.__module__ and sys.modules["setfuse.runtime"].__file__,
}))
"""


@pytest.fixture(scope="session")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment without pip into which the wheel with `[cpu]` was installed."""
    folder = tmp_path_factory.mktemp("bare") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    pip = [sys.executable, "-m", "pip", "--python", folder / "bin" / "python", "install", "--quiet"]
    subprocess.run([*pip, "--constraint", ROOT / "constraints.txt", f"{wheel}[cpu]"], check=True)
    return folder


def run(bare: Path, *arguments: object, stdin: str = "") -> subprocess.CompletedProcess[str]:
    # -I and another folder: neither the sources nor the caller's environment can be reached.
    return subprocess.run(
        [bare / "bin" / "python", "-I", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=bare,
        input=stdin,
        env={"PATH": os.environ["PATH"]},
    )


def test_it_answers_as_the_development_environment_does(bare: Path, tiny_bundle: Path) -> None:
    from setfuse.runtime import Classifier

    done = run(bare, "-c", PREDICT, tiny_bundle, *ABSENT)

    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["importable"] == []
    assert answer["from"].startswith(str(bare))
    assert answer["labels"] == Classifier.load(tiny_bundle).predict(["where is my parcel", "refund the money please"])


def test_its_command_line_predicts(bare: Path, tiny_bundle: Path) -> None:
    done = run(bare, bare / "bin" / "setfuse", "predict", tiny_bundle, "--json", stdin="where is my parcel\nlate\n")

    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["label"] for line in done.stdout.splitlines()]
    assert len(done.stdout.splitlines()) == 2


def test_it_can_ask_the_hub(bare: Path) -> None:
    offline = "import os; os.environ['HF_HUB_OFFLINE'] = '1'; from setfuse.runtime.__main__ import main; "

    done = run(bare, "-c", offline + "raise SystemExit(main(['info', 'org/nothing']))")

    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)
    assert "offline mode is enabled" in done.stderr  # huggingface_hub's own words: tokenizers brings it


@pytest.mark.parametrize(("command", "package"), [("train", "torch"), ("export", "onnx")])
def test_a_stage_that_is_not_installed_says_which_extra_brings_it(bare: Path, command: str, package: str) -> None:
    done = run(bare, bare / "bin" / "setfuse", command, "x", "--out", "y")

    assert done.returncode == 1
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert f'pip install "setfuse[{command}]"' in done.stderr
    assert package in done.stderr


def test_it_is_small(bare: Path) -> None:
    size = sum(path.lstat().st_size for path in bare.rglob("*") if path.is_file())

    assert size < LARGEST, f"{size / MEGABYTE:.0f} MB"
