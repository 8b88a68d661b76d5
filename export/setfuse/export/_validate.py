"""Prove that a graph answers as the torch checkpoint does: names, axes, shapes, values, labels, in this order."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import tokenizers

from setfuse.runtime import Manifest, Parity, Precision, Variant

from ._encoder import FloatArray
from ._errors import ParityError

FP32_TOLERANCE = 1e-5
"""Largest difference of a probability that float32 arithmetic in another order explains, with a head of usual size."""

ROUNDING_FACTOR = 10
"""A head with large coefficients amplifies rounding, in torch too: how many times torch's own difference between
batch sizes a float32 graph may be off."""

INT8_MEAN_TOLERANCE = 0.01
"""Largest mean difference of a probability of an int8 graph."""

SURE = 0.2
"""How far torch's two best labels must be apart for int8 to have no excuse for another one."""


@dataclass(frozen=True, slots=True)
class Answers:
    """Answers to the same texts, in their order.

    Attributes:
        probabilities: (texts, labels).
        embeddings: float32 (texts, dim).
    """

    probabilities: npt.NDArray[np.floating]
    embeddings: FloatArray


def check_interface(model: onnx.ModelProto, labels: Sequence[str], *, takes_mask: bool) -> None:
    """Check names, axes and shapes of a graph against what a bundle promises.

    Raises:
        ParityError: Something is not as promised.
    """
    found = {
        value.name: [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    }
    dim = found.get("sentence_embedding", [None])[-1]
    expected = {
        "input_ids": ["batch", "sequence"],
        **({"attention_mask": ["batch", "sequence"]} if takes_mask else {}),
        "probabilities": ["batch", len(labels)],
        "sentence_embedding": ["batch", dim],
    }
    if found != expected:
        raise ParityError(f"the graph's inputs and outputs: expected {expected}, found {found}")


def compare(
    precision: Precision,
    ways: Sequence[Answers],
    torch_answers: Answers,
    torch_again: Answers,
    *,
    texts: Sequence[str],
    labels: Sequence[str],
) -> Parity:
    """Compare a graph's answers with torch's.

    fp32 must be as near to torch as rounding explains, and may give another label only where torch is at a tie.
    int8 must be near in the mean, and may give another label only where torch was not sure.

    Args:
        precision: The graph's.
        ways: Its answers to `texts`, one for each way that it is run (alone, padded).
        torch_answers: Torch's.
        torch_again: Torch's at another batch size, which shows what rounding alone does.
        texts: The texts compared on.
        labels: Names of the labels.

    Returns:
        The parity, of the worst of the ways.

    Raises:
        ParityError: The graph is further off than its precision explains; the message names the worst text.
    """
    torch_difference = float(np.abs(torch_answers.probabilities - torch_again.probabilities).max())
    differences = np.max([np.abs(way.probabilities - torch_answers.probabilities) for way in ways], axis=0)
    worst = int(differences.max(axis=1).argmax())
    if precision is Precision.INT8:
        measure, found, tolerance, sure = "on average", float(differences.mean()), INT8_MEAN_TOLERANCE, SURE
    else:
        tolerance = max(FP32_TOLERANCE, ROUNDING_FACTOR * torch_difference)
        measure, found, sure = "at most", float(differences.max()), 2 * tolerance
    if not found <= tolerance:  # also true of NaN
        raise ParityError(
            f"the {precision} graph's probabilities: expected {measure} {tolerance:.1e} from torch's, "
            f"found {found:.1e}, most for the text {texts[worst]!r:.60}; no bundle was written"
        )
    expected = torch_answers.probabilities.argmax(axis=1)
    same = np.all([way.probabilities.argmax(axis=1) == expected for way in ways], axis=0)
    flipped = np.flatnonzero(~same & (_margin(torch_answers.probabilities) > sure))
    if flipped.size:
        text = int(flipped[0])
        got = next(label for way in ways if (label := int(way.probabilities[text].argmax())) != expected[text])
        raise ParityError(
            f"the {precision} graph's labels: expected {labels[expected[text]]!r}, found {labels[got]!r} for the text "
            f"{texts[text]!r:.60} ({flipped.size} such of {len(texts)}); no bundle was written"
        )
    return Parity(
        texts=len(texts),
        max_probability_difference=float(differences.max()),
        mean_probability_difference=float(differences.mean()),
        max_embedding_difference=max(float(np.abs(way.embeddings - torch_answers.embeddings).max()) for way in ways),
        label_agreement=float(same.mean()),
        tolerance=tolerance,
        torch_difference=torch_difference,
    )


def answer_padded(folder: Path, manifest: Manifest, variant: Variant, texts: Sequence[str], batch_size: int) -> Answers:
    """Run a graph on padded batches, neighbours as they come, as a user without our runtime would."""
    tokenizer = tokenizers.Tokenizer.from_file(str(folder / manifest.tokenizer.file))
    tokenizer.enable_padding()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(folder / variant.file.file, options, providers=["CPUExecutionProvider"])
    probabilities, embeddings = [], []
    for start in range(0, len(texts), batch_size):
        encodings = tokenizer.encode_batch([manifest.prompt + text for text in texts[start : start + batch_size]])
        feeds = {"input_ids": _stack([e.ids for e in encodings])}
        feeds["attention_mask"] = _stack([e.attention_mask for e in encodings])
        result = session.run(["probabilities", "sentence_embedding"], feeds)
        probabilities.append(result[0])
        embeddings.append(result[1])
    return Answers(np.concatenate(probabilities), np.concatenate(embeddings))


def _stack(rows: list[list[int]]) -> npt.NDArray[np.int64]:
    return np.asarray(rows, dtype=np.int64)


def _margin(probabilities: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Give how far the best label is ahead of the second, a number a text."""
    ordered = np.sort(probabilities, axis=1)
    margin: npt.NDArray[np.floating] = ordered[:, -1] - ordered[:, -2]
    return margin
