"""Ways to change a bundle."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Change = Callable[[dict[str, Any]], object]


def change_manifest(bundle: Path, change: Change) -> Path:
    """Change a bundle's `bundle.json` in place."""
    path = bundle / "bundle.json"
    value = json.loads(path.read_bytes())
    change(value)
    path.write_text(json.dumps(value), encoding="utf-8")
    return bundle


def replace_file(bundle: Path, name: str, data: bytes) -> Path:
    """Put other bytes in a file of a bundle, and their size and hash in its manifest."""
    (bundle / name).write_bytes(data)

    def change(manifest: dict[str, Any]) -> None:
        entry = next(e for e in [manifest["tokenizer"], *manifest["variants"]] if e["file"] == name)
        entry.update(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())

    return change_manifest(bundle, change)
