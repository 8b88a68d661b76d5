"""Embed the texts of a training step, with gradients."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sentence_transformers import SentenceTransformer

CHUNK = 16
"""Texts of like length in one forward pass: small enough to pad little, large enough to keep two cores busy."""

Features = dict[str, Any]
"""What a body takes: the token ids and masks of a chunk of texts, int64 (texts, tokens) each."""


@dataclass(frozen=True, slots=True)
class Tokenized:
    """Texts, ready for the body.

    Attributes:
        chunks: One forward pass each.
        back: int64 (texts,): where each text stands in the concatenation of the chunks.
    """

    chunks: list[Features]
    back: torch.Tensor


def tokenize_by_length(body: SentenceTransformer, texts: Sequence[str]) -> Tokenized:
    """Tokenize texts in chunks of like length: one long text would pad all others to its length.

    Args:
        body: Has the tokenizer.
        texts: At least one.
    """
    by_length = sorted(range(len(texts)), key=lambda index: len(texts[index]))
    chunks = [
        body.preprocess([texts[index] for index in by_length[start : start + CHUNK]])
        for start in range(0, len(texts), CHUNK)
    ]
    return Tokenized(chunks, torch.from_numpy(np.argsort(by_length)))


def tokenize_sides(body: SentenceTransformer, left: Sequence[str], right: Sequence[str]) -> Tokenized:
    """Tokenize the left texts of pairs for one pass and the right ones for another, as sentence-transformers does.

    Args:
        body: Has the tokenizer.
        left: At least one.
        right: As many.
    """
    return Tokenized([body.preprocess(list(left)), body.preprocess(list(right))], torch.arange(len(left) + len(right)))


def embed(
    model: Callable[[Features], dict[str, torch.Tensor]], chunks: Sequence[Features], back: torch.Tensor
) -> torch.Tensor:
    """Run the chunks through the model.

    Args:
        model: The body, possibly wrapped for mixed precision.
        chunks: As in `Tokenized`, on the model's device.
        back: As in `Tokenized`, there, too.

    Returns:
        float32 (texts, dim), in the order of the texts.
    """
    return torch.cat([model(features)["sentence_embedding"] for features in chunks])[back]
