"""Write what `benchmarks.gpu` needs besides a bundle, where the training stack is installed and no GPU need be.

Torch's answers to the texts, the head, the checkpoint's small files, the graph that torch traces, onnxruntime's own
fp16 form of it, and the packed graph. With --random, a model of random weights, its bundle and its inputs.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from setfuse.runtime import SetfuseError, new_folder, read_texts, require_extra

from ._environment import usable_cores
from ._errors import BenchmarkError
from ._files import check_writable

RANDOM = ("bge-small", "bge-base", "minilm")
MADE_UP = "made-up texts"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu_inputs",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--bundle", type=Path, help="exported from the checkpoint, with an fp16 graph")
    parser.add_argument("--checkpoint", type=Path, help="with a LogisticRegression of single labels")
    parser.add_argument("--texts", type=Path, help="JSON lines with text: those whose answers are compared")
    parser.add_argument("--random", choices=RANDOM, help="instead of these three: a model of this shape")
    for size in ("layers", "hidden", "heads", "inner", "vocabulary"):
        parser.add_argument(f"--{size}", type=int, help="with --random: another size than the shape's")
    parser.add_argument("--out", type=Path, required=True, help="where to; with --random, a new folder")
    parser.add_argument("--threads", type=int, default=usable_cores(), help="of torch; default: %(default)s")
    options = parser.parse_args(arguments)
    given = [options.bundle, options.checkpoint, options.texts]
    if options.random is None and not all(given):
        parser.error("expected --bundle, --checkpoint and --texts, or --random")
    if options.random is not None and any(given):
        parser.error("expected either --random or --bundle, --checkpoint and --texts, got both")
    try:
        require_extra("bench", "benchmarks.gpu_inputs")
        check_writable(options.out)
        absent = _given(options) if options.random is None else _random(options)
    except (BenchmarkError, SetfuseError, OSError) as error:
        print(f"benchmarks.gpu_inputs: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("benchmarks.gpu_inputs: interrupted", file=sys.stderr)
        return 130
    for name, reason in absent.items():
        print(f"not made: {name}: {reason}")
    print(options.out)
    return 0


def _given(options: argparse.Namespace) -> dict[str, str]:
    from ._gpu._make_inputs import make_inputs

    texts = list(read_texts(options.texts))
    source = "/".join(options.texts.absolute().parts[-2:])  # "test.jsonl" alone says little
    return make_inputs(
        options.bundle, options.checkpoint, options.out, texts=texts, source=source, threads=options.threads
    )


def _random(options: argparse.Namespace) -> dict[str, str]:
    from setfuse.export import export

    from ._gpu._make_inputs import make_inputs
    from ._gpu._random import SHAPES, Shape, with_sizes, write_random

    sizes = {field.name: getattr(options, field.name, None) for field in fields(Shape)}
    with new_folder(options.out) as folder:
        checkpoint, bundle = folder / "checkpoint", folder / "bundle"
        texts = write_random(with_sizes(SHAPES[options.random], **sizes), checkpoint)
        export(checkpoint, bundle, ("fp32", "fp16"))
        return make_inputs(bundle, checkpoint, folder / "inputs", texts=texts, source=MADE_UP, threads=options.threads)


if __name__ == "__main__":
    sys.exit(main())
