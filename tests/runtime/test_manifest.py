"""The manifest: what is written is read back, and damage is named."""

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from setfuse.runtime import (
    FORMAT_VERSION,
    BundleCorrupt,
    BundleError,
    BundleFile,
    BundleNotFound,
    Manifest,
    Parity,
    Precision,
    Scores,
    Target,
    Task,
    Tensor,
    UnsupportedFormat,
    Variant,
    VariantNotFound,
)

from .damage import change_manifest


def make_variant(precision: str, target: str, parity: Parity | None = None, scores: str = "probabilities") -> Variant:
    """Describe a graph that need not be there."""
    return Variant(
        file=BundleFile(f"model.{precision}.{target}.onnx", 12, "0" * 64),
        precision=Precision(precision),
        target=Target(target),
        inputs=(Tensor("input_ids", "int64", ("batch", "sequence")),),
        outputs=(Tensor(scores, "float", ("batch", 2)), Tensor("sentence_embedding", "float", ("batch", 32))),
        parity=parity,
    )


def make_strings(scores: str = "probabilities") -> Variant:
    """Describe a graph with the tokenizer inside."""
    variant = make_variant("fp32", "cpu", scores=scores)
    file = BundleFile("model.strings.onnx", 12, "0" * 64)
    return dataclasses.replace(variant, file=file, inputs=(Tensor("text", "string", ("batch",)),))


