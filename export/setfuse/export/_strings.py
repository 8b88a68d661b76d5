"""Fuse the tokenizer with body and head: one graph from strings to labels, for onnxruntime-extensions."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

from setfuse.runtime import MissingExtra

from ._checkpoint import Checkpoint
from ._errors import UnsupportedCheckpoint
from ._graph import FLOAT, INT64, STRING, GraphBuilder, tensor_info
from ._word_piece import add_word_piece, read_word_piece

STRINGS_FILE = "model.strings.onnx"

TOKENIZER_NOTE = "inside: BertTokenizer of onnxruntime-extensions"

_ONE = helper.make_tensor("value", TensorProto.INT64, [1], [1])

SHORTEST_CUT = 3
"""Tokens: where a graph is to cut at less, the operator does not cut at all."""


def check_strings_in(checkpoint: Checkpoint) -> None:
    """Check that the tokenizer can be put inside the graph, and that what runs such a graph is installed.

    Raises:
        MissingExtra: onnxruntime-extensions is not installed.
        UnsupportedCheckpoint: The tokenizer is not of BERT's kind.
    """
    extensions_library()
    read_word_piece(checkpoint.tokenizer)
    if checkpoint.max_length < SHORTEST_CUT:
        raise UnsupportedCheckpoint(
            f"the tokenizer, to be put inside the graph: expected a max_length of at least {SHORTEST_CUT}, found "
            f"{checkpoint.max_length}; export without strings in"
        )


def fuse_with_tokenizer(checkpoint: Checkpoint, classifier: onnx.ModelProto) -> onnx.ModelProto:
    """Put prompt and tokenizer before a fused graph: one graph from strings to labels, probabilities and the embedding.

    The tokenizing operator takes one text, so that the graph loops over the texts, with the classifier inside the
    loop: there is no padding, and a text's answer does not depend on its batch.

    Args:
        checkpoint: Prompt, tokenizer and labels.
        classifier: The graph from token ids to answers, as `fuse` writes it for the same checkpoint.

    Returns:
        A model with the input `text`, strings (batch,), and the outputs `label`, strings (batch,), unless a text can
        have several, and those of the classifier. No texts give no rows.

    Raises:
        UnsupportedCheckpoint: The tokenizer is not of BERT's kind.
    """
    graph = GraphBuilder()
    with graph.body() as turn:
        first = graph.constant("axis.batch", [0], np.int64)
        number = graph.node("Unsqueeze", ["turn", first], "text.number")
        one = graph.node("Gather", ["text", number], "text.one")
        ids = _add_prompt_and_tokenizer(graph, checkpoint, one)
        input_ids = graph.node("Reshape", [ids, graph.constant("text.shape.one", [1, -1], np.int64)], "text.ids.row")
        inputs = {"input_ids": input_ids}
        if len(classifier.graph.input) > 1:
            shape = graph.node("Shape", [input_ids], "text.ids.shape")
            inputs["attention_mask"] = graph.node("ConstantOfShape", [shape], "text.ids.ones", value=_ONE)
        answers = graph.splice(classifier, inputs, "text.")
        rows = {name: graph.node("Squeeze", [answer, first], f"{answer}.row") for name, answer in answers.items()}
    widths = {value.name: value.type.tensor_type.shape.dim[-1].dim_value for value in classifier.graph.output}
    count = graph.node("Squeeze", [graph.node("Shape", ["text"], "text.shape")], "text.count")
    graph.loop(count, turn, "turn", {name: tensor_info(row, FLOAT, (widths[name],)) for name, row in rows.items()})
    scores = next(name for name in widths if name != "sentence_embedding")
    outputs = list(classifier.graph.output)
    if not checkpoint.head.multi_label:  # any number of labels a text would be no column
        best = graph.node("ArgMax", [scores], "label.number", axis=1, keepdims=0)
        graph.node("Gather", [graph.constant("labels", checkpoint.labels, np.object_), best], "label")
        outputs.insert(0, tensor_info("label", STRING, ("batch",)))
    return graph.model(
        name="setfuse",
        inputs=[tensor_info("text", STRING, ("batch",))],
        outputs=outputs,
        metadata={
            **{item.key: item.value for item in classifier.metadata_props},
            "setfuse.padding": "none: each text runs alone",
            "setfuse.tokenizer": TOKENIZER_NOTE,
        },
    )


def tokenizer_graph(checkpoint: Checkpoint) -> onnx.ModelProto:
    """Write the prompt and the tokenizer alone, as they are in the whole graph.

    Returns:
        A model with the input `text`, strings (1,), and the output `input_ids`, int64 (sequence,).
    """
    graph = GraphBuilder()
    graph.node("Identity", [_add_prompt_and_tokenizer(graph, checkpoint, "text")], "input_ids")
    return graph.model(
        name="tokenizer",
        inputs=[tensor_info("text", STRING, (1,))],
        outputs=[tensor_info("input_ids", INT64, ("sequence",))],
        metadata={},
    )


def strings_session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    """Load a graph with the tokenizer inside.

    Raises:
        MissingExtra: onnxruntime-extensions is not installed.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry("session.x64quantprecision", "1")  # without VNNI, int8 sums overflow otherwise
    options.register_custom_ops_library(extensions_library())
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def run_strings(session: onnxruntime.InferenceSession, texts: Sequence[str]) -> dict[str, Any]:
    """Give the graph's outputs, by name, for texts."""
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"text": np.asarray(texts, dtype=np.object_)}), strict=True))


def extensions_library() -> str:
    """Find the library of onnxruntime-extensions.

    Raises:
        MissingExtra: It is not installed.
    """
    try:
        import onnxruntime_extensions
    except ImportError as error:
        raise MissingExtra(
            'strings in needs onnxruntime-extensions: pip install "setfuse[strings]", or export without it'
        ) from error
    return str(onnxruntime_extensions.get_library_path())


def _add_prompt_and_tokenizer(graph: GraphBuilder, checkpoint: Checkpoint, text: str) -> str:
    if checkpoint.prompt:
        prompt = graph.constant("prompt", [checkpoint.prompt], np.object_)
        text = graph.node("StringConcat", [prompt, text], "text.prompted")
    tokenizer = read_word_piece(checkpoint.tokenizer)
    return add_word_piece(graph, tokenizer, text, checkpoint.max_length, "text.ids")
