"""Write a checkpoint: what sentence-transformers and SetFit write, plus the head without pickle."""

import json
from collections.abc import Mapping
from pathlib import Path

from sentence_transformers import SentenceTransformer

from ._card import checkpoint_card
from ._head import FittedHead, save_head


def write_checkpoint(folder: Path, body: SentenceTransformer, head: FittedHead, training: Mapping[str, object]) -> None:
    """Write body, head and what is known of the training into an empty folder.

    Args:
        folder: Where to.
        body: Saved as sentence-transformers does.
        head: Saved as `head.json` and `head.safetensors` or, where it is not linear, `head.onnx`.
        training: Goes to `training.json`, and from there into the bundle's manifest.
    """
    body.save(str(folder), create_model_card=False)
    save_head(head, folder)
    setfit_config = {"labels": list(head.labels), "normalize_embeddings": False}
    for name, value in (("config_setfit.json", setfit_config), ("training.json", dict(training))):
        (folder / name).write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    (folder / "README.md").write_text(checkpoint_card(training), encoding="utf-8")
    for weights in folder.rglob("*.safetensors"):  # safetensors writes them for their owner only
        weights.chmod((folder / "README.md").stat().st_mode)
