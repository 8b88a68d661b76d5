"""The int8 graph: near to float32, the same alone and in any batch, and laid out so that onnxruntime fuses it."""

from collections import Counter
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest

from setfuse.export import export, read_checkpoint
from setfuse.export._checkpoint import Checkpoint
from setfuse.export._encoder import Encoder
from setfuse.export._encoder_graph import add_encoder
from setfuse.export._fuse import fuse
from setfuse.export._graph import FLOAT, INT64, GraphBuilder, tensor_info
from setfuse.export._int8 import Range, _int8_columns, _uint8_scale
from setfuse.export._layout import Layout
from setfuse.export._oracle import TorchOracle
from setfuse.export._quantize import _absorb_output_biases, _smoothing, quantize
from setfuse.runtime import Classifier, Precision, UsageError, Variant
from tests.models import FAMILIES, TEXTS, make_body, make_checkpoint

CALIBRATION = [text for text in TEXTS if text]


@pytest.fixture(scope="module", params=["mean", "cls"])
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    folder = tmp_path_factory.mktemp("int8")
    return read_checkpoint(make_checkpoint(folder, make_body(folder, pooling=request.param), ("no", "yes")))


def optimized_operators(model: Path, scratch: Path) -> Counter[str]:
    """Count the operators that onnxruntime really runs."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(scratch / "optimized.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return Counter(node.op_type for node in onnx.load(scratch / "optimized.onnx").graph.node)


def authored(checkpoint: Checkpoint) -> Encoder:
    assert isinstance(checkpoint.encoder, Encoder)
    return checkpoint.encoder


def linears(checkpoint: Checkpoint) -> int:
    """Count the linears of a graph: four a layer; with CLS pooling the last one's query is apart."""
    encoder = authored(checkpoint)
    return 4 * len(encoder.layers) + checkpoint.pooling.first_token_only + (encoder.projection is not None)


