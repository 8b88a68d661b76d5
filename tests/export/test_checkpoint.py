"""Reading checkpoints: what is supported, and what each defect is called."""

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import safetensors.numpy
import tokenizers
import torch
from sentence_transformers import SentenceTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain
from sklearn.svm import SVC

from setfuse.export import CheckpointError, UnsupportedCheckpoint, export, read_checkpoint
from setfuse.export._modules import Pooling
from setfuse.train._head import DifferentiableHead, FittedHead, pickle_head
from tests.models import DATA, LONG_TEXT, TEXTS, make_body, make_checkpoint

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


def setfit_normalizes(folder: Path) -> None:
    modules("Transformer", "Pooling")(folder)
    edit("config_setfit.json", normalize_embeddings=True)(folder)


def prompt(text: str) -> Change:
    return edit("config_sentence_transformers.json", default_prompt_name="q", prompts={"q": text})


def no_tokenizer(folder: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()


def tokenizer_file(**changes: Any) -> Change:
    def change(folder: Path) -> None:
        path = folder / "tokenizer.json"
        path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **changes}), encoding="utf-8")

    return change


def link_to_itself(folder: Path) -> None:
    shutil.rmtree(folder / "1_Pooling")
    (folder / "1_Pooling").symlink_to("1_Pooling")


def as_text(value: object) -> object:
    """Give modules by their names."""
    if isinstance(value, Pooling):
        return str(value)
    return [str(module) for module in value] if isinstance(value, tuple) and not is_strings(value) else value


def is_strings(values: tuple[object, ...]) -> bool:
    return bool(values) and all(isinstance(value, str) for value in values)


WORDS = "embeddings.word_embeddings.weight"
QUERY = "encoder.layer.1.attention.self.query.weight"


@pytest.fixture
def checkpoint(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(tiny_checkpoint, tmp_path / "checkpoint"))


def test_a_checkpoint_of_ours(tiny_checkpoint: Path) -> None:
    checkpoint = read_checkpoint(str(tiny_checkpoint))

    assert checkpoint.labels == ("late", "lost", "refund")
    assert [str(module) for module in (checkpoint.pooling, *checkpoint.modules)] == ["Pooling(mean)", "Normalize"]
    assert (checkpoint.max_length, checkpoint.width, checkpoint.prompt) == (48, 32, "")
    assert (checkpoint.encoder.family, len(checkpoint.encoder.layers), checkpoint.encoder.hidden) == ("bert", 2, 32)
    assert checkpoint.training["base_model"] == "tests/tiny"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (setfit_normalizes, {"modules": ["Normalize"]}),
        (edit("config_setfit.json", normalize_embeddings=True), {"modules": ["Normalize"]}),
        (remove("config_setfit.json"), {"labels": ("late", "lost", "refund"), "normalize_embeddings": False}),
        (edit("config_setfit.json", labels=["refund", "lost", "late"]), {"labels": ("late", "lost", "refund")}),
        (edit("config_setfit.json", labels=None), {"labels": ("late", "lost", "refund")}),
        (edit("sentence_bert_config.json", max_seq_length=20), {"max_length": 20}),
        (edit("sentence_bert_config.json", max_seq_length=5000), {"max_length": 64}),
        (edit("tokenizer_config.json", model_max_length=int(1e30)), {"max_length": 64}),
        (
            write("1_Pooling/config.json", '{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false}'),
            {"pooling": "Pooling(cls)"},
        ),
        (write("1_Pooling/config.json", '{"word_embedding_dimension": 32}'), {"pooling": "Pooling(mean)"}),
        (modules("Transformer", "Pooling"), {"modules": []}),
        (prompt("ask: "), {"prompt": "ask: "}),
        (remove("config_sentence_transformers.json"), {"prompt": ""}),
        (remove("tokenizer_config.json"), {"max_length": 64}),
        (remove("training.json"), {"training": {}}),
    ],
    ids=[
        "SetFit's normalize_embeddings",
        "SetFit's normalize_embeddings behind a Normalize",
        "no config_setfit.json",
        "labels of SetFit's config in another order",
        "labels of the head",
        "max_seq_length of sentence-transformers 5",
        "max_seq_length beyond the position table",
        "a tokenizer without a limit",
        "pooling of sentence-transformers 5",
        "pooling of old sentence-transformers, mean by default",
        "no Normalize",
        "a default prompt",
        "no config_sentence_transformers.json",
        "no tokenizer_config.json",
        "no training.json",
    ],
)
def test_what_other_versions_and_settings_mean(checkpoint: Path, change: Change, expected: dict[str, object]) -> None:
    change(checkpoint)

    read = read_checkpoint(checkpoint)

    assert {name: as_text(getattr(read, name)) for name in expected} == expected


