"""`inspect`: counts that can be worked out by hand, of our graphs and of other people's, and the picture."""

import json
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from setfuse.export import GraphError, GraphInspection, Inspection, export, inspect
from setfuse.export._inspect._cost import _of_product
from setfuse.export._inspect._parts import ModelPart, layer_of, part_of
from setfuse.export._inspect._picture import blocks_of, draw
from setfuse.runtime import BundleNotFound, UsageError
from tests.models import DATA, make_body, make_checkpoint

HIDDEN, INNER, LAYERS, LABELS = 32, 64, 2, 3
LINEARS = LAYERS * (4 * HIDDEN * HIDDEN + 2 * HIDDEN * INNER)


@pytest.fixture(scope="module")
def bundle(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inspect") / "bundle"
    export(tiny_checkpoint, folder, ("fp32", "int8"))
    return folder


@pytest.fixture(scope="module")
def inspection(bundle: Path) -> Inspection:
    return inspect(bundle)


@pytest.fixture(scope="module")
def traced() -> GraphInspection:
    return inspect(DATA / "setfit_export" / "model.onnx").graphs[0]


def test_every_variant_of_a_bundle_is_there_or_the_one_asked_for(bundle: Path, inspection: Inspection) -> None:
    assert [graph.variant for graph in inspection.graphs] == ["fp32/cpu", "int8/cpu"]
    for name in ("int8", "int8/cpu", "model.int8.onnx"):
        assert inspect(bundle, variant=name).graphs == inspection.graphs[1:]
    with pytest.raises(UsageError, match="expected one of fp32/cpu, int8/cpu, got 'fp16'"):
        inspect(bundle, variant="fp16")


def test_operators_are_counted_as_written_and_as_run(inspection: Inspection) -> None:
    fp32, int8 = inspection.graphs
    assert fp32.operators["LayerNormalization"] == 1 + 2 * LAYERS
    assert fp32.operators["MatMul"] == 6 * LAYERS
    assert fp32.operators_run is not None
    assert int8.operators_run is not None
    assert fp32.operators_run["com.microsoft.BiasGelu"] == LAYERS
    assert int8.operators_run["com.microsoft.MatMulIntegerToFloat"] == 4 * LAYERS
    assert "DequantizeLinear" in int8.operators
    assert "DequantizeLinear" not in int8.operators_run


def test_bytes_add_up_and_go_to_the_parts_they_belong_to(inspection: Inspection) -> None:
    fp32, int8 = inspection.graphs
    vocabulary, positions = 185, 64
    parts = fp32.bytes_by_part
    assert sum(parts.values()) == sum(fp32.dtypes.values())
    assert 0 <= parts[ModelPart.EMBEDDINGS] - 4 * HIDDEN * (vocabulary + positions + 2) < 64
    assert 0 <= parts[ModelPart.FEED_FORWARD] - 4 * LAYERS * (2 * HIDDEN * INNER + HIDDEN + INNER) < 64
    assert parts[ModelPart.NORMS] == 4 * LAYERS * 4 * HIDDEN
    assert parts[ModelPart.HEAD] == 4 * (HIDDEN + 1) * LABELS
    assert ModelPart.OTHER not in parts
    assert int8.dtypes["int8"] > int8.dtypes["float"]


def test_multiply_adds_are_those_of_the_formula(inspection: Inspection) -> None:
    for graph in inspection.graphs:
        cost = graph.multiply_adds
        assert cost is not None
        assert (cost.per_text, cost.per_token, cost.per_pair) == (HIDDEN * LABELS, LINEARS, 2 * LAYERS * HIDDEN)
        assert cost.of(10) == HIDDEN * LABELS + 10 * LINEARS + 100 * 2 * LAYERS * HIDDEN
        assert graph.lengths == (16, 48)


def test_a_last_layer_for_the_first_token_alone_costs_less(tmp_path: Path) -> None:
    checkpoint = make_checkpoint(tmp_path, make_body(tmp_path, pooling="cls"), ("no", "yes"))
    export(checkpoint, tmp_path / "bundle")

    graph = inspect(tmp_path / "bundle").graphs[0]

    cost = graph.multiply_adds
    assert cost is not None
    pruned = 2 * HIDDEN * HIDDEN + 2 * HIDDEN * INNER  # query, output and feed-forward of one layer
    assert cost.per_token == LINEARS - pruned + 2 * HIDDEN
    assert cost.per_text >= pruned
    titles = [block.title for block in blocks_of(graph)]
    assert "layer 1 of 2" in titles
    assert "layer 2 of 2" in titles


def test_fused_operators_count_for_what_they_compute(tmp_path: Path, inspection: Inspection) -> None:
    """The operators of the fp16 graph hold the attention's products: no multiply-add may be lost."""
    checkpoint = make_checkpoint(tmp_path, make_body(tmp_path), ("late", "lost", "refund"))
    export(checkpoint, tmp_path / "bundle", ("fp16",))

    graph = inspect(tmp_path / "bundle").graphs[0]

    assert graph.operators["com.microsoft.Attention"] == LAYERS
    assert graph.operators["com.microsoft.SkipLayerNormalization"] == 2 * LAYERS
    assert graph.operators["com.microsoft.BiasGelu"] == LAYERS
    assert graph.multiply_adds == inspection.graphs[0].multiply_adds
    assert ModelPart.OTHER not in graph.bytes_by_part


def test_an_attention_with_its_linears_inside_counts_for_both() -> None:
    batch, tokens = 2, 5
    node = helper.make_node("Attention", ["x", "weight", "bias"], ["y"], domain="com.microsoft", num_heads=4)
    shapes = {"x": (batch, tokens, HIDDEN), "weight": (HIDDEN, 3 * HIDDEN), "y": (batch, tokens, HIDDEN)}

    linears, products = 3 * tokens * HIDDEN * HIDDEN, 2 * tokens * tokens * HIDDEN
    assert _of_product(node, shapes) == batch * (linears + products)


def test_shared_weights_count_once_and_their_multiply_adds_for_every_use(tmp_path: Path) -> None:
    """ALBERT: twelve layers with the weights of four, on embeddings of half the width."""
    checkpoint = make_checkpoint(tmp_path, make_body(tmp_path, family="albert"), ("late", "lost", "refund"))
    export(checkpoint, tmp_path / "bundle", ("fp32",))

    graph = inspect(tmp_path / "bundle").graphs[0]

    layers, own, projection = 12, 4, HIDDEN // 2 * HIDDEN
    cost = graph.multiply_adds
    assert cost is not None
    assert cost.per_token == layers * LINEARS // LAYERS + projection
    assert cost.per_pair == layers * 2 * HIDDEN
    inner = graph.bytes_by_part[ModelPart.FEED_FORWARD]
    assert 0 <= inner - 4 * own * (2 * HIDDEN * INNER + HIDDEN + INNER) < 64
    block = next(block for block in blocks_of(graph) if block.title.startswith("layers"))
    assert block.title == "layers 1 to 12: 12 alike, with shared weights, operators of one of them"
    assert sum(row.multiply_adds.per_token for row in block.rows) == cost.per_token - projection
    assert {row.part: row.bytes for row in block.rows}[ModelPart.FEED_FORWARD] == inner


def test_a_loop_is_looked_into(tmp_path: Path) -> None:
    """A graph that takes strings has tokenizer and model inside a loop over the texts."""
    weight = numpy_helper.from_array(np.zeros((8, 8), np.float32), "text.layer.0.attention.query.weight")
    product = "text.layer.0.attention.query"
    body = helper.make_graph(
        [
            helper.make_node("BertTokenizer", ["text"], ["text.ids"], "text.ids", domain="x", vocab_file="a\nb\nc"),
            helper.make_node("MatMul", ["text.ids", weight.name], [product], product),
            helper.make_node("Identity", ["turn.go_on"], ["turn.still"], "turn.still"),
        ],
        "turn.body",
        [helper.make_tensor_value_info(name, kind, []) for name, kind in (("turn", 7), ("turn.go_on", 9))],
        [helper.make_tensor_value_info("turn.still", 9, []), helper.make_tensor_value_info(product, 1, None)],
        [weight],
    )
    loop = helper.make_node("Loop", ["text.count", ""], ["probabilities"], "probabilities", body=body)
    shape = helper.make_node("Size", ["text"], ["text.count"], "text.count")
    text = helper.make_tensor_value_info("text", TensorProto.STRING, ["batch"])
    graph = helper.make_graph([shape, loop], "g", [text], [helper.make_tensor_value_info("probabilities", 1, None)])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("x", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), tmp_path / "m.onnx")

    found = inspect(tmp_path / "m.onnx").graphs[0]

    assert found.operators == {"Identity": 1, "Loop": 1, "MatMul": 1, "Size": 1, "x.BertTokenizer": 1}
    assert found.bytes_by_part == {ModelPart.TOKENIZER: 5, ModelPart.ATTENTION: 4 * 64}
    assert found.dtypes == {"float": 256}
    assert {section.layer for section in found.sections if section.part is ModelPart.ATTENTION} == {0}
    assert found.multiply_adds is None
    assert "tokenizer" in draw(Inspection("m.onnx", (found,)))


