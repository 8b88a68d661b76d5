"""`check`: right graphs of anybody's are found right, and each fault is named by the one sentence that fits."""

import re
import shutil
from pathlib import Path

import onnx
import pytest
import tokenizers
from onnx import TensorProto, helper
from onnxruntime.quantization import QuantType, quantize_dynamic

from setfuse.export import CheckReport, GraphError, check, export
from setfuse.runtime import UsageError
from tests.faulty_graphs import Fault, write_faulty
from tests.models import DATA, TEXTS, make_body, make_checkpoint

CHECKED = (*(text for text in TEXTS if text), "where is it", "the parcel is late " * 6, "the app crashes " * 30)
SETFIT = DATA / "setfit_export"

FAULTS = {
    "nothing": ("mean", Fault(), set()),
    "nothing, by CLS": ("cls", Fault(), set()),
    "no Normalize": ("mean", Fault(normalize=False), {"normalize_missing"}),
    "a Normalize too many": ("cls", Fault(normalize=True), {"normalize_extra"}),
    "mean for CLS": ("cls", Fault(pooling="mean"), {"pooling_mean"}),
    "CLS for mean": ("mean", Fault(pooling="cls"), {"pooling_cls"}),
    "max for mean": ("mean", Fault(pooling="max"), {"pooling_max"}),
    "last token for CLS": ("cls", Fault(pooling="lasttoken"), {"pooling_lasttoken"}),
    "two faults": ("mean", Fault(pooling="cls", normalize=False), {"pooling_cls", "normalize_missing"}),
    "padding counted": ("mean", Fault(pools_padding=True), {"padding_counted"}),
    "padding attended": ("mean", Fault(attends_padding=True), {"padding_attended"}),
    "mask ignored": ("mean", Fault(attends_padding=True, pools_padding=True), {"mask_ignored"}),
    "mask ignored, no Normalize": (
        "mean",
        Fault(attends_padding=True, pools_padding=True, normalize=False),
        {"mask_ignored", "normalize_missing"},
    ),
    "mask and types swapped": ("mean", Fault(order=(0, 2, 1)), {"inputs_swapped"}),
    "ids and mask swapped": ("mean", Fault(order=(1, 0, 2)), {"inputs_swapped"}),
    "the first 20 tokens": ("mean", Fault(reads=20), {"max_length"}),
    "labels permuted": ("mean", Fault(columns=(2, 0, 1)), {"labels_permuted"}),
    "two labels permuted": ("cls", Fault(columns=(1, 0)), {"labels_permuted"}),
    "logits": ("mean", Fault(scores="logits"), {"softmax_missing"}),
    "sigmoid for softmax": ("mean", Fault(scores="sigmoid"), {"sigmoid_for_softmax"}),
    "softmax twice": ("mean", Fault(scores="softmax twice"), {"softmax_twice"}),
    "another head": ("mean", Fault(head_noise=1.0), {"other_head"}),
    "another body": ("mean", Fault(body_noise=0.3), {"other_body"}),
    "float16": ("mean", Fault(half=True), {"float16"}),
}


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    mean, cls = (tmp_path_factory.mktemp(name) for name in ("mean", "cls"))
    return {
        "mean": make_checkpoint(mean, make_body(mean), ("late", "lost", "refund")),
        "cls": make_checkpoint(cls, make_body(cls, pooling="cls", normalize=False), ("no", "yes"), scale=0.01),
    }


