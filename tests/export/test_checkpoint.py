"""Reading checkpoints: what is supported, and what each defect is called."""

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from setfuse.export import CheckpointError, UnsupportedCheckpoint, export, read_checkpoint

Change = Callable[[Path], None]


def edit(name: str, **changes: Any) -> Change:
    """Set keys of a JSON file; None removes one."""

    def change(folder: Path) -> None:
        value = json.loads((folder / name).read_text(encoding="utf-8"))
        value = {key: item for key, item in {**value, **changes}.items() if item is not None}
        (folder / name).write_text(json.dumps(value), encoding="utf-8")

    return change


def write(name: str, text: str) -> Change:
    return lambda folder: (folder / name).write_text(text, encoding="utf-8") and None  # type: ignore[func-returns-value]


def remove(name: str) -> Change:
    return lambda folder: (folder / name).unlink()


def modules(*names: str) -> Change:
    entries = [{"type": f"some.where.{name}", "path": "" if i == 0 else f"{i}_{name}"} for i, name in enumerate(names)]
    return write("modules.json", json.dumps(entries))


def tensor(file: str, name: str, new: Callable[[np.ndarray], np.ndarray | None]) -> Change:
    """Replace a tensor; a function that gives None removes it."""

    def change(folder: Path) -> None:
        tensors = safetensors.numpy.load_file(folder / file)
        value = new(tensors.pop(name))
        if value is not None:
            tensors[name] = np.ascontiguousarray(value)
        safetensors.numpy.save_file(tensors, folder / file)

    return change


def pickled_head(data: bytes) -> Change:
    """Leave a pickle in the place of our own head."""

    def change(folder: Path) -> None:
        (folder / "head.json").unlink()
        (folder / "model_head.pkl").write_bytes(data)

    return change


WORDS = "embeddings.word_embeddings.weight"
QUERY = "encoder.layer.1.attention.self.query.weight"


@pytest.fixture
def checkpoint(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(tiny_checkpoint, tmp_path / "checkpoint"))


def test_a_checkpoint_of_ours(tiny_checkpoint: Path) -> None:
    checkpoint = read_checkpoint(str(tiny_checkpoint))

    assert checkpoint.labels == ("late", "lost", "refund")
    assert (checkpoint.pooling, checkpoint.normalize, checkpoint.max_length) == ("mean", True, 48)
    assert (checkpoint.encoder.layers, checkpoint.encoder.hidden) == (2, 32)
    assert checkpoint.training["base_model"] == "tests/tiny"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (edit("config_setfit.json", normalize_embeddings=True), {"normalize": True}),
        (edit("config_setfit.json", labels=["x", "y", "z"]), {"labels": ("x", "y", "z")}),
        (edit("config_setfit.json", labels=None), {"labels": ("late", "lost", "refund")}),
        (edit("sentence_bert_config.json", max_seq_length=20), {"max_length": 20}),
        (edit("sentence_bert_config.json", max_seq_length=5000), {"max_length": 64}),
        (edit("tokenizer_config.json", model_max_length=int(1e30)), {"max_length": 64}),
        (
            write("1_Pooling/config.json", '{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false}'),
            {"pooling": "cls"},
        ),
        (write("1_Pooling/config.json", '{"word_embedding_dimension": 32}'), {"pooling": "mean"}),
        (modules("Transformer", "Pooling"), {"normalize": False}),
        (remove("training.json"), {"training": {}}),
    ],
    ids=[
        "SetFit's normalize_embeddings",
        "labels of SetFit's config",
        "labels of the head",
        "max_seq_length of sentence-transformers 5",
        "max_seq_length beyond the position table",
        "a tokenizer without a limit",
        "pooling of sentence-transformers 5",
        "pooling of old sentence-transformers, mean by default",
        "no Normalize",
        "no training.json",
    ],
)
def test_what_other_versions_and_settings_mean(checkpoint: Path, change: Change, expected: dict[str, object]) -> None:
    change(checkpoint)

    read = read_checkpoint(checkpoint)

    assert {name: getattr(read, name) for name in expected} == expected


