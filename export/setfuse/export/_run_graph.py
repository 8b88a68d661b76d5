"""Run a graph on the check texts in every way that its users may: in batches of equal length, alone, padded."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
import tokenizers

from setfuse.runtime import Classifier, Manifest, Scores, Variant

from ._errors import ParityError
from ._validate import Answers


def answer(classifier: Classifier, texts: Sequence[str]) -> Answers:
    """Run a graph as the runtime does, in batches of equal length."""
    scores = classifier.decision_function if classifier.manifest.scores is Scores.DECISION else classifier.predict_proba
    return Answers(scores(texts), classifier.embed(texts))


def answer_alone(classifier: Classifier, texts: Sequence[str]) -> Answers:
    """Run a graph as the runtime does, one text at a time."""
    answers = [answer(classifier, [text]) for text in texts]
    return Answers(
        np.concatenate([one.probabilities for one in answers]), np.concatenate([one.embeddings for one in answers])
    )


def answer_padded(folder: Path, manifest: Manifest, variant: Variant, texts: Sequence[str], batch_size: int) -> Answers:
    """Run a graph on padded batches, neighbours as they come, as a user without our runtime would.

    Raises:
        ParityError: onnxruntime fails.
    """
    tokenizer = tokenizers.Tokenizer.from_file(str(folder / manifest.tokenizer.file))
    tokenizer.enable_padding()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what is fatal; errors arrive as exceptions
    session = onnxruntime.InferenceSession(folder / variant.file.file, options, providers=["CPUExecutionProvider"])
    dtypes = {tensor.name: tensor.dtype for tensor in variant.inputs}
    scores, embeddings = [], []
    for start in range(0, len(texts), batch_size):
        encodings = tokenizer.encode_batch([manifest.prompt + text for text in texts[start : start + batch_size]])
        rows = {"input_ids": [e.ids for e in encodings], "attention_mask": [e.attention_mask for e in encodings]}
        feeds = {name: np.asarray(rows[name], dtype=dtype) for name, dtype in dtypes.items()}
        try:
            result = session.run([str(manifest.scores), "sentence_embedding"], feeds)
        except Exception as error:  # onnxruntime's exceptions have no common base but this one
            raise ParityError(
                f"the {variant.precision} graph: onnxruntime fails on the check texts: {error}"
            ) from error
        scores.append(result[0])
        embeddings.append(result[1])
    return Answers(np.concatenate(scores), np.concatenate(embeddings))
