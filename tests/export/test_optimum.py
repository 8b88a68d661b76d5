"""Encoders that optimum traces: stand-ins for its process, a graph made by hand for its own, and optimum itself."""

import json
import os
import shutil
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
from transformers import (
    AutoModel,
    BertTokenizer,
    DebertaV2Config,
    ModernBertConfig,
    PreTrainedConfig,
    Qwen2Config,
    T5Config,
    T5EncoderModel,
)

import setfuse.export._optimum as optimum_module
from setfuse.export import CheckpointError, ExportError, UnsupportedCheckpoint, export, read_checkpoint
from setfuse.export._check_texts import CHECK_TEXTS
from setfuse.export._encoder_graph import add_encoder
from setfuse.export._fuse import fuse
from setfuse.export._graph import FLOAT, INT64, GraphBuilder, tensor_info
from setfuse.export._layout import Layout
from setfuse.export._optimum import PYTHON_VARIABLE, UNBOUNDED, Via, _max_positions, _older_config
from setfuse.export._oracle import TorchOracle
from setfuse.export._traced import TracedEncoder, add_traced_encoder, keep_token_embeddings
from setfuse.runtime import Classifier, Manifest, MissingExtra, Precision, UsageError
from setfuse.runtime.__main__ import main
from tests.models import DATA, MAX_LENGTH, make_checkpoint

TOLERANCE = 1e-5  # float32 sums in another order; observed 3e-7

HOW_TO_INSTALL = (
    "it needs an environment of its own, with an older transformers: python -m venv optimum-env && "
    'optimum-env/bin/pip install "optimum-onnx[onnxruntime]==0.1.0" "transformers==4.57.6" "torch==2.13.0" '
    '"onnx==1.23.2" "onnxruntime==1.32.0" && '
    "SETFUSE_OPTIMUM_PYTHON=optimum-env/bin/python setfuse export ... --via optimum"
)


@pytest.fixture(autouse=True)
def own_temporary_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where optimum's process works, so that a test can see what it leaves behind."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], Path]:
    """Make a program that is called as optimum's Python would be, and name it as the one to use."""

    def make(body: str) -> Path:
        path = tmp_path / "python"
        arguments = "import sys; from pathlib import Path; source, target = map(Path, sys.argv[-4:-2])"
        path.write_text(f"#!{sys.executable}\n{arguments}\n{textwrap.dedent(body)}", encoding="utf-8")
        path.chmod(0o755)
        monkeypatch.setenv(PYTHON_VARIABLE, str(path))
        return path

    return make


def export_is_refused(checkpoint: Path, tmp_path: Path, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        export(checkpoint, tmp_path / "bundle", via="optimum")
    assert not (tmp_path / "bundle").exists()
    assert not list((tmp_path / "temporary").iterdir())


def test_without_optimum_one_sentence_says_what_to_install(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(PYTHON_VARIABLE, raising=False)

    with pytest.raises(MissingExtra) as caught:
        export(tiny_checkpoint, tmp_path / "bundle", via="optimum")

    assert str(caught.value) == f"via optimum: optimum-onnx is not installed; {HOW_TO_INSTALL}"
    assert [path.name for path in tmp_path.iterdir()] == ["temporary"]


def test_the_command_line_says_it_in_one_line(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(PYTHON_VARIABLE, str(tmp_path / "nowhere" / "python"))

    status = main(["export", str(tiny_checkpoint), "--out", str(tmp_path / "bundle"), "--via", "optimum"])

    assert status == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"optimum-onnx was looked for in {tmp_path}/nowhere/python, where no Python is; {HOW_TO_INSTALL}" in said


def test_a_python_without_optimum(tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PYTHON_VARIABLE, sys.executable)

    message = r"was looked for in .* \(ModuleNotFoundError: No module named 'optimum'\); it needs an environment"
    export_is_refused(tiny_checkpoint, tmp_path, MissingExtra, message)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            "raise ValueError('no such architecture\\n\\nYou can update it')",
            "but it failed: ValueError: no such archit",
        ),
        ("sys.exit('Segmentation fault')", "but it failed: Segmentation fault"),
        ("sys.exit(3)", "but it failed: nothing, with status 3"),
        ("import os; print('a warning', flush=True); os.kill(os.getpid(), 9)", "but signal 9 ended it"),
        ("", "expected a graph model.onnx, found none"),
        ("target.mkdir(); (target / 'model.onnx').write_text('short')", "expected a graph model.onnx, found none"),
    ],
    ids=["an exception", "a last line", "silence", "killed", "no graph", "a damaged graph"],
)
def test_a_failure_is_told_and_leaves_nothing_behind(
    tiny_checkpoint: Path, tmp_path: Path, stand_in: Callable[[str], Path], body: str, message: str
) -> None:
    stand_in(body)

    export_is_refused(tiny_checkpoint, tmp_path, ExportError, message)


