"""The torch checkpoint with one thing changed: what a graph with a known fault would answer."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt
import torch
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling
from torch import nn

from setfuse.export._encoder import FloatArray
from setfuse.export._oracle import TorchOracle

from ._batches import Batch

POOLING_MODES = Pooling.POOLING_MODES
"""Those of sentence-transformers."""


class Scaling(StrEnum):
    """What becomes of the checkpoint's scaling of the embedding to unit length."""

    KEPT = "kept"
    MISSING = "missing"
    EXTRA = "extra"


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the reference turns token ids into an embedding; by default as the checkpoint does.

    Attributes:
        attends_padding: Padding is a token like others to the transformer.
        pools_padding: Padding is a token like others to the pooling.
        half: The transformer computes in float16.
        pooling: A mode in place of the checkpoint's own; None for its own.
        modules: Whether Dense, LayerNorm and the like between pooling and scaling are there.
        scaling: Of the embedding to unit length.
    """

    attends_padding: bool = False
    pools_padding: bool = False
    half: bool = False
    pooling: str | None = None
    modules: bool = True
    scaling: Scaling = Scaling.KEPT


@dataclass(frozen=True, slots=True)
class Tokens:
    """Token embeddings of a batch.

    Attributes:
        embeddings: float32 (texts, tokens, hidden).
        mask: int64 (texts, tokens), 0 for padding.
    """

    embeddings: torch.Tensor
    mask: torch.Tensor


class Reference:
    """A checkpoint taken apart into its modules, so that each can be left out or exchanged.

    Attributes:
        normalizes: Whether the checkpoint scales the embedding to unit length.
        modules: Names of what else stands between pooling and head.
        has_modules: Whether anything does.
        dim: Width of the embedding.
        pooling: The checkpoint's own mode, or modes, as one string.
    """

    def __init__(self, oracle: TorchOracle, embeddings: FloatArray) -> None:
        """Take the checkpoint apart.

        Args:
            oracle: The checkpoint, loaded.
            embeddings: float32 (texts, dim), its answers to any texts.
        """
        self._oracle = oracle
        transformer, pooling, *rest = oracle.body
        self._transformer, self._pooling = transformer, pooling
        self._modules = [module for module in rest if not isinstance(module, Normalize)]
        # SetFit's normalize_embeddings scales without a module, so the embeddings themselves are asked.
        self.normalizes = bool(np.allclose(np.linalg.norm(embeddings, axis=1), 1, rtol=0, atol=1e-4))
        self.modules = ", ".join(type(module).__name__ for module in self._modules)
        self.has_modules = bool(self._modules)
        self.dim = embeddings.shape[1]
        modes = getattr(pooling, "pooling_mode", "")
        self.pooling = modes if isinstance(modes, str) else "+".join(modes)
        self._half: nn.Module | None = None

    def tokens(self, batches: Sequence[Batch], recipe: Recipe) -> list[Tokens]:
        """Run the transformer."""
        if recipe.half and self._half is None:
            self._half = copy.deepcopy(self._transformer).half()
        transformer = self._half if recipe.half and self._half is not None else self._transformer
        result = []
        for batch in batches:
            mask = torch.from_numpy(batch.mask)
            features = {
                "input_ids": torch.from_numpy(batch.ids),
                "attention_mask": torch.ones_like(mask) if recipe.attends_padding else mask,
                "token_type_ids": torch.from_numpy(batch.types),
            }
            with torch.inference_mode():
                embeddings = transformer(features)["token_embeddings"].float()
            result.append(Tokens(embeddings, mask))
        return result

    def finish(self, tokens: Sequence[Tokens], recipe: Recipe) -> FloatArray:
        """Pool token embeddings and run what stands between pooling and head; float32 (texts, dim)."""
        rows = []
        for batch in tokens:
            pooling = (
                Pooling(batch.embeddings.shape[-1], pooling_mode=recipe.pooling) if recipe.pooling else self._pooling
            )
            mask = torch.ones_like(batch.mask) if recipe.pools_padding else batch.mask
            features = {"token_embeddings": batch.embeddings, "attention_mask": mask}
            modules = [pooling, *(self._modules if recipe.modules else [])]
            scaled = self.normalizes if recipe.scaling is Scaling.KEPT else recipe.scaling is Scaling.EXTRA
            with torch.inference_mode():
                for module in [*modules, *([Normalize()] if scaled else [])]:
                    features = module(features)
                rows.append(features["sentence_embedding"].numpy())
        return np.concatenate(rows)

    def classify(self, embeddings: FloatArray) -> npt.NDArray[np.floating]:
        """Give the checkpoint's own head embeddings (texts, dim); probabilities (texts, labels)."""
        return self._oracle.classify(embeddings)
