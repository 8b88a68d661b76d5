"""What a program that listens is told."""

import sys


def log(what: str, name: str, *, warning: bool = False) -> None:
    """Tell the logger `setfuse.runtime`.

    Args:
        what: What happened.
        name: To which classifier.
        warning: Whether somebody should look at it.
    """
    logging = sys.modules.get("logging")  # a program that listens has imported it
    if logging is not None:
        level = logging.WARNING if warning else logging.INFO
        logging.getLogger("setfuse.runtime").log(level, "%s: %s", name, what)
