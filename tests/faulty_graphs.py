"""Graphs with known faults, traced from torch as other people's exporters do; none of our own graph writing in them."""

import json
import warnings
from dataclasses import dataclass
from pathlib import Path

import safetensors.numpy
import torch
from sentence_transformers import SentenceTransformer
from torch import Tensor, nn
from torch.nn import functional

INPUTS = ("input_ids", "attention_mask", "token_type_ids")


@dataclass(frozen=True, slots=True)
class Fault:
    """How a graph is to differ from its checkpoint; by default not at all."""

    pooling: str | None = None
    normalize: bool | None = None
    attends_padding: bool = False
    pools_padding: bool = False
    reads: int | None = None
    order: tuple[int, ...] = (0, 1, 2)
    columns: tuple[int, ...] | None = None
    scores: str = "softmax"
    head_noise: float = 0.0
    body_noise: float = 0.0
    half: bool = False
    names: tuple[str, ...] = INPUTS
    outputs: tuple[str, ...] = ("probabilities",)


class Faulty(nn.Module):
    """A checkpoint with a fault, as one torch module from ids, mask and types to the outputs asked for."""

    def __init__(self, checkpoint: Path, fault: Fault) -> None:
        super().__init__()
        body = SentenceTransformer(str(checkpoint), device="cpu", model_kwargs={"attn_implementation": "eager"})
        self.transformer = body[0].model
        self.pooling = fault.pooling or body[1].pooling_mode
        has_normalize = len(json.loads((checkpoint / "modules.json").read_text(encoding="utf-8"))) == 3
        self.normalize = has_normalize if fault.normalize is None else fault.normalize
        tensors = safetensors.numpy.load_file(checkpoint / "head.safetensors")
        coef, intercept = (torch.from_numpy(tensors[name]).float() for name in ("coef", "intercept"))
        if len(coef) == 1:
            coef, intercept = torch.cat([0 * coef, coef]), torch.cat([0 * intercept, intercept])
        generator = torch.Generator().manual_seed(0)
        self.coef = coef + fault.head_noise * torch.randn(coef.shape, generator=generator)
        self.intercept = intercept
        with torch.no_grad():
            for parameter in self.transformer.parameters():
                parameter.add_(fault.body_noise * torch.randn(parameter.shape, generator=generator))
        if fault.half:
            self.transformer.half()
        self.fault = fault

    def forward(self, *given: Tensor) -> tuple[Tensor, ...]:
        ids, mask, types = (given[place] for place in self.fault.order)
        if self.fault.reads:
            ids, mask, types = (value[:, : self.fault.reads] for value in (ids, mask, types))
        attended = torch.ones_like(mask) if self.fault.attends_padding else mask
        tokens = self.transformer(ids, attended, types).last_hidden_state.float()
        pooled = self._pool(tokens, torch.ones_like(mask) if self.fault.pools_padding else mask)
        embedding = functional.normalize(pooled) if self.normalize else pooled
        logits = embedding @ self.coef.T + self.intercept
        if self.fault.columns:
            logits = logits[:, list(self.fault.columns)]
        found = {
            "probabilities": self._scores(logits),
            "sentence_embedding": embedding,
            "last_hidden_state": tokens,
            "labels": logits.argmax(dim=1),
        }
        return tuple(found[name.partition(":")[0]] for name in self.fault.outputs)

    def _scores(self, logits: Tensor) -> Tensor:
        return {
            "softmax": lambda: logits.softmax(dim=1),
            "logits": lambda: logits,
            "sigmoid": logits.sigmoid,
            "softmax twice": lambda: logits.softmax(dim=1).softmax(dim=1),
        }[self.fault.scores]()

    def _pool(self, tokens: Tensor, mask: Tensor) -> Tensor:
        column = mask.unsqueeze(-1).float()
        if self.pooling == "cls":
            return tokens[:, 0]
        if self.pooling == "max":
            return tokens.masked_fill(column == 0, -1e9).max(dim=1).values
        if self.pooling == "lasttoken":
            last = (mask.sum(dim=1) - 1).reshape(-1, 1, 1).expand(-1, 1, tokens.shape[2])
            return tokens.gather(1, last).squeeze(1)
        return (tokens * column).sum(dim=1) / column.sum(dim=1)


def write_faulty(path: Path, checkpoint: Path, fault: Fault) -> Path:
    """Trace a checkpoint with a fault into an ONNX file."""
    model = Faulty(checkpoint, fault).eval()
    example = torch.ones((2, 7), dtype=torch.int64)
    axes = {name: {0: "batch", 1: "sequence"} for name in fault.names}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of the tracer, about what it cannot follow and of its own age
        torch.onnx.export(
            model,
            (example, example, 0 * example),
            str(path),
            input_names=list(fault.names),
            output_names=list(fault.outputs),
            dynamic_axes=axes | {name: {0: "batch"} for name in fault.outputs},
            opset_version=17,
            dynamo=False,
        )
    return path
