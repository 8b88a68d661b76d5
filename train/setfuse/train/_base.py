"""Find the base model: a folder, or a name on the Hub."""

from pathlib import Path

from setfuse.runtime import HubError, find_on_hub

from ._errors import BaseModelNotFound

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
        try:
            folder = find_on_hub(str(base), ignore=_NOT_NEEDED, expected="a model folder")
        except HubError as error:
            raise BaseModelNotFound(str(error)) from error
    if not (folder / "config.json").is_file() and not (folder / "modules.json").is_file():
        raise BaseModelNotFound(
            f"{base}: expected a sentence-transformers folder with modules.json or config.json, found neither"
        )
    return folder
