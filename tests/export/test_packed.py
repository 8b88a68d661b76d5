"""The packed graph in onnx's own evaluator, against torch: its attention has no kernel that runs without a GPU."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import tokenizers
from sklearn.ensemble import RandomForestClassifier

from benchmarks._packed import pack
from setfuse.export import UnsupportedCheckpoint, read_checkpoint, write_packed_graph
from setfuse.export._oracle import TorchOracle
from tests.models import FAMILIES, LONG_TEXT, TEXTS, make_body, make_checkpoint

from . import heads
from .cuda_kernels import problems
from .evaluator import evaluate
from .test_fp16 import TOLERANCE
from .test_parity import POOLINGS, SPELLED_OUT

BODIES: dict[str, dict[str, Any]] = {
    **{f"{family}, mean": {"family": family} for family in FAMILIES if family != "mpnet"},
    **{f"{family}, cls": {"family": family, "pooling": "cls"} for family in FAMILIES if family != "mpnet"},
    "all poolings at once": {"pooling": POOLINGS},
    "prompt, not pooled": {"prompt": "the film : ", "include_prompt": False, "pooling": POOLINGS},
    "tanh gelu": {"activation": "gelu_new"},
    "silu": {"activation": "silu"},
}


@pytest.fixture(scope="module", params=list(BODIES))
def packed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A graph, and its checkpoint."""
    folder = tmp_path_factory.mktemp("packed")
    checkpoint = make_checkpoint(folder, make_body(folder, **BODIES[request.param]), ("no", "yes"))
    return write_packed_graph(checkpoint, folder / "packed.onnx"), checkpoint


def tokens_of(checkpoint: Path, texts: list[str]) -> list[list[int]]:
    source = read_checkpoint(checkpoint)
    tokenizer = tokenizers.Tokenizer.from_str(source.tokenizer)
    return [tokenizer.encode(source.prompt + text).ids for text in texts]


def run(graph: Path, token_ids: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    model = onnx.load(graph)
    padding_id = {entry.key: int(entry.value) for entry in model.metadata_props if entry.key == "setfuse.padding_id"}
    feeds = pack(token_ids, *padding_id.values())
    values = evaluate(model, feeds)
    return values["probabilities"], values["sentence_embedding"]


@pytest.mark.parametrize(
    "texts",
    [[*TEXTS, *SPELLED_OUT, LONG_TEXT], list(TEXTS[:2]), [TEXTS[0]], [""]],
    ids=["ragged", "two", "one", "no words"],
)
def test_ragged_batches_are_torchs(packed: tuple[Path, Path], texts: list[str]) -> None:
    graph, checkpoint = packed
    expected = TorchOracle(read_checkpoint(checkpoint)).answer(texts, batch_size=len(texts))

    probabilities, embeddings = run(graph, tokens_of(checkpoint, texts))

    np.testing.assert_allclose(embeddings, expected.embeddings, rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(probabilities, expected.probabilities, rtol=0, atol=TOLERANCE)
    assert probabilities.dtype == embeddings.dtype == np.float32


def test_the_evaluator_can_disagree(packed: tuple[Path, Path]) -> None:
    graph, checkpoint = packed
    expected = TorchOracle(read_checkpoint(checkpoint)).answer(["where is my parcel"], batch_size=1)

    with pytest.raises(AssertionError):
        np.testing.assert_allclose(
            run(graph, tokens_of(checkpoint, ["where is my refund"]))[1], expected.embeddings, rtol=0, atol=TOLERANCE
        )


def test_every_node_has_a_cuda_kernel(packed: tuple[Path, Path]) -> None:
    model = onnx.load(packed[0])

    assert list(problems(model)) == []
    assert model.ir_version == 10
    assert {opset.domain: opset.version for opset in model.opset_import} == {"": 20, "com.microsoft": 1}


def test_an_attention_with_a_bias_by_relative_position_is_refused(tmp_path: Path) -> None:
    checkpoint = make_checkpoint(tmp_path, make_body(tmp_path, family="mpnet"), ("no", "yes"))

    with pytest.raises(UnsupportedCheckpoint, match=r"packed graph: expected an encoder with positions .* found mpnet"):
        write_packed_graph(checkpoint, tmp_path / "packed.onnx")
    assert not (tmp_path / "packed.onnx").exists()


def test_a_head_without_cuda_kernels_is_refused(tmp_path: Path) -> None:
    make_body(tmp_path)
    x, y = heads.embeddings(40).repeat(2, axis=1), np.arange(40) % 2
    heads.saved(tmp_path / "body", RandomForestClassifier(2, random_state=0).fit(x, y))
    (tmp_path / "body" / "config_setfit.json").write_text('{"labels": ["no", "yes"]}', encoding="utf-8")

    with pytest.raises(UnsupportedCheckpoint, match="expected a head of plain operators for fp16, found RandomForest"):
        write_packed_graph(tmp_path / "body", tmp_path / "packed.onnx")
