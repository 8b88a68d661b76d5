"""`check` on every kind of checkpoint: prompts, modules after the pooling, families, and heads of all sorts."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import onnx
import pytest
import torch
from onnx import helper
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, LayerNorm
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.multioutput import MultiOutputClassifier
from sklearn.svm import LinearSVC
from transformers.models.roberta.modeling_roberta import RobertaEmbeddings

from setfuse.export import CheckReport, check, export, read_checkpoint
from setfuse.export._check._batches import Batch
from setfuse.export._fuse import fuse
from setfuse.runtime import Precision
from tests.graph_surgery import INT64, append, keep_outputs, rename_value, replace_operator, save
from tests.models import FAMILIES, TEXTS, make_body, make_checkpoint

CHECKED = (*(text for text in TEXTS if text), "where is it", "the parcel is late " * 6, "the app crashes " * 30)
PROMPT = "the film : "
LABELS = ("late", "lost", "refund")

Change = Callable[[onnx.ModelProto], None]


def names(report: CheckReport) -> set[str]:
    return {reason.name for reason in report.reasons}


def graph_of(checkpoint: Path) -> onnx.ModelProto:
    return fuse(read_checkpoint(checkpoint), Precision.FP32, 2)


def checkpoint_of(folder: Path, **body: Any) -> Path:
    return make_checkpoint(folder, make_body(folder, **body), LABELS)


def without_modules(checkpoint: Path, folder: Path, *kinds: str) -> Path:
    """Copy a checkpoint, some of its modules after the pooling apart."""
    shutil.copytree(checkpoint, folder)
    path = folder / "modules.json"
    modules = json.loads(path.read_text(encoding="utf-8"))
    kept = [module for module in modules if module["type"].rpartition(".")[2] not in kinds]
    assert len(kept) == len(modules) - len(kinds)
    path.write_text(json.dumps(kept), encoding="utf-8")
    return folder


BODIES: dict[str, dict[str, Any]] = {
    **{family: {"family": family} for family in FAMILIES if family != "bert"},
    "prompt": {"prompt": PROMPT},
    "prompt, not pooled": {"prompt": PROMPT, "include_prompt": False},
    "all modules": {"modules": (Dense(32, 20), LayerNorm(20)), "truncate_dim": 7},
    "two poolings": {"pooling": ("cls", "max")},
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_right_graphs_of_all_bodies_are_found_right(body: dict[str, Any], tmp_path: Path) -> None:
    checkpoint = checkpoint_of(tmp_path, **body)

    report = check(save(graph_of(checkpoint), tmp_path / "m.onnx"), checkpoint, texts=CHECKED)

    assert report.equal
    assert max(output.max_difference for output in report.outputs) < 1e-5  # float32 in another order; observed 1e-6
    assert any(PROMPT in note for note in report.notes) == ("prompt" in body)


@pytest.fixture(scope="module")
def prompted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoint_of(tmp_path_factory.mktemp("prompted"), prompt=PROMPT, include_prompt=False)


def test_a_graph_that_is_used_without_the_prompt_is_found_out(prompted: Path, tmp_path: Path) -> None:
    graph = save(graph_of(prompted), tmp_path / "m.onnx")

    missing, other = (check(graph, prompted, texts=CHECKED, prompt=prompt) for prompt in ("", "the app : "))

    assert names(missing) == {"prompt_missing"}
    assert repr(PROMPT) in missing.reasons[0].sentence
    assert names(other) == {"prompt"}


def test_a_prompt_too_many_is_found_out(tiny_checkpoint: Path, tiny_bundle: Path) -> None:
    report = check(tiny_bundle / "model.onnx", tiny_checkpoint, texts=CHECKED, prompt=PROMPT)

    assert names(report) == {"prompt_extra"}


def test_a_bundle_says_itself_what_is_put_before_its_texts(prompted: Path, tmp_path: Path) -> None:
    """As a bundle of before there were prompts."""
    bundle = tmp_path / "bundle"
    export(prompted, bundle, ("fp32",))
    manifest = json.loads((bundle / "bundle.json").read_text(encoding="utf-8"))
    assert manifest["prompt"] == PROMPT
    (bundle / "bundle.json").write_text(json.dumps({**manifest, "prompt": ""}), encoding="utf-8")

    assert names(check(bundle / "model.onnx", prompted, texts=CHECKED)) == {"prompt_missing"}
    assert check(bundle / "model.onnx", prompted, texts=CHECKED, prompt=PROMPT).equal


def test_a_graph_that_pools_the_prompt_is_found_out(prompted: Path, tmp_path: Path) -> None:
    pooling = shutil.copytree(prompted, tmp_path / "pooling") / "1_Pooling" / "config.json"
    config = json.loads(pooling.read_text(encoding="utf-8"))
    pooling.write_text(json.dumps({**config, "include_prompt": True}), encoding="utf-8")

    report = check(save(graph_of(tmp_path / "pooling"), tmp_path / "m.onnx"), prompted, texts=CHECKED)

    assert names(report) == {"prompt_pooled"}


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        (("Dense",), {"dense_missing"}),
        (("LayerNorm",), {"layer_norm_missing"}),
        (("Normalize",), {"normalize_missing"}),
        (("Dense", "Normalize"), {"dense_missing", "normalize_missing"}),
        (("Dense", "LayerNorm", "Normalize"), {"modules_missing"}),
    ],
    ids=" and ".join,
)
def test_missing_modules_are_named(kinds: tuple[str, ...], expected: set[str], tmp_path: Path) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        norm = LayerNorm(32)
        torch.nn.init.normal_(norm.norm.weight, mean=1)  # ones would leave hardly a trace after Normalize
        torch.nn.init.normal_(norm.norm.bias)
        checkpoint = checkpoint_of(tmp_path, modules=(Dense(32, 32), norm))
    graph = save(graph_of(without_modules(checkpoint, tmp_path / "changed", *kinds)), tmp_path / "m.onnx")

    assert names(check(graph, checkpoint, texts=CHECKED)) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"modules": (Dense(32, 20),), "normalize": False}, {"dense_missing"}),
        ({"truncate_dim": 7, "normalize": False}, {"truncate_missing"}),
    ],
    ids=["Dense", "truncation"],
)
def test_an_embedding_of_another_width_is_explained(body: dict[str, Any], expected: set[str], tmp_path: Path) -> None:
    """No score can be compared: the head does not fit."""
    (tmp_path / "plain").mkdir()
    checkpoint = checkpoint_of(tmp_path, **body)
    model = graph_of(checkpoint_of(tmp_path / "plain", normalize=False))
    keep_outputs(model, "sentence_embedding")

    report = check(save(model, tmp_path / "m.onnx"), checkpoint, texts=CHECKED)

    assert names(report) == expected
    assert report.outputs[0].label_agreement is None


def test_positions_are_counted_as_transformers_does() -> None:
    ids = np.asarray([[3, 1, 7, 8, 1, 1], [3, 4, 5, 6, 7, 8]])

    batch = Batch(ids, np.ones_like(ids), 0 * ids, padding_id=1)

    expected = RobertaEmbeddings.create_position_ids_from_input_ids(torch.from_numpy(ids), 1)
    np.testing.assert_array_equal(batch.positions, expected.numpy())


def test_a_graph_that_asks_for_positions_gets_its_familys(tmp_path: Path) -> None:
    checkpoint = checkpoint_of(tmp_path, family="roberta")
    model = graph_of(checkpoint)
    rename_value(model, "embeddings.positions.rows", "unused")
    rename_value(model, "unused", "position_ids")
    node = next(node for node in model.graph.node if "position_ids" in node.output)
    node.output[0] = "unused"
    model.graph.input.append(helper.make_tensor_value_info("position_ids", INT64, ["batch", "sequence"]))

    report = check(save(model, tmp_path / "m.onnx"), checkpoint, texts=CHECKED)

    assert report.equal
    assert report.inputs["position_ids"] == "positions"


def with_head(folder: Path, fit: Callable[[np.ndarray], Any], labels: tuple[str, ...]) -> Path:
    """Make a checkpoint whose head is any estimator, fitted on embeddings of texts, as SetFit saves it."""
    checkpoint = checkpoint_of(folder)
    for name in ("head.json", "head.safetensors"):
        (checkpoint / name).unlink()
    body = SentenceTransformer(str(checkpoint), device="cpu")
    joblib.dump(fit(body.encode([text for text in TEXTS if text] * 3)), checkpoint / "model_head.pkl")
    config = {"labels": list(labels), "normalize_embeddings": False}
    (checkpoint / "config_setfit.json").write_text(json.dumps(config), encoding="utf-8")
    return checkpoint


def several(texts: int) -> np.ndarray:
    """Give each text some of three labels."""
    return np.stack([np.arange(texts) % 2, np.arange(texts) % 3 == 0, np.arange(texts) % 5 < 2], axis=1).astype(int)


@pytest.fixture(scope="module")
def multi_label(tmp_path_factory: pytest.TempPathFactory) -> Path:
    def fit(x: np.ndarray) -> Any:
        return MultiOutputClassifier(LogisticRegression(C=10, max_iter=1000)).fit(x, several(len(x)))

    return with_head(tmp_path_factory.mktemp("multi"), fit, LABELS)


@pytest.fixture(scope="module")
def decisions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_head(tmp_path_factory.mktemp("svc"), lambda x: LinearSVC().fit(x, np.arange(len(x)) % 2), ("no", "yes"))


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    def fit(x: np.ndarray) -> Any:
        return RandomForestClassifier(7, random_state=0).fit(x, np.arange(len(x)) % 3)

    return with_head(tmp_path_factory.mktemp("forest"), fit, LABELS)


def permute(output: str) -> Change:
    def change(model: onnx.ModelProto) -> None:
        rename_value(model, output, "right")
        keep_outputs(model, "sentence_embedding")
        nodes = [helper.make_node("Gather", ["right", "order"], [output], axis=1)]
        append(model, nodes, output, order=np.asarray([1, 2, 0]))

    return change


def add_chosen(model: onnx.ModelProto) -> None:
    """Put out labels too, one column a label, as skl2onnx does."""
    nodes = [
        helper.make_node("Greater", ["probabilities", "half"], ["is"]),
        helper.make_node("Cast", ["is"], ["label"], to=INT64),
    ]
    append(model, nodes, "label", INT64, half=np.float32(0.5))


def as_skl2onnx(model: onnx.ModelProto) -> None:
    """Put the scores out as (labels, texts, 2), as skl2onnx does for a MultiOutputClassifier."""
    rename_value(model, "probabilities", "yes")
    keep_outputs(model, "sentence_embedding")
    nodes = [
        helper.make_node("Sub", ["one", "yes"], ["no"]),
        *(helper.make_node("Unsqueeze", [name, "last"], [f"{name}.column"]) for name in ("no", "yes")),
        helper.make_node("Concat", ["no.column", "yes.column"], ["pairs"], axis=2),
        helper.make_node("Transpose", ["pairs"], ["probabilities"], perm=[1, 0, 2]),
    ]
    append(model, nodes, "probabilities", one=np.float32(1), last=np.asarray([2]))


@pytest.mark.parametrize(
    ("change", "roles"),
    [
        (lambda _: None, ["scores", "embedding"]),
        (add_chosen, ["scores", "embedding", "labels"]),
        (as_skl2onnx, ["scores", "embedding"]),
    ],
    ids=["ours", "labels", "skl2onnx"],
)
def test_several_labels_a_text(change: Change, roles: list[str], multi_label: Path, tmp_path: Path) -> None:
    model = graph_of(multi_label)
    change(model)

    report = check(save(model, tmp_path / "m.onnx"), multi_label, texts=CHECKED)

    assert report.equal
    assert [output.role for output in report.outputs] == roles
    assert {output.label_agreement for output in report.outputs} == {1.0}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda model: replace_operator(model, "probabilities", "Identity"), {"sigmoid_missing"}),
        (lambda model: replace_operator(model, "probabilities", "Softmax"), {"softmax_for_sigmoid"}),
        (permute("probabilities"), {"labels_permuted"}),
    ],
    ids=["logits", "softmax", "permuted"],
)
def test_faults_of_several_labels_are_named(
    change: Change, expected: set[str], multi_label: Path, tmp_path: Path
) -> None:
    model = graph_of(multi_label)
    change(model)

    report = check(save(model, tmp_path / "m.onnx"), multi_label, texts=CHECKED)

    assert names(report) == expected
    assert [output.role for output in report.outputs if not output.equal] == ["scores"]


def test_the_agreement_is_that_of_the_whole_set(multi_label: Path, tmp_path: Path) -> None:
    model = graph_of(multi_label)
    permute("probabilities")(model)
    body = SentenceTransformer(str(multi_label), device="cpu")
    given = read_checkpoint(multi_label).head.answer(body.encode(list(CHECKED))) > 0.5

    report = check(save(model, tmp_path / "m.onnx"), multi_label, texts=CHECKED)

    expected = (given == given[:, [1, 2, 0]]).all(axis=1).mean()
    assert 0 < expected < (given == given[:, [1, 2, 0]]).mean() < 1
    assert report.outputs[0].label_agreement == expected


def one_column(model: onnx.ModelProto) -> None:
    """Put out the second label's score alone, as an SVM in two classes has it."""
    rename_value(model, "decision_scores", "both")
    keep_outputs(model, "sentence_embedding")
    append(
        model, [helper.make_node("Gather", ["both", "second"], ["scores"], axis=1)], "scores", second=np.asarray([1])
    )