def sklearns(y: list[Any], estimator: Any = None) -> Change:
    """Leave a head that scikit-learn fitted in the place of our own, as SetFit saves it."""

    def change(folder: Path) -> None:
        x = np.random.default_rng(0).normal(size=(len(y), 32))
        (folder / "head.json").unlink()
        joblib.dump((estimator or LogisticRegression()).fit(x, y), folder / "model_head.pkl")

    return change


def differentiable(folder: Path) -> None:
    x = np.zeros((0, 0), np.float32)
    (folder / "head.json").unlink()
    pickle_head(FittedHead(DifferentiableHead(32, 2, multi_label=False), ("", ""), False, None, x), folder)


SEVERAL = [[1, 0], [0, 1], [1, 1], [0, 0]]


@pytest.mark.parametrize(
    ("head", "given", "labels"),
    [
        (sklearns(["late", "lost", "late", "lost"]), ["lost", "late"], ("late", "lost")),
        (sklearns(["late", "lost", "late", "lost"]), ["anything"], ("late", "lost")),
        (sklearns(["1", "0", "1", "0"]), ["late", "lost"], ("0", "1")),
        (sklearns([1, 0, 1, 0]), ["lost", "late"], ("lost", "late")),
        (sklearns([1, 0, 1, 0]), None, ("0", "1")),
        (sklearns([1, 0, 1, 0]), [], ("0", "1")),
        (sklearns([2, 0, 2, 0]), ["lost", "late", "a refund"], ("lost", "a refund")),
        (sklearns([1.0, 0.0, 1.0, 0.0]), ["lost", "late"], ("lost", "late")),
        (sklearns(["late", "lost", "late", "lost"], OneVsRestClassifier(SVC())), ["lost", "late"], ("late", "lost")),
        (sklearns(SEVERAL, ClassifierChain(LogisticRegression())), ["lost", "late"], ("lost", "late")),
        (sklearns(SEVERAL, ClassifierChain(LogisticRegression())), None, ("0", "1")),
        (differentiable, ["lost", "late"], ("lost", "late")),
        (differentiable, ["lost", "late", "a refund"], ("lost", "late")),
        (differentiable, None, ("0", "1")),
        (edit("head.json", classes=["0", "2", "10"]), ["c", "b", "a"], ("c", "b", "a")),
    ],
    ids=[
        "texts, in another order",
        "texts, others",
        "texts that look like numbers",
        "numbers",
        "numbers without names",
        "numbers and no names",
        "numbers with a gap",
        "numbers with a point",
        "texts, one-vs-rest",
        "several labels",
        "several labels without names",
        "differentiable",
        "differentiable, more names than rows",
        "differentiable without names",
        "numbers in a head of ours",
    ],
)
def test_labels_are_those_that_setfit_would_answer(
    checkpoint: Path, head: Change, given: list[str] | None, labels: tuple[str, ...]
) -> None:
    head(checkpoint)
    edit("config_setfit.json", labels=given)(checkpoint)

    assert read_checkpoint(checkpoint).labels == labels


