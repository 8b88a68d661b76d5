"""Our own head: its earlier versions, and what each defect is called."""

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import safetensors.numpy
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from setfuse.export import CheckpointError, ExportError, UnsupportedCheckpoint
from setfuse.export._heads import read_head
from setfuse.export._heads._stored import FORMAT_VERSION
from setfuse.train._head import DifferentiableHead, FittedHead, fit_head, save_head
from setfuse.train._head._store import FORMAT_VERSION as WRITTEN
from setfuse.train._head_settings import HeadSettings
from tests.export import heads
from tests.export.heads import WIDTH, HeadGraph

DATA = Path(__file__).parent / "data"
TEXTS = heads.embeddings(50, seed=7)
# float32 sums of 16 products, and the sigmoids and exponentials of them
TOLERANCE = 1e-6

Change = Callable[[dict[str, Any]], object]


def fit(own: Any, labels: int = 3) -> FittedHead:
    x, y = heads.training_set(heads.NAMES[:labels])
    return fit_head(x, y.tolist(), HeadSettings(head=own))


def linear() -> FittedHead:
    return fit("LogisticRegression")


def fit_several(settings: HeadSettings) -> FittedHead:
    x, y = heads.multi_label_set()
    return fit_head(x, [tuple(name for name, is_in in zip("abcd", row, strict=True) if is_in) for row in y], settings)


def change(folder: Path, how: Change) -> None:
    config = json.loads((folder / "head.json").read_text(encoding="utf-8"))
    how(config)
    (folder / "head.json").write_text(json.dumps(config), encoding="utf-8")


@pytest.mark.parametrize(
    "folder", sorted(DATA.glob("head-version-*/*")), ids=lambda path: f"{path.parent.name} {path.name}"
)
def test_a_head_of_an_earlier_version_answers_as_it_did(folder: Path) -> None:
    """The answers were written down by the release that wrote the head."""
    answers = json.loads((folder / "answers.json").read_text(encoding="utf-8"))

    head = read_head(folder)

    x = np.asarray(answers["embeddings"])
    assert (head.kind, head.multi_label, list(head.classes)) == ("LogisticRegression", False, answers["labels"])
    np.testing.assert_allclose(head.answer(x), answers["probabilities"], rtol=0, atol=1e-8)
    found = HeadGraph(head).answer(x.astype(np.float32))
    np.testing.assert_allclose(found, answers["probabilities"], rtol=0, atol=TOLERANCE)


def test_what_training_writes_is_the_newest_that_is_read() -> None:
    assert WRITTEN == FORMAT_VERSION


def test_every_earlier_version_has_a_head_here() -> None:
    versions = {
        path.parents[1].name: json.loads(path.read_bytes())["format_version"] for path in DATA.rglob("head.json")
    }

    assert versions == {f"head-version-{version}": version for version in range(1, FORMAT_VERSION)}


@pytest.mark.parametrize("version", [0, FORMAT_VERSION + 1, None, "2"])
def test_other_versions_are_refused(tmp_path: Path, version: object) -> None:
    save_head(linear(), tmp_path)
    change(tmp_path, lambda config: config.update(format_version=version))

    with pytest.raises(
        UnsupportedCheckpoint, match=r"head.json: expected format_version 2 or 1, found .*upgrade setfuse"
    ):
        read_head(tmp_path)


