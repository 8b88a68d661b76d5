"""The Triton model repository: what Triton's schema and its documentation ask for."""

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import onnxruntime
import pytest

from setfuse.export import ExportError, export, write_triton_repository
from setfuse.runtime import (
    BundleCorrupt,
    BundleNotFound,
    Classifier,
    Manifest,
    OutputExists,
    UsageError,
    VariantNotFound,
)
from tests.models import write_rows

ROOT = Path(__file__).parents[2]
TRITONCLIENT = "tritonclient==2.73.0"


@pytest.fixture(scope="module")
def pair(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    bundle = tmp_path_factory.mktemp("triton-pair") / "support"
    export(tiny_checkpoint, bundle, ("fp32", "int8"))
    return bundle


@pytest.fixture(scope="session")
def schema() -> ModuleType:
    """Triton's `model_config.proto`, compiled, from its client package.

    The package is unpacked below build/, without what it depends on: the messages need protobuf only, and its bound on
    protobuf's version is older than the one that onnx brings here.
    """
    folder = ROOT / "build" / TRITONCLIENT.replace("==", "-")
    if not folder.is_dir():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "0"]
        command = [*pip, "--no-deps", "--target", folder, TRITONCLIENT]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            shutil.rmtree(folder, ignore_errors=True)
            pytest.skip(f"{TRITONCLIENT} cannot be had: {done.stderr.strip().splitlines()[-1:]}")
    # By its file: the package's own __init__ imports grpc.
    spec = importlib.util.spec_from_file_location(
        "model_config_pb2", folder / "tritonclient" / "grpc" / "model_config_pb2.py"
    )
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def config_of(model: Path) -> str:
    return (model / "config.pbtxt").read_text(encoding="utf-8")


def test_the_repository_has_the_documented_layout(pair: Path, tmp_path: Path) -> None:
    model = write_triton_repository(pair, tmp_path / "models")

    assert model == tmp_path / "models" / "support"
    files = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert files == ["models/support/1/model.onnx", "models/support/config.pbtxt", "models/support/labels.txt"]
    assert (model / "1" / "model.onnx").read_bytes() == (pair / "model.onnx").read_bytes()
    assert (model / "labels.txt").read_text(encoding="utf-8") == "late\nlost\nrefund\n"


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_the_configuration_is_what_the_schema_allows_and_says_what_the_graph_is(
    schema: ModuleType, pair: Path, tmp_path: Path, precision: str
) -> None:
    from google.protobuf import text_format

    model = write_triton_repository(
        pair, tmp_path, precision=precision, max_batch_size=4, max_queue_delay_microseconds=250
    )

    # Parsing fails at a field, an enumerator or a type that the schema does not have.
    config = text_format.Parse(config_of(model), schema.ModelConfig())
    assert (config.name, config.backend, config.platform) == ("support", "onnxruntime", "")
    assert config.max_batch_size == 4
    assert config.dynamic_batching.max_queue_delay_microseconds == 250
    assert [(group.count, group.kind) for group in config.instance_group] == [
        (1, schema.ModelInstanceGroup.Kind.Value("KIND_CPU"))
    ]
    assert {key: value.string_value for key, value in config.parameters.items()} == {"intra_op_thread_count": "0"}
    assert {output.name: output.label_filename for output in config.output} == {
        "probabilities": "labels.txt",
        "sentence_embedding": "",
    }
    # No input may be ragged: the graph would get texts one behind the other.
    assert not any(tensor.allow_ragged_batch or tensor.optional for tensor in config.input)
    session = onnxruntime.InferenceSession(model / "1" / "model.onnx", providers=["CPUExecutionProvider"])
    types = {"tensor(int64)": "TYPE_INT64", "tensor(float)": "TYPE_FP32"}
    for told, found in ((config.input, session.get_inputs()), (config.output, session.get_outputs())):
        assert [(tensor.name, schema.DataType.Name(tensor.data_type), list(tensor.dims)) for tensor in told] == [
            (tensor.name, types[tensor.type], [-1 if isinstance(size, str) else size for size in tensor.shape[1:]])
            for tensor in found
        ]


def test_the_schema_can_refuse(schema: ModuleType) -> None:
    from google.protobuf import text_format

    with pytest.raises(text_format.ParseError, match="max_batchsize"):
        text_format.Parse("max_batchsize: 4", schema.ModelConfig())


def test_the_configuration_read_without_the_schema(pair: Path, tmp_path: Path) -> None:
    text = config_of(write_triton_repository(pair, tmp_path))

    assert fields(text) == {
        "name": ["support"],
        "backend": ["onnxruntime"],
        "max_batch_size": ["8"],
        "input": [
            {"name": ["input_ids"], "data_type": ["TYPE_INT64"], "dims": ["-1"]},
            {"name": ["attention_mask"], "data_type": ["TYPE_INT64"], "dims": ["-1"]},
        ],
        "output": [
            {"name": ["probabilities"], "data_type": ["TYPE_FP32"], "dims": ["3"], "label_filename": ["labels.txt"]},
            {"name": ["sentence_embedding"], "data_type": ["TYPE_FP32"], "dims": ["32"]},
        ],
        "dynamic_batching": [{"max_queue_delay_microseconds": ["100"]}],
        "instance_group": [{"count": ["1"], "kind": ["KIND_CPU"]}],
        "parameters": [{"key": ["intra_op_thread_count"], "value": [{"string_value": ["0"]}]}],
    }


