"""`python -m benchmarks.gpu`: real runs with the CPU as the GPU, runs of known contenders, what is made of figures."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import psutil
import pytest

from benchmarks import gpu
from benchmarks._contenders import Device
from benchmarks._environment import has_cuda
from benchmarks._files import ROOT, read_json
from benchmarks._gpu import _steps
from benchmarks._gpu._cases import What
from benchmarks._gpu._goals import goals
from benchmarks._gpu._plots import draw
from benchmarks._gpu._registry import CAPTURED, PLAIN, RUNTIME
from benchmarks._gpu._report import markdown
from benchmarks._gpu._results import Entrant, GpuResults, Row
from benchmarks._gpu._steps import STAND_IN, Settings, run
from benchmarks._gpu._system import GpuModels
from benchmarks._results import Status
from tests.benchmarks import gpu_fakes

SCHEMA = ROOT / "benchmarks" / "_gpu" / "schema.json"
MANY = 300
"""Texts of the throughput's call."""
FAKES = {
    RUNTIME: "Right",
    CAPTURED: "Greedy",
    PLAIN: "NoEngine",
    "onnxruntime traced": "Wrong",
    "torch fp16": "NeverLoads",
}

HIDING = """
import sys

class Hiding:
    def __init__(self, finder):
        self.finder = finder

    def __getattr__(self, name):
        return getattr(self.finder, name)

    def find_spec(self, name, path=None, target=None):
        return None if name.partition(".")[0] in {hidden} else self.finder.find_spec(name, path, target)

sys.meta_path[:] = map(Hiding, sys.meta_path)
"""
NOT_ON_A_BARE_MACHINE = (
    *("joblib", "matplotlib", "onnx", "safetensors", "scipy", "sentence_transformers"),
    *("skl2onnx", "sklearn", "tqdm", "transformers"),
)


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time little, few texts, and two kernels."""
    monkeypatch.setattr("benchmarks._gpu._budget.AMOUNTS", ((2, 0.005),))
    monkeypatch.setattr("benchmarks._gpu._cases.MANY", MANY)
    for module in ("_cases", "_steps"):
        monkeypatch.setattr(f"benchmarks._gpu.{module}.MIXED", (4, 16))
    monkeypatch.setattr("benchmarks._gpu._attention.SDPA_KERNELS", {0: "own", 1: "flash"})


@pytest.fixture
def one_line(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run the command line on the CPU, which must end with one line on stderr, and give that line."""

    def run_main(*arguments: str | Path, status: int = 1, device: Device = Device.CPU) -> str:
        assert gpu.main([str(argument) for argument in arguments], device) == status
        printed = capsys.readouterr()
        assert printed.out == ""
        assert "Traceback" not in printed.err
        last = printed.err.splitlines()[-1]
        assert last.startswith("benchmarks.gpu: ")
        return last

    return run_main


@pytest.fixture(scope="module")
def made_up(gpu_bundle: Path, tiny_checkpoint: Path) -> GpuResults:
    """A run of contenders of known behaviour, in their processes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("benchmarks._gpu._budget.AMOUNTS", ((6, 0.001),))
        patch.setattr("benchmarks._gpu._cases.MANY", MANY)
        patch.setattr("benchmarks._gpu._attention.SDPA_KERNELS", {0: "own"})
        patch.setattr(_steps, "command", lambda _, name, *__: gpu_fakes.command(FAKES[name]))
        models = GpuModels(gpu_bundle, None, tiny_checkpoint)
        extended = {name: dataclasses.replace(_steps.GPU_CONTENDERS[name], reads=(), engine=True) for name in FAKES}
        patch.setattr(_steps, "GPU_CONTENDERS", extended)
        return run(Settings(models, Device.CPU, 2, 1, tuple(FAKES)), lambda _: None)


def test_the_whole_command_writes_everything(
    gpu_bundle: Path, inputs: Path, tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Real contenders, but for those on torch, which take long to load: their answers are tested elsewhere."""
    out = tmp_path / "out"
    paths = {"--bundle": gpu_bundle, "--inputs": inputs, "--checkpoint": tiny_checkpoint, "--out": out}
    arguments = [str(part) for pair in paths.items() for part in pair]
    only = ["setfuse without", PLAIN, "setfuse packed", "TensorRT", "traced fp16"]

    assert gpu.main([*arguments, "--minutes", "2", "--threads", "1", "--only", *only], Device.CPU) == 0

    found = read_json(out / "gpu.json")
    jsonschema.Draft202012Validator(read_json(SCHEMA)).validate(found)
    fates = {entrant["contender"]: entrant for entrant in found["contenders"]}
    measured = {name for name, entrant in fates.items() if entrant["status"] == "measured"}
    assert measured == set(fates) - {"setfuse packed", "setfuse TensorRT"}
    assert all(fates[name]["label_agreement"] == 1 for name in measured), (
        "agreement is asserted in the run that is timed"
    )
    assert "tensorrt" in fates["setfuse TensorRT"]["reason"].casefold()
    assert found["parity"]["oracle"] == "torch fp32, from answers.json"
    rows = {(row["contender"], row["case"], row["what"]) for row in found["rows"]}
    for name in measured:
        assert (name, "1 x 32", "text to label") in rows
        assert ((name, "1 x 32", "engine alone") in rows) == (name != "setfuse without CUDA graphs")
    assert STAND_IN in found["warnings"]
    assert found["attention"] == read_json(out / "attention.json")
    report = (out / "gpu.md").read_text(encoding="utf-8")
    for entrant in found["contenders"]:
        assert entrant["contender"] in report
    assert {path.suffix for path in out.iterdir()} == {".json", ".md", ".png", ".svg"}
    assert not [path for path in out.iterdir() if path.name.startswith(".")]
    printed = capsys.readouterr()
    assert f"{out}/gpu.md" in printed.out
    assert "timing 1 x 32, text to label" in printed.err, "progress goes to stderr"


