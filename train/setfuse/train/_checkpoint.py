"""Write a checkpoint: what sentence-transformers and SetFit write, plus the head without pickle."""

import json
from collections.abc import Mapping
from pathlib import Path

from sentence_transformers import SentenceTransformer

from ._head import FittedHead, pickle_head, save_head


def write_checkpoint(
    folder: Path,
    body: SentenceTransformer,
    head: FittedHead,
    training: Mapping[str, object],
    *,
    for_setfit: bool = False,
) -> None:
    """Write body, head and what is known of the training into an empty folder.

    Args:
        folder: Where to.
        body: Saved as sentence-transformers does.
        head: Saved as `head.json` and `head.safetensors` or, where it is not linear, `head.onnx`.
        training: Goes to `training.json`, and from there into the bundle's manifest.
        for_setfit: Add `model_head.pkl`, without which SetFit would begin with a head of random weights.
    """
    body.save(str(folder), create_model_card=False)
    save_head(head, folder)
    if for_setfit:
        pickle_head(head, folder)
    setfit_config = {"labels": list(head.labels), "normalize_embeddings": False}
    for name, value in (("config_setfit.json", setfit_config), ("training.json", dict(training))):
        (folder / name).write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    for weights in folder.rglob("*.safetensors"):  # safetensors writes them for their owner only
        weights.chmod((folder / "training.json").stat().st_mode)