def stored(folder: Path, coef: np.ndarray, classes: list[str], strategy: str | None) -> Path:
    """Write a head as version 1 knew it."""
    intercept = np.linspace(-1, 1, len(coef))
    safetensors.numpy.save_file({"coef": coef, "intercept": intercept}, folder / "head.safetensors")
    config = {"format_version": 1, "kind": "LogisticRegression", "classes": classes, "multi_target_strategy": strategy}
    (folder / "head.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def test_our_own_head_comes_before_a_pickle(tmp_path: Path) -> None:
    (tmp_path / "model_head.pkl").write_bytes(b"not looked into")
    coef = np.random.default_rng(0).normal(size=(3, WIDTH))

    head = read_head(stored(tmp_path, coef, ["x", "y", "z"], None))

    logits = TEXTS.astype(np.float64) @ coef.T + np.linspace(-1, 1, 3)
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert (head.kind, head.classes, head.multi_label) == ("LogisticRegression", ("x", "y", "z"), False)
    np.testing.assert_allclose(HeadGraph(head).answer(TEXTS), expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("strategy", ["one-vs-rest", "multi-output"])
@pytest.mark.parametrize("labels", [2, 3])
def test_our_own_head_of_several_labels(tmp_path: Path, strategy: str, labels: int) -> None:
    coef = np.random.default_rng(0).normal(size=(labels, WIDTH))

    head = read_head(stored(tmp_path, coef, ["x", "y", "z"][:labels], strategy))

    expected = 1 / (1 + np.exp(-(TEXTS.astype(np.float64) @ coef.T + np.linspace(-1, 1, labels))))
    assert (head.multi_label, head.classes) == (True, ("x", "y", "z")[:labels])
    np.testing.assert_allclose(head.answer(TEXTS), expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(HeadGraph(head).answer(TEXTS), expected, rtol=0, atol=TOLERANCE)


def test_an_unknown_strategy_is_refused_by_name(tmp_path: Path) -> None:
    stored(tmp_path, np.ones((2, WIDTH)), ["x", "y"], "classifier-chain")

    with pytest.raises(
        UnsupportedCheckpoint,
        match=r"one-vs-rest, multi-output in a head of version 1; found .* with 'classifier-chain'",
    ):
        read_head(tmp_path)


def differentiable() -> FittedHead:
    return FittedHead(DifferentiableHead(WIDTH, 3), ("a", "b", "c"), False, None, TEXTS[:0])


KINDS: dict[str, Callable[[], FittedHead]] = {
    "linear": linear,
    "pipeline": lambda: fit(make_pipeline(StandardScaler(), LogisticRegression())),
    "ridge": lambda: fit(heads.RidgeClassifier()),
    "one-vs-rest": lambda: fit_several(HeadSettings(multi_target_strategy="one-vs-rest")),
    "chain": lambda: fit_several(HeadSettings(multi_target_strategy="classifier-chain")),
    "differentiable": differentiable,
    "graph": lambda: fit(RandomForestClassifier(2, max_depth=2, random_state=0)),
    "pipeline and graph": lambda: fit(make_pipeline(StandardScaler(), RandomForestClassifier(2, random_state=0))),
}
ODD = (None, [], {}, "x", -1, 0.5, True, 10**400, [None], [[]], ["a", "a", "a"], {"kind": "Pipeline", "steps": []})


def paths(value: Any, here: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """List the ways to every value inside a JSON value."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inside:
        yield (*here, key)
        yield from paths(item, (*here, key))


def is_refused(folder: Path) -> bool:
    """Read a head: either it answers, or an error names the file; nothing else is raised."""
    try:
        head = read_head(folder)
    except ExportError as error:
        named = str(error).startswith(str(folder / "head.json"))
        assert named, error  # noqa: PT017 - whether it is raised is the caller's question
        return True
    with np.errstate(all="ignore"):
        assert head.answer(np.ones((5, head.width))).shape == (5, len(head.classes))
    return False


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_stands_in_the_json_is_read_or_refused_by_name(tmp_path: Path, kind: str) -> None:
    save_head(KINDS[kind](), tmp_path)
    path = tmp_path / "head.json"
    config = json.loads(path.read_bytes())
    refused = 0
    for way in paths(config):
        for odd in (*ODD, "gone"):
            changed = copy.deepcopy(config)
            owner = changed
            for key in way[:-1]:
                owner = owner[key]
            if odd == "gone":
                del owner[way[-1]]
            else:
                owner[way[-1]] = odd
            path.write_text(json.dumps(changed), encoding="utf-8")
            refused += is_refused(tmp_path)
    assert refused > 20


@pytest.mark.parametrize("kind", [name for name in KINDS if name != "graph"])
@pytest.mark.parametrize(
    "spoil",
    [
        lambda t: t[None],
        lambda t: t[:-1],
        lambda t: t[..., :-1],
        lambda t: t[:0],
        lambda t: t.ravel()[0],
        lambda t: t * np.nan,
        lambda t: t.astype(np.float64) * 1e300,
        np.zeros_like,
        lambda t: (t * 0).astype(np.int64),
        lambda t: t.astype(np.bool_),
    ],
    ids="one axis more,a row less,a column less,empty,a number,NaN,huge,zeros,integers,booleans".split(","),
)
def test_whatever_the_tensors_are_they_are_read_or_refused_by_name(
    tmp_path: Path, kind: str, spoil: Callable[[np.ndarray], np.ndarray]
) -> None:
    save_head(KINDS[kind](), tmp_path)
    tensors = safetensors.numpy.load_file(tmp_path / "head.safetensors")
    for name, tensor in tensors.items():
        changed = {**tensors, name: np.ascontiguousarray(spoil(tensor))}
        safetensors.numpy.save_file(changed, tmp_path / "head.safetensors")
        is_refused(tmp_path)


def graph_of(folder: Path) -> onnx.ModelProto:
    save_head(KINDS["graph"](), folder)
    return onnx.load(folder / "head.onnx")


def foreign_operator(model: onnx.ModelProto) -> None:
    model.graph.node[0].domain = "com.example"
    model.opset_import.append(onnx.helper.make_opsetid("com.example", 1))


def external() -> onnx.TensorProto:
    tensor = onnx.TensorProto(name="w", data_type=onnx.TensorProto.FLOAT, dims=[1])
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    return tensor


def numbers_elsewhere_in_a_body(model: onnx.ModelProto) -> None:
    body = onnx.GraphProto(name="a body without nodes", initializer=[external()])
    model.graph.node.append(onnx.helper.make_node("Scan", ["x"], ["y"], body=body, num_scan_inputs=1))


def sparse() -> onnx.SparseTensorProto:
    return onnx.SparseTensorProto(values=external(), indices=external(), dims=[9])


def sparse_constant(model: onnx.ModelProto) -> None:
    model.graph.node.append(onnx.helper.make_node("Constant", [], ["y"], sparse_value=sparse()))


def loop(model: onnx.ModelProto) -> None:
    body = onnx.GraphProto(name="for as long as a number says")
    model.graph.node.append(onnx.helper.make_node("Loop", ["n"], ["y"], body=body))


def constant_of_any_shape(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray([1 << 40]), "gigabytes"))
    model.graph.node.append(onnx.helper.make_node("ConstantOfShape", ["gigabytes"], ["y"]))


def wide(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 1 << 32


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (foreign_operator, UnsupportedCheckpoint, "that skl2onnx writes of classifiers, found .* of com.example"),
        (
            lambda m: m.graph.initializer.append(external()),
            UnsupportedCheckpoint,
            "numbers inside the graph, found some in other files",
        ),
        (numbers_elsewhere_in_a_body, UnsupportedCheckpoint, "found some in other files"),
        (lambda m: m.graph.sparse_initializer.append(sparse()), UnsupportedCheckpoint, "without sparse tensors"),
        (sparse_constant, UnsupportedCheckpoint, "without sparse tensors"),
        (loop, UnsupportedCheckpoint, "found Loop of ai.onnx"),
        (constant_of_any_shape, UnsupportedCheckpoint, "constants of the shape of another tensor, found some of any"),
        (wide, CheckpointError, "n_features_in_ of 1 to 65536, found 4294967296"),
        (lambda m: m.functions.append(onnx.FunctionProto(name="f")), UnsupportedCheckpoint, "functions of its own"),
        (lambda m: m.graph.output.pop(), CheckpointError, "an ONNX model of two outputs, found damage"),
        (lambda m: m.graph.node.pop(0), CheckpointError, "found damage"),
        (lambda m: m.graph.input.append(onnx.helper.make_tensor_value_info("z", 1, [1])), CheckpointError, "one input"),
    ],
    ids=[
        "operator",
        "external",
        "external in a body",
        "sparse",
        "sparse attribute",
        "loop",
        "constant",
        "wide",
        "function",
        "one output",
        "a node less",
        "two inputs",
    ],
)
def test_a_graph_that_is_none_of_ours(
    tmp_path: Path, spoil: Callable[[onnx.ModelProto], object], error: type[ExportError], message: str
) -> None:
    model = graph_of(tmp_path)
    spoil(model)
    (tmp_path / "head.onnx").write_bytes(model.SerializeToString())

    with pytest.raises(error, match=f"head.json: .*{message}"):
        read_head(tmp_path)


@pytest.mark.parametrize("data", [b"", b"\x08", b"no graph at all" * 9], ids=["empty", "short", "text"])
def test_a_graph_that_is_damaged(tmp_path: Path, data: bytes) -> None:
    graph_of(tmp_path)
    (tmp_path / "head.onnx").write_bytes(data)

    with pytest.raises(CheckpointError, match=r"head.json: expected an ONNX model of two outputs, found damage"):
        read_head(tmp_path)


@pytest.mark.parametrize("kind", ["linear", "pipeline", "one-vs-rest", "graph"])
def test_classes_of_one_name(tmp_path: Path, kind: str) -> None:
    save_head(KINDS[kind](), tmp_path)
    change(tmp_path, lambda config: config["classes"].__setitem__(1, config["classes"][0]))

    with pytest.raises(CheckpointError, match=r"head.json: expected classes of different names, found"):
        read_head(tmp_path)


def test_a_pipeline_that_names_other_classes_than_its_classifier(tmp_path: Path) -> None:
    save_head(KINDS["pipeline"](), tmp_path)
    change(tmp_path, lambda config: config["classes"].reverse())

    with pytest.raises(CheckpointError, match=r"head.json: expected the Pipeline's classes to be its classifier's"):
        read_head(tmp_path)


def test_a_width_of_billions(tmp_path: Path) -> None:
    save_head(fit(make_pipeline(StandardScaler(with_mean=False, with_std=False), LogisticRegression())), tmp_path)
    change(tmp_path, lambda config: config["steps"][0].update(width=1 << 32))

    with pytest.raises(CheckpointError, match=r"head.json: StandardScaler: expected n_features_in_ of 1 to 65536"):
        read_head(tmp_path)


def test_a_graph_that_is_missing(tmp_path: Path) -> None:
    graph_of(tmp_path)
    (tmp_path / "head.onnx").unlink()

    with pytest.raises(CheckpointError, match=r"the graph of the RandomForestClassifier in head.onnx, found no such"):
        read_head(tmp_path)


def test_damaged_tensors(tmp_path: Path) -> None:
    save_head(linear(), tmp_path)
    (tmp_path / "head.safetensors").write_bytes(b"damage")

    with pytest.raises(CheckpointError, match=r"head.json: expected the numbers of a head .*found damage"):
        read_head(tmp_path)
