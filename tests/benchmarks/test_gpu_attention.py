"""Which attention kernel ran is read from what onnxruntime prints; the fastest is recorded."""

from pathlib import Path

import pytest

from benchmarks._contenders import Device
from benchmarks._gpu._attention import (
    SDPA_KERNELS,
    SHAPES,
    Kernel,
    Limits,
    as_record,
    fastest,
    measure_kernels,
    parse_kernels,
)
from benchmarks._gpu._budget import Budget
from setfuse.runtime._provider import SDPA_KERNELS as CHOSEN

# As attention_kernel_options.cc of onnxruntime writes them: in cyan, each line ended by std::endl.
OPTIONS = "\x1b[36mAttentionKernelOptions: FLASH_ATTENTION=1 EFFICIENT_ATTENTION=0 MATH=1\x1b[0m\n"
FLASH = "\x1b[36mOperator=MultiHeadAttention Node=layer.0 DataType=fp16 SdpaKernel=FLASH_ATTENTION\x1b[0m\n"
UNFUSED = "\x1b[36mOperator=PackedMultiHeadAttention DataType=fp16 SdpaKernel=MATH\x1b[0m\n"


def kernel(*ms: float, difference: float = 0.0) -> Kernel:
    return Kernel("asked", {}, {str(place): one for place, one in enumerate(ms)}, difference)


def test_each_shape_has_the_kernels_that_ran_for_it() -> None:
    output = f"{OPTIONS}shape 1 x 16\n{OPTIONS}{FLASH}{FLASH}shape 32 x 32\n{FLASH}{UNFUSED}shape 1 x 128\n{{}}\n"

    assert parse_kernels(output) == {
        "1 x 16": ("FLASH_ATTENTION",),
        "32 x 32": ("FLASH_ATTENTION", "MATH"),
        "1 x 128": (),
    }


@pytest.mark.parametrize("output", ["", FLASH, "Operator without a kernel\n"])
def test_what_runs_before_the_first_shape_is_nobodys(output: str) -> None:
    assert parse_kernels(output) == {}


def test_every_shape_counts_alike() -> None:
    """Half the time at a short shape outweighs a tenth more at a long one."""
    assert fastest({0: kernel(1.0, 100.0), 1: kernel(0.5, 110.0)}) == 1


def test_a_hair_is_no_reason_to_leave_onnxruntimes_choice() -> None:
    assert fastest({0: kernel(1.0, 1.0), 2: kernel(0.98, 0.99)}) == 0


def test_a_fast_kernel_that_is_wrong_wins_nothing() -> None:
    assert fastest({0: kernel(1.0), 8: kernel(0.1, difference=0.5), 2: kernel(0.7)}) == 2
    assert fastest({0: kernel(1.0), 8: kernel(0.1, difference=float("nan"))}) == 0


def test_the_record_is_what_the_runtime_chooses_by() -> None:
    record = as_record("9.0", {0: kernel(1.0), 1: kernel(0.5)})

    (capability, chosen), *_ = record.items()
    assert chosen["sdpa_kernel"] == 1
    assert chosen["measured"]["1"] == {"asked": "asked", "kernels": {}, "ms": {"0": 0.5}, "difference": 0.0}
    key = tuple(map(int, capability.split(".")))
    assert {**CHOSEN, key: chosen["sdpa_kernel"]}[9, 0] == 1, "as the runtime's table has it"


def test_every_value_is_a_sum_of_bits_and_the_first_is_onnxruntimes_own() -> None:
    assert next(iter(SDPA_KERNELS)) == 0
    assert all(value < 64 for value in SDPA_KERNELS)


def test_a_graph_is_run_with_each_value_in_a_process_of_its_own(
    gpu_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The CPU stands in: it has one kernel, says nothing of it, and so gives the same answers each time."""
    monkeypatch.setattr("benchmarks._gpu._attention.SDPA_KERNELS", {0: "own", 1: "flash"})
    said: list[str] = []

    measured, absent = measure_kernels(
        gpu_bundle / "model.fp16.onnx", Device.CPU, Limits(50, 48), Budget(600), said.append
    )

    assert not absent
    assert said == ["attention: own", "attention: flash"]
    fitting = [f"{rows} x {tokens}" for rows, tokens in SHAPES if tokens <= 48]
    for value, asked in ((0, "own"), (1, "flash")):
        found = measured[value]
        assert (found.asked, found.difference, list(found.ms)) == (asked, 0.0, fitting)
        assert found.kernels == dict.fromkeys(fitting, ())


def test_a_graph_that_does_not_run_is_absent_with_its_reason(tmp_path: Path) -> None:
    graph = tmp_path / "broken.onnx"
    graph.write_bytes(b"no graph")

    measured, (reason,) = measure_kernels(graph, Device.CPU, Limits(50, 48), Budget(600), lambda _: None)

    assert measured == {}
    assert reason.startswith("sdpa_kernel 0 (onnxruntime's choice): ")
    assert "broken.onnx" in reason


def test_no_time_is_told(gpu_bundle: Path) -> None:
    measured, absent = measure_kernels(
        gpu_bundle / "model.fp16.onnx", Device.CPU, Limits(50, 48), Budget(1), lambda _: None
    )

    assert measured == {}
    assert len(absent) == len(SDPA_KERNELS)
    assert all("no time was left" in reason for reason in absent)
