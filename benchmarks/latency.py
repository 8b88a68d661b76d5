"""Measure everyone a user could pick, text in to label out: latency, throughput, memory, size, start, accuracy."""

import sys
from collections.abc import Sequence

from ._command_line import main as run_command_line
from ._plan import Measure


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    return run_command_line("latency", __doc__ or "", list(Measure), arguments)


if __name__ == "__main__":
    sys.exit(main())
