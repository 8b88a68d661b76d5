"""The graph for CUDA: a kernel for every node, and, run on the processor, torch's answers at the shapes of buckets."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
import tokenizers
from onnx import TensorProto, helper
from sentence_transformers.sentence_transformer.modules import Dense

from setfuse.export import Checkpoint, UnsupportedCheckpoint, read_checkpoint
from setfuse.export._encoder import Encoder
from setfuse.export._encoder_graph import add_encoder
from setfuse.export._fp16 import Fp16Layout
from setfuse.export._fuse import fuse
from setfuse.export._graph import GraphBuilder
from setfuse.export._oracle import TorchOracle
from setfuse.runtime import Precision
from tests.models import FAMILIES, TEXTS, make_body, make_checkpoint

from . import heads
from .cuda_kernels import element_types, problems, read_kernels
from .read_cuda_kernels import OPERATORS, PATH, main
from .test_parity import BODIES

TOLERANCE = 5e-3
"""Of an embedding of unit length: float16 rounds each of some ten sums in a row by up to 5e-4; observed 2.4e-3."""
PADDING_TOLERANCE = 1e-5
"""Between two paddings of one text: what is added for padding has a weight of exactly 0; observed 0."""
BUCKETS = ((12, 16), (12, 32), (12, 48), (16, 48), (13, 41))
"""Texts and tokens, the padding included; the last is none that a fused kernel takes."""
LIKE_ONE_TOKEN = 7
"""Any token's id."""

Rows = npt.NDArray[np.int32]


class Graph:
    """An fp16 graph on the processor."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.model = fuse(checkpoint, Precision.FP16, 1)
        self._session = onnxruntime.InferenceSession(self.model.SerializeToString(), providers=["CPUExecutionProvider"])
        self._tokenizer = tokenizers.Tokenizer.from_str(checkpoint.tokenizer)
        self._prompt = checkpoint.prompt

    def tokenize(self, texts: list[str], longest: int) -> tuple[list[str], list[list[int]]]:
        """Give the texts that fit, and their token ids."""
        encodings = self._tokenizer.encode_batch([self._prompt + text for text in texts])
        fitting = [(text, e.ids) for text, e in zip(texts, encodings, strict=True) if len(e.ids) <= longest]
        return [text for text, _ in fitting], [ids for _, ids in fitting]

    def run(self, ids: Rows, mask: Rows) -> npt.NDArray[np.float32]:
        """Give the embeddings; a warning of numpy's is an error."""
        return self._session.run(["sentence_embedding"], {"input_ids": ids, "attention_mask": mask})[0]  # type: ignore[no-any-return]


def padded(rows: list[list[int]], texts: int, tokens: int, *, first: int = 1) -> tuple[Rows, Rows]:
    """Pad to a bucket; rows without a text have `first` in the mask of their first token, and 0 elsewhere."""
    ids, mask = np.zeros((texts, tokens), np.int32), np.zeros((texts, tokens), np.int32)
    ids[:, 0], mask[:, 0] = LIKE_ONE_TOKEN, first
    for row, own in enumerate(rows):
        ids[row, : len(own)], mask[row, : len(own)] = own, 1
    return ids, mask


@pytest.fixture(scope="module", params=list(BODIES))
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Graph, TorchOracle]:
    folder = tmp_path_factory.mktemp("fp16")
    checkpoint = read_checkpoint(make_checkpoint(folder, make_body(folder, **BODIES[request.param]), ("no", "yes")))
    return Graph(checkpoint), TorchOracle(checkpoint)


def test_every_node_has_a_cuda_kernel(pair: tuple[Graph, TorchOracle]) -> None:
    assert list(problems(pair[0].model)) == []


def test_a_silu_becomes_a_quick_gelu_at_load(pair: tuple[Graph, TorchOracle], tmp_path: Path) -> None:
    """The one operator that a padded graph gets from onnxruntime on CUDA, and so the one to look up besides its own.

    The CPU provider shows this fusion; what else it fuses, or takes apart for want of a float16 kernel, is its own.
    """
    written = pair[0].model
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath, options.log_severity_level = str(tmp_path / "loaded.onnx"), 3

    onnxruntime.InferenceSession(written.SerializeToString(), options, providers=["CPUExecutionProvider"])

    loaded = [node.op_type for node in onnx.load(tmp_path / "loaded.onnx").graph.node]
    gates = {node.output[0]: node.input[0] for node in written.graph.node if node.op_type == "Sigmoid"}
    silus = [
        node
        for node in written.graph.node
        if node.op_type == "Mul" and any(gates.get(name) in node.input for name in node.input)
    ]
    assert loaded.count("QuickGelu") == len(silus)