def make_manifest(*variants: Variant) -> Manifest:
    """Describe a bundle of these graphs."""
    return Manifest(
        labels=("späť", "你好"),
        max_length=48,
        embedding_dim=32,
        tokenizer=BundleFile("tokenizer.json", 3, "f" * 64),
        variants=variants,
        provenance={"training": {"base_model": "a/b", "seed": 42, "accuracy": None}, "versions": {"onnx": "1.0"}},
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a manifest and nothing else."""
    parity = Parity(54, 2e-7, 1e-8, 3e-6, 1.0, 1e-5, 1.5e-7)
    make_manifest(make_variant("fp32", "cpu", parity), make_variant("int8", "cpu")).write(tmp_path)
    return tmp_path


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    parity = Parity(54, 2e-7, 1e-8, 3e-6, 1.0, 1e-5, 1.5e-7)
    manifest = make_manifest(make_variant("fp32", "cpu", parity), make_variant("fp16", "cuda"))

    manifest.write(tmp_path)

    assert Manifest.read(tmp_path) == Manifest.read(str(tmp_path)) == manifest


def test_the_form_that_other_languages_read(tmp_path: Path) -> None:
    make_manifest(make_variant("fp32", "cpu")).write(tmp_path)

    assert json.loads((tmp_path / "bundle.json").read_text(encoding="utf-8")) == {
        "format_version": 2,
        "task": "text-classification",
        "scores": "probabilities",
        "prompt": "",
        "labels": ["späť", "你好"],
        "max_length": 48,
        "embedding_dim": 32,
        "tokenizer": {"file": "tokenizer.json", "bytes": 3, "sha256": "f" * 64},
        "variants": [
            {
                "file": "model.fp32.cpu.onnx",
                "bytes": 12,
                "sha256": "0" * 64,
                "precision": "fp32",
                "target": "cpu",
                "inputs": [{"name": "input_ids", "dtype": "int64", "shape": ["batch", "sequence"]}],
                "outputs": [
                    {"name": "probabilities", "dtype": "float", "shape": ["batch", 2]},
                    {"name": "sentence_embedding", "dtype": "float", "shape": ["batch", 32]},
                ],
                "parity": None,
                "note": "",
            }
        ],
        "provenance": {"training": {"base_model": "a/b", "seed": 42, "accuracy": None}, "versions": {"onnx": "1.0"}},
    }


def test_what_version_2_added_is_read_back(tmp_path: Path) -> None:
    parity = Parity(
        *(12, 2e-7, 1e-8, 3e-6, 0.75, 1e-5, 1.5e-7),
        mean_embedding_difference=1e-8,
        accuracy=0.5,
        torch_accuracy=1,
        checked_on="held_out.jsonl",
        allowed_mismatch="3 labels of 12 differ",
    )
    variant = make_variant("fp32", "cpu", parity, scores="decision_scores")
    manifest = dataclasses.replace(
        make_manifest(make_variant("fp32", "cpu")),
        variants=(variant, dataclasses.replace(make_strings("decision_scores"), note="with the tokenizer inside")),
        scores=Scores.DECISION,
        task=Task.MULTI_LABEL,
        prompt="query: \n",
    )

    manifest.write(tmp_path)

    assert Manifest.read(tmp_path) == manifest


@pytest.mark.parametrize("name", ["task", "scores"])
def test_a_manifest_takes_members_and_no_bare_strings(name: str) -> None:
    manifest = make_manifest(make_variant("fp32", "cpu"))

    with pytest.raises(TypeError, match=f"as {name}"):
        dataclasses.replace(manifest, **{name: str(getattr(manifest, name))})  # type: ignore[arg-type]


ODD: list[Any] = [
    *[None, True, 0, -1, 1.5, 10**400, float("nan"), float("inf")],
    *["", "\ud800", "\0", [], [None], {}, {"a": 1}],
]


def places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Give the way to every value of a JSON document."""
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, below in steps:
        yield (*path, step)
        yield from places(below, (*path, step))


def test_no_odd_value_anywhere_gets_past_or_escapes(folder: Path) -> None:
    path = folder / "bundle.json"
    good = path.read_bytes()
    read = 0

    for *above, last in places(json.loads(good)):
        for odd in ODD:
            value = json.loads(good)
            parent = value
            for step in above:
                parent = parent[step]
            parent[last] = odd
            path.write_text(json.dumps(value), encoding="utf-8")
            try:
                manifest = Manifest.read(folder)
            except BundleError:
                continue
            read += 1
            # What is read can be said and written: no NaN, no surrogate, no number beyond bounds.
            json.dumps(manifest.to_json(), ensure_ascii=False, allow_nan=False).encode()
    assert read > 0  # texts may be any, and sizes some


def test_keys_that_this_release_does_not_know_are_ignored(folder: Path) -> None:
    before = Manifest.read(folder)

    def add(manifest: dict[str, Any]) -> None:
        for value in (manifest, manifest["tokenizer"], *manifest["variants"], manifest["variants"][0]["parity"]):
            value["of_a_later_release"] = {"x": [None]}
        manifest["variants"][0]["inputs"][0]["layout"] = "row"

    assert Manifest.read(change_manifest(folder, add)) == before


def test_a_multi_label_bundle_may_have_one_label() -> None:
    outputs = (Tensor("probabilities", "float", ("batch", 1)), Tensor("sentence_embedding", "float", ("batch", 32)))
    variant = dataclasses.replace(make_variant("fp32", "cpu"), outputs=outputs)

    manifest = make_manifest(make_variant("fp32", "cpu"))
    changes: dict[str, Any] = {"labels": ("spam",), "variants": (variant,)}
    assert dataclasses.replace(manifest, **changes, task=Task.MULTI_LABEL).labels == ("spam",)
    with pytest.raises(ValueError, match="2 labels or more"):
        dataclasses.replace(manifest, **changes)


# Graphs that take strings


def test_a_graph_that_takes_strings_is_never_the_one_to_run() -> None:
    manifest = make_manifest(make_strings(), make_variant("int8", "cpu"))

    assert make_strings().takes_strings
    assert str(manifest.variant(precision=None, target=Target.CPU)) == "int8/cpu"
    with pytest.raises(
        VariantNotFound, match=r"no fp32/cpu graph \(has: fp32/cpu \(strings in\), int8/cpu; strings in"
    ):
        manifest.variant(precision=Precision.FP32, target=Target.CPU)


def test_a_bundle_of_strings_alone_says_who_can_run_it() -> None:
    with pytest.raises(VariantNotFound, match=r"strings in is for other programs, through onnxruntime-extensions\)"):
        make_manifest(make_strings()).variant(precision=None, target=Target.CPU)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inputs": (Tensor("text", "int64", ("batch",)),)}, "expected string of 1 axes as text"),
        ({"inputs": (Tensor("text", "string", ("batch", 1)),)}, "expected string of 1 axes as text"),
        ({"outputs": (Tensor("label", "int64", ("batch",)),)}, "expected string of 1 axes as label"),
    ],
)
def test_the_interface_of_strings_is_checked(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(make_strings(), **changes)


def test_only_a_graph_that_takes_strings_may_name_labels() -> None:
    label = Tensor("label", "string", ("batch",))

    with pytest.raises(ValueError, match="expected float of 2 axes as label"):
        dataclasses.replace(make_variant("fp32", "cpu"), outputs=(label,))
    outputs = (label, *make_strings().outputs)
    assert make_manifest(dataclasses.replace(make_strings(), outputs=outputs)).variants[0].widths == {
        "probabilities": 2,
        "sentence_embedding": 32,
    }


def test_a_folder_that_is_no_bundle(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("not a folder", encoding="utf-8")

    for path in (tmp_path, tmp_path / "missing", file):
        with pytest.raises(BundleNotFound, match=r"expected a bundle folder with bundle\.json") as caught:
            Manifest.read(path)
        assert str(path) in str(caught.value)
        assert "setfuse export" in str(caught.value)

    (tmp_path / "bundle.json").mkdir()
    with pytest.raises(BundleNotFound, match="Is a directory"):
        Manifest.read(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b'{"format_version": 1, "labels": [', id="cut short"),
        pytest.param(b"not json", id="not JSON"),
        pytest.param(b"\xff\xfe\x00", id="not UTF-8"),
        pytest.param(b"[" * 100_000, id="nested too deeply"),
        pytest.param(b'[{"format_version": 1}]', id="list"),
        pytest.param(b"1", id="number"),
        pytest.param(b"null", id="null"),
        pytest.param(b"{}", id="empty object"),
        pytest.param(b'{"format_version": "1"}', id="version is text"),
        pytest.param(b'{"format_version": 1.0}', id="version is a float"),
        pytest.param(b'{"format_version": null}', id="version is null"),
        pytest.param(b'{"format_version": true}', id="version is true"),
        pytest.param(b'{"format_version": NaN}', id="version is NaN"),
        pytest.param(b'{"format_version": [2]}', id="version is a list"),
        pytest.param(b'{"format_version": 1' + b"0" * 5000 + b"}", id="version of 5,000 digits"),
        pytest.param(b'{"format_version": 1}', id="only a version"),
    ],
)
def test_a_manifest_that_is_none(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "bundle.json").write_bytes(content)

    with pytest.raises(BundleCorrupt) as caught:
        Manifest.read(tmp_path)

    assert str(caught.value).startswith(f"{tmp_path / 'bundle.json'}: ")