Fields = dict[str, list[object]]


def fields(text: str) -> Fields:
    """Read protobuf's text format, as far as a configuration uses it: fields, messages, lists, comments."""
    tokens = re.findall(r'"(?:[^"\\]|\\.)*"|[\w.-]+|[:{}\[\],]', re.sub(r"(?m)^\s*#.*$", "", text))
    message, rest = _message(tokens)
    assert not rest
    return message


def _message(tokens: list[str]) -> tuple[Fields, list[str]]:
    found: Fields = {}
    while tokens and tokens[0] != "}":
        name, *tokens = tokens
        if tokens[0] == ":":
            tokens = tokens[1:]
        values, tokens = _values(tokens)
        found.setdefault(name, []).extend(values)
    return found, tokens[1:]


def _values(tokens: list[str]) -> tuple[list[object], list[str]]:
    if tokens[0] == "[":
        values: list[object] = []
        while tokens[0] != "]":
            value, tokens = _values(tokens[1:])  # what follows "[" or ","
            values += value
        return values, tokens[1:]
    if tokens[0] == "{":
        message, tokens = _message(tokens[1:])
        return [message], tokens
    return [tokens[0].strip('"')], tokens[1:]


def test_the_graph_without_a_mask_warns_of_padding(pair: Path, tmp_path: Path) -> None:
    masked = config_of(write_triton_repository(pair, tmp_path, name="masked"))
    unmasked = config_of(write_triton_repository(pair, tmp_path, name="unmasked", precision="int8"))

    assert "may be padded, with 0 in attention_mask" in masked
    assert "never pad" in unmasked
    assert "attention_mask" not in unmasked


def test_several_models_share_a_repository(pair: Path, tmp_path: Path) -> None:
    for name, precision in (("small", "int8"), ("exact", None)):
        write_triton_repository(pair, tmp_path, name=name, precision=precision)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["exact", "small"]
    assert fields(config_of(tmp_path / "small"))["name"] == ["small"]


def test_the_model_answers_as_the_bundle_does(pair: Path, tmp_path: Path) -> None:
    """The file is fed as Triton's backend feeds it: by the names and types of the configuration."""
    model = write_triton_repository(pair, tmp_path)
    config = fields(config_of(model))
    ids = np.asarray([[2, 7, 9, 3], [2, 8, 3, 0]], np.int64)
    given = {"input_ids": ids, "attention_mask": np.asarray([[1, 1, 1, 1], [1, 1, 1, 0]], np.int64)}
    names = [tensor["name"][0] for tensor in config["input"]]  # type: ignore[index]
    session = onnxruntime.InferenceSession(model / "1" / "model.onnx", providers=["CPUExecutionProvider"])

    (found,) = session.run(["probabilities"], {name: given[name] for name in names})

    graph = Classifier.load(pair, precision="fp32")._resident.model()._graph
    expected = [graph.run(row[None], "probabilities", alone=True)[0] for row in (ids[0], ids[1, :3])]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def relabelled(bundle: Path, folder: Path, labels: list[str]) -> Path:
    copy = Path(shutil.copytree(bundle, folder / "relabelled"))
    manifest = json.loads((copy / "bundle.json").read_text(encoding="utf-8"))
    (copy / "bundle.json").write_text(json.dumps({**manifest, "labels": labels}), encoding="utf-8")
    return copy


def test_labels_and_names_of_any_script(schema: ModuleType, pair: Path, tmp_path: Path) -> None:
    from google.protobuf import text_format

    labels = ["取消订单", 'with "quotes": and a \\', "ملغى 🎉"]
    bundle = relabelled(pair, tmp_path, labels)

    model = write_triton_repository(bundle, tmp_path / "models", name='Rück"gabe\\ 🎉')

    assert (model / "labels.txt").read_text(encoding="utf-8").split("\n") == [*labels, ""]
    assert text_format.Parse(config_of(model), schema.ModelConfig()).name == model.name


def test_a_label_that_the_file_of_labels_cannot_hold(pair: Path, tmp_path: Path) -> None:
    bundle = relabelled(pair, tmp_path, ["one", "two\nlines", "three"])

    with pytest.raises(ExportError, match=r"labels: expected labels of one line.*'two\\nlines'"):
        write_triton_repository(bundle, tmp_path / "models")
    assert not (tmp_path / "models").exists()


