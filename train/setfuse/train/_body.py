"""Load the body, sentence-transformers' own pipeline."""

from pathlib import Path

import torch
from sentence_transformers import SentenceTransformer

from setfuse.runtime import UsageError

from ._errors import BaseModelNotFound


def load_body(folder: Path, max_length: int | None, device: str | None = None) -> SentenceTransformer:
    """Load a base model in float32.

    Args:
        folder: A sentence-transformers folder, or a transformers one, which gets mean pooling.
        max_length: Tokens to cut texts at; None for the body's own.
        device: Torch's name of it; None for the GPU if torch has one.

    Raises:
        BaseModelNotFound: sentence-transformers cannot load it.
        UsageError: `max_length` is more than the body can take, or the body cuts no texts.
    """
    try:
        body = SentenceTransformer(
            str(folder), device=device, local_files_only=True, model_kwargs={"dtype": torch.float32}
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise BaseModelNotFound(f"{folder}: sentence-transformers cannot load it: {error}") from error
    if max_length is not None:
        longest = body.max_seq_length
        if longest is not None and max_length > longest:
            raise UsageError(f"max_length: expected at most the body's {longest} tokens, got {max_length}")
        try:
            body.max_seq_length = max_length
        except AttributeError as error:  # StaticEmbedding has no setter
            raise UsageError(
                f"max_length: expected none with a {type(body[0]).__name__}, which reads texts whole, got "
                f"{max_length}; leave it out"
            ) from error
    return body
