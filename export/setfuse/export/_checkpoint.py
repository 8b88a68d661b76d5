"""Read a checkpoint folder: sentence-transformers' layout with the head beside it. No torch module is built."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from setfuse.runtime import HubError, find_on_hub

from ._encoder import Encoder
from ._errors import CheckpointError, UnsupportedCheckpoint
from ._families import read_encoder
from ._heads import Head, read_head
from ._json import read_object
from ._modules import Module, Pooling, read_modules, transformer_folder
from ._optimum import Via, read_traced_encoder
from ._tokenizer import count_prompt_tokens, read_tokenizer
from ._traced import TracedEncoder


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What an export needs to know of a checkpoint.

    Attributes:
        folder: Where it was read from.
        encoder: The transformer.
        pooling: How token embeddings become one embedding.
        modules: What is done to the embedding before the head sees it, in order.
        width: That of the embedding which the head sees.
        normalize_embeddings: Whether SetFit's configuration asks for embeddings of unit length.
        head: The classifier.
        labels: Names of the labels, in the order of the head's classes: its own where these are texts, else those that
            SetFit's configuration has for them.
        max_length: Tokens of the longest text, special tokens included.
        tokenizer: The `tokenizers` definition, without padding, cut at `max_length`.
        prompt: What the body puts before each text.
        training: What the training stage noted in `training.json`; empty if it noted nothing.
    """

    folder: Path
    encoder: Encoder | TracedEncoder
    pooling: Pooling
    modules: tuple[Module, ...]
    width: int
    normalize_embeddings: bool
    head: Head
    labels: tuple[str, ...]
    max_length: int
    tokenizer: str
    prompt: str
    training: Mapping[str, object]


def read_checkpoint(folder: str | Path, via: Via = Via.AUTHORED) -> Checkpoint:
    """Read and check a checkpoint.

    Args:
        folder: One that `setfuse train` or SetFit wrote, or any sentence-transformers folder with a head beside it; or
            the name of such a model on the Hub.
        via: Whether the encoder is read to be written anew, or traced by optimum, which takes half a minute.

    Returns:
        The checkpoint, with all tensors in memory.

    Raises:
        CheckpointError: The folder is no checkpoint, or a file in it is missing or damaged.
        UnsupportedCheckpoint: Its architecture, modules or head are not supported; the message says which are.
        MissingExtra: It goes through optimum, and there is none.
        ExportError: optimum failed.
    """
    folder = _find(folder)
    if not (folder / "modules.json").is_file():
        raise CheckpointError(
            f"{folder}: expected a checkpoint folder with modules.json, found none; "
            "make one with: setfuse train DATA.jsonl --base MODEL --out CHECKPOINT"
        )
    transformer = transformer_folder(folder)
    encoder: Encoder | TracedEncoder
    if via is Via.OPTIMUM:
        encoder = read_traced_encoder(transformer, read_object(transformer / "config.json"))
    else:
        encoder = read_encoder(transformer)
    head = read_head(folder)
    setfit_config = read_object(folder / "config_setfit.json", optional=True)
    normalize = bool(setfit_config.get("normalize_embeddings", False))
    max_length = _max_length(transformer, encoder.max_length)
    tokenizer = read_tokenizer(transformer, encoder.vocabulary, max_length)
    around = len(tokenizer.encode("").ids)
    if around > max_length:  # tokenizers would not cut at all
        raise CheckpointError(
            f"{folder}: expected a max_seq_length of {around} or more, as many as there are special tokens, "
            f"found {max_length}"
        )
    prompt = _prompt(folder)
    if not prompt and not around:  # sentence-transformers fails on a text without tokens, too
        raise UnsupportedCheckpoint(
            f"{transformer}: expected a tokenizer that gives every text a token, such as [CLS], found none for an "
            "empty text: not supported"
        )
    prompt_tokens = count_prompt_tokens(tokenizer, prompt)
    if prompt_tokens + 1 >= max_length:  # besides the prompt there is at least the token at the end
        raise CheckpointError(
            f"{folder}: expected a prompt that leaves room for a text, found {prompt_tokens} tokens of {max_length}"
        )
    body = read_modules(folder, encoder.hidden, normalize=normalize, prompt_tokens=prompt_tokens)
    if head.width != body.width:
        raise CheckpointError(f"{folder}: expected a head that reads the body's width {body.width}, found {head.width}")
    return Checkpoint(
        folder=folder,
        encoder=encoder,
        pooling=body.pooling,
        modules=body.modules,
        width=body.width,
        normalize_embeddings=normalize,
        head=head,
        labels=_labels(folder, setfit_config, head),
        max_length=max_length,
        tokenizer=tokenizer.to_str(),
        prompt=prompt,
        training=_training(folder / "training.json"),
    )


