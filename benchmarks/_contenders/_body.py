"""What a checkpoint's body is made of, for the contenders that run its transformer on an engine of their own."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Body:
    """Transformer, pooling, and perhaps Normalize.

    Attributes:
        transformer: The folder of the transformer and its tokenizer.
        max_length: Tokens that a text is cut to.
        pooling: `cls` or `mean`.
        normalize: Whether embeddings are brought to length one.
    """

    transformer: Path
    max_length: int
    pooling: str
    normalize: bool

    @classmethod
    def read(cls, checkpoint: Path) -> "Body":
        """Read it from a sentence-transformers folder, of this release or an older one.

        Raises:
            ValueError: It holds what these contenders do not do.
        """
        modules = {
            module["type"].rpartition(".")[2]: checkpoint / module["path"]
            for module in _json(checkpoint, "modules.json")
        }
        if list(modules) not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
            raise ValueError(
                f"{checkpoint}: expected Transformer, Pooling and perhaps Normalize, found {list(modules)}"
            )
        if prompt := _json(checkpoint, "config_sentence_transformers.json").get("default_prompt_name"):
            raise ValueError(f"{checkpoint}: expected a body that puts no prompt before texts, found {prompt!r}")
        transformer = modules["Transformer"]
        limits = [
            _json(transformer, "sentence_bert_config.json").get("max_seq_length"),
            _json(transformer, "tokenizer_config.json").get("model_max_length"),
        ]
        max_length = min(limit for limit in (*limits, 1 << 20) if limit)
        pooling = _pooling(_json(modules["Pooling"], "config.json"))
        if pooling not in {"cls", "mean"}:
            raise ValueError(f"{checkpoint}: expected cls or mean pooling, found {pooling}")
        return cls(transformer, max_length, pooling, "Normalize" in modules)

    def tokenizer(self) -> Any:
        """Load the tokenizer: it cuts long texts and pads none."""
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(self.transformer / "tokenizer.json"))
        tokenizer.no_padding()
        tokenizer.enable_truncation(self.max_length)
        return tokenizer

    def embed(self, hidden: npt.NDArray[np.float32], mask: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Pool the transformer's output (texts, tokens, dim) under a mask (texts, tokens): embeddings (texts, dim)."""
        if self.pooling == "cls":
            embeddings = hidden[:, 0]
        else:
            weights = (mask / mask.sum(axis=1, keepdims=True)).astype(np.float32)
            embeddings = (weights[:, None, :] @ hidden)[:, 0]
        if self.normalize:
            embeddings = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
        return embeddings


def _json(folder: Path, name: str) -> Any:
    path = folder / name
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def _pooling(config: dict[str, Any]) -> str:
    if "pooling_mode" in config:
        return str(config["pooling_mode"])
    chosen = [name for name, on in config.items() if name.startswith("pooling_mode_") and on]
    names = {"pooling_mode_cls_token": "cls", "pooling_mode_mean_tokens": "mean"}
    return names.get(chosen[0], chosen[0]) if len(chosen) == 1 else " and ".join(chosen)
