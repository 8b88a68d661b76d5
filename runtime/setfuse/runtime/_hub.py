"""The Hugging Face Hub, through huggingface_hub, which tokenizers brings: imported when something is asked of it."""

import contextlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from ._errors import HubError, MissingExtra

_NAME = r"\w[\w.-]{0,95}"
_ID = re.compile(rf"(?:{_NAME}/)?{_NAME}")
_FULL_ID = re.compile(rf"{_NAME}/{_NAME}")
_REQUEST_ID = re.compile(r"\s*\(Request ID: [^)]*\)")


def is_hub_id(name: str) -> bool:
    """Tell whether the name reads like `name` or `org/name`."""
    return bool(_ID.fullmatch(name))


def is_full_hub_id(name: str) -> bool:
    """Tell whether the name reads like `org/name`."""
    return bool(_FULL_ID.fullmatch(name))


def find_on_hub(
    name: str,
    *,
    revision: str | None = None,
    allow: Sequence[str] | None = None,
    ignore: Sequence[str] | None = None,
    expected: str = "a folder",
) -> Path:
    """Download a model of the Hub, or find it where it was downloaded before; the latter needs no network.

    Args:
        name: A Hub id, such as `BAAI/bge-small-en-v1.5`.
        revision: A branch, tag or commit; None for the main branch.
        allow: Patterns of the files to take (`*.json`); None for all.
        ignore: Patterns of the files to leave.
        expected: What the caller would have taken in place of the id, for the message of the error.

    Returns:
        The folder in the Hub's cache. Nothing in it may be changed.

    Raises:
        HubError: The name is no Hub id, or the Hub did not give the model.
    """
    if Path(name).exists() or not is_hub_id(name):
        found = "a file" if Path(name).exists() else "none"
        raise HubError(f"{name}: expected {expected} or a Hub id like BAAI/bge-small-en-v1.5, found {found}")
    with hub_asked(f"{name}: expected {expected} or a Hub id; there is no such folder, and the Hub did not give it"):
        from huggingface_hub import snapshot_download

        allowed = None if allow is None else list(allow)
        ignored = None if ignore is None else list(ignore)
        return Path(snapshot_download(name, revision=revision, allow_patterns=allowed, ignore_patterns=ignored))


def find_file_on_hub(name: str, file: str, revision: str | None = None) -> Path:
    """Download one file of a model, or find it where it was downloaded before.

    Args:
        name: A Hub id.
        file: The file's name in the model's folder.
        revision: A branch, tag or commit; None for the main branch.

    Returns:
        The file, in a folder whose name is the commit.

    Raises:
        HubError: The Hub did not give it.
    """
    with hub_asked(f"{name}: there is no such folder, and the Hub did not give {file}"):
        from huggingface_hub import hf_hub_download

        return Path(hf_hub_download(name, file, revision=revision))


@contextlib.contextmanager
def hub_asked(failure: str, advice: str = "check the name and the network, or pass a folder") -> Iterator[None]:
    """Turn whatever goes wrong in huggingface_hub into one sentence.

    Raises:
        HubError: Something went wrong.
        MissingExtra: huggingface_hub is not installed.
    """
    try:
        yield
    except ImportError as error:
        raise MissingExtra(f"{failure}: it needs huggingface_hub: pip install huggingface_hub") from error
    except Exception as error:  # also its HTTP library's own exceptions, and that library changes between releases
        raise HubError(f"{failure}: {_reason(error)}; {advice}") from error


def _reason(error: Exception) -> str:
    """Give what an exception of huggingface_hub says in its first lines: the status, and what it means."""
    lines = [_REQUEST_ID.sub("", line).strip() for line in str(error).splitlines()]
    said = [line.removeprefix("Got: ") for line in lines if line]
    return " ".join(said[:2]).rstrip(".;: ") or type(error).__name__
