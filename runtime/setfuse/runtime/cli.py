"""The runtime's subcommands: predict, evaluate, info, push."""

import argparse
import dataclasses
import json
import queue
import sys
import threading
import warnings
from collections.abc import Iterable, Iterator, Mapping

from ._about import About
from ._bundle import Bundle
from ._classifier import Classifier
from ._command import Command
from ._dataset import read_multi_label_rows, read_rows
from ._engine import BF16, Engine
from ._errors import SetfuseError, UsageError
from ._evaluate import Evaluation, LabelMetrics, MultiLabelEvaluation, evaluate, evaluate_multi_label
from ._manifest import Manifest, Task
from ._prediction import Prediction
from ._processor import processor_flags
from ._push import push
from ._source import choose_here
from ._text import without_lone_surrogates
from ._variant import Precision, Variant

MAX_LINES_WAITING = 1024
"""Lines read ahead of the classifier: bounds the memory of an endless input."""

Top = list[tuple[str, float]] | None
"""Labels and scores, the highest first; None where they were not asked for."""


def _add_bundle(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "bundle", metavar="BUNDLE", help="a folder that setfuse export wrote, or a Hub id like org/name"
    )
    parser.add_argument("--revision", help="branch, tag or commit of a bundle on the Hub; default: the main branch")


def _add_loading(parser: argparse.ArgumentParser) -> None:
    _add_bundle(parser)
    parser.add_argument(
        "--precision",
        choices=[*map(str, Precision), BF16],
        help="default: the fastest in the bundle; bf16 is the fp32 graph in OpenVINO",
    )
    parser.add_argument(
        "--engine", choices=list(map(str, Engine)), help="default: what suits the machine, as setfuse info says"
    )
    parser.add_argument(
        "--device",
        default="auto",
        metavar="DEVICE",
        help="cpu, cuda, cuda:N for the Nth GPU from 0, or auto: a GPU where the bundle is for one and it can be used; "
        "default: %(default)s",
    )
    parser.add_argument("--threads", type=int, metavar="N", help="default: all processors of this process")


def _load(options: argparse.Namespace) -> Classifier:
    return Classifier.load(
        options.bundle,
        device=options.device,
        precision=options.precision,
        engine=options.engine,
        threads=options.threads,
        revision=options.revision,
    )


def _add_predict(parser: argparse.ArgumentParser) -> None:
    _add_loading(parser)
    parser.epilog = (
        "Prints a line a text: label, score, text. Of a multi-label bundle all labels with a probability above 0.5 (a "
        "decision score above 0), commas between them; - stands for a text with no label above that threshold."
    )
    parser.add_argument(
        "texts", metavar="TEXT", nargs="*", default=[], help="no text: one a line from standard input, blank ones too"
    )
    parser.add_argument(
        "--top-k", type=int, metavar="K", help="the K labels with the highest scores, commas between them"
    )
    parser.add_argument("--abstain", type=float, metavar="SCORE", help="no label, - for it, where the score is below")
    parser.add_argument(
        "--threshold", type=float, metavar="SCORE", help="above which a label of a multi-label bundle applies"
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help="one JSON object a text: label (or null), score, scores, labels if multi-label, and top if --top-k",
    )


def _predict(options: argparse.Namespace) -> None:
    classifier = _load(options)
    chunks: Iterable[list[str]] = [options.texts] if options.texts else _lines_as_they_come()
    for chunk in chunks:
        predictions = classifier(chunk, abstain=options.abstain, threshold=options.threshold)
        for text, prediction in zip(chunk, predictions, strict=True):
            top = prediction.top_k(options.top_k) if options.top_k is not None else None
            if options.json:
                _print_json(prediction, classifier.task, top)
            else:
                _print_line(text, prediction, classifier.task, top)
        sys.stdout.flush()


def _print_json(prediction: Prediction, task: Task, top: Top) -> None:
    value: dict[str, object] = {"label": prediction.label, "score": prediction.score, "scores": dict(prediction.scores)}
    if task is Task.MULTI_LABEL:
        value["labels"] = prediction.labels
    if top is not None:
        value["top"] = [{"label": label, "score": score} for label, score in top]
    print(json.dumps(value, ensure_ascii=False))