@pytest.mark.parametrize(
    ("head", "given", "message"),
    [
        (
            sklearns([1, 0, 1, 0]),
            ["a"],
            r"config_setfit.json: expected a label for each of the head's 0, 1; found \['a'",
        ),
        (
            sklearns([2, 0, 2, 0]),
            ["a", "b"],
            r"config_setfit.json: expected a label for each of the head's 0, 2; found",
        ),
        (sklearns([1, 0, 1, 0]), ["a", "a"], r"config_setfit.json: expected 2 different labels; found \['a', 'a'\]"),
        (sklearns([1, 0, 1, 0]), {"0": "a"}, r"config_setfit.json: expected 2 labels, one a class of the head; found"),
        (sklearns(SEVERAL, ClassifierChain(LogisticRegression())), ["a", "b", "c"], r"expected 2 labels, one a class"),
    ],
    ids=["too few", "too few for the last", "twice the same", "no list", "several labels, too many"],
)
def test_labels_that_name_no_classes(checkpoint: Path, head: Change, given: object, message: str) -> None:
    head(checkpoint)
    edit("config_setfit.json", labels=given)(checkpoint)

    with pytest.raises(CheckpointError, match=message):
        read_checkpoint(checkpoint)


def test_weights_under_the_prefix_of_a_bert_with_a_task_head(checkpoint: Path) -> None:
    path = checkpoint / "model.safetensors"
    expected = safetensors.numpy.load_file(path)
    safetensors.numpy.save_file({f"bert.{name}": value for name, value in expected.items()}, path)

    read = read_checkpoint(checkpoint).encoder

    np.testing.assert_array_equal(read.words, expected[WORDS])
    np.testing.assert_array_equal(read.layers[1].query.weight.T, expected[QUERY])


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (remove("modules.json"), CheckpointError, r"checkpoint: expected a checkpoint folder with modules.json"),
        (write("modules.json", "{"), CheckpointError, r"modules.json: expected JSON, found damage"),
        (write("modules.json", '[{"type": 1}]'), CheckpointError, r"modules.json: expected a list of modules"),
        (modules("Transformer", "Pooling", "CNN"), UnsupportedCheckpoint, r"found Transformer, Pooling, CNN: not"),
        (modules("Transformer", "Dense", "Pooling"), UnsupportedCheckpoint, r"found Transformer, Dense, Pooling: not"),
        (modules("Transformer"), UnsupportedCheckpoint, r"found Transformer: not supported"),
        (modules("CLIPModel"), UnsupportedCheckpoint, r"found CLIPModel: not supported"),
        (modules(), UnsupportedCheckpoint, r"found none: not supported"),
        (
            write("modules.json", '[{"type": "Transformer", "path": ""}, {"type": "Pooling", "path": "../../etc"}]'),
            CheckpointError,
            r"expected paths inside the folder",
        ),
        (modules("Transformer", "Pooling", "Dense"), CheckpointError, r"2_Dense/config.json: expected this file"),
        (
            edit("config_sentence_transformers.json", default_prompt_name="task"),
            CheckpointError,
            r"expected the default prompt 'task' among the prompts",
        ),
        (
            prompt("late " * 60),
            CheckpointError,
            r"expected a prompt that leaves room for a text, found 47 tokens of 48",
        ),
        (edit("config_sentence_transformers.json", truncate_dim=0), CheckpointError, r"truncate_dim of 1 or more"),
        (edit("config_sentence_transformers.json", truncate_dim=9), CheckpointError, r"the body's width 9, found 32"),
        (edit("config.json", model_type="gpt2"), UnsupportedCheckpoint, r"one of albert, bert, .*found 'gpt2'"),
        (edit("config.json", model_type=None), UnsupportedCheckpoint, r"one of albert, bert, .*found None"),
        (edit("config.json", position_embedding_type="relative_key"), UnsupportedCheckpoint, r"'relative_key'"),
        (edit("config.json", is_decoder=True), UnsupportedCheckpoint, r"expected is_decoder False, found True"),
        (edit("config.json", hidden_act="mish"), UnsupportedCheckpoint, r"hidden_act .* gelu.*found 'mish'"),
        (edit("config.json", num_hidden_layers=None), CheckpointError, r"num_hidden_layers to be a whole number"),
        (edit("config.json", num_hidden_layers=3), CheckpointError, r"expected a tensor encoder.layer.2.*found none"),
        (
            edit("config.json", num_attention_heads=5),
            CheckpointError,
            r"hidden size that is a multiple.*found 32 and 5",
        ),
        (edit("config.json", intermediate_size="x"), CheckpointError, r"intermediate_size to be .*found 'x'"),
        (edit("config.json", intermediate_size=True), CheckpointError, r"intermediate_size to be .*found True"),
        (edit("config.json", layer_norm_eps="x"), CheckpointError, r"layer_norm_eps to be a number, found 'x'"),
        (write("config.json", "[]"), CheckpointError, r"config.json: expected a JSON object, found list"),
        (remove("model.safetensors"), CheckpointError, r"model.safetensors: expected the body's weights"),
        (write("model.safetensors", "short"), CheckpointError, r"model.safetensors: expected safetensors, found"),
        (tensor("model.safetensors", QUERY, lambda _: None), CheckpointError, r"query.weight of the shape .*none"),
        (tensor("model.safetensors", QUERY, lambda q: q[:-1]), CheckpointError, r"query.weight .*\(31, 32\)"),
        (tensor("model.safetensors", QUERY, lambda q: q * np.nan), CheckpointError, r"found NaN or infinity in .*quer"),
        (tensor("model.safetensors", WORDS, lambda w: w[:-1]), CheckpointError, r"word_embeddings.weight of the sh"),
        (
            write("1_Pooling/config.json", '{"pooling_mode": "median"}'),
            UnsupportedCheckpoint,
            r"pooling modes of cls, max, mean, .*; found \['median'\]: not supported",
        ),
        (
            write("1_Pooling/config.json", '{"pooling_mode_cls_token": true, "pooling_mode_max_tokens": true}'),
            CheckpointError,
            r"the body's width 64, found 32",
        ),
        (remove("1_Pooling/config.json"), CheckpointError, r"1_Pooling/config.json: expected this file"),
        (remove("head.json"), CheckpointError, r"expected the head in head.json .* or in model_head.pkl, found none"),
        (pickled_head(b"no pickle"), CheckpointError, r"model_head.pkl: expected a pickled head, found damage"),
        (pickled_head(pickle.dumps(print)), UnsupportedCheckpoint, r"asks for builtins.print; no supported head"),
        (edit("head.json", format_version=3), UnsupportedCheckpoint, r"expected format_version 2 or 1, found 3"),
        (edit("head.json", kind="GaussianNB"), UnsupportedCheckpoint, r"expected one of .*, found 'GaussianNB'"),
        (remove("head.safetensors"), CheckpointError, r"the tensor coef in head.safetensors, found none"),
        (
            tensor("head.safetensors", "intercept", lambda _: None),
            CheckpointError,
            r"the tensor intercept .*found coef",
        ),
        (tensor("head.safetensors", "coef", lambda c: c[:2]), CheckpointError, r"coef_ \(3, dim\) .*found \(2, 32\)"),
        (tensor("head.safetensors", "coef", lambda c: c[:, :9]), CheckpointError, r"the body's width 32, found 9"),
        (tensor("head.safetensors", "coef", lambda c: c * np.inf), CheckpointError, r"found NaN or infinity"),
        (edit("head.json", classes=["one"]), CheckpointError, r"expected two classes or more, found 1"),
        (edit("sentence_bert_config.json", max_seq_length=-1), CheckpointError, r"a positive max_seq_length, found -1"),
        (edit("sentence_bert_config.json", max_seq_length=float("nan")), CheckpointError, r"max_seq_length, found nan"),
        (
            edit("sentence_bert_config.json", max_seq_length=1),
            CheckpointError,
            r"a max_seq_length of 2 .*found 1",
        ),
        (edit("config.json", model_type=[]), UnsupportedCheckpoint, r"found \[\]: not supported"),
        (
            edit("config.json", layer_norm_eps=float("nan")),
            CheckpointError,
            r"layer_norm_eps to be a number, found nan",
        ),
        (edit("config.json", layer_norm_eps=10**400), CheckpointError, r"layer_norm_eps to be a number, found 10000"),
        (
            edit("config.json", hidden_dropout_prob="x"),
            CheckpointError,
            r"sentence-transformers can load.*dropout_prob",
        ),
        (edit("config.json", chunk_size_feed_forward=7), CheckpointError, r"sentence-transformers can run, .* chunk"),
        (edit("sentence_bert_config.json", max_seq_length=65), CheckpointError, r"sentence-transformers can run, .*65"),
        (
            tensor("model.safetensors", WORDS, lambda w: w * np.float32(1e37)),
            CheckpointError,
            r"embeddings are finite, found NaN or infinity from torch for the text ''",
        ),
        (
            edit("config_sentence_transformers.json", default_prompt_name=["q"]),
            CheckpointError,
            r"default prompt \['q'\]",
        ),
        (prompt("\ud800"), CheckpointError, r"config_sentence_transformers.json: expected JSON, .*surrogates"),
        (edit("config_setfit.json", labels=["a", "b", "\ud800"]), CheckpointError, r"config_setfit.json: .*surrogates"),
        (write("training.json", '{"seconds": 1e999}'), CheckpointError, r"training.json: expected finite numbers"),
        (write("head.json", "[" * 100_000), CheckpointError, r"head.json: expected JSON, found damage"),
        (
            write("modules.json", r'[{"type": "Transformer", "path": ""}, {"type": "Pooling", "path": "\u0000"}]'),
            CheckpointError,
            r"expected paths inside the folder",
        ),
        (tokenizer_file(post_processor=None), UnsupportedCheckpoint, r"gives every text a token, .*found none"),
        (
            tokenizer_file(post_processor={"type": "BertProcessing", "sep": ["[SEP]", 9999], "cls": ["[CLS]", 2]}),
            CheckpointError,
            r"tokenizer.json: expected token ids below 185, .*found 9999",
        ),
        (link_to_itself, CheckpointError, r"expected paths inside the folder"),
        (no_tokenizer, CheckpointError, r"tokenizer.json: expected a tokenizers file, or a vocabulary .*found neither"),
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


