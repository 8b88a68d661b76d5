"""Small models with random weights, for tests that need no network."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
from transformers import (
    AlbertConfig,
    AutoModel,
    BertConfig,
    BertTokenizer,
    CamembertConfig,
    DistilBertConfig,
    ElectraConfig,
    MPNetConfig,
    RobertaConfig,
    XLMRobertaConfig,
)

from setfuse.train._checkpoint import write_checkpoint
from setfuse.train._head import fit_head
from setfuse.train._head_settings import HeadSettings

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


FAMILIES: dict[str, tuple[Any, dict[str, Any]]] = {
    "bert": (BertConfig, {}),
    "roberta": (RobertaConfig, {"pad_token_id": 0}),
    "xlm-roberta": (XLMRobertaConfig, {"pad_token_id": 5, "type_vocab_size": 1}),
    "camembert": (CamembertConfig, {"pad_token_id": 0}),
    "mpnet": (MPNetConfig, {}),
    "distilbert": (
        DistilBertConfig,
        {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64},
    ),
    "albert": (
        AlbertConfig,
        {"embedding_size": 16, "num_hidden_layers": 6, "num_hidden_groups": 2, "inner_group_num": 2},
    ),
    "electra": (ElectraConfig, {"embedding_size": 16}),
}
"""Small configurations of every family: what each needs besides the sizes that all have."""


_DROPOUT_RATES = ("hidden_dropout_prob", "attention_probs_dropout_prob")


def make_body(
    folder: Path,
    *,
    family: str = "bert",
    pooling: str | tuple[str, ...] = "mean",
    normalize: bool = True,
    activation: str = "gelu",
    max_length: int = MAX_LENGTH,
    modules: Sequence[torch.nn.Module] = (),
    prompt: str = "",
    include_prompt: bool = True,
    truncate_dim: int | None = None,
    dropout: float = 0.1,
    seed: int = 0,
) -> SentenceTransformer:
    """Save a small encoder with random weights as a sentence-transformers folder, and load it."""
    vocab = DATA / "vocab.txt"
    config_class, own = FAMILIES[family]
    sizes: dict[str, Any] = {
        "vocab_size": len(vocab.read_text(encoding="utf-8").split("\n")) - 1,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "max_position_embeddings": 64,
        "initializer_range": 0.2,  # BERT's own 0.02 would leave all texts nearly alike
        "activation" if family == "distilbert" else "hidden_act": activation,
    }
    if family == "distilbert":
        sizes = {key: value for key, value in sizes.items() if "size" not in key or key == "vocab_size"}
        sizes = {key: value for key, value in sizes.items() if not key.startswith("num_")}
    rates = ("dropout", "attention_dropout") if family == "distilbert" else _DROPOUT_RATES
    config = config_class(**{**sizes, **dict.fromkeys(rates, dropout), **own})
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model: Any = AutoModel.from_config(config)  # type: ignore[no-untyped-call]
        for parameter in model.parameters():  # biases start as zeros, which would hide a forgotten one
            torch.nn.init.normal_(parameter, mean=parameter.detach().mean().item(), std=0.2)
    transformer = folder / "transformer"
    model.save_pretrained(transformer)
    BertTokenizer(vocab=str(vocab), model_max_length=max_length).save_pretrained(transformer)
    parts = [Transformer(str(transformer)), Pooling(32, pooling_mode=pooling, include_prompt=include_prompt), *modules]
    body = SentenceTransformer(
        modules=[*parts, Normalize()] if normalize else parts,
        device="cpu",
        prompts={"task": prompt} if prompt else None,
        default_prompt_name="task" if prompt else None,
        truncate_dim=truncate_dim,
    )
    body.save(str(folder / "body"), create_model_card=False)
    return body


def make_checkpoint(folder: Path, body: SentenceTransformer, labels: Sequence[str], *, scale: float = 10.0) -> Path:
    """Save a body with a head that was fitted to random labels of the texts; the scale spreads its probabilities."""
    rng = np.random.default_rng(len(labels))
    texts = [text for text in TEXTS if text] * 3
    given = [labels[i % len(labels)] for i in range(len(texts))]
    embeddings = body.encode(texts)
    embeddings = embeddings + rng.normal(scale=0.1, size=embeddings.shape).astype(np.float32)
    head = fit_head(embeddings, given, HeadSettings(head_params={"C": scale, "max_iter": 1000}))
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