@pytest.mark.parametrize("dtype", [TensorProto.FLOAT16, TensorProto.FLOAT], ids=["encoder", "modules"])
def test_a_quick_gelu_has_a_cuda_kernel(dtype: int) -> None:
    node = helper.make_node("QuickGelu", ["x"], ["y"], "n", domain="com.microsoft")

    assert list(problems(small_graph(node, dtype=dtype))) == []


def test_onnxruntime_gpu_takes_its_versions(pair: tuple[Graph, TorchOracle]) -> None:
    model = pair[0].model

    assert model.ir_version == 10
    assert {opset.domain: opset.version for opset in model.opset_import} == {"": 20, "com.microsoft": 1}
    assert {value.name: value.type.tensor_type.elem_type for value in model.graph.input} == {
        "input_ids": TensorProto.INT32,
        "attention_mask": TensorProto.INT32,
    }


@pytest.mark.parametrize(("texts", "tokens"), BUCKETS, ids=str)
def test_a_padded_bucket_has_torchs_embeddings(pair: tuple[Graph, TorchOracle], texts: int, tokens: int) -> None:
    graph, oracle = pair
    fitting, rows = graph.tokenize(list(TEXTS), tokens)
    expected = oracle.answer(fitting, batch_size=len(fitting)).embeddings

    found = graph.run(*padded(rows, texts, tokens))

    unit = np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(found[: len(rows)] / unit, expected / unit, rtol=0, atol=TOLERANCE)


def test_padding_changes_nothing_but_rounding(pair: tuple[Graph, TorchOracle]) -> None:
    graph, _ = pair
    _, rows = graph.tokenize(list(TEXTS), 16)

    alone = np.concatenate([graph.run(*padded([own], 1, len(own))) for own in rows])
    together = graph.run(*padded(rows, len(rows) + 3, 48))

    unit = np.linalg.norm(alone, axis=1, keepdims=True)
    np.testing.assert_allclose(together[: len(rows)] / unit, alone / unit, rtol=0, atol=PADDING_TOLERANCE)


def test_rows_of_padding_alone_do_not_reach_the_others(pair: tuple[Graph, TorchOracle]) -> None:
    """The runtime's own have one token; those of another program may have none."""
    graph, _ = pair
    _, rows = graph.tokenize(list(TEXTS), 16)

    with_one = graph.run(*padded(rows, len(rows) + 3, 16))
    with_none = graph.run(*padded(rows, len(rows) + 3, 16, first=0))

    np.testing.assert_array_equal(with_one[: len(rows)], with_none[: len(rows)])


@pytest.mark.parametrize("family", FAMILIES)
def test_an_attention_is_one_operator_and_the_last_layer_of_cls_pooling_goes_on_with_one_token(
    tmp_path: Path, family: str
) -> None:
    body = make_body(tmp_path, family=family, pooling="cls")
    checkpoint = read_checkpoint(make_checkpoint(tmp_path, body, ("no", "yes")))

    model = fuse(checkpoint, Precision.FP16, 1)

    operators = [node.op_type for node in model.graph.node]
    layers = operators.count("Attention")
    assert operators.count("EmbedLayerNormalization") == 1
    assert operators.count("SkipLayerNormalization") == 2 * layers
    assert operators.count("BiasGelu") == layers
    model.graph.output.append(onnx.ValueInfoProto(name=f"layer.{layers - 1}.attention.norm"))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    ids = np.ones((3, 7), dtype=np.int32)
    (last,) = session.run([f"layer.{layers - 1}.attention.norm"], {"input_ids": ids, "attention_mask": ids})
    assert last.shape == (3, 1, 32)


def test_element_types_are_those_that_onnxruntime_infers(tmp_path: Path) -> None:
    body = make_body(tmp_path, family="mpnet", pooling=("cls", "max", "mean", "lasttoken"))
    model = fuse(read_checkpoint(make_checkpoint(tmp_path, body, ("no", "yes"))), Precision.FP16, 1)
    values = [name for node in model.graph.node for name in node.output if name]
    known = {value.name for value in model.graph.output}
    found = element_types(model.graph)

    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in values if name not in known)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])

    assert {value.name: value.type for value in session.get_outputs()} == {name: found[name] for name in values}


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """A checkpoint whose embeddings are as wide as those that the heads are fitted to."""
    folder = tmp_path_factory.mktemp("narrow")
    body = make_body(folder, modules=(Dense(32, heads.WIDTH),))
    return read_checkpoint(make_checkpoint(folder, body, ("no", "yes")))


