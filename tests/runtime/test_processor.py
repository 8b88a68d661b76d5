"""Which graph a processor gets."""

from pathlib import Path

import onnxruntime
import pytest

from setfuse.export import export
from setfuse.runtime import Classifier, Precision
from setfuse.runtime._choice import VNNI_FLAGS
from setfuse.runtime._processor import processor_flags
from setfuse.runtime._session import _options


@pytest.fixture(scope="module")
def both(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with an fp32 and an int8 graph."""
    bundle = tmp_path_factory.mktemp("both") / "bundle"
    export(tiny_checkpoint, bundle, ("fp32", "int8"))
    return bundle


@pytest.mark.parametrize(
    ("cpuinfo", "expected"),
    [
        ("processor\t: 0\nflags\t\t: fpu avx2 avx512f avx512_vnni\n", True),
        ("processor\t: 0\nflags\t\t: fpu avx2 avx_vnni\n", True),
        ("processor\t: 0\nflags\t\t: fpu avx2 avx512f avx512_bf16\n", False),
        ("processor\t: 0\nFeatures\t: fp asimd asimddp\n", False),
        ("", False),
    ],
    ids=["AVX-512 VNNI", "AVX VNNI", "AVX-512 alone", "Arm", "nothing known"],
)
def test_int8_is_for_processors_that_add_its_products_exactly(tmp_path: Path, cpuinfo: str, expected: bool) -> None:
    path = tmp_path / "cpuinfo"
    path.write_text(cpuinfo, encoding="utf-8")

    assert (not VNNI_FLAGS.isdisjoint(processor_flags(path))) is expected
    assert processor_flags(tmp_path / "missing") == frozenset()


@pytest.mark.parametrize(("fast", "expected"), [(True, Precision.INT8), (False, Precision.FP32)])
def test_the_fastest_graph_that_is_right_here(
    both: Path, monkeypatch: pytest.MonkeyPatch, fast: bool, expected: Precision
) -> None:
    flags = frozenset({"avx512_vnni"} if fast else {"avx2"})
    monkeypatch.setattr("setfuse.runtime._source.processor_flags", lambda: flags)

    assert Classifier.load(both).variant.precision is expected
    assert Classifier.load(both, precision="int8").variant.precision is Precision.INT8
    assert Classifier.load(both, precision="fp32").variant.precision is Precision.FP32


@pytest.mark.parametrize("fast", [True, False])
def test_onnxruntime_is_asked_for_exact_sums_only_where_they_would_overflow(
    fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("setfuse.runtime._session.int8_is_fast", lambda: fast)

    options = _options(onnxruntime, threads=1)

    if fast:
        with pytest.raises(RuntimeError, match="does not have"):
            options.get_session_config_entry("session.x64quantprecision")
    else:
        assert options.get_session_config_entry("session.x64quantprecision") == "1"