def test_a_graph_that_takes_ids_of_32_bits(schema: ModuleType, pair: Path, tmp_path: Path) -> None:
    """As fp16's does."""
    from google.protobuf import text_format

    copy = Path(shutil.copytree(pair, tmp_path / "narrow"))
    text = (copy / "bundle.json").read_text(encoding="utf-8")
    (copy / "bundle.json").write_text(text.replace('"int64"', '"int32"'), encoding="utf-8")

    config = text_format.Parse(config_of(write_triton_repository(copy, tmp_path / "models")), schema.ModelConfig())

    assert {schema.DataType.Name(tensor.data_type) for tensor in config.input} == {"TYPE_INT32"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_batch_size": 0}, "max_batch_size: expected a whole number of 1 or more, got 0"),
        ({"max_batch_size": 2.5}, "max_batch_size: expected a whole number of 1 or more, got 2.5"),
        ({"max_queue_delay_microseconds": -1}, "max_queue_delay_microseconds: expected a whole number of 0 or more"),
        ({"precision": "fp64"}, "precision: expected one of fp32, int8, fp16, got 'fp64'"),
        ({"name": ""}, "name: expected the name of a folder"),
        ({"name": " "}, "name: expected the name of a folder"),
        ({"name": ".."}, "name: expected the name of a folder"),
        ({"name": "a/b"}, "name: expected the name of a folder"),
        ({"name": "a\nb"}, "name: expected the name of a folder"),
    ],
    ids=str,
)
def test_arguments_out_of_their_range(pair: Path, tmp_path: Path, arguments: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        write_triton_repository(pair, tmp_path / "models", **arguments)  # type: ignore[arg-type]
    assert not (tmp_path / "models").exists()


def test_bundles_that_cannot_be_used(pair: Path, tmp_path: Path) -> None:
    damaged = Path(shutil.copytree(pair, tmp_path / "damaged"))
    (damaged / "model.onnx").write_bytes(b"cut short")

    with pytest.raises(BundleNotFound):
        write_triton_repository(tmp_path / "nowhere", tmp_path / "models")
    with pytest.raises(VariantNotFound, match=r"no fp16 graph for Triton \(has: fp32/cpu, int8/cpu\)"):
        write_triton_repository(pair, tmp_path / "models", precision="fp16")
    with pytest.raises(BundleCorrupt, match=r"model\.onnx: expected \d+ bytes, found 9"):
        write_triton_repository(damaged, tmp_path / "models")
    assert [path.name for path in tmp_path.iterdir()] == ["damaged"]


def test_an_existing_model_is_refused_or_replaced_whole_and_the_bundle_never(pair: Path, tmp_path: Path) -> None:
    model = write_triton_repository(pair, tmp_path)
    (model / "stray.txt").write_text("x", encoding="utf-8")

    with pytest.raises(OutputExists, match="pass --overwrite"):
        write_triton_repository(pair, tmp_path)
    write_triton_repository(pair, tmp_path, overwrite=True)
    assert not (model / "stray.txt").exists()
    with pytest.raises(OutputExists, match="would replace"):
        write_triton_repository(pair, pair.parent, overwrite=True)
    assert Manifest.read(pair).labels


def setfuse(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "setfuse.runtime", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_command_line_writes_bundle_and_model(tiny_checkpoint: Path, tmp_path: Path) -> None:
    done = setfuse("export", tiny_checkpoint, "--out", tmp_path / "bundle", "--triton", tmp_path / "models")

    assert done.returncode == 0, done.stderr
    assert f"tritonserver --model-repository={tmp_path / 'models'}" in done.stdout
    assert fields(config_of(tmp_path / "models" / "bundle"))["name"] == ["bundle"]


def test_the_command_line_refuses_before_it_exports(tiny_checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "models" / "bundle").mkdir(parents=True)

    for repository, message in ((tmp_path / "models", "pass --overwrite"), (tmp_path, "would replace")):
        done = setfuse("export", tiny_checkpoint, "--out", tmp_path / "bundle", "--triton", repository)
        assert (done.returncode, done.stdout) == (1, "")
        assert len(done.stderr.splitlines()) == 1
        assert message in done.stderr
    assert not (tmp_path / "bundle").exists()


def test_what_the_export_reads_is_never_replaced(tiny_checkpoint: Path, tmp_path: Path) -> None:
    checkpoint = Path(shutil.copytree(tiny_checkpoint, tmp_path / "models" / "mine"))
    (tmp_path / "bundle").mkdir()
    data = write_rows(tmp_path / "bundle" / "rows.jsonl", [("where is my parcel", "lost")])
    triton, calibrate = ("--triton", tmp_path / "models"), ("--calibrate-on", data)

    for arguments in (
        (checkpoint, "--out", tmp_path / "out" / "mine", *triton),
        (tiny_checkpoint, "--out", tmp_path / "models" / "deep" / "deep", *triton),
        (tiny_checkpoint, "--out", tmp_path / "out" / "bundle", "--triton", tmp_path, *calibrate),
        (tiny_checkpoint, "--out", tmp_path / "bundle", *calibrate),
    ):
        done = setfuse("export", *arguments, "--overwrite")
        assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
        assert "would replace" in done.stderr
    assert data.is_file()
    assert (checkpoint / "modules.json").is_file()
