"""Read an encoder of any supported family; each module says how its family differs from the others."""

from pathlib import Path
from types import ModuleType

from setfuse.export._encoder import Encoder
from setfuse.export._errors import CheckpointError, UnsupportedCheckpoint
from setfuse.export._json import read_object

from . import albert, bert, distilbert, electra, mpnet, roberta
from ._activations import ACTIVATIONS, EXACT_GELU, RELU, SILU, TANH_GELU
from ._weights import Config, Weights

VIA_OPTIMUM = 'optimum can export it: --via optimum (via="optimum")'
FAMILIES: dict[str, ModuleType] = {
    "albert": albert,
    "bert": bert,
    "camembert": roberta,
    "distilbert": distilbert,
    "electra": electra,
    "mpnet": mpnet,
    "roberta": roberta,
    "xlm-roberta": roberta,
}
"""By transformers' `model_type`."""


def read_encoder(folder: Path) -> Encoder:
    """Read the encoder of a transformers folder.

    Args:
        folder: With `config.json` and the weights.

    Raises:
        CheckpointError: A file is missing or damaged.
        UnsupportedCheckpoint: The family, or something that it is set to, is not supported; the message says what is.
    """
    config = Config(folder / "config.json", read_object(folder / "config.json"))
    family = config.values.get("model_type")
    if not isinstance(family, str) or family not in FAMILIES:
        raise UnsupportedCheckpoint(
            f"{config.path}: expected model_type to be one of {', '.join(FAMILIES)}; found {family!r}: not supported; "
            f"{VIA_OPTIMUM}"
        )
    module = FAMILIES[family]
    encoder: Encoder = module.read(config, Weights.read(folder, module.PREFIX))
    if encoder.hidden % encoder.heads:
        raise CheckpointError(
            f"{config.path}: expected a hidden size that is a multiple of the attention heads, "
            f"found {encoder.hidden} and {encoder.heads}"
        )
    if encoder.max_length < 1:
        raise CheckpointError(
            f"{config.path}: expected more position embeddings than the padding token's id and one, "
            f"found {len(encoder.positions)} and the id {encoder.padding_id}"
        )
    return encoder


__all__ = [
    "ACTIVATIONS",
    "EXACT_GELU",
    "FAMILIES",
    "RELU",
    "SILU",
    "TANH_GELU",
    "Config",
    "Weights",
    "read_encoder",
]