def _print_line(text: str, prediction: Prediction, task: Task, top: Top) -> None:
    if top is not None:
        named, scores = ",".join(label for label, _ in top), ",".join(f"{score:.4f}" for _, score in top)
    else:
        several = task is Task.MULTI_LABEL
        named = (",".join(prediction.labels) if several else prediction.label) or "-"
        scores = f"{prediction.score:.4f}"
    print(f"{named}\t{scores}\t{' '.join(without_lone_surrogates(text).split())}")


def _lines_as_they_come() -> Iterator[list[str]]:
    """Give the lines of standard input, as many at a time as are waiting: prompt on a slow pipe, batched on a file.

    Raises:
        UsageError: Standard input is closed.
        OSError: It cannot be read.
    """
    if sys.stdin is None:
        raise UsageError("expected TEXT arguments, or texts on standard input, but standard input is closed")
    descriptor = sys.stdin.fileno()
    waiting: queue.Queue[str | BaseException | None] = queue.Queue(MAX_LINES_WAITING)

    threading.Thread(target=_read_lines, args=(descriptor, waiting), daemon=True).start()
    item: str | BaseException | None = ""
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


def _read_lines(descriptor: int, waiting: "queue.Queue[str | BaseException | None]") -> None:
    """Put each line into the queue, and at the end, whatever it is, what ended it: None, or an error."""
    end: BaseException | None = None
    try:
        # Not sys.stdin's buffer: Python closes it at exit, and aborts when a thread still waits in it.
        with open(descriptor, encoding="utf-8", errors="replace", newline="\n", closefd=False) as lines:
            for line in lines:
                waiting.put(line.rstrip("\r\n"))
    except OSError as error:
        end = OSError(error.errno, error.strerror, "standard input")
    except BaseException as error:  # noqa: BLE001 - who waits for lines must hear of it
        end = error
    finally:
        waiting.put(end)


def _add_evaluate(parser: argparse.ArgumentParser) -> None:
    _add_loading(parser)
    parser.add_argument(
        "data", metavar="DATA.jsonl", help="labelled texts: one object a line with text and label (multi-label: a list)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON document: the figures, also of each label")


def _evaluate(options: argparse.Namespace) -> None:
    classifier = _load(options)
    evaluation: Evaluation | MultiLabelEvaluation
    if classifier.task is Task.MULTI_LABEL:
        evaluation = evaluate_multi_label(classifier, read_multi_label_rows(options.data))
    else:
        evaluation = evaluate(classifier, read_rows(options.data))
    if options.json:
        print(json.dumps(evaluation.to_json(), ensure_ascii=False))
    elif isinstance(evaluation, MultiLabelEvaluation):
        print(
            f"exactly the labels {evaluation.subset_accuracy:.4f}, micro F1 {evaluation.micro_f1:.4f}, "
            f"macro F1 {evaluation.macro_f1:.4f} on {evaluation.texts} texts\n"
        )
        _print_metrics(evaluation.labels)
    else:
        print(f"accuracy {evaluation.accuracy:.4f}, macro F1 {evaluation.macro_f1:.4f} on {evaluation.texts} texts\n")
        _print_metrics(evaluation.labels)
        _print_confusion(evaluation)


def _print_metrics(labels: Mapping[str, LabelMetrics]) -> None:
    _print_table(
        ["label", "precision", "recall", "F1", "texts"],
        [
            [label, f"{m.precision:.3f}", f"{m.recall:.3f}", f"{m.f1:.3f}", str(m.support)]
            for label, m in labels.items()
        ],
    )


def _print_confusion(evaluation: Evaluation) -> None:
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
    parser.add_argument(
        "--json",
        action="store_true",
        help="the manifest as one JSON document, and what this machine would run, as here",
    )


