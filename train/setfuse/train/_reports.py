"""Where a run is reported to: transformers' integrations."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from transformers import integrations
from transformers.integrations import integration_utils
from transformers.utils import logging

from setfuse.runtime import UsageError

_FOLDER = "TENSORBOARD_LOGGING_DIR"
"""transformers 5 takes TensorBoard's folder from here, and from nowhere else."""


def check_reports(report_to: str | Sequence[str]) -> None:
    """Refuse integrations that are unknown or not installed.

    Args:
        report_to: "none", "all", or names.

    Raises:
        UsageError: There is no such integration, its package is missing, or "none" or "all" has company.
    """
    names = [report_to] if isinstance(report_to, str) else list(report_to)
    if names in (["none"], ["all"]):
        return
    known = integration_utils.INTEGRATION_TO_CALLBACK
    for name in names:
        if name in {"none", "all"}:
            raise UsageError(f"report_to: expected {name} alone, got it with others: {', '.join(names)}")
        if name not in known:
            raise UsageError(f"report_to: expected none, all, or some of {', '.join(sorted(known))}, got {name!r}")
        installed = getattr(integrations, f"is_{name}_available", None)
        if installed is not None and not installed():
            raise UsageError(f"report_to: {name} is not installed; install it, or leave it out")


@contextmanager
def bars_hidden(hidden: bool) -> Iterator[None]:
    """Keep transformers' own bars, of loading and saving, from stderr while the block runs."""
    if not hidden or not logging.is_progress_bar_enabled():
        yield
        return
    logging.disable_progress_bar()  # type: ignore[no-untyped-call] # not typed there
    try:
        yield
    finally:
        logging.enable_progress_bar()  # type: ignore[no-untyped-call] # not typed there


@contextmanager
def tensorboard_folder(folder: str | None) -> Iterator[None]:
    """Have TensorBoard's files in that folder, where transformers sets it up in this block; None for its own choice."""
    if folder is None:
        yield
        return
    before = os.environ.get(_FOLDER)
    os.environ[_FOLDER] = folder
    try:
        yield
    finally:
        if before is None:
            del os.environ[_FOLDER]
        else:
            os.environ[_FOLDER] = before
