"""Read a checkpoint folder: sentence-transformers' layout with the head beside it. No torch module is built."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy

from ._errors import CheckpointError, UnsupportedCheckpoint
from ._optimum import Via, read_traced_encoder
from ._traced import TracedEncoder

FloatArray = npt.NDArray[np.float32]

HEAD_CONFIG = "head.json"
HEAD_TENSORS = "head.safetensors"
HEAD_FORMAT_VERSION = 1


class PoolingMode(StrEnum):
    """How token embeddings become one embedding; the names are sentence-transformers'."""

    CLS = "cls"
    MEAN = "mean"


@dataclass(frozen=True, slots=True)
class Encoder:
    """A BERT encoder.

    Attributes:
        tensors: float32 arrays under transformers' names, without the prefix `bert.`; linear weights are
            (outputs, inputs) as torch stores them.
        layers: Number of layers.
        heads: Attention heads a layer.
        hidden: Width of a token's embedding.
        activation: transformers' name of the feed-forward activation.
        epsilon: That of the layer normalisations.
        max_positions: Longest sequence that the position table covers.
    """

    tensors: Mapping[str, FloatArray]
    layers: int
    heads: int
    hidden: int
    activation: str
    epsilon: float
    max_positions: int

    @property
    def vocabulary(self) -> int:
        """Rows of the word embeddings."""
        return len(self.tensors["embeddings.word_embeddings.weight"])


