"""`python -m benchmarks.latency`: one real run, and every way in which it must end with one line."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import latency
from benchmarks._contenders import CONTENDERS, Models
from benchmarks._process import ROOT
from benchmarks.latency import Plan, main, run
from setfuse.runtime import Manifest

SHORT = Plan(lengths=(8, 16), rounds=2, seconds=0.01)


@pytest.fixture
def one_line(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run the command line, which must print nothing but one line on stderr, and give that line."""

    def run_main(*arguments: str | Path, status: int = 1) -> str:
        assert main([str(argument) for argument in arguments]) == status
        printed = capsys.readouterr()
        assert printed.out == ""
        assert printed.err.startswith("benchmarks.latency: ")
        assert printed.err.count("\n") == 1
        return printed.err

    return run_main


@pytest.fixture
def disagreeing(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    """A checkpoint like the bundle's, but for the order of its labels."""
    copy = tmp_path / "disagreeing"
    shutil.copytree(tiny_checkpoint, copy)
    head = json.loads((copy / "head.json").read_text(encoding="utf-8"))
    head["classes"] = head["classes"][1:] + head["classes"][:1]
    (copy / "head.json").write_text(json.dumps(head), encoding="utf-8")
    return copy


def test_a_quick_run_from_another_folder(tiny_bundle: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    """The real contenders in the real command line, with relative paths: the workers run elsewhere."""
    paths = {"--bundle": tiny_bundle, "--checkpoint": tiny_checkpoint}
    arguments = [part for name, path in paths.items() for part in (name, os.path.relpath(path, tmp_path))]

    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.latency", *arguments, "--quick", "--out", "results"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=120,
    )

    assert done.returncode == 0, done.stderr
    results = tmp_path / "results"
    assert {path.name for path in results.iterdir()} == {"latency.json", "latency.png"}
    found = json.loads((results / "latency.json").read_text(encoding="utf-8"))
    assert set(found) == {"schema_version", "environment", "settings", "model", "rows"}
    assert found["schema_version"] == latency.SCHEMA_VERSION
    assert found["environment"]["cpu"].strip()
    assert found["settings"] == {
        "threads": 1,
        "reference": "setfuse",
        "lengths": [16, 64],
        "rounds": 4,
        "seconds": 0.3,
    }
    assert found["model"]["labels"] == list(Manifest.read(tiny_bundle).labels)
    # the tiny model reads 48 tokens, so that the case of 64 is left out
    assert [(row["case"], row["contender"]) for row in found["rows"]] == [
        (case, contender) for case in ("1 x 16", "32 x 8-40") for contender in ("setfuse", "sentence-transformers")
    ]
    for row in found["rows"]:
        assert 0 < row["p50_ms"] <= row["p90_ms"] <= row["p99_ms"]
        assert row["ratio"] > 0
        assert row["label_agreement"] == 1.0
        assert row["samples"] >= 12
    for row in found["rows"]:
        assert f"{row['p50_ms']:.2f}" in done.stdout
    assert "results/latency.json" in done.stdout


def test_run_gives_the_rows_that_it_writes(tiny_bundle: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()

    rows = run(Models(tiny_bundle, tiny_checkpoint), tmp_path, SHORT, threads=1)

    found = json.loads((tmp_path / "latency.json").read_text(encoding="utf-8"))
    assert [(row.case, row.contender, row.p99_ms) for row in rows] == [
        (row["case"], row["contender"], row["p99_ms"]) for row in found["rows"]
    ]
    assert len(rows) == 3 * len(CONTENDERS)
    assert found["settings"]["rounds"] == SHORT.rounds
    assert {path.name for path in tmp_path.iterdir()} == {"latency.json", "latency.png", "notes.txt"}


def test_a_checkpoint_that_disagrees_with_the_bundle_is_not_timed(
    tiny_bundle: Path, disagreeing: Path, tmp_path: Path, one_line: Callable[..., str]
) -> None:
    out = tmp_path / "out"

    line = one_line("--bundle", tiny_bundle, "--checkpoint", disagreeing, "--out", out, "--quick")

    assert "sentence-transformers says '" in line
    assert "where setfuse says '" in line
    assert "is the bundle of this checkpoint?" in line
    assert not out.exists()


def test_a_contender_that_cannot_load_is_named(
    tiny_bundle: Path, tiny_checkpoint: Path, tmp_path: Path, one_line: Callable[..., str]
) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, bundle)
    (bundle / "model.onnx").write_bytes(b"no graph")

    line = one_line("--bundle", bundle, "--checkpoint", tiny_checkpoint, "--out", tmp_path / "out")

    assert "setfuse: its process ended with status 1: " in line
    assert "found 8; export the bundle again" in line
    assert not (tmp_path / "out").exists()


def test_no_bundle_and_no_checkpoint(tiny_checkpoint: Path, tmp_path: Path, one_line: Callable[..., str]) -> None:
    nothing = tmp_path / "nothing"

    assert "expected a bundle folder with bundle.json" in one_line(
        "--bundle", nothing, "--checkpoint", tiny_checkpoint, "--out", tmp_path / "out"
    )
    assert "expected a checkpoint folder with head.json" in one_line(
        "--bundle", nothing, "--checkpoint", nothing, "--out", tmp_path / "out"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_tokenizer(
    tiny_bundle: Path, tiny_checkpoint: Path, tmp_path: Path, one_line: Callable[..., str]
) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, bundle)
    (bundle / "tokenizer.json").unlink()

    assert "tokenizer.json: expected" in one_line(
        "--bundle", bundle, "--checkpoint", tiny_checkpoint, "--out", tmp_path / "out"
    )


def test_a_file_in_the_place_of_the_results_is_told_before_any_work(
    tiny_bundle: Path, tiny_checkpoint: Path, tmp_path: Path, one_line: Callable[..., str]
) -> None:
    out = tmp_path / "out"
    out.write_text("mine", encoding="utf-8")

    line = one_line("--bundle", tiny_bundle, "--checkpoint", tiny_checkpoint, "--out", out)

    assert "expected a folder to write to" in line
    assert out.read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("package", ["matplotlib", "torch"])
def test_a_missing_package_is_told_before_any_work(
    package: str, tmp_path: Path, one_line: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("setfuse.runtime._extras._is_installed", lambda name: name != package)

    line = one_line("--bundle", tmp_path, "--checkpoint", tmp_path, "--out", tmp_path / "out")

    assert f'benchmarks.latency needs {package}: pip install "setfuse[bench]"' in line


def test_the_command_line_loads_without_the_packages_of_the_extra() -> None:
    program = (
        "import sys; import benchmarks.latency; "
        "sys.exit(str(sorted({'torch', 'matplotlib', 'tqdm', 'sklearn', 'onnxruntime'} & set(sys.modules))))"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, encoding="utf-8", check=False, timeout=60
    )

    assert done.stderr == "[]\n"


def test_an_interrupt_ends_with_one_line(one_line: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(latency, "run", interrupted)

    assert one_line(status=130) == "benchmarks.latency: interrupted\n"


def test_bad_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["--threads", "0"])

    assert exit_.value.code == 2
    assert "--threads: expected 1 or more, got 0" in capsys.readouterr().err