def test_one_that_hangs_is_stopped_with_all_that_it_started(
    tiny_checkpoint: Path, tmp_path: Path, stand_in: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(optimum_module, "TIME_LIMIT", 2)
    stand_in(f"""
        import os, time
        Path({str(tmp_path / "processes")!r}).write_text(f"{{os.getpid()}} {{os.fork() or os.getpid()}}")
        time.sleep(60)
        """)

    export_is_refused(tiny_checkpoint, tmp_path, ExportError, "expected an answer within 2 seconds, found none")

    for process in (tmp_path / "processes").read_text(encoding="utf-8").split():
        assert is_gone(int(process))


def is_gone(process: int) -> bool:
    """Wait a little for a killed process to be buried, which is not up to us if it was an orphan."""
    for _ in range(100):
        try:
            state = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


def test_what_optimum_is_given(tiny_checkpoint: Path, tmp_path: Path, stand_in: Callable[[str], Path]) -> None:
    # Weights and configuration, offline, nothing of this process's Python: no tokenizer, no code of the checkpoint's.
    checkpoint = Path(shutil.copytree(tiny_checkpoint, tmp_path / "checkpoint"))
    (checkpoint / "modeling.py").write_text("raise SystemExit", encoding="utf-8")
    stand_in(f"""
        import json, os
        files = sorted(path.name for path in source.iterdir())
        seen = [files, sys.argv[1:3], sys.argv[-2:], os.environ["HF_HUB_OFFLINE"]]
        Path({str(tmp_path / "seen")!r}).write_text(json.dumps(seen))
        sys.exit("seen")
        """)

    export_is_refused(checkpoint, tmp_path, ExportError, "seen")

    seen = json.loads((tmp_path / "seen").read_text(encoding="utf-8"))
    assert seen == [["config.json", "model.safetensors"], ["-E", "-c"], ["feature-extraction", "20"], "1"]


def test_an_interpreter_named_from_where_the_user_stands(
    tiny_checkpoint: Path, tmp_path: Path, stand_in: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in("sys.exit('found')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(PYTHON_VARIABLE, "./python")

    export_is_refused(tiny_checkpoint, tmp_path, ExportError, "found")


def bert_graph(checkpoint: Path) -> onnx.ModelProto:
    """Write what an exporter would of a tiny BERT: ids and mask to `last_hidden_state`."""
    encoder = read_checkpoint(checkpoint).encoder
    assert not isinstance(encoder, TracedEncoder)
    graph = GraphBuilder()
    tokens = add_encoder(graph, Layout(), encoder, "input_ids", "attention_mask", cls_only=False)
    graph.node("Identity", [tokens], "last_hidden_state")
    axes = ("batch", "sequence")
    inputs = [tensor_info(name, INT64, axes) for name in ("input_ids", "attention_mask")]
    return graph.model("traced", inputs, [tensor_info("last_hidden_state", FLOAT, (*axes, encoder.hidden))], {})


def hand_over(stand_in: Callable[[str], Path], model: onnx.ModelProto, path: Path, **options: Any) -> None:
    """Have the stand-in give back this graph."""
    path.mkdir()
    onnx.save(model, path / "model.onnx", **options)
    stand_in(f"import shutil; shutil.copytree({str(path)!r}, target)")


def test_a_bundle_of_the_graph_that_it_gives_back(
    tiny_checkpoint: Path, tmp_path: Path, stand_in: Callable[[str], Path]
) -> None:
    hand_over(stand_in, bert_graph(tiny_checkpoint), tmp_path / "given")

    manifest = export(tiny_checkpoint, tmp_path / "bundle", via="optimum")

    assert manifest.provenance["encoder"] == "optimum"
    assert (manifest.max_length, manifest.embedding_dim) == (48, 32)
    parity = manifest.variants[0].parity
    assert parity is not None
    assert parity.max_probability_difference <= TOLERANCE
    expected = TorchOracle(read_checkpoint(tiny_checkpoint)).answer(CHECK_TEXTS, batch_size=8)
    classifier = Classifier.load(tmp_path / "bundle")
    np.testing.assert_allclose(classifier.predict_proba(CHECK_TEXTS), expected.probabilities, rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(classifier.embed(CHECK_TEXTS), expected.embeddings, rtol=0, atol=TOLERANCE)
    model = onnx.load(tmp_path / "bundle" / "model.onnx")
    assert ([opset.version for opset in model.opset_import], model.ir_version) == ([20], 10)
    assert not list((tmp_path / "temporary").iterdir())


def test_weights_that_are_no_numbers(tiny_checkpoint: Path, tmp_path: Path, stand_in: Callable[[str], Path]) -> None:
    model = bert_graph(tiny_checkpoint)
    weight = next(tensor for tensor in model.graph.initializer if tensor.name == "layer.1.output.weight")
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) * np.nan, weight.name))
    hand_over(stand_in, model, tmp_path / "given")

    message = "found NaN or infinity in what the exporter calls layer.1.output.weight"
    export_is_refused(tiny_checkpoint, tmp_path, CheckpointError, message)


def test_a_graph_too_large_for_one_file(tiny_checkpoint: Path, tmp_path: Path, stand_in: Callable[[str], Path]) -> None:
    hand_over(stand_in, bert_graph(tiny_checkpoint), tmp_path / "given", save_as_external_data=True, size_threshold=0)

    export_is_refused(tiny_checkpoint, tmp_path, UnsupportedCheckpoint, "expected an encoder of less than 2 GB")


def test_int8_is_refused_before_anything_is_traced(tiny_checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="precisions: expected some of fp32 via optimum, got 'int8'"):
        export(tiny_checkpoint, tmp_path / "bundle", ["fp32", "int8"], via="optimum")


def test_int8_of_a_traced_encoder(tiny_checkpoint: Path, tmp_path: Path, stand_in: Callable[[str], Path]) -> None:
    hand_over(stand_in, bert_graph(tiny_checkpoint), tmp_path / "given")

    with pytest.raises(UnsupportedCheckpoint, match="expected fp32 for a bert that optimum traced, got int8"):
        fuse(read_checkpoint(tiny_checkpoint, Via.OPTIMUM), Precision.INT8, 1, ["a text"])


def test_a_way_that_does_not_exist(tiny_checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="via: expected one of authored, optimum; got 'torch'"):
        export(tiny_checkpoint, tmp_path / "bundle", via="torch")


def test_what_is_not_authored_is_sent_to_optimum(tiny_checkpoint: Path, tmp_path: Path) -> None:
    checkpoint = Path(shutil.copytree(tiny_checkpoint, tmp_path / "checkpoint"))
    (checkpoint / "config.json").write_text('{"model_type": "modernbert"}', encoding="utf-8")

    with pytest.raises(UnsupportedCheckpoint, match=r"found 'modernbert': not supported; .* --via optimum"):
        read_checkpoint(checkpoint)


def test_a_configuration_that_names_no_vocabulary(tiny_checkpoint: Path, tmp_path: Path) -> None:
    checkpoint = Path(shutil.copytree(tiny_checkpoint, tmp_path / "checkpoint"))
    (checkpoint / "config.json").write_text('{"model_type": "modernbert"}', encoding="utf-8")

    export_is_refused(checkpoint, tmp_path, CheckpointError, "expected model_type and vocab_size, found 'modernbert'")


WORDS, TYPES, POSITIONS = (np.random.default_rng(seed).normal(size=(50, 4)).astype(np.float32) for seed in range(3))


def table_graph(*optional: str, opset: int = 20, hidden: str = "last_hidden_state") -> onnx.ModelProto:
    """Look ids up, and positions and token types where they are asked for; texts of more than 3 tokens are negated.

    The branches of the If look into a table that stands outside of them, as DeBERTa's trace does.
    """
    axes = ("batch_size", "sequence_length")
    tables = {"input_ids": WORDS, "token_type_ids": TYPES, "position_ids": POSITIONS}
    wanted = ("input_ids", *optional)
    nodes = [helper.make_node("Gather", [f"{name}.table", name], [f"{name}.rows"]) for name in wanted]
    nodes.append(helper.make_node("Sum", [f"{name}.rows" for name in wanted], ["sum"]))
    nodes += [
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "last"], ["column"]),
        helper.make_node("Mul", ["sum", "column"], ["masked"]),
        helper.make_node("Shape", ["input_ids"], ["shape"]),
        helper.make_node("Gather", ["shape", "second"], ["length"]),
        helper.make_node("Greater", ["length", "three"], ["is_long"]),
    ]
    value = helper.make_tensor_value_info("value", TensorProto.FLOAT, (*axes, 4))
    branches = {
        f"{branch}_branch": helper.make_graph(
            [helper.make_node("Mul", ["masked", factor], ["value"])], branch, [], [value]
        )
        for branch, factor in (("then", "minus_one"), ("else", "one"))
    }
    nodes.append(helper.make_node("If", ["is_long"], [hidden], **branches))
    constants = {f"{name}.table": tables[name] for name in wanted} | {
        "last": np.asarray([-1]),
        "second": np.asarray(1),
        "three": np.asarray(3),
        "one": np.ones(1, np.float32),
        "minus_one": -np.ones(1, np.float32),
    }
    graph = helper.make_graph(
        nodes,
        "table",
        [helper.make_tensor_value_info(name, TensorProto.INT64, axes) for name in (*wanted, "attention_mask")],
        [helper.make_tensor_value_info(hidden, TensorProto.FLOAT, (*axes, 4))],
        initializer=[numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    return model


def run_spliced(model: onnx.ModelProto, input_ids: np.ndarray, attention_mask: np.ndarray) -> np.ndarray:
    encoder = TracedEncoder(model, hidden=4, max_length=50, vocabulary=50, family="table")
    graph = GraphBuilder()
    tokens = add_traced_encoder(graph, encoder, "input_ids", "attention_mask")
    graph.node("Identity", [tokens], "tokens")
    axes = ("batch", "sequence")
    inputs = [tensor_info(name, INT64, axes) for name in ("input_ids", "attention_mask")]
    whole = graph.model("whole", inputs, [tensor_info("tokens", FLOAT, (*axes, 4))], {})
    session = onnxruntime.InferenceSession(whole.SerializeToString(), providers=["CPUExecutionProvider"])
    (answer,) = session.run(["tokens"], {"input_ids": input_ids, "attention_mask": attention_mask})
    return np.asarray(answer)


@pytest.mark.parametrize(
    "model",
    [
        table_graph(),
        table_graph("token_type_ids"),
        table_graph("position_ids"),
        table_graph("position_ids", "token_type_ids"),
        table_graph("token_type_ids", opset=17, hidden="token_embeddings"),
    ],
    ids=["ids and mask", "token types", "positions", "both", "an older opset and another name"],
)
@pytest.mark.parametrize("lengths", [(3,), (7, 1, 4)], ids=["short", "ragged"])
def test_what_a_graph_asks_for_is_made_of_the_ids(model: onnx.ModelProto, lengths: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    ids = rng.integers(0, 50, size=(len(lengths), max(lengths)))
    mask = (np.arange(max(lengths)) < np.asarray(lengths)[:, None]).astype(np.int64)
    names = {value.name for value in model.graph.input}
    expected = WORDS[ids]
    if "token_type_ids" in names:
        expected = expected + TYPES[0]
    if "position_ids" in names:
        expected = expected + POSITIONS[: max(lengths)]
    expected = expected * mask[:, :, None] * (-1 if max(lengths) > 3 else 1)

    np.testing.assert_allclose(run_spliced(model, ids, mask), expected, rtol=0, atol=1e-6)


def test_other_outputs_are_dropped() -> None:
    model = table_graph()
    model.graph.output.insert(0, helper.make_tensor_value_info("mask", TensorProto.FLOAT, ("b", "s")))

    assert keep_token_embeddings(model, "table") == 4
    assert [output.name for output in model.graph.output] == ["last_hidden_state"]


@pytest.mark.parametrize(
    ("rename", "message"),
    [
        ({"token_type_ids": "decoder_input_ids"}, "found attention_mask, decoder_input_ids, input_ids: not supported"),
        ({"attention_mask": "mask_of_another_name"}, "expected the inputs input_ids and attention_mask and, at most"),
    ],
    ids=["a decoder's input", "no mask"],
)
def test_inputs_that_a_sentence_does_not_have(rename: dict[str, str], message: str) -> None:
    model = table_graph("token_type_ids")
    for value in model.graph.input:
        value.name = rename.get(value.name, value.name)

    with pytest.raises(UnsupportedCheckpoint, match=message):
        keep_token_embeddings(model, "table")


@pytest.mark.parametrize("shape", [("b", "s"), ("b", "s", "h")], ids=["two axes", "no fixed width"])
def test_a_graph_that_gives_no_token_embeddings(shape: tuple[str, ...]) -> None:
    model = table_graph()
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("odd", TensorProto.FLOAT, shape))

    with pytest.raises(UnsupportedCheckpoint, match=r"expected an output \(batch, sequence, hidden\).*found odd"):
        keep_token_embeddings(model, "table")


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"model_type": "modernbert", "max_position_embeddings": 8192}, 8192),
        ({"model_type": "gpt2", "n_positions": 1024}, 1024),
        ({"model_type": "camembert", "max_position_embeddings": 514, "pad_token_id": 1}, 512),
        ({"model_type": "camembert", "max_position_embeddings": 514}, 512),
        ({"model_type": "t5", "n_positions": 512}, UNBOUNDED),
        ({"model_type": "xlnet", "max_position_embeddings": -1}, UNBOUNDED),
        ({"model_type": "bloom"}, UNBOUNDED),
    ],
    ids=["a table", "GPT-2's name", "behind the padding", "its default", "T5", "XLNet", "none"],
)
def test_how_long_a_text_may_be(config: dict[str, Any], expected: int) -> None:
    assert _max_positions(config, config["model_type"]) == expected


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"rope_theta": 5.0}, {"rope_theta": 5.0}),
        ({"rope_parameters": {"rope_theta": 5.0, "rope_type": "default"}}, {"rope_theta": 5.0}),
        (
            {"rope_parameters": {"rope_theta": 5.0, "rope_type": "yarn", "factor": 2.0, "partial_rotary_factor": 0.5}},
            {"rope_theta": 5.0, "partial_rotary_factor": 0.5, "rope_scaling": {"rope_type": "yarn", "factor": 2.0}},
        ),
        (
            {
                "rope_parameters": {
                    "full_attention": {"rope_theta": 5.0, "rope_type": "default"},
                    "sliding_attention": {"rope_theta": 6.0, "rope_type": "default"},
                }
            },
            {"rope_theta": 5.0, "global_rope_theta": 5.0, "local_rope_theta": 6.0, "rope_local_base_freq": 6.0},
        ),
        ({"rope_parameters": None}, {}),
        ({"model_type": "t5", "is_encoder_decoder": False}, {"model_type": "t5", "is_encoder_decoder": True}),
    ],
    ids=["older already", "one for all", "scaled", "one a layer type", "null", "an encoder of two"],
)
def test_a_configuration_as_transformers_4_reads_it(config: dict[str, Any], expected: dict[str, Any]) -> None:
    assert _older_config(config) == expected


SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
ARCHITECTURES: dict[str, tuple[type[PreTrainedConfig], dict[str, Any]]] = {
    "modernbert": (
        ModernBertConfig,
        {
            **SIZES,
            "local_attention": 8,
            "global_attn_every_n_layers": 2,
            "rope_parameters": {  # not the defaults, which transformers 4 would take if it were not told
                "full_attention": {"rope_theta": 500.0, "rope_type": "default"},
                "sliding_attention": {"rope_theta": 300.0, "rope_type": "default"},
            },
        },
    ),
    "deberta-v2": (
        DebertaV2Config,
        {**SIZES, "relative_attention": True, "pos_att_type": ["c2p", "p2c"], "position_buckets": 8},
    ),
    "qwen2": (Qwen2Config, {**SIZES, "num_key_value_heads": 2, "rope_parameters": {"rope_theta": 500.0}}),
    "t5": (T5Config, {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4}),
}


@pytest.mark.skipif(PYTHON_VARIABLE not in os.environ, reason=f"{PYTHON_VARIABLE} names no Python with optimum-onnx")
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_optimum_itself(architecture: str, tmp_path: Path) -> None:
    checkpoint = make_foreign_checkpoint(tmp_path, architecture)

    export(checkpoint, tmp_path / "bundle", via="optimum")

    parity = Manifest.read(tmp_path / "bundle").variants[0].parity
    assert parity is not None
    assert max(parity.max_probability_difference, parity.max_embedding_difference) <= TOLERANCE
    assert parity.label_agreement == 1
    body = SentenceTransformer(str(checkpoint), device="cpu")
    embeddings = Classifier.load(tmp_path / "bundle").embed(CHECK_TEXTS)
    np.testing.assert_allclose(embeddings, body.encode(list(CHECK_TEXTS)), rtol=0, atol=TOLERANCE)


def make_foreign_checkpoint(folder: Path, architecture: str) -> Path:
    """Save a checkpoint on a body of two layers with random weights, of an architecture that is not authored."""
    vocab = DATA / "vocab.txt"
    make, settings = ARCHITECTURES[architecture]
    tokens = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}
    words = len(vocab.read_text(encoding="utf-8").split("\n"))  # one more: Qwen2's tokenizer class adds a token
    config = make(vocab_size=words, max_position_embeddings=64, **tokens, **settings)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = T5EncoderModel(config) if isinstance(config, T5Config) else AutoModel.from_config(config)
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, mean=parameter.detach().mean().item(), std=0.2)
    transformer = folder / "transformer"
    model.save_pretrained(transformer)
    BertTokenizer(vocab=str(vocab), model_max_length=MAX_LENGTH).save_pretrained(transformer)
    modules = [Transformer(str(transformer)), Pooling(32, pooling_mode="mean"), Normalize()]
    body = SentenceTransformer(modules=modules, device="cpu")
    return make_checkpoint(folder, body, ("late", "lost", "refund"))