@pytest.fixture(scope="module")
def right(checkpoints: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_faulty(tmp_path_factory.mktemp("right") / "model.onnx", checkpoints["mean"], Fault())


def names(report: CheckReport) -> set[str]:
    return {reason.name for reason in report.reasons}


@pytest.mark.parametrize(("kind", "fault", "expected"), FAULTS.values(), ids=FAULTS)
def test_each_fault_is_named_and_no_other(
    kind: str, fault: Fault, expected: set[str], checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    report = check(write_faulty(tmp_path / "m.onnx", checkpoints[kind], fault), checkpoints[kind], texts=CHECKED)

    assert names(report) == expected
    assert report.equal is not bool(expected)
    assert [output.role for output in report.outputs] == ["scores"]


def test_the_graph_of_setfits_own_exporter_lacks_normalize() -> None:
    report = check(SETFIT / "model.onnx", SETFIT / "checkpoint", texts=CHECKED)

    assert not report.equal
    assert names(report) == {"normalize_missing"}
    assert report.fitting_tolerance is None
    assert {output.name: str(output.role) for output in report.outputs} == {
        "probabilities": "scores",
        "label": "labels",
    }


def test_our_own_graphs_are_right(tiny_checkpoint: Path, tiny_bundle: Path) -> None:
    report = check(tiny_bundle / "model.onnx", tiny_checkpoint, texts=CHECKED)

    assert report.equal
    assert [output.role for output in report.outputs] == ["scores", "embedding"]
    assert max(output.max_difference for output in report.outputs) < 1e-5
    assert report.outputs[0].label_agreement == 1


def test_our_int8_graph_is_rounded_and_equal_within_its_tolerance(tiny_checkpoint: Path, tmp_path: Path) -> None:
    export(tiny_checkpoint, tmp_path / "bundle", ("int8",))
    graph = tmp_path / "bundle" / "model.int8.onnx"

    strict = check(graph, tiny_checkpoint, texts=CHECKED)
    fitting = strict.fitting_tolerance
    assert fitting is not None
    wide, narrow = (check(graph, tiny_checkpoint, texts=CHECKED, tolerance=x) for x in (fitting, fitting / 2.1))

    assert names(strict) == {"int8"}
    assert wide.equal
    assert not narrow.equal
    assert "no mask" in wide.notes[0]


def test_dynamic_int8_is_named_with_what_it_does_to_batches(
    checkpoints: dict[str, Path], right: Path, tmp_path: Path
) -> None:
    quantize_dynamic(right, tmp_path / "m.onnx", weight_type=QuantType.QInt8)

    report = check(tmp_path / "m.onnx", checkpoints["mean"], texts=CHECKED)

    assert names(report) == {"dynamic_int8"}
    assert "depends on its batch" in report.reasons[0].sentence


@pytest.mark.parametrize(
    ("outputs", "roles"),
    [
        (("sentence_embedding",), {"embedding"}),
        (("last_hidden_state",), {"token embeddings"}),
        (("last_hidden_state", "sentence_embedding"), {"embedding"}),
        (("labels",), {"labels"}),
        (("labels", "probabilities"), {"scores", "labels"}),
    ],
    ids=str,
)
def test_a_graph_is_judged_on_what_it_puts_out(
    outputs: tuple[str, ...], roles: set[str], checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    graph = write_faulty(tmp_path / "m.onnx", checkpoints["mean"], Fault(outputs=outputs))

    report = check(graph, checkpoints["mean"], texts=CHECKED)

    assert report.equal
    assert {str(output.role) for output in report.outputs} == roles


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault(outputs=("sentence_embedding",), normalize=False), {"normalize_missing"}),
        (Fault(outputs=("sentence_embedding",), body_noise=0.3), {"other_body"}),
        (Fault(outputs=("last_hidden_state",), body_noise=0.3), {"other_body"}),
        (Fault(outputs=("last_hidden_state",), order=(0, 2, 1)), {"inputs_swapped"}),
        (Fault(outputs=("probabilities", "sentence_embedding"), pooling="cls"), {"pooling_cls"}),
    ],
    ids=["no Normalize", "another body", "another body's tokens", "swapped", "both outputs"],
)
def test_faults_show_in_embeddings_too(
    fault: Fault, expected: set[str], checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    report = check(write_faulty(tmp_path / "m.onnx", checkpoints["mean"], fault), checkpoints["mean"], texts=CHECKED)

    assert names(report) == expected


def test_inputs_without_a_known_name_are_tried_out(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    fault = Fault(names=("x1", "x2", "x3"), order=(2, 0, 1))

    report = check(write_faulty(tmp_path / "m.onnx", checkpoints["mean"], fault), checkpoints["mean"], texts=CHECKED)

    assert report.equal
    assert not report.inputs_by_name
    assert report.inputs == {"x3": "token ids", "x1": "mask", "x2": "token types"}


def test_the_sentences_name_what_was_found(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    permuted, cut, swapped = (
        check(write_faulty(tmp_path / "m.onnx", checkpoints["mean"], fault), checkpoints["mean"], texts=CHECKED)
        for fault in (Fault(columns=(2, 0, 1)), Fault(reads=20), Fault(order=(0, 2, 1)))
    )

    assert "refund, late, lost" in permuted.reasons[0].sentence
    assert "first 20 tokens" in cut.reasons[0].sentence
    assert "'attention_mask' is used as the token types" in swapped.reasons[0].sentence


def test_a_length_of_its_own_is_found_out(checkpoints: dict[str, Path], right: Path) -> None:
    report = check(right, checkpoints["mean"], texts=CHECKED, max_length=16)

    assert names(report) == {"max_length"}
    assert "cut at 16 tokens" in report.reasons[0].sentence
    assert report.outputs[0].worst_text.startswith("the")


def test_a_tokenizer_that_does_not_lower_case_is_found_out(
    checkpoints: dict[str, Path], right: Path, tmp_path: Path
) -> None:
    definition = (checkpoints["mean"] / "tokenizer.json").read_text(encoding="utf-8")
    cased = re.sub(r'"lowercase": ?true', '"lowercase":false', definition)
    assert cased != definition
    (tmp_path / "tokenizer.json").write_text(cased, encoding="utf-8")
    texts = [*CHECKED, "WHERE is My Parcel"]

    report = check(right, checkpoints["mean"], texts=texts, tokenizer=tmp_path / "tokenizer.json")

    assert names(report) == {"lower_casing"}


def test_another_vocabulary_is_another_tokenizer(checkpoints: dict[str, Path], right: Path, tmp_path: Path) -> None:
    tokenizer = tokenizers.Tokenizer.from_file(str(checkpoints["mean"] / "tokenizer.json"))
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(single="$A")
    tokenizer.save(str(tmp_path / "tokenizer.json"))

    report = check(right, checkpoints["mean"], texts=CHECKED, tokenizer=tmp_path / "tokenizer.json")

    assert names(report) == {"tokenizer"}


def test_a_text_that_the_graph_cannot_take_is_a_difference(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    """Its position table is shorter than the checkpoint's longest text."""
    model = onnx.load(write_faulty(tmp_path / "m.onnx", checkpoints["mean"], Fault()))
    table = next(one for one in model.graph.initializer if "position_embeddings" in one.name)
    short = onnx.numpy_helper.to_array(table)[:24]
    table.CopyFrom(onnx.numpy_helper.from_array(short, table.name))
    onnx.save(model, tmp_path / "m.onnx")

    report = check(tmp_path / "m.onnx", checkpoints["mean"], texts=CHECKED)

    assert "run_fails" in names(report)
    assert report.to_json()["outputs"][0]["max_difference"] is None


def test_a_graph_that_answers_no_text_with_numbers(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    model = onnx.load(write_faulty(tmp_path / "m.onnx", checkpoints["mean"], Fault()))
    table = next(one for one in model.graph.initializer if "position_embeddings" in one.name)
    table.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(table) * float("nan"), table.name))
    onnx.save(model, tmp_path / "m.onnx")

    report = check(tmp_path / "m.onnx", checkpoints["mean"], texts=CHECKED)

    assert names(report) == {"not_a_number"}


def test_several_likely_outputs_ask_for_a_name(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    fault = Fault(outputs=("probabilities", "probabilities:2"), normalize=False)
    path = write_faulty(tmp_path / "m.onnx", checkpoints["mean"], fault)
    model = onnx.load(path)
    for node in model.graph.node:
        for values in (node.input, node.output):
            values[:] = ["a" if name == "probabilities" else name for name in values]
    model.graph.output[0].name = "a"
    onnx.save(model, path)

    with pytest.raises(GraphError, match=r"expected one output of scores, found a, probabilities:2.*--output"):
        check(path, checkpoints["mean"], texts=CHECKED)
    assert names(check(path, checkpoints["mean"], texts=CHECKED, output="a")) == {"normalize_missing"}
    with pytest.raises(GraphError, match="expected an output 'b'"):
        check(path, checkpoints["mean"], texts=CHECKED, output="b")


@pytest.mark.parametrize("output", [None, "probabilities"])
def test_a_head_of_other_labels_is_told_by_its_columns(output: str | None, tiny_bundle: Path, tmp_path: Path) -> None:
    """The graph of three labels beside a checkpoint of eight on the same body: the body is right."""
    other = make_checkpoint(tmp_path, make_body(tmp_path), tuple("abcdefgh"))

    report = check(tiny_bundle / "model.onnx", other, texts=CHECKED, output=output)

    assert [(one.name, one.equal) for one in report.outputs] == (
        [("probabilities", False)] if output else [("probabilities", False), ("sentence_embedding", True)]
    )
    assert [reason.sentence for reason in report.reasons] == [
        "output probabilities has 3 columns, the checkpoint has 8 labels: another head"
    ]
    assert report.outputs[0].label_agreement is None
    assert report.fitting_tolerance is None
    assert not any("no head" in note for note in report.notes)


def test_labels_of_another_head_have_no_cause_of_their_own(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    path = write_faulty(tmp_path / "m.onnx", checkpoints["mean"], Fault(outputs=("labels", "probabilities")))
    other = make_checkpoint(tmp_path, make_body(tmp_path), tuple("abcdefgh"))

    report = check(path, other, texts=CHECKED)

    assert not report.equal
    assert names(report) == {"other_labels"}


def graph_of(inputs: list[onnx.ValueInfoProto], output: onnx.ValueInfoProto, op: str = "Cast") -> bytes:
    node = helper.make_node(op, [inputs[0].name], [output.name], **({"to": 1} if op == "Cast" else {}))
    graph = helper.make_graph([node], "g", inputs, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


IDS = helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["b", "s"])
MASK = helper.make_tensor_value_info("attention_mask", TensorProto.INT64, ["b", "s"])
PICTURE = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["b", 3, 8, 8])
OUT = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read"),
        (b"", "found a file without a graph"),
        (b"no graph at all", "found something else or damage"),
        (graph_of([MASK], OUT), "expected an input of token ids"),
        (graph_of([PICTURE], OUT, "Relu"), "expected inputs of token ids"),
        (graph_of([IDS], OUT), "expected an output of probabilities"),
        (graph_of([IDS], OUT, "NoSuchOperator"), "onnxruntime refuses the graph"),
    ],
    ids=["missing", "empty", "text", "mask only", "picture", "no scores", "operator"],
)
def test_what_cannot_be_checked_is_refused(
    content: bytes | None, message: str, checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "m.onnx").write_bytes(content)

    with pytest.raises(GraphError, match=message) as raised:
        check(tmp_path / "m.onnx", checkpoints["mean"], texts=CHECKED)
    assert raised.value.exit_status == 2


def test_missing_external_data_is_refused(checkpoints: dict[str, Path], right: Path, tmp_path: Path) -> None:
    model = onnx.load(right)
    onnx.save(model, tmp_path / "m.onnx", save_as_external_data=True, location="weights.bin", size_threshold=100)
    assert check(tmp_path / "m.onnx", checkpoints["mean"], texts=CHECKED[:3]).equal
    (tmp_path / "weights.bin").unlink()

    with pytest.raises(GraphError, match="onnxruntime refuses the graph"):
        check(tmp_path / "m.onnx", checkpoints["mean"], texts=CHECKED)


def test_a_bundle_is_no_onnx_file(checkpoints: dict[str, Path], tiny_bundle: Path) -> None:
    with pytest.raises(GraphError, match="found a folder; name a file in it"):
        check(tiny_bundle, checkpoints["mean"])


def test_a_graph_of_a_fixed_size_is_padded_to_it(checkpoints: dict[str, Path], right: Path, tmp_path: Path) -> None:
    model = onnx.load(right)
    for value in model.graph.input:
        value.type.tensor_type.shape.dim[0].dim_value = 1
        value.type.tensor_type.shape.dim[1].dim_value = 32
    onnx.save(model, tmp_path / "m.onnx")

    report = check(tmp_path / "m.onnx", checkpoints["mean"], texts=CHECKED[:5])

    assert report.equal
    assert "texts of 32 tokens only" in report.notes[0]


@pytest.mark.parametrize(
    "arguments",
    [{"tolerance": -1.0}, {"tolerance": float("nan")}, {"max_length": 0}, {"texts": []}, {"texts": "one"}],
    ids=str,
)
def test_arguments_out_of_range_are_refused(arguments: dict[str, object], right: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        check(right, tmp_path, **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("max_length", "message"),
    [(1, "cut to 1 tokens: 2 of them are special"), (10**20, "at most 64 tokens, .* found a limit of 1000")],
    ids=str,
)
def test_lengths_that_the_checkpoint_cannot_have_are_refused(
    max_length: int, message: str, checkpoints: dict[str, Path], right: Path
) -> None:
    with pytest.raises(GraphError, match=message):
        check(right, checkpoints["mean"], max_length=max_length)


def test_the_checkpoint_is_left_as_it_was(checkpoints: dict[str, Path], right: Path, tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    shutil.copytree(checkpoints["mean"], folder)
    before = {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    check(right, folder, texts=CHECKED[:3])

    assert before == {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
