"""What can be measured: `python -m benchmarks` lists it."""

import sys

from . import __doc__ as about

_COMMANDS = {
    "setup": "build the environments of the contenders, once",
    "latency": "everyone a user could pick: latency, throughput, footprint, accuracy (--quick: 4 to 5 minutes)",
    "throughput": "the texts a second only",
    "footprint": "memory, size, cold start and idle processor time only",
    "overhead": "microseconds of setfuse's own around the engine's run",
    "gpu": "the fp16 graph on a GPU beside torch and onnxruntime: answers, times, kernels, the roof",
    "gpu_inputs": "what that needs besides a bundle, written where the training stack is",
    "compare": "what changed between two results files, and what is noise",
    "report": "write the report, its page and its plots again from a results file",
    "parity": "every family, pooling, module, head and precision against torch",
    "card": "the published model card: train, export, compare with its figures and with SetFit",
    "demo": "what `make demo` runs",
    "tables": "the generated tables of the READMEs (`make results`)",
}


def main() -> int:
    """Print the list."""
    width = max(map(len, _COMMANDS))
    print(about)
    for name, what in _COMMANDS.items():
        print(f"  python -m benchmarks.{name:<{width}}  {what}")
    print("\nEach explains itself with --help.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
