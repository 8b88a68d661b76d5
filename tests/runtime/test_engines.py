"""The same bundle in both engines: one interface, the same answers, clear words where an engine cannot be had."""

import dataclasses
import os
import pickle
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from setfuse.export import export
from setfuse.runtime import BundleCorrupt, Classifier, MissingExtra, UsageError
from setfuse.runtime.__main__ import main
from setfuse.runtime._bundle import Bundle
from setfuse.runtime._openvino import OpenvinoGraph
from setfuse.runtime._processor import int8_is_fast
from setfuse.runtime._variant import Tensor

from .damage import change_manifest

pytest.importorskip("openvino", reason="OpenVINO is not installed: pip install openvino")

TEXTS = [
    "where is my parcel",
    "",
    "so late " * 30,
    "réfund 中",
    *(f"it is {'very ' * count}late" for count in range(12)),
]

# Sums of float32 in another order.
FP32_TOLERANCE = 1e-5
# Both engines round activations to the same steps, but a float32 sum between two steps falls to either side.
INT8_TOLERANCE = 0.02


@pytest.fixture(scope="module")
def bundle(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("both") / "bundle"
    export(tiny_checkpoint, folder, ("fp32", "int8"))
    return folder


@pytest.mark.parametrize(
    ("precision", "tolerance"),
    [
        ("fp32", FP32_TOLERANCE),
        pytest.param(
            "int8", INT8_TOLERANCE, marks=pytest.mark.skipif(not int8_is_fast(), reason="the processor has no VNNI")
        ),
    ],
)
def test_openvino_answers_as_onnxruntime_does(bundle: Path, precision: str, tolerance: float) -> None:
    ours = Classifier.load(bundle, precision=precision)
    theirs = Classifier.load(bundle, precision=precision, engine="openvino", threads=1)

    np.testing.assert_allclose(theirs.predict_proba(TEXTS), ours.predict_proba(TEXTS), rtol=0, atol=tolerance)
    assert theirs.embed(TEXTS).shape == ours.embed(TEXTS).shape
    np.testing.assert_allclose(theirs.embed(TEXTS), ours.embed(TEXTS), rtol=0, atol=10 * tolerance)
    assert theirs("where is my parcel").label in ours.labels
    assert theirs.predict([]) == []
    assert theirs.stats.texts > 0


def test_an_answer_does_not_depend_on_what_is_asked_with_it(bundle: Path) -> None:
    classifier = Classifier.load(bundle, engine="openvino")

    together = classifier.predict_proba(TEXTS)

    alone = np.concatenate([classifier.predict_proba([text]) for text in TEXTS])
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-6)


def test_earlier_answers_are_not_written_over(bundle: Path) -> None:
    """The engine uses the memory of a run again."""
    classifier = Classifier.load(bundle, engine="openvino")
    first = classifier.predict_proba(["where is my parcel"])
    kept = first.copy()

    classifier.predict_proba(["réfund 中"])

    np.testing.assert_array_equal(first, kept)


def test_threads_may_share_it(bundle: Path) -> None:
    classifier = Classifier.load(bundle, engine="openvino")
    expected = classifier.predict_proba(TEXTS)
    found: dict[int, object] = {}

    def ask(number: int) -> None:
        found[number] = classifier.predict_proba(TEXTS)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert len(found) == 16
    for answers in found.values():
        np.testing.assert_allclose(answers, expected, rtol=0, atol=1e-6)


def test_a_pickle_keeps_the_engine(bundle: Path) -> None:
    classifier = pickle.loads(pickle.dumps(Classifier.load(bundle, engine="openvino")))

    assert type(classifier._resident.model()._graph._usual).__name__ == "OpenvinoGraph"
    assert classifier.predict(TEXTS) == Classifier.load(bundle, engine="openvino").predict(TEXTS)