@dataclass(frozen=True, slots=True)
class LinearHead:
    """A LogisticRegression.

    Attributes:
        coef: float64 (classes, dim), or (1, dim) of two classes.
        intercept: float64 (classes,) or (1,).
        classes: What the rows stand for, in scikit-learn's order.
    """

    coef: npt.NDArray[np.float64]
    intercept: npt.NDArray[np.float64]
    classes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What an export needs to know of a checkpoint.

    Attributes:
        folder: Where it was read from.
        encoder: The transformer.
        pooling: How token embeddings become one embedding.
        normalize: Whether the embedding is scaled to unit length before the head.
        head: The classifier.
        labels: Names of the labels, in the order of the head's classes.
        max_length: Tokens of the longest text, special tokens included.
        tokenizer: The content of `tokenizer.json`.
        training: What the training stage noted in `training.json`; empty if it noted nothing.
    """

    folder: Path
    encoder: Encoder | TracedEncoder
    pooling: PoolingMode
    normalize: bool
    head: LinearHead
    labels: tuple[str, ...]
    max_length: int
    tokenizer: str
    training: Mapping[str, object]


def read_checkpoint(folder: str | Path, via: Via = Via.AUTHORED) -> Checkpoint:
    """Read and check a checkpoint that `setfuse train` wrote.

    Args:
        folder: A sentence-transformers folder with `head.json`, `head.safetensors` and `config_setfit.json`.
        via: Whether the encoder is read to be written anew, or traced by optimum, which takes half a minute.

    Returns:
        The checkpoint, with all tensors in memory.

    Raises:
        CheckpointError: The folder is no checkpoint, or a file in it is missing or damaged.
        UnsupportedCheckpoint: Its architecture, modules or head are not supported yet; the message says which are.
        MissingExtra: It goes through optimum, and there is none.
        ExportError: optimum failed.
    """
    folder = Path(folder)
    if not (folder / "modules.json").is_file():
        raise CheckpointError(
            f"{folder}: expected a checkpoint folder with modules.json, found none; "
            "make one with: setfuse train DATA.jsonl --base MODEL --out CHECKPOINT"
        )
    modules = _modules(folder)
    transformer = folder / modules["Transformer"]
    head = _head(folder)
    setfit_config = _json(folder / "config_setfit.json")
    encoder = (
        read_traced_encoder(transformer, _json(transformer / "config.json"))
        if via is Via.OPTIMUM
        else _encoder(transformer)
    )
    if head.coef.shape[1] != encoder.hidden:
        raise CheckpointError(
            f"{folder / HEAD_TENSORS}: expected coef of the body's width {encoder.hidden}, found {head.coef.shape[1]}"
        )
    return Checkpoint(
        folder=folder,
        encoder=encoder,
        pooling=_pooling(folder / modules["Pooling"] / "config.json"),
        normalize="Normalize" in modules or bool(setfit_config.get("normalize_embeddings", False)),
        head=head,
        labels=_labels(folder, setfit_config, head),
        max_length=_max_length(transformer, encoder.max_positions),
        tokenizer=_tokenizer(transformer, encoder),
        training=_json(folder / "training.json") if (folder / "training.json").is_file() else {},
    )


def _json(path: Path) -> dict[str, Any]:
    value = _json_value(path)
    if not isinstance(value, dict):
        raise CheckpointError(f"{path}: expected a JSON object, found {type(value).__name__}")
    return value


def _json_value(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise CheckpointError(f"{path}: expected this file in the checkpoint: {error.strerror}") from error
    except ValueError as error:
        raise CheckpointError(f"{path}: expected JSON, found damage ({error})") from error


def _modules(folder: Path) -> dict[str, str]:
    # The folder of each module, by the last part of its class name: the packages have moved between versions.
    path = folder / "modules.json"
    try:
        modules = [(str(module["type"]).rsplit(".", 1)[-1], str(module["path"])) for module in _json_value(path)]
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"{path}: expected a list of modules with type and path ({error!r})") from error
    names = [name for name, _ in modules]
    if names not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        raise UnsupportedCheckpoint(
            f"{path}: expected the modules Transformer, Pooling and, at most, Normalize, in this order; "
            f"found {', '.join(names) or 'none'}: not supported yet"
        )
    prompt = _json(folder / "config_sentence_transformers.json").get("default_prompt_name")
    if prompt is not None:
        raise UnsupportedCheckpoint(
            f"{folder}: the body puts the prompt {prompt!r} before each text: not supported yet"
        )
    return dict(modules)


VIA_OPTIMUM = 'optimum can export it: --via optimum (via="optimum")'


def _encoder(folder: Path) -> Encoder:
    path = folder / "config.json"
    config = _json(path)
    expected = {"model_type": "bert", "position_embedding_type": "absolute", "is_decoder": False}
    for key, value in expected.items():
        if config.get(key, value) != value or (key == "model_type" and key not in config):
            raise UnsupportedCheckpoint(
                f"{path}: expected {key} {value!r}, found {config.get(key)!r}: not supported yet; {VIA_OPTIMUM}"
            )
    if config.get("hidden_act") not in ACTIVATIONS:
        raise UnsupportedCheckpoint(
            f"{path}: expected hidden_act to be one of {', '.join(ACTIVATIONS)}; found {config.get('hidden_act')!r}: "
            f"not supported yet; {VIA_OPTIMUM}"
        )
    try:
        encoder = Encoder(
            tensors=_tensors(folder / "model.safetensors"),
            layers=int(config["num_hidden_layers"]),
            heads=int(config["num_attention_heads"]),
            hidden=int(config["hidden_size"]),
            activation=str(config["hidden_act"]),
            epsilon=float(config["layer_norm_eps"]),
            max_positions=int(config["max_position_embeddings"]),
        )
        shape = (int(config["vocab_size"]), int(config["type_vocab_size"]), int(config["intermediate_size"]))
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: expected a BERT configuration ({error!r})") from error
    if encoder.heads < 1 or encoder.hidden % encoder.heads:
        raise CheckpointError(
            f"{path}: expected a hidden_size that is a multiple of num_attention_heads, "
            f"found {encoder.hidden} and {encoder.heads}"
        )
    _check_tensors(folder / "model.safetensors", encoder, *shape)
    return encoder


ACTIVATIONS = ("gelu", "gelu_new", "gelu_pytorch_tanh", "relu")


def _tensors(path: Path) -> dict[str, FloatArray]:
    if not path.is_file():
        raise CheckpointError(f"{path}: expected the body's weights in this file, found none")
    try:
        with safetensors.safe_open(path, framework="pt") as file:  # torch reads bfloat16 too, numpy does not
            return {name.removeprefix("bert."): file.get_tensor(name).float().numpy() for name in file.keys()}  # noqa: SIM118
    except (OSError, safetensors.SafetensorError) as error:
        raise CheckpointError(f"{path}: expected safetensors, found damage ({error})") from error


def _check_tensors(path: Path, encoder: Encoder, words: int, token_types: int, inner: int) -> None:
    # What is missing, misshapen or not finite is told by name here, and not as an error of the graph's later.
    hidden = encoder.hidden
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (words, hidden),
        "embeddings.position_embeddings.weight": (encoder.max_positions, hidden),
        "embeddings.token_type_embeddings.weight": (token_types, hidden),
        "embeddings.LayerNorm.weight": (hidden,),
        "embeddings.LayerNorm.bias": (hidden,),
    }
    for layer in range(encoder.layers):
        linears = {
            "attention.self.query": (hidden, hidden),
            "attention.self.key": (hidden, hidden),
            "attention.self.value": (hidden, hidden),
            "attention.output.dense": (hidden, hidden),
            "intermediate.dense": (inner, hidden),
            "output.dense": (hidden, inner),
        }
        for name, (outputs, inputs) in linears.items():
            shapes[f"encoder.layer.{layer}.{name}.weight"] = (outputs, inputs)
            shapes[f"encoder.layer.{layer}.{name}.bias"] = (outputs,)
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            shapes[f"encoder.layer.{layer}.{name}.weight"] = (hidden,)
            shapes[f"encoder.layer.{layer}.{name}.bias"] = (hidden,)
    for name, shape in shapes.items():
        tensor = encoder.tensors.get(name)
        if tensor is None or tensor.shape != shape:
            found = "none" if tensor is None else f"the shape {tensor.shape}"
            raise CheckpointError(f"{path}: expected a tensor {name} of the shape {shape}, found {found}")
        if not np.isfinite(tensor).all():
            raise CheckpointError(f"{path}: expected finite weights, found NaN or infinity in {name}")


def _pooling(path: Path) -> PoolingMode:
    config = _json(path)
    legacy = {"pooling_mode_cls_token": "cls", "pooling_mode_mean_tokens": "mean"}
    mode = config.get("pooling_mode")
    if mode is None:  # as sentence-transformers 5 and older wrote it
        active = [key for key, value in config.items() if key.startswith("pooling_mode_") and value is True]
        mode = [legacy.get(key, key.removeprefix("pooling_mode_")) for key in active] or "mean"
    modes = [mode] if isinstance(mode, str) else mode
    if not isinstance(modes, list) or len(modes) != 1 or modes[0] not in list(PoolingMode):
        raise UnsupportedCheckpoint(
            f"{path}: expected one pooling mode of {', '.join(PoolingMode)}; found {modes}: not supported yet"
        )
    return PoolingMode(modes[0])


def _head(folder: Path) -> LinearHead:
    path = folder / HEAD_CONFIG
    if not path.is_file():
        pickled = (folder / "model_head.pkl").is_file()
        found = (
            "SetFit's model_head.pkl, a pickle: not supported yet"
            if pickled
            else "none: a body without a head is trained first, with setfuse train"
        )
        raise CheckpointError(f"{path}: expected the head in head.json and head.safetensors, found {found}")
    config = _json(path)
    if config.get("format_version") != HEAD_FORMAT_VERSION:
        raise UnsupportedCheckpoint(
            f"{path}: expected format_version {HEAD_FORMAT_VERSION}, found {config.get('format_version')!r}; "
            "upgrade setfuse, or train again"
        )
    if config.get("kind") != "LogisticRegression" or config.get("multi_target_strategy") is not None:
        raise UnsupportedCheckpoint(
            f"{path}: expected a LogisticRegression without a multi-target strategy, found {config.get('kind')!r} "
            f"with {config.get('multi_target_strategy')!r}: not supported yet"
        )
    try:
        tensors = safetensors.numpy.load_file(folder / HEAD_TENSORS)
        coef, intercept = (tensors[name].astype(np.float64) for name in ("coef", "intercept"))
        classes = tuple(str(label) for label in config["classes"])
    except (OSError, safetensors.SafetensorError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{folder / HEAD_TENSORS}: expected coef and intercept, and classes in {HEAD_CONFIG} ({error!r})"
        ) from error
    rows = 1 if len(classes) == 2 else len(classes)  # noqa: PLR2004 - scikit-learn's binary case
    if len(classes) < 2 or coef.ndim != 2 or coef.shape[0] != rows or intercept.shape != (rows,):  # noqa: PLR2004
        raise CheckpointError(
            f"{folder / HEAD_TENSORS}: expected coef ({rows}, dim) and intercept ({rows},) for {len(classes)} classes, "
            f"found {coef.shape} and {intercept.shape}"
        )
    if not (np.isfinite(coef).all() and np.isfinite(intercept).all()):
        raise CheckpointError(f"{folder / HEAD_TENSORS}: expected finite weights, found NaN or infinity")
    return LinearHead(coef=coef, intercept=intercept, classes=classes)


def _labels(folder: Path, setfit_config: Mapping[str, Any], head: LinearHead) -> tuple[str, ...]:
    labels = setfit_config.get("labels") or list(head.classes)
    if not isinstance(labels, list) or len(labels) != len(head.classes) or len(set(map(str, labels))) != len(labels):
        raise CheckpointError(
            f"{folder / 'config_setfit.json'}: expected {len(head.classes)} different labels, one a class of the head; "
            f"found {labels!r}"
        )
    return tuple(str(label) for label in labels)


def _max_length(folder: Path, max_positions: int) -> int:
    # Where sentence-transformers would cut a text.
    length = None
    if (folder / "sentence_bert_config.json").is_file():
        length = _json(folder / "sentence_bert_config.json").get("max_seq_length")
    if length is None:  # as sentence-transformers 6 writes it
        length = _json(folder / "tokenizer_config.json").get("model_max_length")
    if length is None:
        return max_positions
    if not isinstance(length, int | float) or length < 1:
        raise CheckpointError(f"{folder}: expected a positive max_seq_length, found {length!r}")
    return int(min(length, max_positions))


def _tokenizer(folder: Path, encoder: Encoder | TracedEncoder) -> str:
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise UnsupportedCheckpoint(f"{path}: expected a tokenizers file, found none: not supported yet")
    try:
        definition = path.read_text(encoding="utf-8")
        vocabulary = json.loads(definition)["model"]["vocab"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path}: expected a tokenizers file ({error!r})") from error
    if len(vocabulary) > encoder.vocabulary:
        raise CheckpointError(
            f"{path}: expected at most {encoder.vocabulary} tokens, as many as the word embeddings have rows; "
            f"found {len(vocabulary)}"
        )
    return definition
