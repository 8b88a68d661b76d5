"""The fused graph against sentence-transformers and scikit-learn, over bodies, heads, lengths and batches."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import tokenizers
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sentence_transformers.sentence_transformer.modules import Dense, Dropout, LayerNorm
from sklearn.linear_model import LogisticRegression

from setfuse.export import read_checkpoint
from setfuse.export._checkpoint import Checkpoint
from setfuse.export._fuse import fuse
from setfuse.export._heads._estimators import read_estimator
from setfuse.export._heads._formulas import Linear
from setfuse.export._oracle import TorchOracle
from setfuse.runtime import Precision
from tests.models import FAMILIES, LONG_TEXT, TEXTS, make_body, make_checkpoint

TOLERANCE = 1e-5  # float32 sums in another order; observed 2e-7
POOLINGS = ("cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")
BODIES: dict[str, dict[str, Any]] = {
    "mean, normalized": {},
    "cls, normalized": {"pooling": "cls"},
    "mean": {"normalize": False},
    "cls": {"pooling": "cls", "normalize": False},
    "max": {"pooling": "max"},
    "mean_sqrt_len": {"pooling": "mean_sqrt_len_tokens", "normalize": False},
    "weightedmean": {"pooling": "weightedmean", "normalize": False},
    "lasttoken": {"pooling": "lasttoken", "normalize": False},
    "all poolings at once": {"pooling": POOLINGS},
    "tanh gelu": {"activation": "gelu_new"},
    "relu": {"activation": "relu", "pooling": "cls"},
    "silu": {"activation": "silu"},
    **{f"{family}, mean": {"family": family} for family in FAMILIES if family != "bert"},
    **{f"{family}, cls": {"family": family, "pooling": "cls"} for family in FAMILIES if family != "bert"},
    "prompt": {"prompt": "the film : "},
    "prompt, not pooled": {"prompt": "the film : ", "include_prompt": False, "pooling": POOLINGS},
    "prompt, not pooled, cls": {"prompt": "the film : ", "include_prompt": False, "pooling": "cls"},
    "truncated": {"truncate_dim": 7},
    "truncated to more than there is": {"truncate_dim": 700},
    "LayerNorm": {"modules": (LayerNorm(32),)},
    "Dense": {"modules": (Dense(32, 20),)},
    "Dense without bias, with Dropout": {
        "modules": (Dropout(0.5), Dense(32, 20, bias=False, activation_function=None))
    },
    "Dense, residual": {"modules": (Dense(32, 32, activation_function=torch.nn.GELU(), use_residual=True),)},
    "two Dense, residual": {
        "modules": (Dense(32, 48, activation_function=torch.nn.SiLU()), Dense(48, 12, use_residual=True))
    },
    **{
        f"Dense, {activation.__name__}": {"modules": (Dense(32, 20, activation_function=activation()),)}
        for activation in (
            torch.nn.ReLU,
            torch.nn.Sigmoid,
            torch.nn.LeakyReLU,
            torch.nn.ELU,
            torch.nn.Softplus,
        )
    },
}
SPELLED_OUT = ("[PAD]", "late [PAD] again [PAD] [UNK] lost", "[CLS] refund [SEP] [PAD]")
"""Special tokens inside texts: RoBERTa and its kin count positions by the padding token's id."""
LABELS = {"binary": ("no", "yes"), "seven labels": tuple("abcdefg")}