def test_onnxruntime_alone_does_not_bring_openvino(bundle: Path) -> None:
    program = (
        "import sys; from setfuse.runtime import Classifier; "
        f"Classifier.load({str(bundle)!r}, engine=sys.argv[1])('late'); "
        "print(sorted({'onnxruntime', 'openvino'} & set(sys.modules)))"
    )

    for engine in ("onnxruntime", "openvino"):
        done = subprocess.run(
            [sys.executable, "-c", program, engine], capture_output=True, encoding="utf-8", check=True
        )
        assert done.stdout == f"['{engine}']\n"


def test_an_engine_that_is_not_installed_is_one_sentence(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)

    with pytest.raises(MissingExtra, match=r'engine="openvino" needs openvino: pip install "setfuse\[openvino\]"'):
        Classifier.load(bundle, engine="openvino")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"engine": "tvm"}, "engine: expected one of onnxruntime, openvino, tensorrt, got 'tvm'"),
        ({"engine": "openvino", "threads": 0}, "threads: expected a whole number from 1 to 256, got 0"),
        ({"engine": "openvino", "threads": True}, "threads: expected a whole number from 1 to 256, got True"),
        ({"engine": ["openvino"]}, "engine: expected one of onnxruntime, openvino, tensorrt, got ['openvino']"),
        (
            {"precision": "bf16", "engine": "onnxruntime"},
            'bf16 is the fp32 graph in OpenVINO, got engine="onnxruntime"; pass engine="openvino"',
        ),
        ({"engine": "openvino", "precision": "fp8"}, "precision: expected one of bf16, fp32, int8, fp16, got 'fp8'"),
    ],
)
def test_what_cannot_be_had_is_told(bundle: Path, arguments: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError) as error:
        Classifier.load(bundle, **arguments)  # type: ignore[arg-type]

    assert message in str(error.value)


@pytest.mark.parametrize("flag", [False, True])
def test_bf16_is_for_processors_that_have_it(bundle: Path, flag: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, object]] = []

    def compiled(_self: object, _model: object, _device: str, hints: dict[str, object]) -> object:
        asked.append(hints)
        raise RuntimeError("that is all that was wanted")

    flags = frozenset({"avx512_bf16"} if flag else {"avx2"})
    monkeypatch.setattr("setfuse.runtime._source.processor_flags", lambda: flags)
    monkeypatch.setattr("openvino.Core.compile_model", compiled)
    if not flag:
        with pytest.raises(UsageError, match="expected a processor with avx512_bf16 or amx_bf16"):
            Classifier.load(bundle, engine="openvino", precision="bf16")
        return

    with pytest.raises(BundleCorrupt, match="that is all that was wanted"):
        Classifier.load(bundle, engine="openvino", precision="bf16")
    with pytest.raises(BundleCorrupt):
        Classifier.load(bundle, engine="openvino", precision="fp32")

    assert [hints["INFERENCE_PRECISION_HINT"] for hints in asked] == ["bf16", "f32"]