def test_a_graph_with_the_tokenizer_inside_costs_what_the_one_it_repeats_does(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime_extensions")
    export(tiny_checkpoint, tmp_path / "bundle", ("int8",), strings_in=True)

    int8, strings = inspect(tmp_path / "bundle").graphs

    assert strings.multiply_adds == int8.multiply_adds
    assert strings.operators_run is not None
    assert strings.operators_run["ai.onnx.contrib.BertTokenizer"] == 1
    assert strings.dtypes["int8"] == int8.dtypes["int8"]
    assert strings.dtypes["string"] == len("".join(json.loads(int8.metadata["setfuse.labels"])))
    assert strings.bytes_by_part[ModelPart.FEED_FORWARD] == int8.bytes_by_part[ModelPart.FEED_FORWARD]
    assert ModelPart.OTHER not in strings.bytes_by_part
    assert blocks_of(strings)[-1].title == "loop over the texts"

    monkeypatch.setitem(sys.modules, "onnxruntime_extensions", None)
    alone = inspect(tmp_path / "bundle" / "model.strings.onnx").graphs[0]
    assert alone.operators_run is None
    assert alone.refusal.startswith("not known: the tokenizer inside needs onnxruntime-extensions; pip install")
    assert alone.sections[0].bytes == strings.sections[0].bytes > 0


def test_another_exporters_trace_has_parts_too(traced: GraphInspection) -> None:
    """Its linears' weights are called `onnx::MatMul_387`, and its head is an operator of ai.onnx.ml."""
    assert traced.operators["ai.onnx.ml.LinearClassifier"] == 1
    assert traced.multiply_adds is not None
    assert traced.multiply_adds.per_token == LINEARS
    assert traced.multiply_adds.per_text == HIDDEN * LABELS
    parts = traced.bytes_by_part
    assert parts[ModelPart.FEED_FORWARD] >= 4 * LAYERS * 2 * HIDDEN * INNER
    assert parts[ModelPart.ATTENTION] >= 4 * LAYERS * 4 * HIDDEN * HIDDEN
    assert parts[ModelPart.HEAD] == 4 * (HIDDEN + 1) * LABELS
    assert {section.layer for section in traced.sections} == {None, 0, 1}
    assert traced.variant == ""
    assert traced.opsets == {"ai.onnx": 17, "ai.onnx.ml": 1}


@pytest.mark.parametrize(
    ("name", "part", "layer"),
    [
        ("embeddings.words.table", ModelPart.EMBEDDINGS, None),
        ("layer.3.attention.query_key_value.weight", ModelPart.ATTENTION, 3),
        ("layer.11.intermediate.weight.quantized", ModelPart.FEED_FORWARD, 11),
        ("layer.0.output.bias", ModelPart.FEED_FORWARD, 0),
        ("layer.0.attention.norm.weight", ModelPart.NORMS, 0),
        ("normalize.at_least", ModelPart.MODULES, None),
        ("module.3.at_least", ModelPart.MODULES, None),
        ("module.4", ModelPart.MODULES, None),
        ("module.2.activation", ModelPart.MODULES, None),
        ("pooled", ModelPart.POOLING, None),
        ("pooled.weightedmean", ModelPart.POOLING, None),
        ("pooling.after_prompt.table", ModelPart.POOLING, None),
        ("tokens", ModelPart.POOLING, None),
        ("relative_bias.table", ModelPart.ATTENTION, None),
        ("relative_bias.heads", ModelPart.ATTENTION, None),
        ("attention_bias", ModelPart.ATTENTION, None),
        ("pairs.batch", ModelPart.ATTENTION, None),
        ("embeddings.projection.weight", ModelPart.EMBEDDINGS, None),
        ("embeddings.padding_id", ModelPart.EMBEDDINGS, None),
        ("traced_inputs.positions", ModelPart.EMBEDDINGS, None),
        ("traced.embeddings.word_embeddings.weight", ModelPart.EMBEDDINGS, None),
        ("traced./encoder/layer.3/attention/self/MatMul", ModelPart.ATTENTION, 3),
        ("text", ModelPart.TOKENIZER, None),
        ("text.ids.row", ModelPart.TOKENIZER, None),
        ("prompt", ModelPart.TOKENIZER, None),
        ("text.layer.1.attention.query_key_value.weight", ModelPart.ATTENTION, 1),
        ("text.pooled.cls", ModelPart.POOLING, None),
        ("text.module.2.length", ModelPart.MODULES, None),
        ("text.head.coef", ModelPart.HEAD, None),
        ("label.number", ModelPart.HEAD, None),
        ("head.0.answer", ModelPart.HEAD, None),
        ("head.inner.trees", ModelPart.HEAD, None),
        ("decision_scores", ModelPart.HEAD, None),
        ("head.coef", ModelPart.HEAD, None),
        ("module.2.linear.weight", ModelPart.MODULES, None),
        ("/model_body/encoder/layer.5/attention/output/dense/MatMul", ModelPart.ATTENTION, 5),
        ("distilbert.transformer.layer.4.ffn.lin1.bias", ModelPart.FEED_FORWARD, 4),
        ("mpnet.encoder.layer.2.attention.attn.q.weight", ModelPart.ATTENTION, 2),
        ("onnx::MatMul_387", ModelPart.OTHER, None),
        ("", ModelPart.OTHER, None),
    ],
)
def test_names_tell_the_part(name: str, part: ModelPart, layer: int | None) -> None:
    assert part_of(name) is part
    assert layer_of(name) == layer


def test_a_graph_of_another_kind_is_described_as_far_as_it_can_be(tmp_path: Path) -> None:
    """No token ids, an operator that onnxruntime does not have: no multiply-adds, no graph as run, and no failure."""
    node = helper.make_node("NoSuchOperator", ["pixels", "w"], ["y"], domain="example.org")
    value = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["b", 3, 8, 8])
    weight = numpy_helper.from_array(np.zeros((5, 7), np.float16), "w")
    graph = helper.make_graph([node], "g", [value], [helper.make_tensor_value_info("y", 1, None)], [weight])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("example.org", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), tmp_path / "m.onnx")

    found = inspect(tmp_path / "m.onnx").graphs[0]

    assert found.operators == {"example.org.NoSuchOperator": 1}
    assert found.operators_run is None
    assert "onnxruntime refuses" in found.refusal
    assert found.multiply_adds is None
    assert found.bytes_by_part == {ModelPart.OTHER: 70}
    assert found.dtypes == {"float16": 70}
    assert "NoSuchOperator" in draw(Inspection("m.onnx", (found,)))


