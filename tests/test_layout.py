"""The layout's guards: three source roots, one namespace, stages that do not import each other, a lean runtime."""

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
STAGES = {"train": ROOT / "train", "export": ROOT / "export", "runtime": ROOT / "runtime"}
HEAVY = ("torch", "transformers", "sentence_transformers", "sklearn", "onnx")
PROBE = "import sys, {module}; print(*[name for name in {heavy} if name in sys.modules])"


def loaded_by(module: str) -> list[str]:
    """Import a module in a fresh process and list the heavy packages that came with it."""
    code = PROBE.format(module=module, heavy=HEAVY)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/")
    return done.stdout.split()


def imports(path: Path) -> set[str]:
    """List the stages that a file imports."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module or "")
    return {name.split(".")[1] for name in names if name.startswith("setfuse.")}


def test_nobody_owns_the_namespace() -> None:
    for folder in STAGES.values():
        assert not (folder / "setfuse" / "__init__.py").exists()
        assert [path.name for path in (folder / "setfuse").iterdir() if path.is_dir()] == [folder.name]
        assert (folder / "setfuse" / folder.name / "py.typed").is_file()


@pytest.mark.parametrize(
    ("stage", "allowed"), [("runtime", set()), ("train", {"runtime"}), ("export", {"runtime"})], ids=str
)
def test_a_stage_imports_no_other_but_the_runtime(stage: str, allowed: set[str]) -> None:
    found = set().union(*(imports(path) for path in STAGES[stage].rglob("*.py")))

    assert found - {stage} == allowed


def test_importing_the_runtime_brings_nothing_heavy() -> None:
    assert loaded_by("setfuse.runtime") == []
    assert loaded_by("setfuse.runtime.__main__") == []
    assert loaded_by("setfuse.runtime.cli") == []


def test_the_probe_of_imports_can_fail() -> None:
    assert loaded_by("sentence_transformers") == [name for name in HEAVY if name != "onnx"]


@pytest.mark.parametrize("stage", STAGES)
def test_the_door_of_a_stage_is_written_down_and_sorted(stage: str) -> None:
    code = f"import setfuse.{stage} as s; print(*s.__all__); [getattr(s, name) for name in s.__all__]"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    expected = {
        "train": "BaseModelNotFound LabelledRows OutOfMemory RunNotResumable RunNotSaved SearchFailed SearchResult "
        "SearchTrial TeacherNotUsable TrainingArguments TrainingDiverged TrainingError TrainingResult default_space "
        "distill get_templated_dataset read_data sample_dataset search train",
        "export": "CheckReport CheckedOutput Checkpoint CheckpointError ExportError GraphError GraphInspection "
        "Inspection ParityError Reason UnsupportedCheckpoint check export inspect read_checkpoint "
        "write_packed_graph write_triton_repository",
        "runtime": "FORMAT_VERSION About BundleCorrupt BundleError BundleFile BundleNotFound Classifier "
        "ClassifierClosed Command CudaOptions DatasetError DeadlineExceeded DeviceOutOfMemory "
        "DeviceUnavailable Evaluation Explanation HubError InvalidText LabelMetrics Manifest "
        "MissingExtra MultiLabelEvaluation MultiLabelRow NoDecisionScores NoProbabilities OutputExists "
        "Overloaded Parity Precision Prediction Row Scores SetfuseError Stats Target Task Tensor "
        "UnsupportedFormat UsageError Variant VariantNotFound WordEffect as_rows check_new_folder "
        "evaluate evaluate_multi_label find_on_hub naming_hint new_folder push read_multi_label_rows read_records "
        "read_rows read_texts require_extra to_multi_label_row to_row",
    }
    assert done.stdout.split() == expected[stage].split()


def test_the_base_install_is_numpy_and_tokenizers() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert [re.split(r"\W", requirement)[0] for requirement in project["dependencies"]] == ["numpy", "tokenizers"]
    assert {"cpu", "gpu", "train", "export", "demo", "bench", "dev"} <= project["optional-dependencies"].keys()


def test_the_changelogs_top_version_is_the_packages() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    versions = re.findall(r"^## \[(\d[^\]]*)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)

    assert versions[0] == project["version"]


def test_the_wheel_holds_the_three_stages_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()

    assert {name.split("/")[0] for name in names} == {"setfuse", f"setfuse-{wheel.name.split('-')[1]}.dist-info"}
    for stage in STAGES:
        assert f"setfuse/{stage}/__init__.py" in names
        assert f"setfuse/{stage}/py.typed" in names
    assert "setfuse/__init__.py" not in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