def _find(checkpoint: str | Path) -> Path:
    folder = Path(checkpoint).expanduser()
    if folder.is_dir():
        return folder
    try:
        return find_on_hub(str(checkpoint), ignore=_NOT_NEEDED, expected="a checkpoint folder")
    except HubError as error:
        raise CheckpointError(str(error)) from error


_NOT_NEEDED = ["model*.onnx", "*.h5", "*.ot", "*.msgpack", "*.tflite", "openvino/*", "onnx/*"]


def _prompt(folder: Path) -> str:
    # What sentence-transformers' encode puts before each text unless told otherwise.
    path = folder / "config_sentence_transformers.json"
    config = read_object(path, optional=True)
    name, prompts = config.get("default_prompt_name"), config.get("prompts") or {}
    if name is None:
        return ""
    if not isinstance(name, str) or not isinstance(prompts, dict) or not isinstance(prompts.get(name), str):
        raise CheckpointError(f"{path}: expected the default prompt {name!r} among the prompts, found {prompts!r:.60}")
    return str(prompts[name])


def _labels(folder: Path, setfit_config: Mapping[str, Any], head: Head) -> tuple[str, ...]:
    # As SetFit's `predict`: classes that are texts are the answer, and `labels` is a list to look up numbers in.
    given = setfit_config.get("labels")
    if head.numbers is None or not given:
        return head.classes
    path = folder / "config_setfit.json"
    if not isinstance(given, list) or (head.multi_label and len(given) != len(head.numbers)):
        raise CheckpointError(f"{path}: expected {len(head.numbers)} labels, one a class of the head; found {given!r}")
    try:
        labels = tuple(str(given[number]) for number in head.numbers)
    except IndexError as error:
        numbers = ", ".join(map(str, head.numbers))
        raise CheckpointError(f"{path}: expected a label for each of the head's {numbers}; found {given!r}") from error
    if len(set(labels)) != len(labels):
        raise CheckpointError(f"{path}: expected {len(labels)} different labels; found {given!r}")
    return labels


def _training(path: Path) -> dict[str, Any]:
    # It goes into the manifest, which other languages' JSON readers must take.
    training = read_object(path, optional=True)
    try:
        json.dumps(training, allow_nan=False)
    except ValueError as error:
        raise CheckpointError(f"{path}: expected finite numbers, found NaN or infinity ({error})") from error
    return training


def _max_length(folder: Path, max_positions: int) -> int:
    # Where sentence-transformers would cut a text.
    length = None
    if (folder / "sentence_bert_config.json").is_file():
        length = read_object(folder / "sentence_bert_config.json").get("max_seq_length")
    if length is None:  # as sentence-transformers 6 writes it
        length = read_object(folder / "tokenizer_config.json", optional=True).get("model_max_length")
    if length is None:
        return max_positions
    if not isinstance(length, int | float) or not length >= 1:  # NaN is none
        raise CheckpointError(f"{folder}: expected a positive max_seq_length, found {length!r}")
    return int(min(length, max_positions))