def test_a_bare_machine_is_enough(gpu_bundle: Path, inputs: Path, tmp_path: Path) -> None:
    """Numpy, tokenizers, torch, onnxruntime and our sources; what needs more is a row with its reason."""
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "sitecustomize.py").write_text(HIDING.format(hidden=set(NOT_ON_A_BARE_MACHINE)), encoding="utf-8")
    program = (
        "import sys; from benchmarks import gpu; from benchmarks._contenders import Device; "
        "from benchmarks._gpu import _attention, _budget, _cases, _steps; "
        "_budget.AMOUNTS = ((2, 0.005),); _attention.SDPA_KERNELS = {0: 'own'}; "
        "_cases.MANY = 40; _cases.MIXED = _steps.MIXED = (4, 16); "
        "sys.exit(gpu.main(sys.argv[1:], Device.CPU))"
    )
    paths = {"--bundle": gpu_bundle, "--inputs": inputs, "--checkpoint": inputs / "checkpoint", "--out": tmp_path / "o"}
    arguments = [str(part) for pair in paths.items() for part in pair]

    done = subprocess.run(
        [sys.executable, "-c", program, *arguments, "--only", CAPTURED, "flash", "--threads", "1", "--minutes", "2"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (bare, ROOT, ROOT / "runtime")))},
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=200,
    )

    assert done.returncode == 0, done.stderr
    found = read_json(tmp_path / "o" / "gpu.json")
    fates = {entrant["contender"]: entrant for entrant in found["contenders"]}
    assert fates[CAPTURED]["status"] == "measured"
    assert "No module named 'sentence_transformers'" in fates["torch fp16 flash"]["reason"]
    assert not list((tmp_path / "o").glob("*.png"))


def test_every_fate_is_told(made_up: GpuResults) -> None:
    found = {entrant.contender: entrant for entrant in made_up.contenders}

    assert found[RUNTIME].status is Status.MEASURED
    assert found[CAPTURED].status is Status.MEASURED
    assert found["onnxruntime traced"].status is Status.STRUCK_OUT
    assert "labels are not torch's" in found["onnxruntime traced"].reason
    assert found["torch fp16"].status is Status.FAILED
    assert "no_such_package" in found["torch fp16"].reason
    absent = {(one.contender, one.case, one.what): one.reason for one in made_up.absent}
    assert absent[CAPTURED, f"{MANY} mixed", What.TEXT].startswith("RuntimeError: CUDA out of memory")
    assert absent[PLAIN, "1 x 32", What.ENGINE] == "ValueError: no reason given"
    assert not [key for key in absent if key[0] == RUNTIME]
    assert made_up.row(CAPTURED, "256 mixed", What.TEXT), "the other cases of one that ran out of memory are there"
    assert made_up.row(PLAIN, "1 x 32", What.TEXT)
    assert made_up.row(RUNTIME, f"{MANY} mixed", What.TEXT)
    assert made_up.parity == {"oracle": RUNTIME, "source": "made-up texts", "texts": 256}
    assert any("no --inputs" in warning for warning in made_up.warnings)
    assert not multiprocessing_children(), "all processes ended"


def multiprocessing_children() -> list[str]:
    """Give the command lines of contenders that still run below this process."""
    lines = [" ".join(child.cmdline()) for child in psutil.Process().children(recursive=True)]
    return [line for line in lines if "_gpu" in line or "gpu_fakes" in line]