def _info(options: argparse.Namespace) -> None:
    manifest = Bundle(options.bundle, options.revision).manifest
    here = _about_here(manifest)
    if options.json:
        # In today's form, whatever the bundle's own is; the version is the bundle's.
        value = {**manifest.to_json(), "format_version": manifest.format_version}
        value["here"] = dataclasses.asdict(here) if isinstance(here, About) else {"error": here}
        print(json.dumps(value, ensure_ascii=False))
        return
    training = manifest.provenance.get("training")
    base = training.get("base_model") if isinstance(training, dict) else None
    print(f"task          {manifest.task}")
    print(f"base model    {base or 'unknown'}")
    print(f"labels        {', '.join(manifest.labels)}")
    print(f"scores        {manifest.scores.replace('_', ' ')}")
    if manifest.prompt:
        print(f"prompt        {manifest.prompt!r}")
    print(f"max length    {manifest.max_length} tokens")
    print(f"embedding     {manifest.embedding_dim} dimensions")
    print(f"format        {manifest.format_version}")
    print(f"here          {here if isinstance(here, About) else f'nothing: {here}'}\n")
    _print_variants(manifest)


def _about_here(manifest: Manifest) -> About | str:
    """Say what `Classifier.load` would take on this machine; or, in a sentence, why it would take nothing."""
    try:
        choice = choose_here(manifest, "auto", None, None)
    except SetfuseError as error:
        return str(error)
    return About.of(choice, None, processor_flags())


def _print_variants(manifest: Manifest) -> None:
    header = ["graph", "variant", "MB", "max diff. to torch", "same label", "texts compared"]
    rows = [_variant_cells(variant) for variant in manifest.variants]
    judged = [(variant.file.file, variant.parity) for variant in manifest.variants if variant.parity]
    _print_table(header, rows)
    remarks = []
    for file, parity in judged:
        if parity.checked_on != "built-in texts":
            remarks.append(f"{file}: compared on {parity.checked_on}")
        if parity.mean_embedding_difference is not None:
            remarks.append(f"{file}: embeddings differ by {parity.mean_embedding_difference:.1e} on average")
        if parity.accuracy is not None and parity.torch_accuracy is not None:
            remarks.append(f"{file}: accuracy {parity.accuracy:.1%}, torch's {parity.torch_accuracy:.1%}")
        if parity.allowed_mismatch:
            remarks.append(f"{file}: allowed: {parity.allowed_mismatch}")
    remarks += [f"{variant.file.file}: {variant.note}" for variant in manifest.variants if variant.note]
    if remarks:
        print("", *remarks, sep="\n")


def _variant_cells(variant: Variant) -> list[str]:
    cells = [variant.file.file, str(variant), f"{variant.file.bytes / 1e6:.1f}"]
    if variant.parity is None:
        return [*cells, "-", "-", "-"]
    parity = variant.parity
    return [*cells, f"{parity.max_probability_difference:.1e}", f"{parity.label_agreement:.1%}", str(parity.texts)]


def _print_table(header: list[str], rows: list[list[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    for row in (header, *rows):
        first = row[0].ljust(widths[0])
        rest = (cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))
        print("  ".join([first, *rest]).rstrip())


def _add_push(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="FOLDER", help="a bundle, or a checkpoint with its head")
    parser.add_argument("repo_id", metavar="REPO_ID", help="a model repository like org/name; made if there is none")
    parser.add_argument("--private", action="store_true", help="nobody else may read a repository that is made")
    parser.add_argument("--revision", help="the branch, made if there is none; default: the main branch")
    parser.add_argument("--message", help="of the commit; default: that a bundle, or a checkpoint, is uploaded")


def _push(options: argparse.Namespace) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the Hub's advice on the README's metadata: stderr is for what failed
        commit = push(
            options.folder,
            options.repo_id,
            private=options.private,
            revision=options.revision,
            message=options.message,
        )
    print(commit)


COMMANDS = {
    "predict": Command(_add_predict, _predict),
    "evaluate": Command(_add_evaluate, _evaluate),
    "info": Command(_add_info, _info),
    "push": Command(_add_push, _push),
}
