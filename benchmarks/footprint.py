"""Measure memory, size, cold start and idle processor time; the answers compared first."""

import sys
from collections.abc import Sequence

from ._command_line import main as run_command_line
from ._plan import Measure


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    return run_command_line("footprint", __doc__ or "", [Measure.FOOTPRINT], arguments)


if __name__ == "__main__":
    sys.exit(main())