KEYS = [
    *["task", "scores", "prompt", "labels", "max_length", "embedding_dim", "tokenizer", "variants", "provenance"],
    *["tokenizer.file", "tokenizer.bytes", "tokenizer.sha256"],
    *["variants.0.file", "variants.0.bytes", "variants.0.sha256", "variants.0.precision", "variants.0.target"],
    *["variants.0.inputs", "variants.0.outputs", "variants.0.parity", "variants.0.parity.tolerance"],
    *["variants.0.inputs.0.name", "variants.0.inputs.0.dtype", "variants.0.outputs.1.shape"],
]


@pytest.mark.parametrize("key", KEYS)
def test_a_missing_key_is_named(key: str, folder: Path) -> None:
    *above, last = key.split(".")

    def remove(manifest: Any) -> None:
        for step in above:
            manifest = manifest[int(step) if step.isdecimal() else step]
        del manifest[last]

    change_manifest(folder, remove)

    with pytest.raises(BundleCorrupt, match=rf"bundle\.json: the manifest is damaged .*'{last}'"):
        Manifest.read(folder)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param(lambda m: m.update(labels=["a", "b", "a"]), "all different", id="duplicate labels"),
        pytest.param(lambda m: m.update(labels=[1, "a"]), "expected text as a label, found 1", id="label is a number"),
        pytest.param(lambda m: m.update(labels=["a"]), "2 labels or more", id="one label"),
        pytest.param(lambda m: m.update(labels=None), "TypeError", id="labels are null"),
        pytest.param(lambda m: m.update(variants=[]), "at least one variant", id="no variants"),
        pytest.param(lambda m: m.update(variants=["model.onnx"]), "TypeError", id="variant is text"),
        pytest.param(lambda m: m["labels"].append("more"), "'probabilities': 3", id="a label too many"),
        pytest.param(lambda m: m.update(embedding_dim=31), "'sentence_embedding': 31", id="another embedding_dim"),
        pytest.param(
            lambda m: m["variants"][0]["inputs"][0].update(name="ids"), "expected input_ids", id="another input"
        ),
        pytest.param(lambda m: m.update(max_length=0), "max_length", id="max_length 0"),
        pytest.param(lambda m: m.update(max_length=-1), "max_length", id="max_length -1"),
        pytest.param(lambda m: m.update(max_length=float("inf")), "found inf", id="max_length infinite"),
        pytest.param(lambda m: m.update(embedding_dim=0), "embedding_dim", id="embedding_dim 0"),
        pytest.param(lambda m: m.update(provenance=3), "TypeError", id="provenance is a number"),
        pytest.param(lambda m: m["variants"][0].update(precision="fp8"), "fp8", id="unknown precision"),
        pytest.param(lambda m: m["variants"][0].update(target="tpu"), "tpu", id="unknown target"),
        pytest.param(lambda m: m["tokenizer"].update(bytes="many"), "many", id="size is text"),
        pytest.param(lambda m: m["tokenizer"].update(bytes=-1), "found -1", id="size negative"),
        pytest.param(lambda m: m["tokenizer"].update(bytes=True), "found True", id="size is true"),
        pytest.param(lambda m: m["tokenizer"].update(bytes=3.0), "found 3.0", id="size is a float"),
        pytest.param(lambda m: m["tokenizer"].update(bytes=10**400), "found 1000", id="size huge"),
        pytest.param(lambda m: m["tokenizer"].update(sha256="f" * 63), "64 hexadecimal", id="sha256 short"),
        pytest.param(lambda m: m["tokenizer"].update(sha256=0), "64 hexadecimal", id="sha256 is a number"),
        pytest.param(lambda m: m.update(tokenizer=[]), "TypeError", id="tokenizer is a list"),
        pytest.param(lambda m: m.update(labels="ab"), "expected list as labels", id="labels are text"),
        pytest.param(lambda m: m.update(labels=["a", "\ud800"]), "as a label", id="label is no UTF-8"),
        pytest.param(lambda m: m.update(labels=["a", None]), "as a label", id="label is null"),
        pytest.param(lambda m: m.update(labels=["a", ["b"]]), "as a label", id="label is a list"),
        pytest.param(lambda m: m.update(max_length=True), "found True", id="max_length is true"),
        pytest.param(lambda m: m.update(max_length="48"), "found '48'", id="max_length is text"),
        pytest.param(lambda m: m.update(max_length=2**64), "found 1844", id="max_length huge"),
        pytest.param(lambda m: m.update(task="regression"), "regression", id="unknown task"),
        pytest.param(lambda m: m.update(task=["text-classification"]), "not a valid Task", id="task is a list"),
        pytest.param(lambda m: m.update(scores="logits"), "logits", id="unknown scores"),
        pytest.param(lambda m: m.update(scores="decision_scores"), "'decision_scores': 2", id="other scores"),
        pytest.param(lambda m: m.update(prompt=None), "as the prompt, found None", id="prompt is null"),
        pytest.param(lambda m: m.update(prompt="\udc80"), "as the prompt", id="prompt is no UTF-8"),
        pytest.param(lambda m: m.update(prompt=["query: "]), "as the prompt", id="prompt is a list"),
        pytest.param(lambda m: m.update(provenance=[["a", 1]]), "expected dict", id="provenance is a list"),
        pytest.param(lambda m: m["provenance"].update(x=float("nan")), "JSON can hold", id="provenance with NaN"),
        pytest.param(lambda m: m["provenance"].update(x="\ud800"), "JSON can hold", id="provenance is no UTF-8"),
        pytest.param(lambda m: m["variants"].append(m["variants"][0]), "different kinds", id="graph named twice"),
        pytest.param(
            lambda m: m["variants"].append({**m["variants"][0], "file": "other.onnx"}), "kinds", id="two of a kind"
        ),
        pytest.param(
            lambda m: m["variants"][1].update(file=m["variants"][0]["file"]), "different names", id="file of two graphs"
        ),
        pytest.param(lambda m: m["tokenizer"].update(file="bundle.json"), "different names", id="file is the manifest"),
        pytest.param(lambda m: m["variants"][0].update(note=None), "as note", id="note is null"),
        pytest.param(lambda m: m["variants"][0].update(parity=[]), "expected dict as parity", id="parity is a list"),
        pytest.param(lambda m: m["variants"][0].update(inputs=[]), "as inputs of", id="no inputs"),
        pytest.param(lambda m: m["variants"][0].update(inputs="ids"), "expected list", id="inputs are text"),
        pytest.param(lambda m: m["variants"][0].update(inputs=[None]), "TypeError", id="input is null"),
        pytest.param(lambda m: m["variants"][0]["inputs"].append(m["variants"][0]["inputs"][0]), "inputs", id="twice"),
        pytest.param(lambda m: m["variants"][0]["inputs"][0].update(dtype="float"), "found float", id="ids as floats"),
        pytest.param(lambda m: m["variants"][0]["inputs"][0].update(shape=["batch"]), "2 axes", id="ids of one axis"),
        pytest.param(lambda m: m["variants"][0]["inputs"][0].update(shape="ab"), "expected list", id="shape is text"),
        pytest.param(lambda m: m["variants"][0]["inputs"][0].update(shape=[0, 1]), "an axis", id="axis of nothing"),
        pytest.param(lambda m: m["variants"][0]["inputs"][0].update(shape=[None, 1]), "an axis", id="axis is null"),
        pytest.param(lambda m: m["variants"][0]["outputs"][0].update(dtype="float16"), "float16", id="half outputs"),
        pytest.param(
            lambda m: m["variants"][0]["outputs"][0].update(shape=["batch", True]), "True", id="width is true"
        ),
        pytest.param(lambda m: m["variants"][0]["outputs"].append(m["variants"][0]["outputs"][0]), "names", id="twice"),
        pytest.param(lambda m: m["variants"][0]["outputs"].pop(), "'sentence_embedding': 32", id="no embedding"),
        *[
            pytest.param(lambda m, k=k, v=v: m["variants"][0]["parity"].update({k: v}), k, id=f"parity {k} {v!r:.9}")
            for k, v in [
                ("texts", 0),
                ("texts", True),
                ("texts", 1.5),
                ("tolerance", float("nan")),
                ("tolerance", float("inf")),
                ("tolerance", -1e-9),
                ("tolerance", "small"),
                ("tolerance", 10**400),
                ("torch_difference", None),
                ("label_agreement", 1.01),
                ("label_agreement", False),
                ("mean_embedding_difference", -1),
                ("accuracy", 2),
                ("accuracy", "good"),
                ("torch_accuracy", float("nan")),
                ("checked_on", None),
                ("allowed_mismatch", 7),
            ]
        ],
        *[
            pytest.param(lambda m, name=name: m["tokenizer"].update(file=name), "file name inside the bundle", id=name)
            for name in ("../tokenizer.json", "/etc/passwd", "a/b", "a/", "./a", ".", "..", "", "a\0", "a\n")
        ],
    ],
)
def test_a_wrong_value_is_named(change: Callable[[dict[str, Any]], object], reason: str, folder: Path) -> None:
    change_manifest(folder, change)

    with pytest.raises(BundleCorrupt, match=r"bundle\.json: the manifest is damaged") as caught:
        Manifest.read(folder)

    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("version", "advice"),
    [(FORMAT_VERSION + 1, "upgrade setfuse"), (99, "upgrade setfuse"), (0, "export the bundle again"), (-1, "again")],
)
def test_another_format_version_is_refused_whatever_else_it_holds(version: int, advice: str, tmp_path: Path) -> None:
    (tmp_path / "bundle.json").write_text(json.dumps({"format_version": version, "graphs": {}}), encoding="utf-8")

    with pytest.raises(UnsupportedFormat, match=f"expected format version 1 or 2, found {version}; .*{advice}"):
        Manifest.read(tmp_path)


