"""Small models with random weights, for tests that need no network."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
from sklearn.linear_model import LogisticRegression
from transformers import BertConfig, BertModel, BertTokenizer

from setfuse.train._checkpoint import write_checkpoint

DATA = Path(__file__).parent / "data"

MAX_LENGTH = 48

TEXTS = (
    "where is my parcel",
    "refund the money please",
    "the app crashes again and again",
    "a",
    "never a dull story, the best film of today",
    "I can't login !",
    "cancel",
    "change my address to 12 high street, please, and thanks",
    "é ü 中 你 zzz",
    "what is this",
    "it is still broken and nobody helps me, not the human agent and not the app, it is too slow and too late",
    "",
)
"""A dozen texts of 2 to about 40 tokens, the empty one among them."""

LONG_TEXT = " ".join(["the parcel is late again"] * 100)


def make_body(
    folder: Path,
    *,
    pooling: str = "mean",
    normalize: bool = True,
    activation: str = "gelu",
    max_length: int = MAX_LENGTH,
    seed: int = 0,
) -> SentenceTransformer:
    """Save a BERT of two layers with random weights as a sentence-transformers folder, and load it."""
    vocab = DATA / "vocab.txt"
    config = BertConfig(
        vocab_size=len(vocab.read_text(encoding="utf-8").split("\n")) - 1,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
        hidden_act=activation,
        initializer_range=0.2,  # BERT's own 0.02 would leave all texts nearly alike
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = BertModel(config)
        for parameter in model.parameters():  # biases start as zeros, which would hide a forgotten one
            torch.nn.init.normal_(parameter, mean=parameter.detach().mean().item(), std=0.2)
    transformer = folder / "transformer"
    model.save_pretrained(transformer)
    BertTokenizer(vocab=str(vocab), model_max_length=max_length).save_pretrained(transformer)
    modules = [Transformer(str(transformer)), Pooling(config.hidden_size, pooling_mode=pooling)]
    body = SentenceTransformer(modules=[*modules, Normalize()] if normalize else modules, device="cpu")
    body.save(str(folder / "body"), create_model_card=False)
    return body


def make_checkpoint(folder: Path, body: SentenceTransformer, labels: Sequence[str], *, scale: float = 10.0) -> Path:
    """Save a body with a head that was fitted to random labels of the texts; the scale spreads its probabilities."""
    rng = np.random.default_rng(len(labels))
    texts = [text for text in TEXTS if text] * 3
    given = [labels[i % len(labels)] for i in range(len(texts))]
    embeddings = body.encode(texts) + rng.normal(scale=0.1, size=(len(texts), 32)).astype(np.float32)
    head = LogisticRegression(C=scale, max_iter=1000).fit(embeddings, np.asarray(given))
    training = {
        "base_model": "tests/tiny",
        "rows": {label: given.count(label) for label in labels},
        "eval_rows": 0,
        "accuracy": None,
        "arguments": {"seed": 42},
        "pairs": 1,
        "steps": 1,
        "seconds": 0.0,
        "versions": {"setfuse": "0"},
    }
    checkpoint = folder / "checkpoint"
    checkpoint.mkdir(parents=True)
    write_checkpoint(checkpoint, body, head, training)
    return checkpoint


def write_rows(path: Path, rows: Sequence[tuple[str, str]]) -> Path:
    """Write labelled texts as JSON lines."""
    lines = [json.dumps({"text": text, "label": label}, ensure_ascii=False) + "\n" for text, label in rows]
    path.write_text("".join(lines), encoding="utf-8")
    return path