@pytest.mark.parametrize(
    ("padding_id", "message"),
    [
        (-1, r"pad_token_id to be a whole number of 0 or more, found -1"),
        (1.5, r"pad_token_id to be a whole number of 0 or more, found 1.5"),
        (63, r"expected more position embeddings .*, found 64 and the id 63"),
        (10**30, r"expected more position embeddings .*, found 64 and the id 10000"),
    ],
)
def test_a_padding_id_that_leaves_no_positions(padding_id: object, message: str, tmp_path: Path) -> None:
    body = make_body(tmp_path, family="roberta")
    checkpoint = make_checkpoint(tmp_path, body, ("late", "lost", "refund"))
    edit("config.json", pad_token_id=padding_id)(checkpoint)

    with pytest.raises(CheckpointError, match=message):
        read_checkpoint(checkpoint)


def test_a_vocabulary_larger_than_the_table(checkpoint: Path) -> None:
    path = checkpoint / "tokenizer.json"
    definition = json.loads(path.read_text(encoding="utf-8"))
    definition["model"]["vocab"]["extra"] = len(definition["model"]["vocab"])
    path.write_text(json.dumps(definition), encoding="utf-8")

    with pytest.raises(CheckpointError, match=r"expected token ids below 185.*found 185"):
        read_checkpoint(checkpoint)