@pytest.mark.parametrize(
    ("has", "precision", "target", "expected"),
    [
        pytest.param("fp32/cpu int8/cpu", None, "cpu", "int8/cpu", id="int8 before fp32"),
        pytest.param("int8/cuda fp32/cuda fp16/cuda", None, "cuda", "fp16/cuda", id="fp16 before int8"),
        pytest.param("fp32/cpu", None, "cpu", "fp32/cpu", id="the only one"),
        pytest.param("int8/cpu fp32/cpu", "fp32", "cpu", "fp32/cpu", id="the precision asked for"),
        pytest.param("fp32/cpu fp16/cuda", None, "cpu", "fp32/cpu", id="never of another device"),
        pytest.param("fp32/cuda fp32/cpu", "fp32", "cpu", "fp32/cpu", id="precision of this device"),
    ],
)
def test_the_fastest_graph_of_what_was_asked(has: str, precision: str | None, target: str, expected: str) -> None:
    names = [name.split("/") for name in has.split()]
    variants = [make_variant(name[0], name[1]) for name in names]
    wanted = None if precision is None else Precision(precision)

    for order in (variants, variants[::-1]):
        assert str(make_manifest(*order).variant(precision=wanted, target=Target(target))) == expected


@pytest.mark.parametrize(
    ("precision", "target", "advice"),
    [
        ("int8", "cpu", "ask for one of these, or export the one you want"),
        ("fp16", "cpu", 'fp16 is for cuda: pass --device cuda (device="cuda")'),
        ("fp32", "cuda", 'fp32 is for cpu: pass --device cpu (device="cpu")'),
        ("int8", "cuda", "ask for one of these, or export the one you want"),
    ],
)
def test_a_graph_that_is_not_there(precision: str, target: str, advice: str) -> None:
    manifest = make_manifest(make_variant("fp32", "cpu"), make_variant("fp16", "cuda"))

    with pytest.raises(VariantNotFound) as caught:
        manifest.variant(precision=Precision(precision), target=Target(target))

    assert str(caught.value) == f"the bundle has no {precision}/{target} graph (has: fp32/cpu, fp16/cuda); {advice}"


