"""Say in one sentence which extra brings a package that is missing."""

import re

from ._errors import MissingExtra

_EXTRA_MARKER = re.compile(r"""extra\s*==\s*['"](?P<extra>[\w-]+)['"]""")
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")


def require_extra(extra: str, needed_by: str) -> None:
    """Check that the packages of an extra are installed, without importing any of them.

    The list of packages is read from setfuse's installed metadata. Where there is none (sources put on the path by
    hand), nothing is checked and the import itself will fail.

    Args:
        extra: Name of the extra, as in `setfuse[train]`.
        needed_by: What needs it, to open the sentence with.

    Raises:
        MissingExtra: At least one of the packages is not installed.
    """
    from importlib import metadata  # not needed by a process that only predicts

    try:
        requirements = metadata.requires("setfuse") or []
    except metadata.PackageNotFoundError:
        return
    missing = []
    for requirement in requirements:
        marker = _EXTRA_MARKER.search(requirement)
        name = _NAME.match(requirement)
        if marker and name and marker["extra"] == extra and not _is_installed(name[0]):
            missing.append(name[0])
    if missing:
        raise MissingExtra(f'{needed_by} needs {", ".join(missing)}: pip install "setfuse[{extra}]"')


def _is_installed(distribution: str) -> bool:
    from importlib import metadata

    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True