def test_a_vocabulary_without_a_tokenizers_file_is_converted(checkpoint: Path) -> None:
    expected = tokenizers.Tokenizer.from_str(read_checkpoint(checkpoint).tokenizer)
    (checkpoint / "tokenizer.json").unlink()
    shutil.copy(DATA / "vocab.txt", checkpoint / "vocab.txt")

    converted = tokenizers.Tokenizer.from_str(read_checkpoint(checkpoint).tokenizer)

    for text in (*TEXTS, LONG_TEXT):
        assert converted.encode(text).ids == expected.encode(text).ids


def test_texts_are_lowercased_where_sentence_transformers_would(checkpoint: Path) -> None:
    path = checkpoint / "tokenizer.json"
    cased = tokenizers.Tokenizer.from_file(str(path))
    cased.normalizer = tokenizers.normalizers.NFC()
    cased.save(str(path))
    edit("sentence_bert_config.json", do_lower_case=True)(checkpoint)

    ours = tokenizers.Tokenizer.from_str(read_checkpoint(checkpoint).tokenizer)

    theirs = SentenceTransformer(str(checkpoint), device="cpu").tokenizer
    assert ours.encode("LATE Parcel").ids == theirs("LATE Parcel")["input_ids"]
    assert ours.encode("LATE Parcel").ids == ours.encode("late parcel").ids


