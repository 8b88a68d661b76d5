"""What a machine with a GPU cannot make itself: torch's answers, the head, traced graphs, the packed graph."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks._contenders import Head, Models
from benchmarks._contenders._sentence_transformers import SentenceTransformersTorch
from benchmarks._errors import BenchmarkError
from benchmarks._files import whole_file, write_json
from benchmarks._models import find_models
from setfuse.export import ExportError, write_packed_graph

from ._inputs import Reference
from ._system import CHECKPOINT, HEAD
from ._trace import optimise, trace

LARGE = (".safetensors", ".bin", ".pkl", ".onnx", ".md")
"""Of the checkpoint, files with these endings stay behind: weights, the head, prose."""


def make_inputs(
    bundle: Path, checkpoint: Path, out: Path, *, texts: Sequence[str], source: str, threads: int
) -> dict[str, str]:
    """Write all that can be made.

    Args:
        bundle: Of this checkpoint.
        checkpoint: A folder that setfuse exports, with a LogisticRegression of single labels.
        out: The folder; made if need be.
        texts: Whose answers are kept.
        source: Where they come from.
        threads: Of torch.

    Returns:
        Each file that could not be made, and why.

    Raises:
        BenchmarkError: The bundle is not of this checkpoint, or the contenders do not run such a one.
    """
    try:
        return _make(find_models(bundle, checkpoint, artefacts=out / ".artefacts"), texts, source, out, threads)
    finally:
        shutil.rmtree(out / ".artefacts", ignore_errors=True)


def _make(models: Models, texts: Sequence[str], source: str, out: Path, threads: int) -> dict[str, str]:
    oracle = SentenceTransformersTorch(models, threads)
    probabilities = oracle.probabilities(list(texts))
    head = Head.read(models.artefacts)
    answers = tuple(head.names[place] for place in probabilities.argmax(axis=1))
    Reference(source, head.names, tuple(texts), answers, probabilities).write(out)
    head.write(out)
    _copy_small(models.checkpoint, out / CHECKPOINT)
    traced, fused, packed = out / "traced.onnx", out / "traced.fp16.onnx", out / "packed.fp16.onnx"
    absent = {
        traced.name: _written(traced, lambda path: trace(models.checkpoint, head, path)),
        fused.name: _written(fused, lambda path: optimise(traced, models.checkpoint, path)),
        packed.name: _written(packed, lambda path: _pack(models.checkpoint, path)),
    }
    missing = {name: reason for name, reason in absent.items() if reason}
    write_json(out / "inputs.json", {"head": HEAD, "texts": len(texts), "source": source, "absent": missing})
    return missing


def _copy_small(checkpoint: Path, folder: Path) -> None:
    """Copy a checkpoint without its weights: what tells its shape and its modules."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(checkpoint, folder, ignore=shutil.ignore_patterns(*(f"*{ending}" for ending in LARGE)))


def _written(path: Path, write: Callable[[Path], object]) -> str:
    """Write a file whole or not at all; give the reason where it is not."""
    path.unlink(missing_ok=True)
    try:
        with whole_file(path) as partial:
            write(partial)
    except (BenchmarkError, OSError) as error:
        return str(error)
    return ""


def _pack(checkpoint: Path, path: Path) -> None:
    try:
        write_packed_graph(checkpoint, path)
    except ExportError as error:
        raise BenchmarkError(str(error)) from error
