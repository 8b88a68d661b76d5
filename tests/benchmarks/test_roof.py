"""The machine's peak, and the multiplications of a model."""

import json
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoModel

from benchmarks._roof import SHAPES, measure_roof, multiply_adds


def test_the_peak_is_measured_in_a_process_of_its_own() -> None:
    peaks = measure_roof(sys.executable, 1)

    assert {"fp32", "int8"} <= set(peaks)
    assert all(0.1 < peak < 1e5 for peak in peaks.values()), "expected GFLOP/s of one thread"


def test_an_interpreter_without_torch_measures_none(tmp_path: Path) -> None:
    assert measure_roof(str(tmp_path / "no-python"), 1) == {}


def test_the_multiplications_are_those_that_torch_counts(tiny_checkpoint: Path) -> None:
    """Torch's own counter, on the encoder without embeddings and pooler, and attention as plain products."""
    from torch.utils.flop_counter import FlopCounterMode

    model = AutoModel.from_pretrained(tiny_checkpoint, attn_implementation="eager", add_pooling_layer=False)
    for length in (5, 17):
        with FlopCounterMode(display=False) as counter, torch.inference_mode():
            model(input_ids=torch.ones(1, length, dtype=torch.long))
        assert multiply_adds(tiny_checkpoint, [length]) == pytest.approx(counter.get_total_flops() / 2)
    one, other = multiply_adds(tiny_checkpoint, [5]), multiply_adds(tiny_checkpoint, [17])
    assert one is not None
    assert other is not None
    assert multiply_adds(tiny_checkpoint, [5, 17]) == one + other


def test_distilberts_config_has_other_names(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"n_layers": 2, "dim": 3, "hidden_dim": 5}), encoding="utf-8")

    assert multiply_adds(tmp_path, [7]) == 2 * (7 * (4 * 9 + 2 * 15) + 2 * 49 * 3)


@pytest.mark.parametrize("config", [None, "{}", '{"n_layers": "two", "dim": 3, "hidden_dim": 5}'])
def test_an_unknown_config_has_none(config: str | None, tmp_path: Path) -> None:
    if config is not None:
        (tmp_path / "config.json").write_text(config, encoding="utf-8")

    assert multiply_adds(tmp_path, [7]) is None


def test_the_shapes_fit_the_caches_of_a_processor() -> None:
    assert all(4 * (rows * inner + inner * columns) < 16e6 for rows, inner, columns in SHAPES)
