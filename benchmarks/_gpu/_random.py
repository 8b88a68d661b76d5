"""A model with random weights and made-up texts: a machine to which nothing is carried can time its shape."""

import json
import random
from dataclasses import dataclass, replace
from pathlib import Path

import joblib
import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
from sklearn.linear_model import LogisticRegression
from tokenizers import Tokenizer
from transformers import BertConfig, BertModel, BertTokenizer

from benchmarks._cases import WORDS, text_maker

from ._cases import mixed_lengths

LABELS = ("negative", "positive")
TEXTS = 256
_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


@dataclass(frozen=True, slots=True)
class Shape:
    """The shape of a BERT.

    Attributes:
        layers: Of the encoder.
        hidden: Width of the embedding.
        heads: Of attention.
        inner: Width of the feed-forward layer.
        vocabulary: Tokens.
        positions: Tokens of the longest text.
    """

    layers: int
    hidden: int
    heads: int
    inner: int
    vocabulary: int
    positions: int = 512


SHAPES = {
    "bge-small": Shape(layers=12, hidden=384, heads=12, inner=1536, vocabulary=30522),
    "bge-base": Shape(layers=12, hidden=768, heads=12, inner=3072, vocabulary=30522),
    "minilm": Shape(layers=6, hidden=384, heads=12, inner=1536, vocabulary=30522),
}


def with_sizes(shape: Shape, **sizes: int | None) -> Shape:
    """Change the sizes that are not None."""
    return replace(shape, **{name: size for name, size in sizes.items() if size is not None})


def write_random(shape: Shape, checkpoint: Path) -> list[str]:
    """Write a checkpoint as SetFit does: cls pooling, Normalize, and a LogisticRegression.

    Args:
        shape: The body's.
        checkpoint: An empty folder.

    Returns:
        Made-up texts with SST-2's lengths.
    """
    parts = checkpoint.parent / f".{checkpoint.name}.transformer"
    parts.mkdir(parents=True)
    letters = [letter for first in "abcdefghijklmnopqrstuvwxyz" for letter in (first, f"##{first}")]
    tokens = list(dict.fromkeys([*_SPECIAL, *letters, *WORDS]))
    tokens += [f"[unused{number}]" for number in range(shape.vocabulary - len(tokens))]
    (parts / "vocab.txt").write_text("\n".join(tokens) + "\n", encoding="utf-8")
    config = BertConfig(
        vocab_size=len(tokens),
        hidden_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        intermediate_size=shape.inner,
        max_position_embeddings=shape.positions,
        initializer_range=0.1,  # BERT's own 0.02 would leave all texts nearly alike
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        BertModel(config).save_pretrained(parts)
    BertTokenizer(vocab=str(parts / "vocab.txt"), model_max_length=shape.positions).save_pretrained(parts)
    modules = [Transformer(str(parts)), Pooling(shape.hidden, pooling_mode="cls"), Normalize()]
    body = SentenceTransformer(modules=modules, device="cpu")
    rng = random.Random(0)
    text = text_maker(Tokenizer.from_file(str(parts / "tokenizer.json")), rng)
    texts = [text(length) for length in mixed_lengths(TEXTS, shape.positions, rng)]
    embeddings = body.encode(texts, show_progress_bar=False)
    centred = embeddings - embeddings.mean(axis=0)
    side = centred @ np.linalg.svd(centred, full_matrices=False)[2][0] > 0  # what tells the texts apart best
    head = LogisticRegression(C=100.0, max_iter=1000).fit(embeddings, np.where(side, *LABELS[::-1]))
    body.save(str(checkpoint), create_model_card=False)
    joblib.dump(head, checkpoint / "model_head.pkl")
    settings = {"labels": list(LABELS), "normalize_embeddings": False}
    (checkpoint / "config_setfit.json").write_text(json.dumps(settings), encoding="utf-8")
    for path in parts.iterdir():
        path.unlink()
    parts.rmdir()
    return texts