def test_times_are_those_of_the_calls(made_up: GpuResults) -> None:
    """A fake sleeps so long for each text; a sleep may be longer on a busy machine, never shorter."""
    for row in made_up.rows:
        least = row.texts * (gpu_fakes.TEXT_S if row.what == What.TEXT else gpu_fakes.ENGINE_S) * 1e3
        assert row.p50_ms >= least, row
        assert row.p50_ms <= row.p90_ms <= row.p99_ms <= row.max_ms
        assert row.texts_per_s == pytest.approx(row.texts / row.p50_ms * 1e3)
        assert row.samples >= 6 * 3
        assert len(row.round_p50_ms) == 6
        assert row.reference == RUNTIME
    own = made_up.row(RUNTIME, "256 mixed", What.TEXT)
    assert own is not None
    assert (own.ratio, own.ratio_low, own.ratio_high) == (1, 1, 1)


def test_the_share_of_the_roof_is_work_by_time_by_peak(made_up: GpuResults, tiny_checkpoint: Path) -> None:
    from benchmarks._roof import multiply_adds

    row = made_up.row(CAPTURED, "1 x 32", What.ENGINE)
    assert row is not None
    products = multiply_adds(tiny_checkpoint, [32])
    assert products is not None
    assert row.flops_share == pytest.approx(2 * products / (row.p50_ms / 1e3) / (made_up.roof["gflops"] * 1e9))


def test_a_run_of_failures_is_sound_json_and_a_whole_report(made_up: GpuResults) -> None:
    document = json.loads(json.dumps(made_up.to_json()))
    jsonschema.Draft202012Validator(read_json(SCHEMA)).validate(document)

    report = markdown(made_up, draw(made_up))

    for table in report.split("\n\n"):
        lines = table.splitlines()
        if lines[0].startswith("|"):
            assert len({line.replace("\\|", "").count("|") for line in lines}) == 1, f"a ragged table: {lines[0]}"
    assert "~~" in report, "what is struck out is crossed out"
    assert "CUDA out of memory" in report
    assert "no\\_such\\_package" in report
    assert report.count("| **setfuse graph captured** |") >= 4


def test_plots_of_a_run_have_the_same_bytes_each_time(made_up: GpuResults) -> None:
    first, second = draw(made_up), draw(made_up)

    assert [plot.name for plot in first] == ["gpu_latency", "gpu_engine", "gpu_roof"]
    assert first == second
    assert all(plot.png.startswith(b"\x89PNG") and b"<svg" in plot.svg for plot in first)


def test_a_run_without_times_has_no_plot_and_still_a_report(made_up: GpuResults) -> None:
    empty = dataclasses.replace(made_up, rows=(), attention={}, left_out=("1 x 32: no time was left",))

    assert draw(empty) == ()
    assert "- 1 x 32: no time was left" in markdown(empty, ())
    assert "Not measured." in markdown(empty, ())


def entrant(name: str, *, ours: bool, status: Status = Status.MEASURED, labels: float = 1.0) -> Entrant:
    return Entrant(name, name, "fp16", ours, status, label_agreement=labels)


def row(name: str, case: str, ms: float, what: What = What.TEXT, **ratios: float) -> Row:
    compared: dict[str, Any] = {"ratio": 1.0, "ratio_low": 1.0, "ratio_high": 1.0, **ratios}
    times = dict.fromkeys(("p50_ms", "p90_ms", "p99_ms", "max_ms"), ms)
    return Row(
        *(name, case, str(what), 1, 32, 9), **times, texts_per_s=1e3 / ms, reference=RUNTIME, **compared,
        flops_share=None, bandwidth_share=None, round_p50_ms=(ms,),
    )  # fmt: skip


def test_goals_are_held_against_the_figures() -> None:
    contenders = [entrant(RUNTIME, ours=True), entrant(CAPTURED, ours=True, labels=0.999), entrant("peer", ours=False)]
    rows = [
        row(RUNTIME, "1 x 32", 0.34),
        row(CAPTURED, "1 x 32", 0.26, What.ENGINE),
        row("peer", "1 x 16", 0.9, ratio=2.0, ratio_low=1.9, ratio_high=2.1),
        row("peer", "256 mixed", 9.0, ratio=0.99, ratio_low=0.95, ratio_high=1.02),
    ]

    text, engine, single, large, labels = goals(contenders, rows)

    assert (text.met, text.measured) == (True, "0.340 ms (setfuse)")
    assert engine.met is False
    assert single.met is True
    assert large.met is True, "a tie is at least equal"
    assert (labels.met, labels.measured) == (True, "99.90%")


