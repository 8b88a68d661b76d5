"""What runs on which machine: simulated processors, bundles and installed engines; nothing of this machine's own."""

import dataclasses
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from setfuse.export import export
from setfuse.runtime import About, Classifier, Manifest, Precision, Target, UsageError, Variant, VariantNotFound
from setfuse.runtime.__main__ import main
from setfuse.runtime._choice import Choice, choose_for_cpu
from setfuse.runtime._cpus import available_cpus
from setfuse.runtime._engine import Engine, is_installed
from setfuse.runtime._processor import processor_flags

PROCESSORS = {
    "VNNI": "flags\t: avx2 avx512f avx512_vnni",
    "VNNI of AVX2": "flags\t: avx2 avx_vnni",
    "VNNI and bf16": "flags\t: avx2 avx512f avx512_vnni avx512_bf16 amx_bf16 amx_int8",
    "bf16 alone": "flags\t: avx2 avx512f avx512_bf16",
    "AVX2 alone": "flags\t: avx2 fma",
    "Arm": "Features\t: fp asimd asimddp i8mm bf16",
    "unknown": None,
}
BUNDLES = {
    "fp32": ("fp32/cpu",),
    "fp32, int8": ("fp32/cpu", "int8/cpu"),
    "all": ("fp32/cpu", "int8/cpu", "fp16/cuda"),
    "int8": ("int8/cpu",),
}
INSTALLED: dict[str, set[str]] = {
    "none": set(),
    "onnxruntime": {"onnxruntime"},
    "openvino": {"openvino"},
    "both": {"onnxruntime", "openvino"},
}


def expected_of(processor: str, bundle: str, installed: str) -> str:
    """Say it once more, as the README does."""
    if "VNNI" in processor and bundle != "fp32":
        return "int8 in openvino" if installed == "openvino" else "int8 in onnxruntime"
    if bundle == "int8":
        return "refused" if installed == "openvino" else "int8 in onnxruntime"
    return "fp32 in openvino" if installed == "openvino" else "fp32 in onnxruntime"