@pytest.fixture(scope="module")
def bundle(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("int8-bundle") / "bundle"
    export(checkpoint.folder, folder, ("fp32", "int8"))
    return folder


def variant(bundle: Path, precision: str) -> Variant:
    return Classifier.load(bundle, precision=precision).variant


def test_it_stays_near_to_torch(checkpoint: Checkpoint, bundle: Path) -> None:
    expected = TorchOracle(checkpoint).answer(TEXTS, batch_size=4)

    probabilities = Classifier.load(bundle, precision="int8").predict_proba(TEXTS)

    assert 0 < np.abs(probabilities - expected.probabilities).mean() < 0.01
    parity = variant(bundle, "int8").parity
    assert parity is not None
    assert parity.mean_probability_difference <= parity.tolerance == 0.01


def test_a_text_gets_the_same_answer_alone_and_in_any_batch(bundle: Path) -> None:
    classifier = Classifier.load(bundle, precision="int8")
    alone = np.concatenate([classifier.predict_proba([text]) for text in TEXTS])

    np.testing.assert_allclose(classifier.predict_proba([*TEXTS] * 5), np.tile(alone, (5, 1)), rtol=0, atol=1e-5)


def test_it_takes_no_mask_and_says_so(bundle: Path) -> None:
    assert [tensor.name for tensor in variant(bundle, "fp32").inputs] == ["input_ids", "attention_mask"]
    assert [tensor.name for tensor in variant(bundle, "int8").inputs] == ["input_ids"]
    metadata = {item.key: item.value for item in onnx.load(bundle / "model.int8.onnx").metadata_props}
    assert metadata["setfuse.padding"] == "none: batches of equal length only"


def test_it_is_standard_onnx_and_every_linear_is_fused(checkpoint: Checkpoint, bundle: Path, tmp_path: Path) -> None:
    model = onnx.load(bundle / "model.int8.onnx")
    assert {node.domain for node in model.graph.node} == {""}

    operators = optimized_operators(bundle / "model.int8.onnx", tmp_path)
    assert operators["MatMulIntegerToFloat"] == linears(checkpoint)
    assert operators["Attention"] == len(authored(checkpoint).layers)
    assert operators["DequantizeLinear"] == operators["Transpose"] == 0


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_near_to_torch_and_fused(family: str, tmp_path: Path) -> None:
    body = make_body(tmp_path, family=family, pooling="cls")
    checkpoint = read_checkpoint(make_checkpoint(tmp_path, body, ("no", "yes"), scale=1.0))

    export(checkpoint.folder, tmp_path / "bundle", ("int8",))

    expected = TorchOracle(checkpoint).answer(TEXTS, batch_size=4).probabilities
    found = Classifier.load(tmp_path / "bundle", precision="int8").predict_proba(TEXTS)
    assert 0 < np.abs(found - expected).mean() < 0.01
    operators = optimized_operators(tmp_path / "bundle" / "model.int8.onnx", tmp_path)
    assert operators["MatMulIntegerToFloat"] == linears(checkpoint)
    assert operators["DequantizeLinear"] == 0


def test_the_same_checkpoint_gives_the_same_bytes(checkpoint: Checkpoint) -> None:
    first, again = (fuse(checkpoint, Precision.INT8, 1, CALIBRATION).SerializeToString() for _ in range(2))

    assert first == again


def test_smoothing_changes_nothing_in_float32(checkpoint: Checkpoint) -> None:
    """The encoder whose values absorbed the attention output's divisors, run in float32, is the encoder."""
    before_smoothing = _absorb_output_biases(authored(checkpoint))
    encoder, layout = quantize(authored(checkpoint), checkpoint, CALIBRATION)
    absorbed = {name for name in layout.ranges if name not in layout.divisors}

    assert absorbed == {"layer.0.attention.output", "layer.1.attention.output"}
    for before, after in zip(before_smoothing.layers, encoder.layers, strict=True):
        assert not np.allclose(before.value.bias, after.value.bias)
        np.testing.assert_allclose(
            after.value.weight @ after.attention_output.weight,
            before.value.weight @ before.attention_output.weight,
            rtol=1e-4,
            atol=1e-5,
        )


@pytest.mark.parametrize("family", ["bert", "electra", "mpnet"])
def test_the_normalisations_bring_biases_along_and_change_nothing_in_float32(family: str, tmp_path: Path) -> None:
    body = make_body(tmp_path, family=family, pooling="cls")
    checkpoint = read_checkpoint(make_checkpoint(tmp_path, body, ("no", "yes")))
    before = authored(checkpoint)

    after = _absorb_output_biases(before)

    assert not any(layer.attention_output.bias.any() or layer.output.bias.any() for layer in after.layers)
    assert all(layer.attention_output.bias.any() and layer.output.bias.any() for layer in before.layers)
    ids = np.random.default_rng(0).integers(5, 50, size=(3, 9))
    np.testing.assert_allclose(
        token_embeddings(after, ids, cls_only=True), token_embeddings(before, ids, cls_only=True), rtol=0, atol=1e-5
    )


def test_layers_that_share_their_weights_keep_their_biases(tmp_path: Path) -> None:
    checkpoint = read_checkpoint(make_checkpoint(tmp_path, make_body(tmp_path, family="albert"), ("no", "yes")))

    assert _absorb_output_biases(authored(checkpoint)) is authored(checkpoint)


def token_embeddings(encoder: Encoder, ids: npt.NDArray[np.int64], *, cls_only: bool) -> npt.NDArray[np.float32]:
    """Run an encoder in float32."""
    graph = GraphBuilder()
    output = add_encoder(graph, Layout(), encoder, "input_ids", None, cls_only=cls_only)
    model = graph.model(
        name="encoder",
        inputs=[tensor_info("input_ids", INT64, ("batch", "sequence"))],
        outputs=[tensor_info(output, FLOAT, ("batch", "tokens", "width"))],
        metadata={},
    )
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    embeddings: npt.NDArray[np.float32] = session.run(None, {"input_ids": ids})[0]
    return embeddings


def test_smoothing_evens_out_what_the_channels_span(checkpoint: Checkpoint) -> None:
    _, layout = quantize(authored(checkpoint), checkpoint, CALIBRATION)

    for name, divisor in layout.divisors.items():  # no layers share weights here, so that the names are the same
        smoothed = layout.ranges[name].magnitude
        original = smoothed * divisor
        assert smoothed.max() / np.median(smoothed) <= original.max() / np.median(original) * 1.01


def test_weights_are_rounded_to_half_a_step_of_their_column() -> None:
    weight = np.random.default_rng(0).normal(size=(50, 20)).astype(np.float32) * np.logspace(
        -3, 3, 20, dtype=np.float32
    )
    weight[:, 3] = 0

    integers, scales = _int8_columns(weight)

    assert (np.abs(integers * scales - weight) <= scales * 0.5001).all()
    assert np.abs(integers).max() == 127
    assert not integers[:, 3].any()


@pytest.mark.parametrize(("lowest", "highest"), [(-1.0, 3.0), (0.5, 2.0), (-4.0, -1.0), (0.0, 0.0)])
def test_activations_fit_the_range_and_zero_is_exact(lowest: float, highest: float) -> None:
    scale, zero = _uint8_scale(Range(np.asarray([lowest], np.float32), np.asarray([highest], np.float32)))

    values = np.asarray([lowest, highest, 0.0])
    quantized = np.clip(np.rint(values / scale) + zero, 0, 255)
    assert (np.abs((quantized - zero) * scale - values) <= scale * 0.51).all()
    assert (quantized[2] - zero) * scale == 0


def test_a_channel_that_never_moves_is_left_alone() -> None:
    divisors = _smoothing(np.asarray([0.0, 2.0, 2.0], np.float32), np.asarray([1.0, 0.0, 0.5], np.float32))

    assert divisors[:2].tolist() == [1, 1]
    assert divisors[2] == pytest.approx(2**0.85 / 0.5**0.15)


@pytest.mark.parametrize("calibrate_on", [[], "one text"])
def test_calibration_needs_texts(tiny_checkpoint: Path, tmp_path: Path, calibrate_on: list[str] | str) -> None:
    with pytest.raises(UsageError, match="calibrate_on: expected a list of texts"):
        export(tiny_checkpoint, tmp_path / "bundle", ("int8",), calibrate_on=calibrate_on)
