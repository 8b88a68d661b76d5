"""The README's code, run as written."""

import contextlib
import io
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.models import write_rows

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(python|sh)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
HUB_ID = "sentence-transformers/all-MiniLM-L6-v2"
TRAINING = [
    ("where is my parcel", "delivery"),
    ("still nothing in the post", "delivery"),
    ("my card was declined", "payment"),
    ("charged twice for one order", "payment"),
]


@pytest.fixture
def hub(tmp_path: Path, minilm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Hub cache in which the README's base model was downloaded before, and a folder to work in."""
    repository = tmp_path / "hub" / f"models--{HUB_ID.replace('/', '--')}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0" * 40, encoding="utf-8")
    (repository / "snapshots").mkdir()
    (repository / "snapshots" / ("0" * 40)).symlink_to(minilm)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:/usr/bin:/bin")
    monkeypatch.chdir(tmp_path)


def block(kind: str, containing: str) -> str:
    (found,) = [code for language, code in BLOCKS if language == kind and containing in code]
    return str(found)


@pytest.mark.usefixtures("hub")
def test_the_python_block_prints_what_it_says() -> None:
    code = block("python", "Classifier.load")
    printed = io.StringIO()

    with contextlib.redirect_stdout(printed):
        exec(compile(code, "README.md", "exec"), {})  # noqa: S102 - our own README

    expected = re.findall(r"^print\(.*\)  # (.*)$", code, re.MULTILINE)
    got = printed.getvalue().splitlines()
    assert len(got) == len(expected)
    for line, promised in zip(got, expected, strict=True):
        # A score's digits are the machine's; the rest is not.
        without_digits = [re.sub(r"0\.\d+", "0.…", text) for text in (line, promised)]
        assert without_digits[0] == without_digits[1]
        for score, promised_score in zip(*(re.findall(r"0\.\d+", text) for text in (line, promised)), strict=True):
            assert abs(float(score) - float(promised_score)) < 0.05


@pytest.mark.usefixtures("hub")
def test_the_shell_block_runs() -> None:
    write_rows(Path("train.jsonl"), TRAINING)
    write_rows(Path("test.jsonl"), TRAINING[1:3])

    done = subprocess.run(["bash", "-euc", block("sh", "setfuse train")], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert "accuracy" in done.stdout
    assert Path("bundle", "model.onnx").is_file()


def test_it_leads_with_the_two_commands() -> None:
    assert [line.split("#")[0].strip() for line in BLOCKS[0][1].splitlines()] == ["make demo", "make test"]


def test_no_link_is_dead_and_no_word_is_left_to_be_filled_in() -> None:
    for page in (ROOT / "README.md", *ROOT.glob("*/README.md"), *ROOT.glob("examples/*/README.md")):
        text = page.read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)#:]+)\)", text):
            assert (page.parent / target).exists(), f"{page}: {target}"
        prose = re.sub(r"```.*?```|`[^`]*`", "", text, flags=re.DOTALL)
        assert "TABLE" not in prose, page
        assert "<<<<<<<" not in text, page
