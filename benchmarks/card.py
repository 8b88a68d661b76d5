"""Reproduce a published model card: train as it says, export, and compare with the accuracy that it states.

`python -m benchmarks.card --card DIR --base BASE --texts TEXTS --out OUT`; OUT/checkpoint and OUT/bundle are what the
other benchmarks take. DIR holds `train.jsonl`, the labelled rows, and `golden.json`, with the card's `test_accuracy`.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from setfuse.runtime import Classifier, Precision, SetfuseError, evaluate, read_rows, require_extra

from ._environment import environment
from ._errors import BenchmarkError
from ._files import check_writable, read_json, write_json

SCHEMA_VERSION = 1
EPOCHS = 10
"""As the card has it; its other arguments are SetFit's defaults, which are ours."""


def measure(card: Path, base: str, texts: Path, out: Path, *, fresh: bool = False) -> dict[str, Any]:
    """Train, export, and measure the accuracy of every graph.

    Args:
        card: A folder with `train.jsonl` and `golden.json`.
        base: The base model: a Hub id or a folder.
        texts: The card's labelled test texts.
        out: Where checkpoint and bundle go; a checkpoint that is there is not trained again.
        fresh: Train again whatever is there.

    Returns:
        The accuracies: `card`'s, torch's `checkpoint`, and each precision's; with seconds, texts and environment.

    Raises:
        BenchmarkError: The card's files cannot be read.
        SetfuseError: Training, export or prediction failed.
    """
    from setfuse.export import export
    from setfuse.train import TrainingArguments, train

    check_writable(out)
    stated = _stated_accuracy(card / "golden.json")
    rows = read_rows(texts)
    checkpoint, bundle = out / "checkpoint", out / "bundle"
    begun = time.perf_counter()
    if fresh or not (checkpoint / "training.json").is_file():
        arguments = TrainingArguments(num_epochs=EPOCHS)
        train(
            card / "train.jsonl",
            base=base,
            out=checkpoint,
            args=arguments,
            eval_rows=rows,
            overwrite=fresh,
            progress=True,
        )
    trained = time.perf_counter() - begun
    # On texts of the card's domain, so that the bundle's parity says what a user of the card would see.
    manifest = export(checkpoint, bundle, list(Precision), check_on=texts, overwrite=True, progress=True)
    accuracies: dict[str, float | None] = {
        "card": stated,
        "checkpoint": read_json(checkpoint / "training.json").get("accuracy"),
    }
    for variant in manifest.variants:
        if variant.precision is Precision.FP16:  # runs on CUDA only: what the export compared on the processor stands
            accuracies["fp16"] = variant.parity.accuracy if variant.parity else None
        else:
            with_precision = Classifier.load(bundle, device="cpu", precision=variant.precision)
            accuracies[str(variant.precision)] = evaluate(with_precision, rows).accuracy
    return {
        "schema_version": SCHEMA_VERSION,
        "environment": environment(),
        "texts": len(rows),
        "train_seconds": trained,
        "accuracy": accuracies,
    }


def _stated_accuracy(path: Path) -> float:
    try:
        return float(read_json(path)["test_accuracy"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BenchmarkError(f'{path}: expected JSON with the card\'s "test_accuracy": {error!r}') from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    shared = Path(os.environ.get("SETFUSE_SHARED") or "shared")
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.card", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--card", type=Path, default=shared / "card", help="default: %(default)s")
    parser.add_argument("--base", default=str(shared / "models" / "bge-small-en-v1.5"), help="default: %(default)s")
    parser.add_argument("--texts", type=Path, default=shared / "data" / "sst2" / "test.jsonl", help="%(default)s")
    parser.add_argument("--out", type=Path, default=Path("build/card"), help="default: %(default)s")
    parser.add_argument("--fresh", action="store_true", help="train again, whatever is in OUT")
    options = parser.parse_args(arguments)
    try:
        require_extra("bench", "benchmarks.card")
        found = measure(options.card, options.base, options.texts, options.out, fresh=options.fresh)
    except (BenchmarkError, SetfuseError, OSError) as error:
        print(f"benchmarks.card: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("benchmarks.card: interrupted", file=sys.stderr)
        return 130
    write_json(options.out / "card.json", found)
    print(json.dumps({"texts": found["texts"], "train_seconds": round(found["train_seconds"])}))
    for name, accuracy in found["accuracy"].items():
        print(f"{name:<12}{'-' if accuracy is None else format(accuracy, '.4f')}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
