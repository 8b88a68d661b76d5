"""sentence-transformers with the checkpoint's head: on torch, and on its ONNX backend."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ._contender import Models, System
from ._head import Head


class SentenceTransformers(System):
    """A body of sentence-transformers and the head."""

    def __init__(self, models: Models, body: Any) -> None:
        """Put it together; subclasses load the body."""
        self._body = body
        self._head = Head.read(models.artefacts)

    def answer(self, texts: list[str]) -> list[str]:
        """Embed, then label."""
        return self._head.labels(self._body.encode(texts, show_progress_bar=False))

    def probabilities(self, texts: list[str]) -> npt.NDArray[np.float64]:
        """Embed, then give the head's probabilities."""
        return self._head.probabilities(self._body.encode(texts, show_progress_bar=False))


class SentenceTransformersTorch(SentenceTransformers):
    """The checkpoint in sentence-transformers on torch: the path that trained it."""

    def __init__(
        self,
        models: Models,
        threads: int,
        *,
        compile: str = "",  # noqa: A002  torch's own word
        dtype: str = "float32",
        device: str = "cpu",
    ) -> None:
        """Load the body.

        Args:
            models: Its checkpoint is read.
            threads: Of torch.
            compile: `dynamic` for torch.compile with shapes that may change; anything else for none.
            dtype: Of the weights, as torch calls it.
            device: Torch's.
        """
        import torch
        from sentence_transformers import SentenceTransformer

        torch.set_num_threads(threads)
        body: Any = SentenceTransformer(
            str(models.checkpoint),
            device=device,
            local_files_only=True,
            model_kwargs={"dtype": getattr(torch, dtype)},
        )
        super().__init__(models, body)
        if compile == "dynamic":
            body[0].compile(dynamic=True)
            for texts in (["a"], ["a b"], ["a", "b"], ["a b c", "d", "e"]):  # it compiles for one text and for several
                self.answer(texts)


class SentenceTransformersOnnx(SentenceTransformers):
    """sentence-transformers with `backend="onnx"`, on what `trace` made."""

    def __init__(self, models: Models, threads: int, *, file: str) -> None:
        """Load a file below `traced/onnx`."""
        import onnxruntime
        import torch
        from sentence_transformers import SentenceTransformer

        torch.set_num_threads(threads)  # for the pooling
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        kwargs = {"file_name": f"onnx/{file}", "provider": "CPUExecutionProvider", "session_options": options}
        folder = str(models.artefacts / "traced")
        body = SentenceTransformer(folder, device="cpu", backend="onnx", model_kwargs=kwargs, local_files_only=True)
        super().__init__(models, body)


def trace(models: Models, folder: Path) -> None:
    """Trace the body as users of the ONNX backend do, and optimise and quantise it with optimum's recommended settings.

    Leaves a sentence-transformers folder with `onnx/model.onnx`, `onnx/model_O3.onnx` and
    `onnx/model_qint8_avx512_vnni.onnx`.
    """
    from sentence_transformers import export_dynamic_quantized_onnx_model, export_optimized_onnx_model

    body = _traceable(models, folder)
    body.save_pretrained(str(folder))
    export_optimized_onnx_model(body, "O3", str(folder))
    export_dynamic_quantized_onnx_model(body, "avx512_vnni", str(folder))


def trace_cuda(models: Models, folder: Path) -> None:
    """Trace the body and lay it out for CUDA in fp16: `onnx/model_O4.onnx`."""
    from sentence_transformers import export_optimized_onnx_model

    body = _traceable(models, folder)
    export_optimized_onnx_model(body, "O4", str(folder))


def _traceable(models: Models, folder: Path) -> Any:
    """Load the body into the ONNX backend, whatever release of sentence-transformers wrote it."""
    from sentence_transformers import SentenceTransformer

    copy = folder / "copy"
    shutil.copytree(models.checkpoint, copy)
    modules = json.loads((copy / "modules.json").read_text(encoding="utf-8"))
    for module in modules:  # 6.x moved some; all releases know the oldest names
        module["type"] = "sentence_transformers.models." + module["type"].rpartition(".")[2]
    (copy / "modules.json").write_text(json.dumps(modules), encoding="utf-8")
    body: Any = SentenceTransformer(
        str(copy),
        device="cpu",
        backend="onnx",
        model_kwargs={"export": True, "provider": "CPUExecutionProvider"},
        local_files_only=True,
    )
    body.tokenizer.model_max_length = body.max_seq_length
    shutil.rmtree(copy)
    return body
