"""`python -m benchmarks.latency`: one real run, and every way in which it must end with one line."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from benchmarks import footprint, latency, throughput
from benchmarks._contenders import ORACLE
from benchmarks._files import ROOT, read_json
from benchmarks.latency import main
from setfuse.runtime import Manifest


@pytest.fixture
def one_line(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run the command line, which must print nothing but one line on stderr, and give that line."""

    def run_main(*arguments: str | Path, status: int = 1) -> str:
        assert main([str(argument) for argument in arguments]) == status
        printed = capsys.readouterr()
        assert printed.out == ""
        last = printed.err.splitlines()[-1]
        assert last.startswith("benchmarks.latency: ")
        assert "Traceback" not in printed.err
        return last

    return run_main


def test_a_quick_run_from_another_folder(tiny_bundle: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    """Real contenders in the real command line, with relative paths: the workers run elsewhere."""
    paths = {"--bundle": tiny_bundle, "--checkpoint": tiny_checkpoint}
    arguments = [part for name, path in paths.items() for part in (name, os.path.relpath(path, tmp_path))]
    measured = ("latency", "throughput", "footprint")

    done = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks.latency", *arguments, "--quick", "--out", "results"),
            *("--only", "setfuse fp32", "setfuse int8", f"{ORACLE} bf16", "fp16", "--measures", *measured),
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=300,
    )

    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "results" / "results.json").read_text(encoding="utf-8"))
    jsonschema.validate(found, read_json(ROOT / "benchmarks" / "schema.json"))
    assert found["environment"]["cpu"].strip()
    assert (found["settings"]["threads"], found["settings"]["quick"]) == (1, True)
    assert found["model"]["labels"] == list(Manifest.read(tiny_bundle).labels)
    entrants = {entrant["contender"]: entrant for entrant in found["contenders"]}
    assert entrants["setfuse fp32"]["status"] == "measured"
    assert entrants["setfuse fp32"]["max_probability_difference"] < 1e-5
    assert entrants["setfuse int8"]["status"] == "failed"  # this bundle has no such graph
    assert "has no int8/cpu graph" in entrants["setfuse int8"]["reason"]
    assert entrants["setfuse fp16"]["reason"]
    # the tiny model reads 48 tokens, so that the case of 64 is left out
    ours = [row for row in found["rows"] if row["contender"] == "setfuse fp32"]
    assert [row["case"] for row in ours] == ["1 x 16", "32 x 8-40", "real texts"]
    for row in ours:
        assert 0 < row["p50_ms"] <= row["p90_ms"] <= row["p99_ms"] <= row["max_ms"]
        assert row["label_agreement"] == 1.0
        assert row["samples"] >= 3
    assert found["throughput"][0]["texts_per_s"] > 0
    assert found["footprint"][0]["artefact_mb"] > 0
    assert "setfuse fp32" in done.stdout
    assert "results/report.html" in done.stdout


def test_a_checkpoint_that_disagrees_with_the_bundle_is_not_timed(
    tiny_bundle: Path, tiny_checkpoint: Path, tmp_path: Path, one_line: Callable[..., str]
) -> None:
    disagreeing = tmp_path / "disagreeing"
    shutil.copytree(tiny_checkpoint, disagreeing)
    tensors = load_file(disagreeing / "head.safetensors")
    save_file(
        {name: np.ascontiguousarray(-tensor) for name, tensor in tensors.items()}, disagreeing / "head.safetensors"
    )
    out = tmp_path / "out"

    line = one_line(
        *("--bundle", tiny_bundle, "--checkpoint", disagreeing, "--out", out, "--quick", "--only", "setfuse fp32")
    )

    assert "labels are not torch's" in line
    assert "is the bundle of this checkpoint?" in line
    assert not (out / "results.json").exists()


def test_no_bundle_and_no_checkpoint(tiny_checkpoint: Path, tmp_path: Path, one_line: Callable[..., str]) -> None:
    nothing, out = tmp_path / "nothing", tmp_path / "out"

    assert "expected a bundle folder with bundle.json" in one_line(
        "--bundle", nothing, "--checkpoint", tiny_checkpoint, "--out", out
    )
    assert "expected a checkpoint folder, found none; `make demo` makes one" in one_line(
        "--bundle", nothing, "--checkpoint", nothing, "--out", out
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


def test_texts_that_are_not_there(
    tiny_bundle: Path, tiny_checkpoint: Path, tmp_path: Path, one_line: Callable[..., str]
) -> None:
    line = one_line(
        *("--bundle", tiny_bundle, "--checkpoint", tiny_checkpoint, "--out", tmp_path / "out"),
        *("--texts", tmp_path / "no.jsonl"),
    )

    assert "no.jsonl: expected" in line


@pytest.mark.parametrize("package", ["matplotlib", "torch"])
def test_a_missing_package_is_told_before_any_work(
    package: str, tmp_path: Path, one_line: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("setfuse.runtime._extras._is_installed", lambda name: name != package)

    line = one_line("--bundle", tmp_path, "--checkpoint", tmp_path, "--out", tmp_path / "out")

    assert f'benchmarks.latency needs {package}: pip install "setfuse[bench]"' in line


@pytest.mark.parametrize("module", ["latency", "throughput", "footprint", "compare", "report", "setup", "__main__"])
def test_the_command_lines_load_without_the_packages_of_the_extra(module: str) -> None:
    program = (
        f"import sys; import benchmarks.{module}; "
        "sys.exit(str(sorted({'torch', 'matplotlib', 'tqdm', 'sklearn', 'scipy', 'onnxruntime'} & set(sys.modules))))"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, encoding="utf-8", check=False, timeout=60
    )

    assert done.stderr == "[]\n"


def test_an_interrupt_ends_with_one_line_that_says_how_to_go_on(
    one_line: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("benchmarks._models.find_models", interrupted)

    expected = "interrupted; the same command, without --fresh, goes on where it was"
    assert one_line(status=130) == f"benchmarks.latency: {expected}"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--threads", "0"], "--threads: expected 1 or more, got 0"),
        (["--limit", "0"], "--limit: expected seconds above 0, got 0"),
        (["--only", "setfuse", "torchserve"], "got 'torchserve'"),
        (["--measures", "speed"], "--measures"),
    ],
)
def test_bad_usage(arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    for module in (latency, throughput, footprint):
        with pytest.raises(SystemExit) as exit_:
            module.main(arguments)

        assert exit_.value.code == 2
        assert expected in capsys.readouterr().err


def test_the_list_names_every_module_that_can_be_run() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks"], cwd=ROOT, capture_output=True, encoding="utf-8", check=True
    )

    listed = {line.split()[2].removeprefix("benchmarks.") for line in done.stdout.splitlines() if line.startswith("  ")}
    modules = {path.stem for path in (ROOT / "benchmarks").glob("[a-z]*.py")}
    assert listed == modules
