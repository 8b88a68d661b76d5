"""Make the int8 layout of a checkpoint: see what each linear's input spans, and smooth the outliers away."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import onnxruntime
import tokenizers

from ._checkpoint import Checkpoint, Encoder, FloatArray, PoolingMode
from ._encoder import add_encoder
from ._errors import UnsupportedCheckpoint
from ._graph import FLOAT, INT64, GraphBuilder, tensor_info
from ._layout import FloatLayout, Int8Layout, Range
from ._traced import TracedEncoder

ALPHA = 0.85
"""SmoothQuant's migration strength (Xiao et al., 2023): how much of a channel's size moves into the weights."""


def quantize(checkpoint: Checkpoint, texts: Sequence[str]) -> tuple[Encoder, Int8Layout]:
    """Calibrate on texts and smooth.

    Args:
        checkpoint: In float32.
        texts: A hundred or so of the kind that will be classified; the more alike, the better.

    Returns:
        The encoder with the smoothing of the attention's output absorbed by the values, exact in float32, and the
        layout that writes its linears in int8.

    Raises:
        UnsupportedCheckpoint: The encoder was traced.
    """
    encoder = checkpoint.encoder
    if isinstance(encoder, TracedEncoder):
        raise UnsupportedCheckpoint(
            f"precision: expected fp32 for a {encoder.architecture} that optimum traced, got int8: not supported"
        )
    recorder = _Recorder()
    ranges = _observe(encoder, checkpoint, recorder, texts)
    divisors = {
        name: _smoothing(ranges[name].magnitude, np.abs(weight).max(axis=1))
        for name, weight in recorder.weights.items()
    }
    smoothed = {
        name: Range(seen.lowest / divisors[name], seen.highest / divisors[name]) for name, seen in ranges.items()
    }
    absorbed = {name: s for name, s in divisors.items() if name.endswith("attention.output")}
    kept = {name: s for name, s in divisors.items() if name not in absorbed}
    return _absorb(encoder, absorbed), Int8Layout(ranges=smoothed, divisors=kept)


def _smoothing(activations: FloatArray, weights: FloatArray) -> FloatArray:
    # A channel that is always zero, or has no weights, is left alone.
    usable = (activations > 0) & (weights > 0)
    safe = np.where(usable, activations, 1.0), np.where(usable, weights, 1.0)
    return np.where(usable, safe[0] ** ALPHA / safe[1] ** (1 - ALPHA), 1.0).astype(np.float32)


def _absorb(encoder: Encoder, divisors: dict[str, FloatArray]) -> Encoder:
    # The attention's output is a weighted sum of the values: dividing a channel there or here is the same.
    tensors = dict(encoder.tensors)
    for name, divisor in divisors.items():
        prefix = f"encoder.{name.removesuffix('.attention.output')}.attention"
        tensors[f"{prefix}.self.value.weight"] = tensors[f"{prefix}.self.value.weight"] / divisor[:, None]
        tensors[f"{prefix}.self.value.bias"] = tensors[f"{prefix}.self.value.bias"] / divisor
        tensors[f"{prefix}.output.dense.weight"] = tensors[f"{prefix}.output.dense.weight"] * divisor
    return dataclasses.replace(encoder, tensors=tensors)


class _Recorder:
    """A float layout that notes what each linear reads."""

    takes_mask = False

    def __init__(self) -> None:
        self.inputs: dict[str, str] = {}
        self.weights: dict[str, FloatArray] = {}
        self._float = FloatLayout(takes_mask=False)

    def add_linear(self, graph: GraphBuilder, x: str, name: str, weight: FloatArray, bias: FloatArray) -> str:
        self.inputs[name] = x
        self.weights[name] = weight
        return self._float.add_linear(graph, x, name, weight, bias)

    def add_lookup(self, graph: GraphBuilder, table: FloatArray, ids: str, name: str) -> str:
        return self._float.add_lookup(graph, table, ids, name)


def _observe(encoder: Encoder, checkpoint: Checkpoint, recorder: _Recorder, texts: Sequence[str]) -> dict[str, Range]:
    """Run the encoder in float32 on each text and keep the extremes of every channel that a linear reads."""
    graph = GraphBuilder()
    cls_only = checkpoint.pooling is PoolingMode.CLS
    add_encoder(graph, recorder, encoder, "input_ids", None, cls_only=cls_only)
    values = list(dict.fromkeys(recorder.inputs.values()))
    model = graph.model(
        name="calibration",
        inputs=[tensor_info("input_ids", INT64, ("batch", "sequence"))],
        outputs=[tensor_info(value, FLOAT, ("batch", f"{value}.length", f"{value}.width")) for value in values],
        metadata={},
    )
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    tokenizer = tokenizers.Tokenizer.from_str(checkpoint.tokenizer)
    tokenizer.no_padding()
    tokenizer.enable_truncation(checkpoint.max_length)
    lowest: dict[str, npt.NDArray[np.float32]] = {}
    highest: dict[str, npt.NDArray[np.float32]] = {}
    for encoding in tokenizer.encode_batch(list(texts)):
        for value, array in zip(values, session.run(values, {"input_ids": np.asarray([encoding.ids])}), strict=True):
            low, high = array.min(axis=(0, 1)), array.max(axis=(0, 1))
            lowest[value] = np.minimum(lowest.get(value, low), low)
            highest[value] = np.maximum(highest.get(value, high), high)
    return {name: Range(lowest[value], highest[value]) for name, value in recorder.inputs.items()}
