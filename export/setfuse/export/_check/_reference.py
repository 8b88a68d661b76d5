"""The torch checkpoint with one thing changed: what a graph with a known fault would answer."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from sentence_transformers.sentence_transformer.modules import Dropout, Normalize, Pooling
from torch import nn

from setfuse.export._checkpoint import Checkpoint
from setfuse.export._encoder import FloatArray
from setfuse.export._oracle import TorchOracle

from ._batches import Batch

Pooled = torch.Tensor
"""What a pooling gives: float32 (texts, modes x hidden)."""

POOLING_MODES = Pooling.POOLING_MODES
"""Those of sentence-transformers."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the reference turns token ids into an embedding; by default as the checkpoint does.

    Attributes:
        attends_padding: Padding is a token like others to the transformer.
        pools_padding: Padding is a token like others to the pooling.
        pools_prompt: The prompt's tokens are tokens like others to the pooling.
        half: The transformer computes in float16.
        pooling: A mode in place of the checkpoint's own; None for its own.
        without: Places, in `Reference.stages`, of what is left out.
        normalizes_too: The embedding is scaled to unit length at the end.
    """

    attends_padding: bool = False
    pools_padding: bool = False
    pools_prompt: bool = False
    half: bool = False
    pooling: str | None = None
    without: frozenset[int] = frozenset()
    normalizes_too: bool = False


@dataclass(frozen=True, slots=True)
class Tokens:
    """Token embeddings of a batch.

    Attributes:
        embeddings: float32 (texts, tokens, hidden).
        mask: int64 (texts, tokens), 0 for padding.
    """

    embeddings: torch.Tensor
    mask: torch.Tensor


@dataclass(frozen=True, slots=True)
class Stage:
    """One thing that happens to the embedding between pooling and head.

    Attributes:
        name: As sentence-transformers calls it; `Truncate` where only the first numbers are kept.
        module: From features to features.
        takes: Width of the embedding that it needs; None for any.
    """

    name: str
    module: nn.Module
    takes: int | None


class Reference:
    """A checkpoint taken apart into its modules, so that each can be left out or exchanged.

    Attributes:
        stages: What stands between pooling and head, in order.
        normalizes: Whether the embedding has unit length in the end.
        skips_prompt: Whether the prompt's tokens are left out of the pooling.
        hidden: Width of a token's embedding.
        widths: Those that the embedding has on its way, the head's last.
        pooling: The checkpoint's own mode, or modes, as one string.
        head: The checkpoint's.
    """

    def __init__(self, oracle: TorchOracle, checkpoint: Checkpoint, embeddings: FloatArray) -> None:
        """Take the checkpoint apart.

        Args:
            oracle: The checkpoint, loaded.
            checkpoint: What was read of it.
            embeddings: float32 (texts, dim), its answers to any texts.
        """
        transformer, pooling, *rest = oracle.body
        self._transformer, self._pooling = transformer, pooling
        self._skipped = checkpoint.pooling.skipped
        self.skips_prompt = bool(self._skipped)
        self.head = checkpoint.head
        self.hidden = checkpoint.encoder.hidden
        modules = [module for module in rest if not isinstance(module, Dropout)]
        if oracle.body.truncate_dim:  # what encode does after the modules
            modules.append(_Truncate(oracle.body.truncate_dim))
        if checkpoint.normalize_embeddings and not (modules and isinstance(modules[-1], Normalize)):
            modules.append(Normalize())
        self.stages, self.widths = _stages(modules, self.hidden * len(checkpoint.pooling.modes))
        self.normalizes = bool(np.allclose(np.linalg.norm(embeddings, axis=1), 1, rtol=0, atol=1e-4))
        modes = getattr(pooling, "pooling_mode", "")
        self.pooling = modes if isinstance(modes, str) else "+".join(modes)
        self._half: nn.Module | None = None

    @property
    def dim(self) -> int:
        """Width of the embedding that the head sees."""
        return self.widths[-1]

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

    def pool(self, tokens: Sequence[Tokens], recipe: Recipe) -> Pooled:
        """Pool token embeddings."""
        pooling = self._pooling
        if recipe.pooling:
            pooling = Pooling(self.hidden, pooling_mode=recipe.pooling, include_prompt=not self.skips_prompt)
        rows = []
        for batch in tokens:
            mask = torch.ones_like(batch.mask) if recipe.pools_padding else batch.mask
            features: dict[str, torch.Tensor | int] = {"token_embeddings": batch.embeddings, "attention_mask": mask}
            if self._skipped and not recipe.pools_prompt:
                features["prompt_length"] = self._skipped
            with torch.inference_mode():
                rows.append(pooling(features)["sentence_embedding"])
        return torch.cat(rows)

    def finish(self, pooled: Pooled, recipe: Recipe) -> FloatArray | None:
        """Run what stands between pooling and head; float32 (texts, dim), or None if it does not fit together."""
        features = {"sentence_embedding": pooled}
        kept = [stage for place, stage in enumerate(self.stages) if place not in recipe.without]
        extra = [Stage("Normalize", Normalize(), None)] if recipe.normalizes_too else []
        for stage in [*kept, *extra]:
            if stage.takes not in {None, features["sentence_embedding"].shape[1]}:
                return None
            with torch.inference_mode():
                features = stage.module(features)
        embedding: FloatArray = features["sentence_embedding"].numpy()
        return embedding

    def embed(self, tokens: Sequence[Tokens]) -> FloatArray:
        """Do to token embeddings what the checkpoint does; float32 (texts, dim)."""
        features = {"sentence_embedding": self.pool(tokens, Recipe())}
        with torch.inference_mode():
            for stage in self.stages:
                features = stage.module(features)
        embedding: FloatArray = features["sentence_embedding"].numpy()
        return embedding

    def classify(self, embeddings: FloatArray) -> npt.NDArray[np.floating]:
        """Give the checkpoint's own head embeddings (texts, dim); its scores (texts, labels)."""
        return self.head.answer(embeddings)


class _Truncate(nn.Module):
    """Keeps the first numbers of an embedding, as encode does with `truncate_dim`."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, features: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {**features, "sentence_embedding": features["sentence_embedding"][:, : self.dim]}


def _stages(modules: Sequence[nn.Module], width: int) -> tuple[tuple[Stage, ...], tuple[int, ...]]:
    stages, widths = [], [width]
    for module in modules:
        takes = None if isinstance(module, Normalize | _Truncate) else widths[-1]
        with torch.inference_mode():
            after = module({"sentence_embedding": torch.ones(1, widths[-1])})["sentence_embedding"].shape[1]
        if not isinstance(module, _Truncate) or after < widths[-1]:
            stages.append(Stage(type(module).__name__.lstrip("_"), module, takes))
            widths.append(after)
    return tuple(stages), tuple(widths)