@pytest.mark.parametrize("content", [None, b"", b"no graph"], ids=["missing", "empty", "text"])
def test_what_is_not_onnx_is_refused(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "m.onnx").write_bytes(content)

    with pytest.raises(GraphError, match="expected an ONNX file"):
        inspect(tmp_path / "m.onnx")


def test_a_folder_without_a_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleNotFound):
        inspect(tmp_path)


def test_a_single_file_has_no_variants(bundle: Path) -> None:
    with pytest.raises(UsageError, match="expected none for the single file"):
        inspect(bundle / "model.onnx", variant="fp32")


def test_the_picture_is_one_svg_with_a_block_for_layers_that_are_alike(inspection: Inspection) -> None:
    picture = draw(inspection)

    root = ET.fromstring(picture)  # noqa: S314 - our own
    texts = [element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert sum("layers 1 to 2: 2 alike" in text for text in texts) == len(inspection.graphs)
    assert {"embeddings", "attention", "feed-forward", "head"} <= set(texts)
    assert "prefers-color-scheme: dark" in picture
    assert "href" not in picture


def test_blocks_are_named_after_what_is_in_them(inspection: Inspection, tmp_path: Path) -> None:
    fp32, int8 = (
        [block.title for block in blocks_of(graph) if not block.title.startswith("layers")]
        for graph in inspection.graphs
    )
    assert fp32 == ["embeddings", "mask", "pooling", "normalize", "head"]
    assert int8 == ["embeddings", "pooling", "normalize", "head"]  # it takes no mask

    export(make_checkpoint(tmp_path, make_body(tmp_path, family="mpnet"), ("no", "yes")), tmp_path / "bundle")
    fp32, int8 = ([block.title for block in blocks_of(graph)] for graph in inspect(tmp_path / "bundle").graphs)
    assert fp32[1] == "mask and positions"
    assert int8[1] == "positions"


def test_titles_and_numbers_stand_apart(inspection: Inspection, traced: GraphInspection) -> None:
    """A letter of a title is eight units wide at most, on average, and its number stands 212 to the right of it."""
    titles = [
        block.title for graph in (*inspection.graphs, traced) for block in blocks_of(graph) if len(block.rows) == 1
    ]
    assert max(map(len, [*titles, *ModelPart])) * 8 <= 212


def test_names_cannot_break_the_picture(inspection: Inspection) -> None:
    graph = inspection.graphs[0]
    odd = Inspection('a"><script>\x00', (graph,))

    root = ET.fromstring(draw(odd))  # noqa: S314 - our own

    assert root.get("aria-label") == 'The graphs of a"><script>'


def test_the_json_holds_what_the_text_says(inspection: Inspection) -> None:
    value = json.loads(json.dumps(inspection.to_json()))

    assert value["graphs"][0]["multiply_adds_at"].keys() == {"16", "48"}
    assert value["graphs"][0]["bytes_by_part"]["head"] == 4 * (HIDDEN + 1) * LABELS