@pytest.mark.parametrize("change", [lambda _: None, one_column], ids=["two columns", "one column"])
def test_decision_scores(change: Change, decisions: Path, tmp_path: Path) -> None:
    model = graph_of(decisions)
    change(model)

    report = check(save(model, tmp_path / "m.onnx"), decisions, texts=CHECKED)

    assert report.equal
    assert [output.role for output in report.outputs] == ["scores", "embedding"]
    assert report.outputs[0].label_agreement == 1


def test_of_decision_scores_no_softmax_is_spoken_of(decisions: Path, tmp_path: Path) -> None:
    model = graph_of(decisions)
    rename_value(model, "decision_scores", "right")
    keep_outputs(model)
    append(model, [helper.make_node("Sigmoid", ["right"], ["decision_scores"])], "decision_scores")

    assert names(check(save(model, tmp_path / "m.onnx"), decisions, texts=CHECKED)) == {"other_head"}


def test_a_head_with_steps_is_asked_about_the_graphs_own_embedding(steps: Path, tmp_path: Path) -> None:
    right = graph_of(steps)
    unscaled = graph_of(without_modules(steps, tmp_path / "changed", "Normalize"))

    found, wrong = (check(save(model, tmp_path / "m.onnx"), steps, texts=CHECKED) for model in (right, unscaled))

    assert found.equal
    assert any("own embedding" in note for note in found.notes)
    assert [output.on_own_embedding for output in found.outputs] == [True, False]
    assert names(wrong) == {"normalize_missing"}
    assert [output.equal for output in wrong.outputs] == [True, False]


def test_without_an_embedding_a_head_with_steps_is_judged_on_torchs(steps: Path, tmp_path: Path) -> None:
    model = graph_of(steps)
    keep_outputs(model, "probabilities")

    report = check(save(model, tmp_path / "m.onnx"), steps, texts=CHECKED)

    assert not report.outputs[0].on_own_embedding
    assert any("rounding alone" in note for note in report.notes)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (permute("probabilities"), "labels_permuted"),
        (lambda m: replace_operator(m, "probabilities", "Sqrt"), "other_head"),
    ],
    ids=["permuted", "square root"],
)
def test_faults_of_a_head_with_steps_are_named(change: Change, expected: str, steps: Path, tmp_path: Path) -> None:
    model = graph_of(steps)
    change(model)

    assert names(check(save(model, tmp_path / "m.onnx"), steps, texts=CHECKED)) == {expected}