def test_weights_in_shards_and_in_a_pickle_without_code(checkpoint: Path) -> None:
    expected = read_checkpoint(checkpoint).encoder
    tensors = safetensors.numpy.load_file(checkpoint / "model.safetensors")
    (checkpoint / "model.safetensors").unlink()
    names = sorted(tensors)
    shards = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for file, own in shards.items():
        safetensors.numpy.save_file({name: tensors[name] for name in own}, checkpoint / file)
    index = checkpoint / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {name: file for file, own in shards.items() for name in own}}))

    sharded = read_checkpoint(checkpoint).encoder
    index.unlink()
    old_names = {name.replace("LayerNorm.weight", "LayerNorm.gamma"): torch.from_numpy(tensors[name]) for name in names}
    torch.save(old_names, checkpoint / "pytorch_model.bin")
    pickled = read_checkpoint(checkpoint).encoder

    for read in (sharded, pickled):
        np.testing.assert_array_equal(read.words, expected.words)
        np.testing.assert_array_equal(read.layers[1].norm.weight, expected.layers[1].norm.weight)


class Malicious:
    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (Path("pwned"),))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: torch.save({"x": Malicious()}, folder / "pytorch_model.bin"), "tensors and nothing else"),
        (lambda folder: (folder / "pytorch_model.bin").write_bytes(b"short"), "tensors and nothing else"),
        (lambda folder: torch.save(["a list"], folder / "pytorch_model.bin"), "tensors and nothing else"),
        (write("model.safetensors.index.json", '{"weight_map": {"a": "../x"}}'), "a weight_map from tensors to files"),
        (write("model.safetensors.index.json", "{}"), "a weight_map from tensors to files"),
        (write("model.safetensors.index.json", '{"weight_map": {"a": "x.safetensors"}}'), "expected safetensors"),
    ],
    ids=["code", "cut short", "no tensors", "a file elsewhere", "no map", "a shard missing"],
)
def test_weights_in_another_form_that_are_damaged(
    checkpoint: Path, change: Change, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(checkpoint)
    (checkpoint / "model.safetensors").unlink()
    change(checkpoint)

    with pytest.raises(CheckpointError, match=message):
        read_checkpoint(checkpoint)
    assert not (checkpoint / "pwned").exists()


@pytest.mark.parametrize("name", ["missing", "a_file"])
def test_a_checkpoint_that_is_no_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "a_file").write_text("x", encoding="utf-8")

    with pytest.raises(CheckpointError, match=f"{name}: expected a checkpoint folder"):
        read_checkpoint(tmp_path / name)


def test_a_checkpoint_on_the_hub_that_was_downloaded_before(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = tmp_path / "models--somebody--parcels"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0" * 40, encoding="utf-8")
    (repository / "snapshots").mkdir()
    (repository / "snapshots" / ("0" * 40)).symlink_to(tiny_checkpoint)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    assert read_checkpoint("somebody/parcels").labels == ("late", "lost", "refund")
    with pytest.raises(CheckpointError, match="somebody/else: expected a checkpoint folder or a Hub id; there is no"):
        read_checkpoint("somebody/else")
