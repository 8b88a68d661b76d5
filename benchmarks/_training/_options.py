"""What both trainings are told. Read in SetFit's environment too: the standard library alone."""

import argparse
from pathlib import Path


def parse() -> argparse.Namespace:
    """Read the command line of one training; `_processes` writes it."""
    parser = argparse.ArgumentParser()
    for name in ("train", "texts", "base", "out", "result"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    for name in ("seed", "threads"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--each-step", action="store_true")
    parser.add_argument("--both-sides", action="store_true")
    return parser.parse_args()
