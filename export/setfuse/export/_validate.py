"""Prove that a graph answers as the torch checkpoint does: names, axes, shapes, values, labels, in this order."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import tokenizers

from setfuse.runtime import Classifier, Manifest, Parity, Variant

from ._checkpoint import FloatArray
from ._errors import ParityError

FP32_TOLERANCE = 1e-5
"""Largest difference of a probability that float32 arithmetic in another order explains, with a head of usual size."""

ROUNDING_FACTOR = 10
"""A head with large coefficients amplifies rounding, in torch too: how many times torch's own difference between
batch sizes the graph may be off."""


@dataclass(frozen=True, slots=True)
class Answers:
    """Answers to the same texts, in their order.

    Attributes:
        probabilities: (texts, labels).
        embeddings: float32 (texts, dim).
    """

    probabilities: npt.NDArray[np.floating]
    embeddings: FloatArray


def check_interface(model: onnx.ModelProto, labels: Sequence[str]) -> None:
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
        "attention_mask": ["batch", "sequence"],
        "probabilities": ["batch", len(labels)],
        "sentence_embedding": ["batch", dim],
    }
    if found != expected:
        raise ParityError(f"the graph's inputs and outputs: expected {expected}, found {found}")


def compare(
    classifier: Classifier, torch_answers: Answers, torch_again: Answers, texts: Sequence[str], *, padded: Answers
) -> Parity:
    """Compare a graph, run as users run it and once more in padded batches, with torch.

    Args:
        classifier: The bundle in the making.
        torch_answers: Torch's answers to `texts`.
        torch_again: The same at another batch size, which shows what rounding alone does.
        texts: The texts compared on.
        padded: The graph's answers in padded batches, which the runtime never makes but other users of the file do.

    Returns:
        The parity, of the worse of the two ways.

    Raises:
        ParityError: A probability is off by more than the tolerance, or a label differs where torch is not at a tie.
    """
    alone = Answers(classifier.predict_proba(texts), classifier.embed(texts))
    torch_difference = float(np.abs(torch_answers.probabilities - torch_again.probabilities).max())
    tolerance = max(FP32_TOLERANCE, ROUNDING_FACTOR * torch_difference)
    differences = np.maximum(*(np.abs(a.probabilities - torch_answers.probabilities) for a in (alone, padded)))
    worst = int(differences.max(axis=1).argmax())
    if not differences.max() <= tolerance:  # also true of NaN
        raise ParityError(
            f"the graph's probabilities: expected at most {tolerance:.1e} from torch's, "
            f"found {differences.max():.1e} for the text {texts[worst]!r:.60}; no bundle was written"
        )
    expected = torch_answers.probabilities.argmax(axis=1)
    sure = _margin(torch_answers.probabilities) > 2 * tolerance
    same = np.logical_and(*(a.probabilities.argmax(axis=1) == expected for a in (alone, padded)))
    if (sure & ~same).any():
        flipped = int(np.flatnonzero(sure & ~same)[0])
        raise ParityError(
            f"the graph's labels: expected {classifier.labels[expected[flipped]]!r}, "
            f"found {classifier.labels[int(alone.probabilities[flipped].argmax())]!r} "
            f"for the text {texts[flipped]!r:.60}; no bundle was written"
        )
    embeddings = max(float(np.abs(a.embeddings - torch_answers.embeddings).max()) for a in (alone, padded))
    return Parity(
        texts=len(texts),
        max_probability_difference=float(differences.max()),
        mean_probability_difference=float(differences.mean()),
        max_embedding_difference=embeddings,
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
        encodings = tokenizer.encode_batch(list(texts[start : start + batch_size]))
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
