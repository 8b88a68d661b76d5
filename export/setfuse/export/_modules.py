"""Read what a sentence-transformers body does after the transformer: pooling, and what follows it."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from ._encoder import Linear, Norm
from ._errors import CheckpointError, UnsupportedCheckpoint
from ._families import Weights
from ._json import read_json, read_object

SENTENCE_EMBEDDING = "sentence_embedding"
LAYER_NORM_EPSILON = 1e-5  # torch's default, which sentence-transformers leaves as it is


class PoolingMode(StrEnum):
    """How token embeddings become one embedding; the names are sentence-transformers'."""

    CLS = "cls"
    MAX = "max"
    MEAN = "mean"
    MEAN_SQRT_LEN = "mean_sqrt_len_tokens"
    WEIGHTED_MEAN = "weightedmean"
    LAST_TOKEN = "lasttoken"  # noqa: S105 - no password


class DenseActivation(StrEnum):
    """What a Dense module applies to its outputs: torch's module classes, with their defaults."""

    IDENTITY = "Identity"
    TANH = "Tanh"
    RELU = "ReLU"
    GELU = "GELU"
    SIGMOID = "Sigmoid"
    SILU = "SiLU"
    LEAKY_RELU = "LeakyReLU"
    ELU = "ELU"
    SOFTPLUS = "Softplus"


@dataclass(frozen=True, slots=True)
class Pooling:
    """Token embeddings to one embedding a text.

    Attributes:
        modes: One or several; their results stand side by side.
        skipped: How many of the first tokens do not count: those of a prompt that is not to be pooled.
    """

    modes: tuple[PoolingMode, ...]
    skipped: int = 0

    @property
    def first_token_only(self) -> bool:
        """Whether the first token's embedding is all that is used."""
        return self.modes == (PoolingMode.CLS,) and not self.skipped

    def __str__(self) -> str:
        return f"Pooling({', '.join(self.modes)})"


@dataclass(frozen=True, slots=True, eq=False)
class Dense:
    """A linear and an activation.

    Attributes:
        linear: Weights and bias.
        activation: Applied to its outputs.
        residual: Whether the input is added to the result.
        residual_linear: What the input goes through before it is added; None where the widths are equal.
    """

    linear: Linear
    activation: DenseActivation
    residual: bool = False
    residual_linear: Linear | None = None

    def __str__(self) -> str:
        return f"Dense({self.linear.weight.shape[1]}, {self.activation})"


@dataclass(frozen=True, slots=True, eq=False)
class LayerNorm:
    """A layer normalisation of the embedding."""

    norm: Norm

    def __str__(self) -> str:
        return "LayerNorm"


@dataclass(frozen=True, slots=True)
class Normalize:
    """The embedding is scaled to unit length."""

    def __str__(self) -> str:
        return "Normalize"


@dataclass(frozen=True, slots=True)
class Truncate:
    """Only the first dimensions of the embedding are kept."""

    dim: int

    def __str__(self) -> str:
        return f"Truncate({self.dim})"


Module = Dense | LayerNorm | Normalize | Truncate


@dataclass(frozen=True, slots=True)
class Body:
    """What stands between the encoder and the head.

    Attributes:
        transformer: The folder of the Transformer module.
        pooling: Token embeddings to one embedding.
        modules: What is done to it, in order.
        width: That of the embedding which the head sees.
    """

    transformer: Path
    pooling: Pooling
    modules: tuple[Module, ...]
    width: int


def transformer_folder(folder: Path) -> Path:
    """Find the Transformer module of a sentence-transformers folder.

    Raises:
        CheckpointError: `modules.json` is damaged.
        UnsupportedCheckpoint: The body does not begin with one.
    """
    return folder / _entries(folder)[0][1]


def read_modules(folder: Path, hidden: int, *, normalize: bool, prompt_tokens: int) -> Body:
    """Read the modules of a sentence-transformers folder.

    Args:
        folder: With `modules.json`.
        hidden: Width of a token's embedding.
        normalize: Whether SetFit's configuration asks for embeddings of unit length.
        prompt_tokens: How many tokens the prompt takes at the beginning of each text.

    Raises:
        CheckpointError: A file is missing or damaged, or the widths do not fit.
        UnsupportedCheckpoint: A module, or something that it is set to, is not supported.
    """
    (_, transformer), (_, first), *others = _entries(folder)
    pooling = _pooling(folder / first / "config.json", prompt_tokens)
    width = hidden * len(pooling.modes)
    modules: list[Module] = []
    for number, (kind, path) in enumerate(others, start=2):
        if kind == "Dropout":  # nothing, but in training
            continue
        module = _READERS[kind](folder / path, f"module.{number}", width)
        modules.append(module)
        width = module.linear.weight.shape[1] if isinstance(module, Dense) else width
    # What sentence-transformers' encode does after the last module.
    dim = read_object(folder / "config_sentence_transformers.json", optional=True).get("truncate_dim")
    if dim is not None:
        if not isinstance(dim, int) or isinstance(dim, bool) or dim < 1:
            raise CheckpointError(f"{folder}: expected a truncate_dim of 1 or more, found {dim!r}")
        width = min(width, dim)
        modules.append(Truncate(width))
    if normalize and (not modules or not isinstance(modules[-1], Normalize)):
        modules.append(Normalize())
    return Body(folder / transformer, pooling, tuple(modules), width)


