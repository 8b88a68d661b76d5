"""Read the JSON files of a checkpoint."""

import json
from pathlib import Path
from typing import Any

from ._errors import CheckpointError


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        CheckpointError: It is missing, cannot be read, or is no JSON.
    """
    try:
        value = json.loads(path.read_bytes())
        json.dumps(value, ensure_ascii=False).encode()  # a lone surrogate fits into no file that is written of this
    except OSError as error:
        raise CheckpointError(f"{path}: expected this file in the checkpoint: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: expected JSON, found damage ({error})") from error
    return value


def read_object(path: Path, *, optional: bool = False) -> dict[str, Any]:
    """Read a JSON file that holds an object.

    Args:
        path: The file.
        optional: Whether a missing file counts as an empty object.

    Raises:
        CheckpointError: As `read_json`, or it holds something else.
    """
    if optional and not path.is_file():
        return {}
    value = read_json(path)
    if not isinstance(value, dict):
        raise CheckpointError(f"{path}: expected a JSON object, found {type(value).__name__}")
    return value
