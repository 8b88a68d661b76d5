"""The graph for CUDA in onnx's own evaluator, rounded as a GPU rounds, against torch.

onnxruntime's CPU provider computes most of a float16 graph in float32: it puts casts around the operators and takes out
those that undo each other. So it shows neither all of the rounding nor every overflow. Here every value is float16.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
import tokenizers

from setfuse.export import Checkpoint, read_checkpoint
from setfuse.export._fuse import fuse
from setfuse.export._oracle import TorchOracle
from setfuse.runtime import Precision
from tests.models import FAMILIES, LONG_TEXT, MAX_LENGTH, TEXTS, make_body, make_checkpoint

from .cuda_kernels import element_types
from .evaluator import evaluate
from .test_fp16 import TOLERANCE, padded
from .test_parity import BODIES as ALL_BODIES
from .test_parity import SPELLED_OUT

PROBABILITY_TOLERANCE = 5e-3
"""The head weighs the embedding's errors and sums them; observed 1.5e-3."""
BODIES: dict[str, dict[str, Any]] = {
    **{
        f"{family}, {pooling}": {"family": family, "pooling": pooling}
        for family in FAMILIES
        for pooling in ("cls", "mean")
    },
    **{name: ALL_BODIES[name] for name in ("tanh gelu", "relu", "silu")},
}
RAGGED = [*TEXTS, *SPELLED_OUT, LONG_TEXT]
"""2 tokens to as many as are taken."""

Feeds = dict[str, npt.NDArray[np.int32]]


@pytest.fixture(scope="module", params=list(BODIES))
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Checkpoint, TorchOracle]:
    folder = tmp_path_factory.mktemp("rounding")
    checkpoint = read_checkpoint(make_checkpoint(folder, make_body(folder, **BODIES[request.param]), ("no", "yes")))
    return checkpoint, TorchOracle(checkpoint)


def feeds_of(checkpoint: Checkpoint, texts: list[str], tokens: int) -> Feeds:
    """Pad to one length, with a row of padding at the end, as the runtime's buckets have."""
    tokenizer = tokenizers.Tokenizer.from_str(checkpoint.tokenizer)
    rows = [encoding.ids for encoding in tokenizer.encode_batch([checkpoint.prompt + text for text in texts])]
    ids, mask = padded(rows, len(rows) + 1, tokens)
    return {"input_ids": ids, "attention_mask": mask}


@pytest.mark.parametrize(
    ("texts", "tokens"),
    [(RAGGED, MAX_LENGTH), (list(TEXTS[:2]), 16), ([TEXTS[0]], 7), ([""], 2)],
    ids=["ragged", "two", "one", "no words"],
)
def test_a_padded_batch_is_torchs_and_every_value_is_finite(
    pair: tuple[Checkpoint, TorchOracle], texts: list[str], tokens: int
) -> None:
    checkpoint, oracle = pair
    expected = oracle.answer(texts, batch_size=len(texts))

    values = evaluate(fuse(checkpoint, Precision.FP16, 1), feeds_of(checkpoint, texts, tokens))

    embeddings, probabilities = (values[name][: len(texts)] for name in ("sentence_embedding", "probabilities"))
    np.testing.assert_allclose(embeddings, expected.embeddings, rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(probabilities, expected.probabilities, rtol=0, atol=PROBABILITY_TOLERANCE)
    for name, value in values.items():
        assert np.isfinite(value).all(), name


def test_the_evaluator_keeps_every_element_type(pair: tuple[Checkpoint, TorchOracle]) -> None:
    """With one float32 number among them numpy computes in float32: what comes out would not be rounded."""
    checkpoint, _ = pair
    model = fuse(checkpoint, Precision.FP16, 1)

    values = evaluate(model, feeds_of(checkpoint, list(TEXTS[:2]), 16))

    expected = element_types(model.graph)
    types = {name: onnx.helper.np_dtype_to_tensor_dtype(value.dtype) for name, value in values.items()}
    assert {name: f"tensor({onnx.TensorProto.DataType.Name(t).lower()})" for name, t in types.items()} == expected


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    folder = tmp_path_factory.mktemp("bert")
    return read_checkpoint(make_checkpoint(folder, make_body(folder), ("no", "yes")))


def test_the_evaluator_can_disagree(bert: Checkpoint) -> None:
    expected = TorchOracle(bert).answer(["where is my parcel"], batch_size=1)

    values = evaluate(fuse(bert, Precision.FP16, 1), feeds_of(bert, ["where is my refund"], 16))

    assert np.abs(values["sentence_embedding"][:1] - expected.embeddings).max() > 10 * TOLERANCE


def test_an_overflow_is_found_that_the_cpu_provider_does_not_show(bert: Checkpoint) -> None:
    """What is too large goes into an operator that the provider runs in float32, and comes out small again."""
    model, feeds = fuse(bert, Precision.FP16, 1), feeds_of(bert, list(TEXTS[:2]), 16)
    for name, factor in (("layer.0.intermediate.weight", 2.0**15), ("layer.0.output.weight", 2.0**-15)):
        (weight,) = (constant for constant in model.graph.initializer if constant.name == name)
        weight.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(weight) * np.float16(factor), name))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])

    assert np.isfinite(session.run(["sentence_embedding"], feeds)[0]).all()
    with pytest.raises(FloatingPointError, match="overflow"):
        evaluate(model, feeds)