def test_any_precision_of_a_device_that_is_not_there() -> None:
    with pytest.raises(VariantNotFound, match="no cuda graph"):
        make_manifest(make_variant("fp32", "cpu")).variant(precision=None, target=Target.CUDA)


def test_a_file_is_read_when_it_is_what_the_manifest_says(tmp_path: Path) -> None:
    path = tmp_path / "graph"
    path.write_bytes(b"some bytes")

    file = BundleFile.of(path)

    assert (file.file, file.bytes) == ("graph", 10)
    assert file.read(tmp_path) == b"some bytes"


@pytest.mark.parametrize(
    ("now", "found"),
    [
        pytest.param(None, "No such file", id="missing"),
        pytest.param(b"", "found 0", id="empty"),
        pytest.param(b"some byte", "found 9", id="cut short"),
        pytest.param(b"some bytes ", "found 11", id="longer"),
        pytest.param(b"some_bytes", "altered", id="one byte altered"),
    ],
)
def test_a_damaged_file_is_named(now: bytes | None, found: str, tmp_path: Path) -> None:
    path = tmp_path / "graph"
    path.write_bytes(b"some bytes")
    file = BundleFile.of(path)
    path.unlink()
    if now is not None:
        path.write_bytes(now)

    with pytest.raises(BundleCorrupt, match="export the bundle again") as caught:
        file.read(tmp_path)

    assert str(caught.value).startswith(f"{path}: expected ")
    assert found in str(caught.value)
