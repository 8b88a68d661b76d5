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


def default_prompt(body: SentenceTransformer) -> str:
    """Give what `encode` puts before each text; empty for nothing."""
    return (body.prompts.get(body.default_prompt_name) if body.default_prompt_name else None) or ""


def preprocess(body: SentenceTransformer, texts: Sequence[str]) -> Features:
    """Tokenize texts as `encode` does, behind the default prompt: they are trained as they will be used."""
    features: Features = body.preprocess(list(texts), prompt=default_prompt(body) or None)
    return features


def tokenize_by_length(body: SentenceTransformer, texts: Sequence[str]) -> Tokenized:
    """Tokenize texts in chunks of like length: one long text would pad all others to its length.

    Args:
        body: Has the tokenizer.
        texts: At least one.
    """
    by_length = sorted(range(len(texts)), key=lambda index: len(texts[index]))
    chunks = [
        preprocess(body, [texts[index] for index in by_length[start : start + CHUNK]])
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
    return Tokenized([preprocess(body, left), preprocess(body, right)], torch.arange(len(left) + len(right)))


def embed(
    model: Callable[[Features], dict[str, torch.Tensor]],
    chunks: Sequence[Features],
    back: torch.Tensor,
    truncate_dim: int | None,
) -> torch.Tensor:
    """Run the chunks through the model.

    Args:
        model: The body, possibly wrapped for mixed precision.
        chunks: As in `Tokenized`, on the model's device.
        back: As in `Tokenized`, there, too.
        truncate_dim: The body's: how much of an embedding `encode` gives; None for all.

    Returns:
        float32 (texts, dim), in the order of the texts.
    """
    return torch.cat([model(features)["sentence_embedding"] for features in chunks])[back, :truncate_dim]