@pytest.mark.parametrize(
    ("ratios", "met"),
    [
        ({"ratio": 1.1, "ratio_low": 0.98, "ratio_high": 1.2}, False),  # not sure
        ({"ratio": 1.1, "ratio_low": 1.05, "ratio_high": 1.2}, True),
        ({"ratio": 0.9, "ratio_low": 0.8, "ratio_high": 0.95}, False),
    ],
)
def test_ahead_must_be_sure_for_one_text(ratios: dict[str, float], met: bool) -> None:
    contenders = [entrant("peer", ours=False), entrant("wrong", ours=False, status=Status.STRUCK_OUT)]
    rows = [row("peer", "1 x 32", 1.0, **ratios), row("wrong", "1 x 32", 0.1, ratio=0.1)]

    goal = goals(contenders, rows)[2]

    assert goal.met is met
    assert "peer" in goal.measured, "who is struck out leads nothing"


def test_nothing_measured_is_neither_met_nor_missed() -> None:
    assert {goal.met for goal in goals([], [])} == {None}


def test_a_machine_without_a_gpu_is_one_sentence(
    gpu_bundle: Path, tmp_path: Path, one_line: Callable[..., str]
) -> None:
    if has_cuda():
        pytest.skip("there is a GPU")

    line = one_line("--bundle", gpu_bundle, "--out", tmp_path / "out", device=Device.CUDA)

    assert line.startswith("benchmarks.gpu: needs "), line
    assert not (tmp_path / "out").exists()


def test_what_is_wrong_is_one_line_and_nothing_is_written(
    tiny_bundle: Path, gpu_bundle: Path, inputs: Path, tmp_path: Path, one_line: Callable[..., str]
) -> None:
    out = tmp_path / "out"
    other = tmp_path / "inputs"
    shutil.copytree(inputs, other)
    answers = read_json(other / "answers.json")
    (other / "answers.json").write_text(json.dumps({**answers, "labels": ["x", "y", "z"]}), encoding="utf-8")
    (tmp_path / "file").touch()
    several = tmp_path / "several"
    shutil.copytree(gpu_bundle, several)
    manifest = {**read_json(several / "bundle.json"), "task": "multi-label-classification"}
    (several / "bundle.json").write_text(json.dumps(manifest), encoding="utf-8")

    assert "needs model.fp16.onnx in" in one_line("--bundle", tiny_bundle, "--out", out)
    assert "expected a bundle of single labels" in one_line("--bundle", several, "--out", out)
    assert "are they of this model?" in one_line("--bundle", gpu_bundle, "--inputs", other, "--out", out)
    assert "is a file; choose another --out" in one_line("--bundle", gpu_bundle, "--out", tmp_path / "file")
    only = ("--only", "torch fp16 flash")
    assert "no contender can run here (torch fp16 flash: needs --checkpoint)" in one_line(
        "--bundle", gpu_bundle, "--inputs", inputs, "--out", out, *only
    )
    assert not out.exists()


@pytest.mark.parametrize(
    "arguments", [["--only", "nobody"], ["--minutes", "0.1"], ["--minutes", "nan"], ["--threads", "0"]]
)
def test_bad_usage(arguments: list[str], gpu_bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as stopped:
        gpu.main(["--bundle", str(gpu_bundle), "--out", str(tmp_path), *arguments])

    assert stopped.value.code == 2


def test_an_interrupt_leaves_nothing(
    gpu_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_line: Callable[..., str]
) -> None:
    def interrupt(*_: object) -> None:
        assert len(multiprocessing_children()) == 2, "the device's process and a contender's"
        raise KeyboardInterrupt

    monkeypatch.setattr(_steps, "measure_kernels", interrupt)

    line = one_line("--bundle", gpu_bundle, "--out", tmp_path / "out", "--only", CAPTURED, status=130)

    assert line == "benchmarks.gpu: interrupted; nothing was written"
    assert not (tmp_path / "out").exists()
    assert not multiprocessing_children()


@pytest.mark.skipif(not has_cuda(), reason="needs an NVIDIA GPU, and there is none here")
def test_a_minute_on_a_real_gpu(gpu_bundle: Path, inputs: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    paths = {"--bundle": gpu_bundle, "--inputs": inputs, "--checkpoint": tiny_checkpoint, "--out": tmp_path}
    arguments = [str(part) for pair in paths.items() for part in pair]

    assert gpu.main([*arguments, "--minutes", "2", "--only", "setfuse", "onnxruntime"]) == 0

    found = read_json(tmp_path / "gpu.json")
    jsonschema.Draft202012Validator(read_json(SCHEMA)).validate(found)
    agreements = [entrant["label_agreement"] for entrant in found["contenders"] if entrant["label_agreement"]]
    assert agreements
    assert np.min(agreements) > 0.9
    assert all(
        kernels for record in found["attention"].values() for kernels in record["measured"]["0"]["kernels"].values()
    )
