"""Have optimum's exporter trace an encoder that is not authored here.

optimum-onnx needs an older transformers than this package, so it runs as a process of its own, with an interpreter of
its own. What it is given is a folder with the weights and the configuration; what it gives back is token embeddings.
Pooling, further modules, head, checks and bundle are the same as behind an authored encoder.
"""

import importlib.metadata
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped] # what onnx.load raises of damage

from setfuse.runtime import MissingExtra

from ._errors import CheckpointError, ExportError, UnsupportedCheckpoint
from ._graph import OPSET
from ._traced import TracedEncoder, check_weights, keep_token_embeddings


class Via(StrEnum):
    """Who writes the encoder's part of the graph."""

    AUTHORED = "authored"
    OPTIMUM = "optimum"


PYTHON_VARIABLE = "SETFUSE_OPTIMUM_PYTHON"
"""The environment variable that names an interpreter with optimum-onnx."""

REQUIREMENTS = (
    "optimum-onnx[onnxruntime]==0.1.0",
    "transformers==4.57.6",
    "torch==2.13.0",
    "onnx==1.23.2",
    "onnxruntime==1.32.0",
)
"""What an environment for optimum was tested with; none of it is imported by this process."""

TIME_LIMIT = 1800
"""Seconds that optimum may take; a body of 150 million parameters takes half a minute."""

UNBOUNDED = 1_000_000
"""Tokens that an encoder without a position table is taken to read: the tokenizer's limit is then the only one."""

# Positions start behind the padding's row there, so the table covers fewer tokens than it has rows.
_POSITIONS_BEHIND_PADDING = frozenset({"camembert", "data2vec-text", "ibert", "mpnet", "roberta", "xlm-roberta"})

# sentence-transformers takes the encoder of these alone; optimum writes it apart when asked for text generation.
_ENCODER_OF_TWO = frozenset({"longt5", "mt5", "t5"})

_PROGRAM = """\
import sys
from optimum.exporters.onnx import main_export
source, target, task, opset = sys.argv[1:]
main_export(source, target, task=task, opset=int(opset), library_name="transformers", local_files_only=True,
            do_validation=False)
"""


def read_traced_encoder(folder: Path, config: Mapping[str, Any]) -> TracedEncoder:
    """Have optimum trace the transformer in a folder, and check that the graph can be used.

    Args:
        folder: With `config.json` and the weights, as transformers writes them.
        config: The content of `config.json`.

    Returns:
        The encoder.

    Raises:
        CheckpointError: The configuration lacks the architecture's name or the size of the vocabulary, or a weight is
            not finite.
        UnsupportedCheckpoint: The graph asks for inputs that a sentence does not have, or gives no token embeddings.
    """
    path = folder / "config.json"
    architecture, vocabulary = config.get("model_type"), config.get("vocab_size")
    if not isinstance(architecture, str) or not isinstance(vocabulary, int):
        raise CheckpointError(f"{path}: expected model_type and vocab_size, found {architecture!r} and {vocabulary!r}")
    model = export_encoder(folder, config)
    check_weights(model, folder)
    return TracedEncoder(
        model=model,
        hidden=keep_token_embeddings(model, architecture),
        max_length=_max_positions(config, architecture),
        vocabulary=vocabulary,
        family=architecture,
    )


def export_encoder(folder: Path, config: Mapping[str, Any]) -> onnx.ModelProto:
    """Have optimum export a transformer from ids to token embeddings.

    Args:
        folder: With the weights, as transformers writes them. Only weights are looked at, and no code is run from it.
        config: The content of its `config.json`.

    Returns:
        The graph as optimum wrote it, float32, of our opset.

    Raises:
        UnsupportedCheckpoint: The graph is too large for one file.
        MissingExtra: There is no optimum.
        ExportError: optimum failed, took too long or wrote no graph.
    """
    command = _interpreter()
    of_two = config.get("model_type") in _ENCODER_OF_TWO
    with tempfile.TemporaryDirectory(prefix="setfuse-optimum-") as name:
        source, target = Path(name, "source"), Path(name, "target")
        _write_source(folder, config, source)
        task = "text2text-generation" if of_two else "feature-extraction"
        _run([*command, "-c", _PROGRAM, str(source), str(target), task, str(OPSET)], Path(name))
        written = target / ("encoder_model.onnx" if of_two else "model.onnx")
        try:
            model = onnx.load(written, load_external_data=False)
        except (OSError, DecodeError) as error:
            raise ExportError(f"optimum: expected a graph {written.name}, found none that can be read") from error
        if any(onnx.external_data_helper.uses_external_data(tensor) for tensor in model.graph.initializer):
            raise UnsupportedCheckpoint(
                f"{folder}: expected an encoder of less than 2 GB, found a graph with its weights in a second file: "
                "not supported"
            )
        return model


