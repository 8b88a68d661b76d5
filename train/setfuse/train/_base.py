"""What a training reads: the base model, found on the Hub if it is no folder; what lies here; how it is called."""

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


def local_inputs(*given: object) -> tuple[Path, ...]:
    """Give the files and folders that a training reads, which it must not replace.

    Args:
        given: Data, models, or anything else; what is no path, or a name on the Hub, is left out.
    """
    paths = (Path(one).expanduser() for one in given if isinstance(one, str | Path))
    return tuple(path for path in paths if path.exists())


def public_name(given: object) -> str:
    """Name what a training reads; a file or folder without those above it, since checkpoints are passed on."""
    if not isinstance(given, str | Path):
        return type(given).__name__
    path = Path(given).expanduser()
    return path.absolute().name if path.exists() else str(given)
