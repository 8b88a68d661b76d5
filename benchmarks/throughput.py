"""Measure how many texts of mixed lengths a second, one thread and all; the answers compared first."""

import sys
from collections.abc import Sequence

from ._command_line import main as run_command_line
from ._plan import Measure


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    return run_command_line("throughput", __doc__ or "", [Measure.THROUGHPUT], arguments)


if __name__ == "__main__":
    sys.exit(main())
