"""Make the int8 layout of a checkpoint: see what each linear's input spans, and smooth the outliers away."""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import onnxruntime
import tokenizers

from ._checkpoint import Checkpoint
from ._encoder import Encoder, FloatArray, Layer, Linear, Norm
from ._encoder_graph import add_encoder
from ._graph import FLOAT, INT64, GraphBuilder, tensor_info
from ._int8 import Int8Layout, Range
from ._layout import Layout

ALPHA = 0.85
"""SmoothQuant's migration strength (Xiao et al., 2023): how much of a channel's size moves into the weights."""


def quantize(encoder: Encoder, checkpoint: Checkpoint, texts: Sequence[str]) -> tuple[Encoder, Int8Layout]:
    """Calibrate on texts and smooth.

    Args:
        encoder: In float32.
        checkpoint: Whose it is: pooling and tokenizer.
        texts: A hundred or so of the kind that will be classified; the more alike, the better.

    Returns:
        The encoder with the smoothing of the attention's output absorbed by the values, and with the biases of the
        linears before the residual connections absorbed by the normalisations, both exact in float32, and the layout
        that writes its linears in int8.
    """
    encoder = _absorb_output_biases(encoder)
    recorder = _Recorder()
    ranges = _observe(encoder, checkpoint, recorder, texts)
    divisors = {}
    for linear in recorder.linears.values():
        # Layers that share their weights share the smoothing: it has to fit them all.
        seen = [ranges[name].magnitude for name, used in recorder.linears.items() if used.name == linear.name]
        divisors[linear.name] = _smoothing(np.max(seen, axis=0), np.abs(linear.weight).max(axis=1))
    smoothed = {
        name: Range(ranges[name].lowest / divisors[linear.name], ranges[name].highest / divisors[linear.name])
        for name, linear in recorder.linears.items()
    }
    absorbed = {layer.attention_output.name for layer in encoder.layers}
    uses = Counter(linear.name for linear in recorder.linears.values())
    return _absorb(encoder, divisors), Int8Layout(
        ranges=smoothed,
        divisors={name: s for name, s in divisors.items() if name not in absorbed},
        shared=frozenset(name for name, count in uses.items() if count > 1),
    )


def _smoothing(activations: FloatArray, weights: FloatArray) -> FloatArray:
    # A channel that is always zero, or has no weights, is left alone.
    usable = (activations > 0) & (weights > 0)
    safe = np.where(usable, activations, 1.0), np.where(usable, weights, 1.0)
    return np.where(usable, safe[0] ** ALPHA / safe[1] ** (1 - ALPHA), 1.0).astype(np.float32)


def _absorb(encoder: Encoder, divisors: Mapping[str, FloatArray]) -> Encoder:
    # The attention's output is a weighted sum of the values: dividing a channel there or here is the same.
    layers = {layer.name: _absorb_in_layer(layer, divisors[layer.attention_output.name]) for layer in encoder.layers}
    return dataclasses.replace(encoder, layers=tuple(layers[layer.name] for layer in encoder.layers))


def _absorb_in_layer(layer: Layer, divisor: FloatArray) -> Layer:
    value, output = layer.value, layer.attention_output
    return dataclasses.replace(
        layer,
        value=Linear(value.name, value.weight / divisor, value.bias / divisor),
        attention_output=Linear(output.name, output.weight * divisor[:, None], output.bias),
    )


def _absorb_output_biases(encoder: Encoder) -> Encoder:
    """Have what goes around a part of a layer bring along the bias of the linear at the part's end.

    The two are added in any case, so that the bias needs no Add of its own: the normalisation before the part adds it
    to its own bias, and the linears that read the normalisation take it out of theirs.
    """
    if len({layer.name for layer in encoder.layers}) < len(encoder.layers):
        return encoder  # layers that share their weights share the normalisations, and each would need its own
    layers = [_absorb_output_biases_in_layer(layer) for layer in encoder.layers]
    for number, layer in enumerate(encoder.layers[1:]):
        layers[number] = dataclasses.replace(
            layers[number], norm=_raised(layers[number].norm, layer.attention_output.bias)
        )
    first = encoder.layers[0].attention_output.bias
    if encoder.projection is not None:
        projection = _raised(encoder.projection, first)
        return dataclasses.replace(encoder, layers=tuple(layers), projection=projection)
    return dataclasses.replace(encoder, layers=tuple(layers), embedding_norm=_raised(encoder.embedding_norm, first))


def _absorb_output_biases_in_layer(layer: Layer) -> Layer:
    attention, output = layer.attention_output.bias, layer.output.bias
    return dataclasses.replace(
        layer,
        query=_reading_raised(layer.query, attention),
        key=_reading_raised(layer.key, attention),
        value=_reading_raised(layer.value, attention),
        attention_output=_raised(layer.attention_output, -attention),
        attention_norm=_raised(layer.attention_norm, output),
        intermediate=_reading_raised(layer.intermediate, output),
        output=_raised(layer.output, -output),
    )


_Biased = TypeVar("_Biased", Linear, Norm)


def _raised(part: _Biased, by: FloatArray) -> _Biased:
    """Give a part that puts out as much more."""
    return dataclasses.replace(part, bias=part.bias + by)


def _reading_raised(linear: Linear, by: FloatArray) -> Linear:
    """Give a linear that puts out the same when its input is raised."""
    return _raised(linear, -(by @ linear.weight))


class _Recorder(Layout):
    """A float layout that notes what each linear reads."""

    takes_mask = False

    def __init__(self) -> None:
        self.inputs: dict[str, str] = {}
        self.linears: dict[str, Linear] = {}

    def add_linear(self, graph: GraphBuilder, x: str, name: str, linear: Linear) -> str:
        self.inputs[name] = x
        self.linears[name] = linear
        return super().add_linear(graph, x, name, linear)


def _observe(encoder: Encoder, checkpoint: Checkpoint, recorder: _Recorder, texts: Sequence[str]) -> dict[str, Range]:
    """Run the encoder in float32 on each text and keep the extremes of every channel that a linear reads."""
    graph = GraphBuilder()
    cls_only = checkpoint.pooling.first_token_only
    add_encoder(graph, recorder, encoder, "input_ids", None, cls_only=cls_only)
    values = list(dict.fromkeys(recorder.inputs.values()))
    model = graph.model(
        name="calibration",
        inputs=[tensor_info("input_ids", INT64, ("batch", "sequence"))],
        outputs=[tensor_info(value, FLOAT, ("batch", f"{value}.length", f"{value}.width")) for value in values],
        metadata={},
    )
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what is fatal; errors arrive as exceptions
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    tokenizer = tokenizers.Tokenizer.from_str(checkpoint.tokenizer)
    tokenizer.no_padding()
    tokenizer.enable_truncation(checkpoint.max_length)
    lowest: dict[str, npt.NDArray[np.float32]] = {}
    highest: dict[str, npt.NDArray[np.float32]] = {}
    for encoding in tokenizer.encode_batch([checkpoint.prompt + text for text in texts]):
        for value, array in zip(values, session.run(values, {"input_ids": np.asarray([encoding.ids])}), strict=True):
            low, high = array.min(axis=(0, 1)), array.max(axis=(0, 1))
            lowest[value] = np.minimum(lowest.get(value, low), low)
            highest[value] = np.maximum(highest.get(value, high), high)
    return {name: Range(lowest[value], highest[value]) for name, value in recorder.inputs.items()}
