"""The checkpoint in sentence-transformers on torch, with the head in numpy, as SetFit runs it."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks._contenders import Device, Head

from ._batches import make_batches
from ._system import ROWS, GpuModels, GpuSystem


class Torch(GpuSystem):
    """A body of sentence-transformers and the head."""

    def __init__(
        self,
        models: GpuModels,
        threads: int,
        device: Device,
        *,
        attention: str = "",
        compile: str = "no",  # noqa: A002  torch's own word
    ) -> None:
        """Load the body, in fp16 on the GPU and in fp32 on the CPU.

        Args:
            models: The checkpoint and the head are read.
            threads: Of torch.
            device: Where to.
            attention: `flash` for that kernel first; anything else leaves the choice to torch.
            compile: `yes` for torch.compile with CUDA graphs, once for all shapes.
        """
        import torch
        from sentence_transformers import SentenceTransformer

        torch.set_num_threads(threads)
        dtype = torch.float16 if device is Device.CUDA else torch.float32
        body: Any = SentenceTransformer(
            str(models.find("checkpoint")),
            device=str(device),
            local_files_only=True,
            model_kwargs={"dtype": dtype, "attn_implementation": "sdpa"},
        )
        self._torch = torch
        self._device = str(device)
        self._flash = attention == "flash"
        self._body = body
        self._head = Head.read(Path(models.find("inputs/head.npz")).parent)
        if compile == "yes":
            body[0].compile(mode="reduce-overhead", dynamic=True)
            for texts in (["a"], ["a b"], ["a", "b"], ["a b c", "d", "e"]):  # it compiles for one text and for several
                self.probabilities(texts)
                self.engine(texts)()

    def answer(self, texts: list[str]) -> list[str]:
        """Embed, then label."""
        return self._head.labels(self._embed(texts))

    def probabilities(self, texts: list[str]) -> npt.NDArray[np.float64]:
        """Embed, then give the head's probabilities."""
        return self._head.probabilities(self._embed(texts))

    def engine(self, texts: list[str]) -> Callable[[], object]:
        """Run body and head on what is on the device already."""
        torch = self._torch
        coef, intercept = (
            torch.tensor(array, dtype=torch.float32, device=self._device)
            for array in (self._head.coef, self._head.intercept)
        )
        tokens = self._body.tokenizer(texts, truncation=True, max_length=self._body.max_seq_length)["input_ids"]
        batches = [
            {
                "input_ids": torch.from_numpy(batch.ids).to(self._device),
                "attention_mask": torch.from_numpy(batch.mask).to(self._device),
            }
            for batch in make_batches(tokens, self._body.max_seq_length)
        ]

        def run() -> None:
            with torch.inference_mode(), self._kernels():
                for batch in batches:
                    scores = self._body(dict(batch))["sentence_embedding"].float() @ coef.T + intercept
                    torch.sigmoid(scores) if len(coef) == 1 else torch.softmax(scores, dim=1)
                if self._device != Device.CPU:
                    torch.cuda.synchronize()

        return run

    def _embed(self, texts: list[str]) -> npt.NDArray[np.float32]:
        with self._kernels():
            embeddings: npt.NDArray[np.float32] = self._body.encode(texts, batch_size=ROWS, show_progress_bar=False)
        return embeddings

    def _kernels(self) -> contextlib.AbstractContextManager[object]:
        if not self._flash:
            return contextlib.nullcontext()
        from torch.nn.attention import SDPBackend, sdpa_kernel

        wanted = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION]
        return sdpa_kernel(wanted if self._device != Device.CPU else [*wanted, SDPBackend.MATH], set_priority=True)
