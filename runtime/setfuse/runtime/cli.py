"""The runtime's subcommands: predict, evaluate, info."""

import argparse
import json
import queue
import sys
import threading
from collections.abc import Iterable, Iterator

from ._classifier import Classifier, Prediction
from ._command import Command
from ._errors import UsageError
from ._manifest import Manifest, Precision
from ._text import without_lone_surrogates

MAX_LINES_WAITING = 1024
"""Lines read ahead of the classifier: bounds the memory of an endless input."""


def _add_bundle(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bundle", metavar="BUNDLE", help="a folder that setfuse export wrote")


def _add_loading(parser: argparse.ArgumentParser) -> None:
    _add_bundle(parser)
    parser.add_argument("--precision", choices=[str(p) for p in Precision], help="default: the fastest in the bundle")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto", help="default: %(default)s")
    parser.add_argument("--threads", type=int, metavar="N", help="default: all processors of this process")


def _load(options: argparse.Namespace) -> Classifier:
    return Classifier.load(options.bundle, device=options.device, precision=options.precision, threads=options.threads)


def _add_predict(parser: argparse.ArgumentParser) -> None:
    _add_loading(parser)
    parser.add_argument(
        "texts", metavar="TEXT", nargs="*", default=[], help="no text: one a line from standard input, blank ones too"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a text: label, score, scores")


def _predict(options: argparse.Namespace) -> None:
    classifier = _load(options)
    chunks: Iterable[list[str]] = [options.texts] if options.texts else _lines_as_they_come()
    for chunk in chunks:
        for text, prediction in zip(chunk, classifier(chunk), strict=True):
            _print_prediction(text, prediction, as_json=options.json)
        sys.stdout.flush()


def _print_prediction(text: str, prediction: Prediction, *, as_json: bool) -> None:
    if as_json:
        value = {"label": prediction.label, "score": prediction.score, "scores": dict(prediction.scores)}
        print(json.dumps(value, ensure_ascii=False))
    else:
        print(f"{prediction.label}\t{prediction.score:.4f}\t{' '.join(without_lone_surrogates(text).split())}")


def _lines_as_they_come() -> Iterator[list[str]]:
    """Give the lines of standard input, as many at a time as are waiting: prompt on a slow pipe, batched on a file.

    Raises:
        UsageError: Standard input is closed.
        OSError: It cannot be read.
    """
    if sys.stdin is None:
        raise UsageError("expected TEXT arguments, or texts on standard input, but standard input is closed")
    descriptor = sys.stdin.fileno()
    waiting: queue.Queue[str | OSError | None] = queue.Queue(MAX_LINES_WAITING)

    def read() -> None:
        end = None
        try:
            # Not sys.stdin's buffer: Python closes it at exit, and aborts when a thread still waits in it.
            with open(descriptor, encoding="utf-8", errors="replace", newline="\n", closefd=False) as lines:
                for line in lines:
                    waiting.put(line.rstrip("\r\n"))
        except OSError as error:
            end = OSError(error.errno, error.strerror, "standard input")
        waiting.put(end)

    threading.Thread(target=read, daemon=True).start()
    item: str | OSError | None = ""
    while isinstance(item, str):
        chunk = []
        item = waiting.get()
        while isinstance(item, str):
            chunk.append(item)
            if len(chunk) == MAX_LINES_WAITING or waiting.empty():
                break
            item = waiting.get()
        if chunk:
            yield chunk
    if item is not None:
        raise item


def _add_evaluate(parser: argparse.ArgumentParser) -> None:
    _add_loading(parser)
    parser.add_argument("data", metavar="DATA.jsonl", help="labelled texts: one object a line with text and label")
    parser.add_argument("--json", action="store_true", help="one JSON document: accuracy, labels, confusion")


def _evaluate(options: argparse.Namespace) -> None:
    from ._dataset import read_rows
    from ._evaluate import evaluate

    evaluation = evaluate(_load(options), read_rows(options.data))
    if options.json:
        print(json.dumps(evaluation.to_json(), ensure_ascii=False))
        return
    print(f"accuracy {evaluation.accuracy:.4f}, macro F1 {evaluation.macro_f1:.4f} on {evaluation.texts} texts\n")
    _print_table(
        ["label", "precision", "recall", "F1", "texts"],
        [
            [label, f"{m.precision:.3f}", f"{m.recall:.3f}", f"{m.f1:.3f}", str(m.support)]
            for label, m in evaluation.labels.items()
        ],
    )
    print("\nconfusion: rows are the true labels, columns the given ones, both in the order above\n")
    labels = list(evaluation.labels)
    numbers = [str(number) for number in range(1, len(labels) + 1)]
    _print_table(
        ["", *numbers],
        [
            [f"{number} {label}", *map(str, row)]
            for number, label, row in zip(numbers, labels, evaluation.confusion, strict=True)
        ],
    )


def _add_info(parser: argparse.ArgumentParser) -> None:
    _add_bundle(parser)
    parser.add_argument("--json", action="store_true", help="the manifest as one JSON document")


def _info(options: argparse.Namespace) -> None:
    manifest = Manifest.read(options.bundle)
    if options.json:
        print(json.dumps(manifest.to_json(), ensure_ascii=False))
        return
    training = manifest.provenance.get("training")
    base = training.get("base_model") if isinstance(training, dict) else None
    print(f"task          {manifest.task}")
    print(f"base model    {base or 'unknown'}")
    print(f"labels        {', '.join(manifest.labels)}")
    print(f"max length    {manifest.max_length} tokens")
    print(f"embedding     {manifest.embedding_dim} dimensions")
    print(f"format        {manifest.format_version}\n")
    rows = []
    for variant in manifest.variants:
        parity = variant.parity
        difference = f"{parity.max_probability_difference:.1e}" if parity else "-"
        agreement = f"{parity.label_agreement:.1%}" if parity else "-"
        texts = str(parity.texts) if parity else "-"
        size = f"{variant.file.bytes / 1e6:.1f}"
        rows.append([variant.file.file, str(variant), size, difference, agreement, texts])
    _print_table(["graph", "variant", "MB", "max diff. to torch", "same label", "texts compared"], rows)


def _print_table(header: list[str], rows: list[list[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    for row in (header, *rows):
        first = row[0].ljust(widths[0])
        rest = (cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))
        print("  ".join([first, *rest]).rstrip())


COMMANDS = {
    "predict": Command(_add_predict, _predict),
    "evaluate": Command(_add_evaluate, _evaluate),
    "info": Command(_add_info, _info),
}
