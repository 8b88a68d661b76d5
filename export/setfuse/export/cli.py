"""The export stage's subcommand: export."""

import argparse
import json
import sys

from setfuse.runtime import Command, Precision, read_rows

from ._export import export


def _add_export(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="a folder that setfuse train wrote")
    parser.add_argument("--out", required=True, metavar="BUNDLE", help="the folder to write")
    parser.add_argument(
        "--precision",
        nargs="+",
        default=[str(Precision.FP32)],
        choices=[str(precision) for precision in Precision],
        help="which graphs to write: fp32, int8 (default: fp32)",
    )
    parser.add_argument(
        "--calibrate-on", metavar="DATA.jsonl", help="labelled texts to calibrate int8 on; default: built-in ones"
    )
    parser.add_argument(
        "--strings-in",
        action="store_true",
        help="also write model.strings.onnx, with the tokenizer inside, for onnxruntime-extensions",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace BUNDLE, whole, if it exists")
    parser.add_argument("--json", action="store_true", help="the manifest as one JSON document")


def _export(options: argparse.Namespace) -> None:
    own_texts = {"calibrate_on": [row.text for row in read_rows(options.calibrate_on)]} if options.calibrate_on else {}
    manifest = export(
        options.checkpoint,
        options.out,
        options.precision,
        **own_texts,
        strings_in=options.strings_in,
        overwrite=options.overwrite,
        progress=sys.stderr.isatty(),
    )
    if options.json:
        print(json.dumps(manifest.to_json(), ensure_ascii=False))
        return
    for variant in manifest.variants:
        print(f"{options.out}/{variant.file.file}: {variant}, {variant.file.bytes / 1e6:.1f} MB")
        if variant.parity:
            print(
                f"  against torch on {variant.parity.texts} texts: probabilities off by at most "
                f"{variant.parity.max_probability_difference:.1e}, {variant.parity.label_agreement:.1%} same labels"
            )
        if variant.note:
            print(f"  {variant.note}")
    print(f'next: setfuse predict {options.out} "a text"')


COMMANDS = {"export": Command(_add_export, _export)}