@pytest.fixture(scope="module")
def whole(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with an fp32 and an int8 graph."""
    bundle = tmp_path_factory.mktemp("whole") / "bundle"
    export(tiny_checkpoint, bundle, ("fp32", "int8"))
    return bundle


@pytest.fixture(scope="module")
def bundles(whole: Path) -> dict[str, Manifest]:
    """Manifests of bundles with some graphs or others."""
    manifest = Manifest.read(whole)
    graphs: dict[str, Variant] = {str(variant): variant for variant in manifest.variants}
    half = dataclasses.replace(graphs["fp32/cpu"].file, file="model.fp16.onnx")
    graphs["fp16/cuda"] = dataclasses.replace(
        graphs["fp32/cpu"], precision=Precision.FP16, target=Target.CUDA, file=half
    )
    return {
        name: dataclasses.replace(manifest, variants=tuple(graphs[kind] for kind in kinds))
        for name, kinds in BUNDLES.items()
    }


@pytest.fixture
def flags(tmp_path: Path) -> Callable[[str], frozenset[str]]:
    def read(processor: str) -> frozenset[str]:
        cpuinfo = tmp_path / processor
        lines = PROCESSORS[processor]
        if lines is not None:
            cpuinfo.write_text(f"processor\t: 0\n{lines}\n\nprocessor\t: 1\n{lines}\n", encoding="utf-8")
        return processor_flags(cpuinfo)

    return read


def chosen(manifest: Manifest, flags: frozenset[str], installed: set[str], **asked: str) -> Choice:
    engine = Engine(asked["engine"]) if "engine" in asked else None
    return choose_for_cpu(
        manifest,
        precision=asked.get("precision"),
        engine=engine,
        flags=flags,
        is_installed=installed.__contains__,
    )


def told(choice: Choice) -> str:
    return f"{choice.precision} in {choice.engine}"


@pytest.mark.parametrize("installed", INSTALLED)
@pytest.mark.parametrize("bundle", BUNDLES)
@pytest.mark.parametrize("processor", PROCESSORS)
def test_what_is_taken_where_nothing_is_asked_for(
    processor: str,
    bundle: str,
    installed: str,
    bundles: dict[str, Manifest],
    flags: Callable[[str], frozenset[str]],
) -> None:
    expected = expected_of(processor, bundle, installed)
    if expected == "refused":
        with pytest.raises(UsageError, match="int8 in OpenVINO is for processors with VNNI"):
            chosen(bundles[bundle], flags(processor), INSTALLED[installed])
        return

    choice = chosen(bundles[bundle], flags(processor), INSTALLED[installed])

    assert told(choice) == expected
    assert choice.reason
    assert "." not in choice.reason  # one sentence


REASONS = [
    ("VNNI", "all", "the processor has avx512_vnni: products of 8-bit integers are exact"),
    ("VNNI", "fp32", "the bundle has no int8 graph"),
    ("AVX2 alone", "all", "the processor has no VNNI: sums of 8-bit products would overflow"),
    ("Arm", "all", "what the processor can do is not known here"),
    ("unknown", "all", "what the processor can do is not known here"),
    (
        "bf16 alone",
        "all",
        '; precision="bf16" is faster on this processor, in OpenVINO, but the export did not compare',
    ),
    ("AVX2 alone", "int8", "the bundle has nothing but int8: without VNNI onnxruntime must keep its sums"),
]


@pytest.mark.parametrize(("processor", "bundle", "reason"), REASONS)
def test_the_reason_is_told(
    processor: str, bundle: str, reason: str, bundles: dict[str, Manifest], flags: Callable[[str], frozenset[str]]
) -> None:
    assert reason in chosen(bundles[bundle], flags(processor), INSTALLED["both"]).reason


@pytest.mark.parametrize(
    ("processor", "asked", "expected"),
    [
        ("AVX2 alone", {"precision": "int8"}, "int8 in onnxruntime"),
        ("AVX2 alone", {"precision": "int8", "engine": "openvino"}, "int8 in OpenVINO is for processors with VNNI"),
        ("AVX2 alone", {"precision": "bf16"}, "expected a processor with avx512_bf16 or amx_bf16"),
        ("AVX2 alone", {"engine": "openvino"}, "fp32 in openvino"),
        ("VNNI", {"precision": "fp32"}, "fp32 in onnxruntime"),
        ("VNNI", {"engine": "openvino"}, "int8 in openvino"),
        ("VNNI", {"engine": "onnxruntime"}, "int8 in onnxruntime"),
        ("bf16 alone", {"precision": "bf16"}, "bf16 in openvino"),
        ("bf16 alone", {"precision": "bf16", "engine": "openvino"}, "bf16 in openvino"),
        ("bf16 alone", {"precision": "bf16", "engine": "onnxruntime"}, "bf16 is the fp32 graph in OpenVINO"),
        ("bf16 alone", {"precision": "fp32"}, "fp32 in onnxruntime"),
        ("bf16 alone", {"engine": "onnxruntime"}, "fp32 in onnxruntime"),
        ("bf16 alone", {"engine": "openvino"}, "fp32 in openvino"),
        ("VNNI", {"precision": "fp16"}, "has no fp16/cpu graph"),
    ],
)
def test_what_is_asked_for_is_taken_or_refused(
    processor: str,
    asked: dict[str, str],
    expected: str,
    bundles: dict[str, Manifest],
    flags: Callable[[str], frozenset[str]],
) -> None:
    if " in onnxruntime" in expected or " in openvino" in expected:
        assert told(chosen(bundles["all"], flags(processor), INSTALLED["both"], **asked)) == expected
        return
    with pytest.raises((UsageError, VariantNotFound), match=expected):
        chosen(bundles["all"], flags(processor), INSTALLED["both"], **asked)


def test_openvino_is_looked_for_only_where_it_matters(
    bundles: dict[str, Manifest], flags: Callable[[str], frozenset[str]]
) -> None:
    def found(engine: Engine) -> bool:
        asked.append(engine)
        return True

    asked: list[Engine] = []
    for processor, engine in (("VNNI", None), ("AVX2 alone", None), ("bf16 alone", Engine.ONNXRUNTIME)):
        choose_for_cpu(
            bundles["all"],
            precision=None,
            engine=engine,
            flags=flags(processor),
            is_installed=found,
        )

    assert Engine.OPENVINO not in asked


def test_looking_for_an_engine_does_not_import_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "openvino", raising=False)

    is_installed(Engine.OPENVINO)

    assert "openvino" not in sys.modules
    monkeypatch.setitem(sys.modules, "openvino", None)
    assert not is_installed(Engine.OPENVINO)
    monkeypatch.setitem(sys.modules, "openvino", SimpleNamespace())  # type: ignore[arg-type]
    assert is_installed(Engine.OPENVINO)


# What is told


def test_a_classifier_says_what_it_runs_on(whole: Path) -> None:
    import onnxruntime

    classifier = Classifier.load(whole, precision="fp32", threads=3)

    about = classifier.about

    assert (about.engine, about.engine_version) == ("onnxruntime", onnxruntime.__version__)
    assert (about.precision, about.target, about.file, about.threads) == ("fp32", "cpu", "model.onnx", 3)
    assert about.reason == "fp32 was asked for"
    assert set(about.processor) <= processor_flags()
    assert json.loads(json.dumps(dataclasses.asdict(about)))["engine"] == "onnxruntime"
    text = f"fp32/cpu (model.onnx) in onnxruntime {onnxruntime.__version__}, 3 threads; processor: "
    assert str(about).startswith(text)
    assert str(about).endswith("; fp32 was asked for")
    assert Classifier.load(whole, precision="fp32").about.threads == available_cpus()


def test_about_openvino(whole: Path) -> None:
    openvino = pytest.importorskip("openvino", reason="OpenVINO is not installed: pip install openvino")

    about = Classifier.load(whole, precision="fp32", engine="openvino", threads=1).about

    assert (about.engine, about.engine_version) == ("openvino", openvino.__version__.partition("-")[0])
    assert ", 1 thread; " in str(about)


@pytest.mark.parametrize(
    ("processor", "precision"),
    [(frozenset({"avx2", "avx_vnni"}), "int8"), (frozenset({"avx2"}), "fp32"), (frozenset(), "fp32")],
)
def test_info_says_what_this_machine_would_take(
    processor: frozenset[str],
    precision: str,
    whole: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("setfuse.runtime.cli.processor_flags", lambda: processor)
    monkeypatch.setattr("setfuse.runtime._source.processor_flags", lambda: processor)
    monkeypatch.setattr("setfuse.runtime._classifier.processor_flags", lambda: processor)

    assert main(["info", str(whole), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["here"]
    assert main(["info", str(whole)]) == 0
    lines = capsys.readouterr().out.splitlines()

    about = Classifier.load(whole).about
    assert About(**{**told, "processor": tuple(told["processor"])}) == about
    assert about.precision == precision
    assert f"here          {about}" in lines


def test_info_needs_no_engine(whole: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from importlib import metadata

    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    for engine in Engine:
        monkeypatch.setitem(sys.modules, engine.package, None)
    monkeypatch.setattr("importlib.metadata.version", missing)

    assert main(["info", str(whole)]) == 0
    assert " in onnxruntime (not installed), " in capsys.readouterr().out


def test_info_of_what_this_machine_cannot_run(
    bundles: dict[str, Manifest],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import onnxruntime

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    variants = tuple(variant for variant in bundles["all"].variants if variant.target is Target.CUDA)
    dataclasses.replace(bundles["all"], variants=variants).write(tmp_path)

    assert main(["info", str(tmp_path)]) == 0
    assert "here          nothing: expected a package with CUDAExecutionProvider" in capsys.readouterr().out
    assert main(["info", str(tmp_path), "--json"]) == 0
    assert "expected a package with CUDA" in json.loads(capsys.readouterr().out)["here"]["error"]
