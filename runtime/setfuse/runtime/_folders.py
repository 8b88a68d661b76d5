"""Write an output folder whole or not at all."""

import contextlib
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from ._errors import OutputExists


@contextlib.contextmanager
def new_folder(path: str | Path, *, overwrite: bool = False, keep: tuple[str | Path, ...] = ()) -> Iterator[Path]:
    """Give a folder to write into; when the block ends well, it gets its final name in one rename.

    When the block raises, what was written is removed and what stood at `path` before is as it was. Missing parents
    are made at the end, not before. A process that is killed outright can leave a folder `.NAME.partial-*` behind,
    and, if it dies between the two renames of an overwrite (or the earlier folder cannot be put back after the second
    failed), the earlier folder as `.NAME.earlier-*`.

    Args:
        path: The final name.
        overwrite: Replace an existing folder, whole.
        keep: Folders that the work reads from, or the like: `path` may be none of them and contain none of them.

    Yields:
        An empty folder on the same file system as `path`.

    Raises:
        OutputExists: `path` exists and `overwrite` is false, is no folder or lies below a file, or must be kept.
    """
    final = check_new_folder(path, overwrite=overwrite, keep=keep)
    parent = next(folder for folder in final.parents if folder.is_dir())
    staging = _beside(parent, final.name, "partial")
    try:
        yield staging
        check_new_folder(final, overwrite=overwrite, keep=keep)  # somebody else may have written there in the meantime
        final.parent.mkdir(parents=True, exist_ok=True)
        if final.exists():
            _replace(staging, final)
        else:
            staging.rename(final)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def check_new_folder(path: str | Path, *, overwrite: bool = False, keep: tuple[str | Path, ...] = ()) -> Path:
    """See that `new_folder` may write there, before the work that leads to it.

    Args:
        path: As in `new_folder`.
        overwrite: As in `new_folder`.
        keep: As in `new_folder`.

    Returns:
        The path, absolute.

    Raises:
        OutputExists: As `new_folder`.
    """
    final = Path(path).expanduser().resolve()
    if not final.exists():
        nearest = next(path for path in final.parents if path.exists())
        if not nearest.is_dir():
            raise OutputExists(f"{final}: expected folders above it, found a file at {nearest}; choose another name")
        return final
    if not final.is_dir():
        raise OutputExists(f"{final}: expected a folder to write to, found a file; choose another name")
    for kept in (Path.cwd(), Path.home(), *keep):
        if Path(kept).expanduser().resolve().is_relative_to(final):
            raise OutputExists(f"{final}: writing there would replace {kept}; choose another output folder")
    if not overwrite:
        raise OutputExists(f"{final}: the folder exists; pass --overwrite (overwrite=True) to replace it whole")
    return final


def _replace(staging: Path, final: Path) -> None:
    aside = _beside(final.parent, final.name, "earlier")
    earlier = aside / final.name
    try:
        final.rename(earlier)
        try:
            staging.rename(final)
        except BaseException:
            earlier.rename(final)
            raise
    except BaseException:
        with contextlib.suppress(OSError):
            aside.rmdir()  # not rmtree: what could not be put back stays where it is
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _beside(parent: Path, name: str, purpose: str) -> Path:
    # Not tempfile.mkdtemp: its mode 0700 would hide the result from everybody else.
    folder = parent / f".{name}.{purpose}-{secrets.token_hex(4)}"
    folder.mkdir()
    return folder