def _interpreter() -> list[str]:
    """Give the command that starts a Python with optimum: the one that is named, or else this one.

    Raises:
        MissingExtra: There is none.
    """
    named = os.environ.get(PYTHON_VARIABLE)
    if named:
        found = shutil.which(named)
        if found is None:
            raise MissingExtra(_how_to_install(f"was looked for in {named}, where no Python is"))
        # Not resolved: an environment's interpreter is a link. -E: what is set for this Python is not meant for it.
        return [str(Path(found).absolute()), "-E"]
    try:
        importlib.metadata.version("optimum-onnx")
    except importlib.metadata.PackageNotFoundError as error:
        raise MissingExtra(_how_to_install("is not installed")) from error
    return [sys.executable]


def _how_to_install(problem: str) -> str:
    packages = " ".join(f'"{requirement}"' for requirement in REQUIREMENTS)
    return (
        f"via optimum: optimum-onnx {problem}; it needs an environment of its own, with an older transformers: "
        f"python -m venv optimum-env && optimum-env/bin/pip install {packages} "
        f"&& {PYTHON_VARIABLE}=optimum-env/bin/python setfuse export ... --via optimum"
    )


def _write_source(folder: Path, config: Mapping[str, Any], source: Path) -> None:
    # The tokenizer stays out: optimum does not need it, and an older transformers may not be able to read it.
    source.mkdir()
    for pattern in ("model*.safetensors", "pytorch_model*.bin", "*.index.json"):
        for file in folder.glob(pattern):
            (source / file.name).symlink_to(file.resolve())
    (source / "config.json").write_text(json.dumps(_older_config(config)), encoding="utf-8")


def _older_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Give a configuration the names that transformers 4 reads; it would take its defaults for those it misses.

    transformers 5 holds what concerns rotary positions in `rope_parameters`, one for the model or one a layer type.
    """
    older = dict(config)
    if config.get("model_type") in _ENCODER_OF_TWO:
        older["is_encoder_decoder"] = True  # a saved encoder says false, and optimum then finds no encoder to part
    parameters = older.pop("rope_parameters", None) or {}
    everywhere = parameters.get("full_attention") or {}
    if everywhere or "sliding_attention" in parameters:
        local = (parameters.get("sliding_attention") or {}).get("rope_theta")
        # The names of Gemma 3 and of ModernBERT; each ignores the other's.
        older |= {key: local for key in ("rope_local_base_freq", "local_rope_theta") if local is not None}
        older |= {key: everywhere["rope_theta"] for key in ("global_rope_theta",) if "rope_theta" in everywhere}
        parameters = everywhere
    older |= {key: parameters[key] for key in ("rope_theta", "partial_rotary_factor") if key in parameters}
    if parameters.get("rope_type", "default") != "default":
        older["rope_scaling"] = {
            key: value for key, value in parameters.items() if key not in {"rope_theta", "partial_rotary_factor"}
        }
    return older


def _run(command: list[str], folder: Path) -> None:
    # Offline, and in a process group of its own, so that nothing that it starts outlives it.
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - the user's own interpreter, and no shell
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        status = process.wait(TIME_LIMIT)
    except subprocess.TimeoutExpired as error:
        raise ExportError(
            f"optimum: expected an answer within {TIME_LIMIT} seconds, found none; it was stopped"
        ) from error
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if status < 0:
        raise ExportError(
            f"optimum: expected it to export the encoder, but signal {-status} ended it (9: out of memory?)"
        )
    if status:
        said = _last_words(log.read_text(encoding="utf-8", errors="replace")) or f"nothing, with status {status}"
        if said.startswith("ModuleNotFoundError"):
            raise MissingExtra(_how_to_install(f"was looked for in {command[0]} ({said})"))
        raise ExportError(f"optimum: expected it to export the encoder, but it failed: {said:.500}")


def _last_words(log: str) -> str:
    """Give the exception's line of the last traceback, or the last line where there is none."""
    lines = [line.rstrip() for line in log.splitlines() if line.strip()]
    starts = [number for number, line in enumerate(lines) if line.startswith("Traceback (most recent call last)")]
    if not starts:
        return lines[-1].strip() if lines else ""
    # A message may have several lines, and its first says most.
    return next((line for line in lines[starts[-1] + 1 :] if not line.startswith(" ")), "")


def _max_positions(config: Mapping[str, Any], architecture: str) -> int:
    rows = config.get("max_position_embeddings", config.get("n_positions"))
    if architecture in _ENCODER_OF_TWO or not isinstance(rows, int) or rows < 1:  # relative positions, no table
        return UNBOUNDED
    if architecture in _POSITIONS_BEHIND_PADDING:
        padding = config.get("pad_token_id")
        return rows - 1 - (padding if isinstance(padding, int) else 1)
    return rows
