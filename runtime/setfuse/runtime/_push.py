"""Put a bundle or a checkpoint on the Hub."""

import fnmatch
import re
from pathlib import Path

from ._errors import UsageError
from ._hub import hub_asked, is_hub_id
from ._manifest import MANIFEST_NAME, Manifest

CARD_NAME = "README.md"

_BODY = "modules.json"
_HEADS = ("head.json", "model_head.pkl")

_OF_A_CHECKPOINT = (
    *(_BODY, "config*.json", "sentence_*_config.json"),
    *("tokenizer*.json", "special_tokens_map.json", "added_tokens.json", "vocab.*", "merges.txt", "*.model"),
    *("model*.safetensors", "model.safetensors.index.json", "pytorch_model*.bin"),
    *("head.json", "head.safetensors", "head.onnx", "model_head.pkl", "training.json", CARD_NAME),
)
"""What `setfuse train`, SetFit and sentence-transformers write; nothing else that a folder may hold."""

_MODULE = re.compile(r"\d+_\w+")
"""How sentence-transformers calls the folder of a module; all in it is the module's."""


def push(
    folder: str | Path,
    repo_id: str,
    *,
    private: bool = False,
    revision: str | None = None,
    message: str | None = None,
) -> str:
    """Put a bundle or a checkpoint on the Hub, in one commit.

    Of a bundle the files that its manifest names, each compared with its hash first, the manifest and the README. Of a
    checkpoint the body, the head, `training.json` and the README. What else stands in the folder stays there, and so
    does what else stands in the repository. Who pushes is known by the token that `hf auth login` keeps, or by that in
    the environment variable HF_TOKEN.

    Args:
        folder: The bundle, or a checkpoint with a head.
        repo_id: The model repository, such as `org/name`; made if there is none.
        private: Whether a repository that is made is private.
        revision: The branch, made if there is none; None for the main branch.
        message: Of the commit; None for one that says which of the two it is.

    Returns:
        The address of the commit.

    Raises:
        UsageError: `repo_id` is none, `message` is empty, or the folder is a body without a head.
        BundleError: The folder is neither, or is a damaged bundle; nothing was sent.
        HubError: The Hub did not take it: no token, no right to write there, no network.
    """
    if not is_hub_id(repo_id):
        raise UsageError(f"repo_id: expected the name of a model repository like org/name, got {repo_id!r}")
    if message is not None and not message.strip():
        raise UsageError("message: expected a commit message, got an empty one")
    top = Path(folder)
    is_checkpoint = (top / _BODY).is_file() and not (top / MANIFEST_NAME).exists()
    what, names = ("checkpoint", _checkpoint_files(top)) if is_checkpoint else ("bundle", _bundle_files(top))
    failure = f"{repo_id}: the Hub did not take the {what}"
    with hub_asked(failure, "check the name, the network, and the token (hf auth login, or HF_TOKEN) and its rights"):
        from huggingface_hub import CommitOperationAdd, HfApi

        api = HfApi()
        api.create_repo(repo_id, private=private, exist_ok=True)
        if revision is not None:
            api.create_branch(repo_id, branch=revision, exist_ok=True)
        additions = [CommitOperationAdd(path_in_repo=name, path_or_fileobj=top / name) for name in names]
        commit = api.create_commit(
            repo_id, additions, commit_message=message or f"Upload a setfuse {what}", revision=revision
        )
    return commit.commit_url


def _bundle_files(folder: Path) -> list[str]:
    manifest = Manifest.read(folder)
    files = [manifest.tokenizer, *(variant.file for variant in manifest.variants)]
    for file in files:
        file.read(folder)
    names = [MANIFEST_NAME, *(file.file for file in files)]
    return [*names, CARD_NAME] if (folder / CARD_NAME).is_file() else names


def _checkpoint_files(folder: Path) -> list[str]:
    if not any((folder / head).is_file() for head in _HEADS):
        raise UsageError(
            f"{folder}: expected a bundle, or a checkpoint with a head ({' or '.join(_HEADS)}), found a body alone; "
            "train it first, or push it with sentence-transformers"
        )
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return [name for name in names if _belongs(name)]


def _belongs(name: str) -> bool:
    top, slash, _ = name.partition("/")
    if slash:
        return bool(_MODULE.fullmatch(top))
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in _OF_A_CHECKPOINT)
