"""One training in a process of its own: `python -m benchmarks._training._child setfuse --train ...`.

`_processes` writes the command line. Read in SetFit's environment too: the standard library alone, until it is known
who trains.
"""

import argparse
import importlib
from pathlib import Path

from benchmarks._files import end_with_parent

from ._run import Order, TrainingRun, Who

MODULES = {Who.SETFUSE: "_ours", Who.SETFIT: "_setfit"}


def main() -> None:
    """Train, and write the result."""
    end_with_parent()  # at once: a parent may be killed in the seconds that the libraries take to load
    parser = argparse.ArgumentParser()
    parser.add_argument("who", type=Who, choices=Who)
    for name in ("train", "texts", "base", "out", "result"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    for name in ("seed", "threads"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--each-step", action="store_true")
    parser.add_argument("--both-sides", action="store_true")
    options = vars(parser.parse_args())
    who, result = options.pop("who"), options.pop("result")
    run: TrainingRun = importlib.import_module(f"benchmarks._training.{MODULES[who]}").run(Order(**options))
    run.write(result)


if __name__ == "__main__":
    main()
