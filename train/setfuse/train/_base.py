"""Find the base model: a folder, or a name on the Hub."""

import re
from pathlib import Path

from ._errors import BaseModelNotFound

_HUB_ID = re.compile(r"[\w][\w.-]*(/[\w][\w.-]*)?")
_NOT_NEEDED = ["*.onnx", "*.h5", "*.ot", "*.msgpack", "*.tflite", "openvino/*", "onnx/*"]


def find_base(base: str | Path) -> Path:
    """Give the folder of a base model, downloading it from the Hub where it is none.

    Args:
        base: A sentence-transformers or transformers folder, or a Hub id such as `BAAI/bge-small-en-v1.5`; a Hub id
            that was downloaded before is found without a network.

    Returns:
        A folder with the model's `config.json`.

    Raises:
        BaseModelNotFound: It is no such folder and cannot be downloaded.
    """
    folder = Path(base).expanduser()
    if not folder.is_dir():
        folder = _download(str(base))
    if not (folder / "config.json").is_file() and not (folder / "modules.json").is_file():
        raise BaseModelNotFound(
            f"{base}: expected a sentence-transformers folder with modules.json or config.json, found neither"
        )
    return folder


def _download(name: str) -> Path:
    if Path(name).exists() or not _HUB_ID.fullmatch(name):
        found = "a file" if Path(name).exists() else "none"
        raise BaseModelNotFound(
            f"{name}: expected a model folder or a Hub id like BAAI/bge-small-en-v1.5, found {found}"
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, ignore_patterns=_NOT_NEEDED))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).splitlines()[0].removeprefix("Got: ")
        raise BaseModelNotFound(
            f"{name}: expected a model folder or a Hub id; there is no such folder, and the Hub did not give it: "
            f"{reason}; check the name and the network, or pass a folder"
        ) from error