class Graph:
    """A fused graph in onnxruntime with nothing of the runtime stage around it."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.model = fuse(checkpoint, Precision.FP32, 1)
        self._session = onnxruntime.InferenceSession(self.model.SerializeToString(), providers=["CPUExecutionProvider"])
        self._tokenizer = tokenizers.Tokenizer.from_str(checkpoint.tokenizer)
        self._prompt = checkpoint.prompt
        self._tokenizer.enable_padding()

    def answer(self, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
        encodings = self._tokenizer.encode_batch([self._prompt + text for text in texts])
        feeds = {
            "input_ids": np.asarray([e.ids for e in encodings], dtype=np.int64),
            "attention_mask": np.asarray([e.attention_mask for e in encodings], dtype=np.int64),
        }
        probabilities, embeddings = self._session.run(["probabilities", "sentence_embedding"], feeds)
        return probabilities, embeddings


@pytest.fixture(
    scope="session",
    params=[*((body, "binary") for body in BODIES), ("mean, normalized", "seven labels")],
    ids=", ".join,
)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Graph, TorchOracle]:
    body, labels = request.param
    folder = tmp_path_factory.mktemp("parity")
    checkpoint = read_checkpoint(make_checkpoint(folder, make_body(folder, **BODIES[body]), LABELS[labels]))
    return Graph(checkpoint), TorchOracle(checkpoint)


def assert_same(graph: Graph, oracle: TorchOracle, texts: list[str]) -> None:
    probabilities, embeddings = graph.answer(texts)
    expected = oracle.answer(texts, batch_size=len(texts))
    np.testing.assert_allclose(embeddings, expected.embeddings, rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(probabilities, expected.probabilities, rtol=0, atol=TOLERANCE)
    assert probabilities.dtype == embeddings.dtype == np.float32


def test_one_padded_batch_of_all_lengths(pair: tuple[Graph, TorchOracle]) -> None:
    assert_same(*pair, [*TEXTS, *SPELLED_OUT, LONG_TEXT])


def test_every_length_up_to_the_maximum_and_beyond(pair: tuple[Graph, TorchOracle]) -> None:
    assert_same(*pair, [" ".join(["late"] * count) for count in range(52)])


def test_every_text_alone(pair: tuple[Graph, TorchOracle]) -> None:
    for text in (*TEXTS, *SPELLED_OUT, LONG_TEXT):
        assert_same(*pair, [text])


def test_the_oracle_can_disagree(pair: tuple[Graph, TorchOracle]) -> None:
    expected = pair[1].answer(["where is my parcel"], batch_size=1)

    with pytest.raises(AssertionError):
        np.testing.assert_allclose(pair[0].answer(["where is my refund"])[0], expected.probabilities, atol=TOLERANCE)


@settings(max_examples=10, deadline=None)
@given(texts=st.lists(st.text(st.sampled_from("ab é中!parcel late"), max_size=80), min_size=1, max_size=9))
def test_any_texts_in_any_batch(pair: tuple[Graph, TorchOracle], texts: list[str]) -> None:
    assert_same(*pair, texts)


def test_only_standard_operators_of_the_stated_versions(pair: tuple[Graph, TorchOracle]) -> None:
    model = pair[0].model

    assert {node.domain for node in model.graph.node} == {""}
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 20)]
    assert model.ir_version == 10
    assert [value.name for value in model.graph.input] == ["input_ids", "attention_mask"]
    assert [value.name for value in model.graph.output] == ["probabilities", "sentence_embedding"]


def test_query_key_and_value_are_one_product_and_the_last_layer_of_cls_pooling_computes_one_token(
    tmp_path: Path,
) -> None:
    checkpoint = read_checkpoint(make_checkpoint(tmp_path, make_body(tmp_path, pooling="cls"), ("no", "yes")))

    model = fuse(checkpoint, Precision.FP32, 1)
    model.graph.output.append(onnx.ValueInfoProto(name="layer.1.norm"))

    # 2 layers: query-key-value, scores, context, output, two feed-forward; in the last the query is apart
    assert sum(node.op_type == "MatMul" for node in model.graph.node) == 2 * 6 + 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    ids = np.ones((3, 7), dtype=np.int64)
    (last,) = session.run(["layer.1.norm"], {"input_ids": ids, "attention_mask": ids})
    assert last.shape == (3, 1, 32)


def test_layers_that_share_their_weights_store_them_once(tmp_path: Path) -> None:
    checkpoint = read_checkpoint(make_checkpoint(tmp_path, make_body(tmp_path, family="albert"), ("no", "yes")))

    model = fuse(checkpoint, Precision.FP32, 1)

    # 6 layers from 2 groups of 2: 12 in all, each with 4 linears
    products = [node for node in model.graph.node if node.op_type == "MatMul" and "attention.context" not in node.name]
    weights = [constant for constant in model.graph.initializer if constant.name.endswith("intermediate.weight")]
    assert len([node for node in products if "intermediate" in node.name]) == 12
    assert len(weights) == 4


def test_mpnets_buckets_are_transformers_at_every_distance() -> None:
    from transformers.models.mpnet.modeling_mpnet import MPNetEncoder

    from setfuse.export._families.mpnet import _bucket_numbers

    distances = torch.arange(-513, 514)

    assert _bucket_numbers(514) == MPNetEncoder.relative_position_bucket(distances).tolist()


@pytest.mark.parametrize("classes", [2, 3, 20])
def test_the_head_is_scikit_learns_predict_proba(tiny_checkpoint: Path, classes: int) -> None:
    checkpoint = read_checkpoint(tiny_checkpoint)
    rng = np.random.default_rng(classes)
    x = rng.normal(size=(40 * classes, 32))
    classifier = LogisticRegression(C=100, max_iter=1000).fit(x, np.arange(len(x)) % classes)
    labels = tuple(f"label {number}" for number in range(classes))
    graph = Graph(replace(checkpoint, head=read_estimator(classifier), labels=labels))

    probabilities, embeddings = graph.answer([text for text in TEXTS if text])

    expected = classifier.predict_proba(embeddings.astype(np.float64))
    np.testing.assert_allclose(probabilities, expected, rtol=0, atol=1e-6)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)


def test_a_head_that_is_sure_of_itself_stays_finite(tiny_checkpoint: Path) -> None:
    checkpoint = read_checkpoint(tiny_checkpoint)
    formula = checkpoint.head.formula
    assert isinstance(formula, Linear)
    head = replace(checkpoint.head, formula=replace(formula, coef=formula.coef * 1e4))

    probabilities, _ = Graph(replace(checkpoint, head=head)).answer(list(TEXTS))

    assert np.isfinite(probabilities).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