def test_weights_under_the_prefix_of_a_bert_with_a_task_head(checkpoint: Path) -> None:
    path = checkpoint / "model.safetensors"
    expected = read_checkpoint(checkpoint).encoder.tensors
    safetensors.numpy.save_file({f"bert.{name}": value for name, value in expected.items()}, path)

    read = read_checkpoint(checkpoint).encoder.tensors

    assert read.keys() == expected.keys()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (remove("modules.json"), CheckpointError, r"checkpoint: expected a checkpoint folder with modules.json"),
        (write("modules.json", "{"), CheckpointError, r"modules.json: expected JSON, found damage"),
        (write("modules.json", '[{"type": 1}]'), CheckpointError, r"modules.json: expected a list of modules"),
        (modules("Transformer", "Pooling", "Dense"), UnsupportedCheckpoint, r"found Transformer, Pooling, Dense: not"),
        (modules("CLIPModel"), UnsupportedCheckpoint, r"found CLIPModel: not supported yet"),
        (
            edit("config_sentence_transformers.json", default_prompt_name="query"),
            UnsupportedCheckpoint,
            r"the prompt 'query' before each text: not supported yet",
        ),
        (edit("config.json", model_type="mpnet"), UnsupportedCheckpoint, r"expected model_type 'bert', found 'mpnet'"),
        (edit("config.json", model_type=None), UnsupportedCheckpoint, r"expected model_type 'bert', found None"),
        (edit("config.json", position_embedding_type="relative_key"), UnsupportedCheckpoint, r"'relative_key'"),
        (edit("config.json", is_decoder=True), UnsupportedCheckpoint, r"expected is_decoder False, found True"),
        (edit("config.json", hidden_act="swish"), UnsupportedCheckpoint, r"hidden_act .* gelu.*found 'swish'"),
        (edit("config.json", num_hidden_layers=None), CheckpointError, r"a BERT configuration .*num_hidden_layers"),
        (edit("config.json", num_hidden_layers=3), CheckpointError, r"expected a tensor encoder.layer.2.*found none"),
        (
            edit("config.json", num_attention_heads=5),
            CheckpointError,
            r"hidden_size that is a multiple.*found 32 and 5",
        ),
        (edit("config.json", intermediate_size="x"), CheckpointError, r"a BERT configuration"),
        (write("config.json", "[]"), CheckpointError, r"config.json: expected a JSON object, found list"),
        (remove("model.safetensors"), CheckpointError, r"model.safetensors: expected the body's weights"),
        (write("model.safetensors", "short"), CheckpointError, r"model.safetensors: expected safetensors, found"),
        (tensor("model.safetensors", QUERY, lambda _: None), CheckpointError, r"query.weight of the shape .*none"),
        (tensor("model.safetensors", QUERY, lambda q: q[:-1]), CheckpointError, r"query.weight .*\(31, 32\)"),
        (tensor("model.safetensors", QUERY, lambda q: q * np.nan), CheckpointError, r"found NaN or infinity in .*quer"),
        (tensor("model.safetensors", WORDS, lambda w: w[:-1]), CheckpointError, r"word_embeddings.weight of the sh"),
        (
            write("1_Pooling/config.json", '{"pooling_mode": "max"}'),
            UnsupportedCheckpoint,
            r"one pooling mode of cls, mean; found \['max'\]: not supported yet",
        ),
        (
            write("1_Pooling/config.json", '{"pooling_mode_cls_token": true, "pooling_mode_max_tokens": true}'),
            UnsupportedCheckpoint,
            r"found \['cls', 'max_tokens'\]: not supported yet",
        ),
        (remove("1_Pooling/config.json"), CheckpointError, r"1_Pooling/config.json: expected this file"),
        (remove("head.json"), CheckpointError, r"expected the head in head.json .* or in model_head.pkl, found none"),
        (pickled_head(b"no pickle"), CheckpointError, r"model_head.pkl: expected a pickled head, found damage"),
        (pickled_head(pickle.dumps(print)), UnsupportedCheckpoint, r"asks for builtins.print; no supported head"),
        (edit("head.json", format_version=2), UnsupportedCheckpoint, r"expected format_version 1, found 2"),
        (edit("head.json", kind="LinearSVC"), UnsupportedCheckpoint, r"found 'LinearSVC'"),
        (edit("head.json", multi_target_strategy="classifier-chain"), UnsupportedCheckpoint, r"classifier-chain"),
        (remove("head.safetensors"), CheckpointError, r"head.safetensors: expected coef and intercept"),
        (tensor("head.safetensors", "intercept", lambda _: None), CheckpointError, r"expected coef and intercept"),
        (tensor("head.safetensors", "coef", lambda c: c[:2]), CheckpointError, r"coef \(3, dim\) .*found \(2, 32\)"),
        (tensor("head.safetensors", "coef", lambda c: c[:, :9]), CheckpointError, r"the body's width 32, found 9"),
        (tensor("head.safetensors", "coef", lambda c: c * np.inf), CheckpointError, r"found NaN or infinity"),
        (edit("head.json", classes=["one"]), CheckpointError, r"for 1 classes"),
        (edit("config_setfit.json", labels=["a", "b"]), CheckpointError, r"expected 3 different labels.*\['a', 'b'\]"),
        (edit("config_setfit.json", labels=["a", "b", "b"]), CheckpointError, r"expected 3 different labels"),
        (remove("config_setfit.json"), CheckpointError, r"config_setfit.json: expected this file"),
        (edit("sentence_bert_config.json", max_seq_length=-1), CheckpointError, r"a positive max_seq_length, found -1"),
        (remove("tokenizer.json"), UnsupportedCheckpoint, r"tokenizer.json: expected a tokenizers file, found none"),
        (write("tokenizer.json", "{}"), CheckpointError, r"tokenizer.json: expected a tokenizers file"),
    ],
)
def test_each_defect_is_named_and_no_bundle_is_written(
    checkpoint: Path, tmp_path: Path, change: Change, error: type[Exception], message: str
) -> None:
    change(checkpoint)

    with pytest.raises(error, match=message):
        export(checkpoint, tmp_path / "bundle")
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]


def test_a_vocabulary_larger_than_the_table(checkpoint: Path) -> None:
    path = checkpoint / "tokenizer.json"
    definition = json.loads(path.read_text(encoding="utf-8"))
    definition["model"]["vocab"]["extra"] = len(definition["model"]["vocab"])
    path.write_text(json.dumps(definition), encoding="utf-8")

    with pytest.raises(CheckpointError, match=r"expected at most 185 tokens.*found 186"):
        read_checkpoint(checkpoint)


@pytest.mark.parametrize("name", ["missing", "a_file"])
def test_a_checkpoint_that_is_no_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "a_file").write_text("x", encoding="utf-8")

    with pytest.raises(CheckpointError, match=f"{name}: expected a checkpoint folder"):
        read_checkpoint(tmp_path / name)
