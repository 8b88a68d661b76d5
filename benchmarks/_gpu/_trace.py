"""The checkpoint as torch traces it, from token ids to probabilities, and what onnxruntime makes of that for a GPU.

What optimum's O4 does, without optimum, whose releases need an environment of their own: `onnxruntime.transformers`
fuses the attention of a body traced with attention as plain products, and turns its weights to fp16.
"""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from benchmarks._contenders import Head
from benchmarks._contenders._body import Body
from benchmarks._errors import BenchmarkError

OPSET = 17
"""The newest that torch's tracer and onnxruntime's fusions both know."""


class Whole(torch.nn.Module):
    """Transformer, pooling, perhaps Normalize, and the head in fp32."""

    def __init__(self, transformer: torch.nn.Module, body: Body, head: Head) -> None:
        """Put it together."""
        super().__init__()
        self.transformer = transformer
        self._pooling, self._normalize = body.pooling, body.normalize
        self.register_buffer("coef", torch.tensor(head.coef, dtype=torch.float32))
        self.register_buffer("intercept", torch.tensor(head.intercept, dtype=torch.float32))

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Give probabilities (texts, labels) of token ids and mask (texts, tokens)."""
        hidden = self.transformer(input_ids=input_ids, attention_mask=attention_mask)[0]
        if self._pooling == "cls":
            embedding = hidden[:, 0]
        else:
            mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
            embedding = (hidden * mask).sum(1) / mask.sum(1)
        if self._normalize:
            embedding = torch.nn.functional.normalize(embedding, dim=1)
        scores = embedding @ self.coef.T + self.intercept
        if scores.shape[1] > 1:
            return torch.softmax(scores, dim=1)
        positive = torch.sigmoid(scores)
        return torch.cat([1 - positive, positive], dim=1)


def trace(checkpoint: Path, head: Head, path: Path) -> None:
    """Write the traced graph.

    Args:
        checkpoint: A sentence-transformers folder.
        head: Its head.
        path: The ONNX file; `probabilities` of `input_ids` and `attention_mask`, int64, fp32.

    Raises:
        BenchmarkError: The body is one that these contenders do not run, or torch cannot trace it.
    """
    from transformers import AutoModel

    try:
        body = Body.read(checkpoint)
        # Fused attention would be traced into operators that onnxruntime does not fuse again.
        transformer = AutoModel.from_pretrained(
            body.transformer, attn_implementation="eager", dtype=torch.float32, local_files_only=True
        )
        ids = torch.ones(2, 7, dtype=torch.long)
        mask = torch.ones_like(ids)
        mask[1, 4:] = 0  # so that nothing about a full batch is traced in
        axes = {0: "batch", 1: "sequence"}
        with _quiet(), torch.inference_mode():
            torch.onnx.export(
                Whole(transformer, body, head).eval(),
                (ids, mask),
                str(path),
                dynamo=False,
                input_names=["input_ids", "attention_mask"],
                output_names=["probabilities"],
                dynamic_axes={"input_ids": axes, "attention_mask": axes, "probabilities": {0: "batch"}},
                opset_version=OPSET,
            )
    except (ValueError, RuntimeError, OSError) as error:
        raise BenchmarkError(f"the body could not be traced: {error}") from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep both tools from saying that the tracer is old, what is constant in the trace, and that there is no GPU."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)


def optimise(traced: Path, checkpoint: Path, path: Path) -> dict[str, int]:
    """Write what onnxruntime's own tool makes of the traced graph: fused, in fp16.

    Args:
        traced: What `trace` wrote.
        checkpoint: Its checkpoint.
        path: The ONNX file; inputs and outputs stay as they are.

    Returns:
        How many operators of each kind it fused; those of which there are none are left out.

    Raises:
        BenchmarkError: It cannot.
    """
    from onnxruntime.transformers import optimizer
    from transformers import AutoConfig

    config: Any = AutoConfig.from_pretrained(Body.read(checkpoint).transformer, local_files_only=True)
    try:
        with _quiet():
            model = optimizer.optimize_model(
                str(traced),
                model_type="bert",
                num_heads=config.num_attention_heads,
                hidden_size=config.hidden_size,
                opt_level=1,
                use_gpu=True,
            )
            model.convert_float_to_float16(keep_io_types=True)
            model.save_model_to_file(str(path))
    except (ValueError, RuntimeError, AttributeError, KeyError) as error:
        raise BenchmarkError(f"onnxruntime's optimiser failed: {error}") from error
    fused = {name: int(count) for name, count in model.get_fused_operator_statistics().items() if count}
    if not fused.get("Attention") and not fused.get("MultiHeadAttention"):
        raise BenchmarkError(f"onnxruntime's optimiser fused no attention (fused: {fused or 'nothing'})")
    return fused
