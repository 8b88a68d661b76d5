"""Build the environments of the contenders: `python -m benchmarks.setup [--only NAME ...] [--list] [--again]`.

What is built and pinned as it should be is left alone. One that cannot be built is named with its reason, and the
others are built nevertheless: its contenders stand in the results with that reason.
"""

import argparse
import shutil
import sys
import time
from collections.abc import Sequence

from ._environments import ENVIRONMENTS, FOLDER, Environment
from ._errors import BenchmarkError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.setup", description=__doc__.split("\n\n", 1)[0])
    names = ", ".join(ENVIRONMENTS)
    parser.add_argument("--only", nargs="+", metavar="NAME", default=[], help=f"these environments: {names}")
    parser.add_argument("--list", action="store_true", help="say what is there, and build nothing")
    parser.add_argument("--again", action="store_true", help="build from nothing what is there already")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.only if name not in ENVIRONMENTS]:
        parser.error(f"--only: no environment {unknown[0]!r}; there are {names}")
    chosen = [ENVIRONMENTS[name] for name in options.only or ENVIRONMENTS]
    if options.list:
        for environment in chosen:
            print(_state(environment), flush=True)
        return 0
    if not options.only and not shutil.which("nvidia-smi"):
        chosen = [environment for environment in chosen if not environment.cuda]
    try:
        built = [_build(environment, again=options.again) for environment in chosen]
    except KeyboardInterrupt:
        print(f"\nbenchmarks.setup: interrupted; what is complete is kept in {FOLDER}", file=sys.stderr)
        return 130
    except OSError as error:
        print(f"benchmarks.setup: {error}", file=sys.stderr)
        return 1
    return 0 if all(built) else 1


def _build(environment: Environment, *, again: bool) -> bool:
    """Build one unless it is there; say how it went."""
    if environment.is_built and not again:
        print(_state(environment), flush=True)
        return True
    print(f"{environment.name:<26} building ...", end="", flush=True)
    start = time.perf_counter()
    try:
        environment.build()
    except BenchmarkError as error:
        print(f"\r{environment.name:<26} failed   {error}", flush=True)
        return False
    print(f"\r{_state(environment)}   built in {time.perf_counter() - start:.0f} s", flush=True)
    return True


def _state(environment: Environment) -> str:
    if (size := environment.size_bytes()) is None:
        return f"{environment.name:<26} missing  {environment.reason}"
    return f"{environment.name:<26} ready    {size / 1e6:6.0f} MB"


if __name__ == "__main__":
    sys.exit(main())
