"""The export stage's subcommands: export, check, inspect."""

import argparse
import json
import sys
from pathlib import Path

from setfuse.runtime import Command, Manifest, OutputExists, Parity, Precision, naming_hint, read_texts

from ._calibration_texts import CALIBRATION_TEXTS
from ._check import add_check, run_check
from ._export import DEFAULT_PRECISIONS, export
from ._inspect import add_inspect, run_inspect
from ._optimum import Via
from ._triton import check_triton_output, write_triton_repository


def _add_export(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "checkpoint",
        metavar="CHECKPOINT",
        help="a folder that setfuse train or SetFit wrote, a body with model_head.pkl beside it, or its Hub id",
    )
    parser.add_argument("--out", required=True, metavar="BUNDLE", help="the folder to write")
    parser.add_argument(
        "--precision",
        nargs="+",
        choices=[str(precision) for precision in Precision],
        help=f"which graphs to write (default: {' '.join(DEFAULT_PRECISIONS)}; of forests and neighbours, and via "
        "optimum, fp32)",
    )
    parser.add_argument(
        "--check-on",
        metavar="DATA.jsonl",
        help="texts to compare with torch on, labelled or not; default: built-in ones",
    )
    parser.add_argument(
        "--calibrate-on", metavar="DATA.jsonl", help="texts that int8 is calibrated on; default: built-in"
    )
    parser.add_argument(
        "--via",
        default=str(Via.AUTHORED),
        choices=[str(via) for via in Via],
        help="who writes the encoder's graph: optimum takes architectures that are not authored (default: authored)",
    )
    parser.add_argument(
        "--allow-mismatch", action="store_true", help="write graphs that are further from torch than they should be"
    )
    parser.add_argument(
        "--triton",
        metavar="REPOSITORY",
        help="also write the bundle's fp32 graph (or what it has instead) as a model of this Triton model repository, "
        "named as BUNDLE is",
    )
    parser.add_argument(
        "--strings-in",
        action="store_true",
        help="also write model.strings.onnx, with the tokenizer inside, for onnxruntime-extensions: BERT-kind "
        "tokenizers; the same token ids for English and some Western European languages",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace BUNDLE, whole, if it exists")
    parser.add_argument("--json", action="store_true", help="the manifest as one JSON document")


def _export(options: argparse.Namespace) -> None:
    read = [path for path in (options.checkpoint, options.check_on, options.calibrate_on) if path]
    if options.triton:
        check_triton_output(options.out, options.triton, overwrite=options.overwrite, keep=read)
    calibrate_on = read_texts(options.calibrate_on) if options.calibrate_on else CALIBRATION_TEXTS
    if options.calibrate_on and Path(options.calibrate_on).resolve().is_relative_to(Path(options.out).resolve()):
        raise OutputExists(
            f"{options.out}: writing there would replace {options.calibrate_on}; choose another output folder"
        )
    manifest = export(
        options.checkpoint,
        options.out,
        options.precision,
        check_on=options.check_on,
        calibrate_on=calibrate_on,
        via=options.via,
        allow_mismatch=options.allow_mismatch,
        strings_in=options.strings_in,
        overwrite=options.overwrite,
        progress=sys.stderr.isatty(),
    )
    if options.triton:
        model = write_triton_repository(options.out, options.triton, overwrite=options.overwrite)
    if options.json:
        print(json.dumps(manifest.to_json(), ensure_ascii=False))
        return
    _print_variants(manifest, options.out)
    if options.triton:
        print(f"{model}: a model for Triton; tritonserver --model-repository={options.triton}")
    hint = naming_hint(manifest.labels, options.checkpoint)
    if hint:
        print(hint)
    print(f'next: setfuse predict {options.out} "a text"')


def _print_variants(manifest: Manifest, out: str) -> None:
    strings = manifest.provenance.get("strings_in")
    for variant in manifest.variants:
        print(f"{out}/{variant.file.file}: {variant}, {variant.file.bytes / 1e6:.1f} MB")
        if variant.parity:
            _print_parity(variant.parity)
        if variant.note:
            print(f"  {variant.note}")
        if variant.takes_strings and isinstance(strings, dict):
            print(f"  other token ids: {'; '.join(strings['kinds_differ'])}")


def _print_parity(parity: Parity) -> None:
    print(
        f"  against torch on {parity.texts} {'texts' if parity.texts > 1 else 'text'} ({parity.checked_on}): "
        f"probabilities off by at most {parity.max_probability_difference:.1e}, on average "
        f"{parity.mean_probability_difference:.1e}; {parity.label_agreement:.1%} same labels"
    )
    if parity.accuracy is not None:
        print(f"  accuracy {parity.accuracy:.4f}, of torch {parity.torch_accuracy:.4f}")
    if parity.allowed_mismatch:
        print(f"  allowed: {parity.allowed_mismatch}")


COMMANDS = {
    "export": Command(_add_export, _export),
    "check": Command(add_check, run_check),
    "inspect": Command(add_inspect, run_inspect),
}