def with_head(checkpoint: Checkpoint, folder: Path, estimator: object) -> Checkpoint:
    head = heads.read(folder, estimator)
    return dataclasses.replace(checkpoint, head=head, labels=tuple(map(str, head.classes)))


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("kind", heads.LINEAR)
def test_every_linear_head_has_cuda_kernels(narrow: Checkpoint, tmp_path: Path, kind: str, classes: int) -> None:
    checkpoint = with_head(narrow, tmp_path, heads.fitted(heads.LINEAR[kind], classes))

    assert list(problems(fuse(checkpoint, Precision.FP16, 1))) == []


@pytest.mark.parametrize(
    ("kinds", "kind"),
    [("CONVERTED", kind) for kind in heads.CONVERTED] + [("MULTI_LABEL", kind) for kind in heads.MULTI_LABEL],
)
def test_any_other_head_has_cuda_kernels_or_is_refused(
    narrow: Checkpoint, tmp_path: Path, kinds: str, kind: str
) -> None:
    make = getattr(heads, kinds)[kind]
    estimator = heads.fitted_multi_label(make) if kinds == "MULTI_LABEL" else heads.fitted(make, 3)
    checkpoint = with_head(narrow, tmp_path, estimator)
    plain = not any(name in kind for name in ("Forest", "Tree", "Boosting", "Neighbors", "SVC", "Extra")) or (
        "LinearSVC" in kind
    )

    if plain:
        assert list(problems(fuse(checkpoint, Precision.FP16, 1))) == []
    else:
        with pytest.raises(UnsupportedCheckpoint, match=r"a head of plain operators for fp16, found .*CUDA kernel"):
            fuse(checkpoint, Precision.FP16, 1)


def test_the_table_has_every_operator_that_it_is_asked_for() -> None:
    listed = {(domain, operator) for domain, names in OPERATORS.items() for operator in names.split()}

    assert set(read_kernels()) == listed
    assert "onnxruntime-gpu 1.31.1" in json.loads(PATH.read_text())["source"]


@pytest.mark.skipif(
    "CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="this package lists CUDA kernels"
)
def test_the_table_is_not_written_without_cuda_kernels() -> None:
    before = PATH.read_bytes()

    with pytest.raises(SystemExit, match="onnxruntime lists no CUDA kernels"):
        main()
    assert PATH.read_bytes() == before


def test_the_layout_needs_a_mask(narrow: Checkpoint) -> None:
    assert isinstance(narrow.encoder, Encoder)

    with pytest.raises(ValueError, match="attention_mask: expected a mask for the fp16 layout, got none"):
        add_encoder(GraphBuilder(), Fp16Layout(), narrow.encoder, "input_ids", None, cls_only=False)


def small_graph(*nodes: onnx.NodeProto, dtype: int = TensorProto.FLOAT16) -> onnx.ModelProto:
    """A graph of `x` (batch, 4) and a few constants."""
    constants = {
        name: onnx.numpy_helper.from_array(value, name)
        for name, value in (
            ("four", np.zeros(4, helper.tensor_dtype_to_np_dtype(dtype))),
            ("axis", np.array([1], np.int64)),
        )
    }
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", dtype, ("batch", 4))],
        [onnx.ValueInfoProto(name="y")],
        list(constants.values()),
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])


FLOAT64, FLOAT16 = TensorProto.DOUBLE, TensorProto.FLOAT16


@pytest.mark.parametrize(
    ("nodes", "dtype", "problem"),
    [
        ([helper.make_node("Mean", ["x", "x"], ["y"], "n")], FLOAT16, "n: no CUDA kernel of Mean"),
        (
            [helper.make_node("SkipLayerNormalization", ["x", "x", "four"], ["y"], "n", domain="com.microsoft")],
            FLOAT64,
            "n: no CUDA kernel of com.microsoft.SkipLayerNormalization for ['tensor(double)'",
        ),
        ([helper.make_node("ArgMax", ["x"], ["y"], "n", select_last_index=1)], FLOAT16, "select_last_index=1 runs on"),
        (
            [helper.make_node("Shape", ["x"], ["s"]), helper.make_node("Add", ["s", "axis"], ["y"], "n")],
            FLOAT16,
            "n: Add computes with a shape",
        ),
        ([helper.make_node("If", ["x"], ["y"], "n")], FLOAT16, "n: If runs a graph of its own"),
    ],
    ids=["operator", "type", "attribute", "shape", "control flow"],
)
def test_the_check_of_kernels_can_fail(nodes: list[onnx.NodeProto], dtype: int, problem: str) -> None:
    (found,) = problems(small_graph(*nodes, dtype=dtype))

    assert problem in found