def _entries(folder: Path) -> list[tuple[str, str]]:
    # Each module's class name, without its package (they have moved between versions), and its folder.
    path = folder / "modules.json"
    try:
        entries = [(str(module["type"]).rsplit(".", 1)[-1], str(module["path"])) for module in read_json(path)]
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"{path}: expected a list of modules with type and path ({error!r})") from error
    names = [name for name, _ in entries]
    if names[:2] != ["Transformer", "Pooling"] or not set(names[2:]) <= set(supported_modules()):
        raise UnsupportedCheckpoint(
            f"{path}: expected the modules Transformer, Pooling and any of {', '.join(supported_modules())}, in this "
            f"order; found {', '.join(names) or 'none'}: not supported"
        )
    if not all(_is_inside(folder, entry) for _, entry in entries):
        raise CheckpointError(f"{path}: expected paths inside the folder, found {[entry for _, entry in entries]}")
    return entries


def _is_inside(folder: Path, entry: str) -> bool:
    try:
        return (folder / entry).resolve().is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError):  # a name too long, a NUL, a link to itself
        return False


def _pooling(path: Path, prompt_tokens: int) -> Pooling:
    config = read_object(path)
    found = config.get("pooling_mode")
    if found is None:  # as sentence-transformers 5 and older wrote it, one switch a mode, in the order of the results
        found = [mode for key, mode in _SWITCHES.items() if config.get(key) is True] or "mean"
    modes = [found] if isinstance(found, str) else found
    known = list(PoolingMode)
    if not isinstance(modes, list) or not modes or any(mode not in known for mode in modes):
        raise UnsupportedCheckpoint(
            f"{path}: expected pooling modes of {', '.join(known)}; found {modes}: not supported"
        )
    skipped = 0 if config.get("include_prompt", True) else prompt_tokens
    return Pooling(tuple(PoolingMode(mode) for mode in modes), skipped)


_SWITCHES = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}


def _dense(folder: Path, called: str, width: int) -> Dense:
    path = folder / "config.json"
    config = read_object(path)
    _on_the_embedding(path, config)
    inputs, outputs = config.get("in_features"), config.get("out_features")
    if inputs != width or not isinstance(outputs, int) or outputs < 1:
        raise CheckpointError(
            f"{path}: expected in_features {width} and out_features of 1 or more, found {inputs!r} and {outputs!r}"
        )
    activation = str(config.get("activation_function", DenseActivation.TANH)).rsplit(".", 1)[-1]
    if activation not in list(DenseActivation):
        raise UnsupportedCheckpoint(
            f"{path}: expected an activation_function of {', '.join(DenseActivation)}; found {activation!r}: "
            "not supported"
        )
    weights = Weights.read(folder)
    residual = bool(config.get("use_residual", False))
    projected = residual and inputs != outputs
    return Dense(
        linear=weights.linear("linear", inputs, outputs, called=called, bias=bool(config.get("bias", True))),
        activation=DenseActivation(activation),
        residual=residual,
        residual_linear=weights.linear("residual", inputs, outputs, called=f"{called}.residual", bias=False)
        if projected
        else None,
    )


def _layer_norm(folder: Path, called: str, width: int) -> LayerNorm:
    return LayerNorm(Weights.read(folder).norm("norm", width, LAYER_NORM_EPSILON, called=called))


def _normalize(folder: Path, called: str, width: int) -> Normalize:  # noqa: ARG001 - as the other readers
    _on_the_embedding(folder / "config.json", read_object(folder / "config.json", optional=True))
    return Normalize()


def _on_the_embedding(path: Path, config: dict[str, Any]) -> None:
    for key in ("module_input_name", "module_output_name"):
        if config.get(key) not in (None, SENTENCE_EMBEDDING):
            raise UnsupportedCheckpoint(
                f"{path}: expected {key} {SENTENCE_EMBEDDING!r}, found {config[key]!r}: not supported"
            )


def supported_modules() -> list[str]:
    """List the modules that may follow the pooling."""
    return [*_READERS, "Dropout"]


_READERS: dict[str, Callable[[Path, str, int], Module]] = {
    "Dense": _dense,
    "LayerNorm": _layer_norm,
    "Normalize": _normalize,
}
