"""Put a bundle on the Hub."""

from pathlib import Path

from ._errors import UsageError
from ._hub import hub_asked, is_hub_id
from ._manifest import MANIFEST_NAME, Manifest

CARD_NAME = "README.md"
DEFAULT_MESSAGE = "Upload a setfuse bundle"


def push(
    bundle: str | Path,
    repo_id: str,
    *,
    private: bool = False,
    revision: str | None = None,
    message: str = DEFAULT_MESSAGE,
) -> str:
    """Put a bundle on the Hub, in one commit: the files that its manifest names, the manifest and the README.

    Every file is compared with its hash first. What else stands in the repository stays there. Who pushes is known by
    the token that `hf auth login` keeps, or by that in the environment variable HF_TOKEN.

    Args:
        bundle: The bundle folder.
        repo_id: The model repository, such as `org/name`; made if there is none.
        private: Whether a repository that is made is private.
        revision: The branch, made if there is none; None for the main branch.
        message: Of the commit.

    Returns:
        The address of the commit.

    Raises:
        UsageError: `repo_id` is none, or `message` is empty.
        BundleError: The folder is no bundle, or is damaged; nothing was sent.
        HubError: The Hub did not take it: no token, no right to write there, no network.
    """
    if not is_hub_id(repo_id):
        raise UsageError(f"repo_id: expected the name of a model repository like org/name, got {repo_id!r}")
    if not message.strip():
        raise UsageError("message: expected a commit message, got an empty one")
    folder = Path(bundle)
    manifest = Manifest.read(folder)
    files = [manifest.tokenizer, *(variant.file for variant in manifest.variants)]
    for file in files:
        file.read(folder)
    names = [MANIFEST_NAME, *(file.file for file in files)]
    if (folder / CARD_NAME).is_file():
        names.append(CARD_NAME)
    failure = f"{repo_id}: the Hub did not take the bundle"
    with hub_asked(failure, "check the name, the network, and the token (hf auth login, or HF_TOKEN) and its rights"):
        from huggingface_hub import CommitOperationAdd, HfApi

        api = HfApi()
        api.create_repo(repo_id, private=private, exist_ok=True)
        if revision is not None:
            api.create_branch(repo_id, branch=revision, exist_ok=True)
        additions = [CommitOperationAdd(path_in_repo=name, path_or_fileobj=folder / name) for name in names]
        commit = api.create_commit(repo_id, additions, commit_message=message, revision=revision)
    return commit.commit_url
