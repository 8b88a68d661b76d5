"""What a program that listens is told."""

import sys


def log(what: str, name: str) -> None:
    """Tell the logger `setfuse.runtime`.

    Args:
        what: What happened.
        name: To which classifier.
    """
    logging = sys.modules.get("logging")  # a program that listens has imported it
    if logging is not None:
        logging.getLogger("setfuse.runtime").info("%s: %s", name, what)
