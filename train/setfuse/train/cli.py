"""The training stage's subcommand: train."""

import argparse
import dataclasses
import json
import sys

from setfuse.runtime import Command

from ._arguments import SamplingStrategy, TrainingArguments
from ._train import train

_TYPES = {"body_learning_rate": float, "warmup_proportion": float, "sampling_strategy": str}


def _add_train(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", metavar="DATA.jsonl", help="labelled texts: one object a line with text and label")
    parser.add_argument("--base", required=True, metavar="FOLDER_OR_HUB_ID", help="the sentence-transformers model")
    parser.add_argument("--out", required=True, metavar="CHECKPOINT", help="the folder to write")
    parser.add_argument("--eval", metavar="DATA.jsonl", help="held-out texts to measure the accuracy on")
    parser.add_argument("--overwrite", action="store_true", help="replace CHECKPOINT, whole, if it exists")
    parser.add_argument("--json", action="store_true", help="one JSON document: checkpoint, seconds, accuracy, …")
    group = parser.add_argument_group("hyperparameters", "SetFit's names and defaults")
    for field in dataclasses.fields(TrainingArguments):
        # A pair's second value is for a differentiable head; on the command line the first is all there is.
        default = field.default[0] if isinstance(field.default, tuple) else field.default
        group.add_argument(
            f"--{field.name.replace('_', '-')}",
            type=_TYPES.get(field.name, int),
            choices=list(SamplingStrategy) if field.name == "sampling_strategy" else None,
            metavar=None if field.name == "sampling_strategy" else "N",
            help=f"{field.metadata['help']} (default: {default})",
        )


def _train(options: argparse.Namespace) -> None:
    names = [field.name for field in dataclasses.fields(TrainingArguments)]
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    result = train(
        options.data,
        base=options.base,
        out=options.out,
        args=TrainingArguments(**given),
        eval_rows=options.eval,
        overwrite=options.overwrite,
        progress=sys.stderr.isatty(),
    )
    if options.json:
        print(json.dumps(result.to_json(), ensure_ascii=False))
        return
    tenth = -(-len(result.losses) // 10)
    first, last = (sum(losses) / tenth for losses in (result.losses[:tenth], result.losses[-tenth:]))
    print(f"{result.checkpoint}: {', '.join(f'{label} {count}' for label, count in result.labels.items())}")
    print(f"{result.steps} steps in {result.seconds:.0f} s, {result.pairs} pairs an epoch")
    print(f"mean loss {first:.4f} over the first tenth of the steps, {last:.4f} over the last")
    if result.accuracy is not None:
        print(f"accuracy on the held-out texts {result.accuracy:.4f}")
    print(f"next: setfuse export {result.checkpoint} --out BUNDLE")


COMMANDS = {"train": Command(_add_train, _train)}