@pytest.mark.parametrize("precision", ["int8", None])
def test_int8_in_openvino_is_for_processors_with_vnni(
    precision: str | None, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("setfuse.runtime._source.processor_flags", lambda: frozenset({"avx2"}))
    if precision is None:  # and it is all there is
        bundle = Path(shutil.copytree(bundle, tmp_path / "int8"))
        change_manifest(bundle, lambda manifest: manifest.update(variants=manifest["variants"][1:]))

    with pytest.raises(UsageError, match="precision: int8 in OpenVINO is for processors with VNNI"):
        Classifier.load(bundle, engine="openvino", precision=precision)

    assert Classifier.load(bundle, precision="int8").variant.precision == "int8"


def test_without_vnni_openvino_takes_fp32_by_itself(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("setfuse.runtime._source.processor_flags", lambda: frozenset({"avx2"}))

    assert Classifier.load(bundle, engine="openvino").variant.precision == "fp32"


def test_the_callers_thread_stays_on_its_processors(bundle: Path) -> None:
    before = os.sched_getaffinity(0)
    classifier = Classifier.load(bundle, engine="openvino", precision="fp32", threads=1)
    classifier(TEXTS)

    assert os.sched_getaffinity(0) == before
    assert classifier._resident.model()._graph._usual._compiled.get_property("ENABLE_CPU_PINNING") is False  # type: ignore[attr-defined]


def test_a_request_that_cannot_be_made_is_an_error_of_the_bundle(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(_self: object) -> object:
        raise RuntimeError("no memory for that")

    classifier = Classifier.load(bundle, engine="openvino", precision="fp32")
    monkeypatch.setattr("openvino.CompiledModel.create_infer_request", refuses)

    with pytest.raises(BundleCorrupt, match=r"model\.onnx: OpenVINO fails on token ids .*: no memory for that"):
        classifier("late")


def test_the_request_that_ran_last_runs_next(bundle: Path) -> None:
    graph: Any = Classifier.load(bundle, engine="openvino", precision="fp32")._resident.model()._graph._usual
    requests = [graph._compiled.create_infer_request() for _ in range(3)]
    graph._idle.extend(requests)

    graph.run(np.array([[1, 2]]), ("probabilities",))

    assert list(graph._idle) == requests
    assert graph._request() is requests[-1]


@pytest.mark.parametrize(
    ("side", "change", "found"),
    [
        ("inputs", {"dtype": "int32"}, "'int64'"),
        ("outputs", {"shape": ("batch", 4)}, "[None, 3]"),
        ("outputs", {"shape": (2, 3)}, "[None, 3]"),
    ],
)
def test_types_and_shapes_are_the_manifests(bundle: Path, side: str, change: dict[str, Any], found: str) -> None:
    variant = next(variant for variant in Bundle(bundle, None).manifest.variants if variant.precision == "fp32")
    first, *others = getattr(variant, side)
    other: Any = dataclasses.replace(variant, **{side: (dataclasses.replace(first, **change), *others)})

    with pytest.raises(BundleCorrupt, match=r"model\.onnx: expected .* as bundle\.json says, found") as error:
        OpenvinoGraph(variant.file.read(bundle), other, threads=1, bf16=False)

    assert found in str(error.value).partition("found")[2]


def test_a_graph_that_is_not_the_manifests_is_refused(bundle: Path) -> None:
    manifest = Bundle(bundle, None).manifest
    variant = next(variant for variant in manifest.variants if variant.precision == "fp32")
    data = variant.file.read(bundle)

    with pytest.raises(BundleCorrupt, match=r"model\.onnx: OpenVINO refuses the graph"):
        OpenvinoGraph(data[: len(data) // 2], variant, threads=1, bf16=False)
    other = dataclasses.replace(variant, outputs=(*variant.outputs[:1], Tensor("other", "float", ("batch", 3))))
    with pytest.raises(BundleCorrupt, match=r"model\.onnx: expected .*other.* as bundle\.json says, found"):
        OpenvinoGraph(data, other, threads=1, bf16=False)


CLOSED = """
import signal, sys, threading
from setfuse.runtime import Classifier

first, second = [Classifier.load(sys.argv[1], engine="openvino", precision="fp32") for _ in range(2)]

def close():
    first.close()
    second.close()

if sys.argv[2] == "here":
    close()
else:
    thread = threading.Thread(target=close)
    thread.start()
    thread.join()
signal.signal(signal.SIGINT, lambda number, frame: print("handled"))
signal.raise_signal(signal.SIGINT)
"""


@pytest.mark.parametrize("where", ["here", "in another thread"])
def test_a_signal_does_no_harm_once_graphs_are_closed(where: str, bundle: Path) -> None:
    """OpenVINO sets a stack for handlers, and frees it with the graph, whichever thread still has it."""
    command = [sys.executable, "-c", CLOSED, str(bundle), where]

    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)

    assert (done.returncode, done.stdout) == (0, "handled\n"), done.stderr


def test_the_command_line_takes_the_engine(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", str(bundle), "--engine", "openvino", "--precision", "fp32", "late"]) == 0
    assert capsys.readouterr().out.count("\n") == 1

    assert main(["predict", str(bundle), "--engine", "onnxruntime", "--precision", "bf16", "late"]) == 2
    assert "bf16 is the fp32 graph in OpenVINO" in capsys.readouterr().err
