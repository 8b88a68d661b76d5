"""What a stage's `cli` module offers to the entry point."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Command:
    """One subcommand.

    Attributes:
        add_arguments: Declares its arguments on a parser.
        run: Does the work; what it raises as a `SetfuseError` becomes one line on stderr.
    """

    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], None]
