"""The training stage's subcommands: train, distill, search."""

import argparse
import dataclasses
import json
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from setfuse.runtime import Command, UsageError

from ._arguments import TrainingArguments
from ._distill import distill
from ._head_settings import DIFFERENTIABLE, LOGISTIC, Freeze, MultiTarget
from ._loss_names import full_name, items_of
from ._metrics import METRICS
from ._reproduce import Call, command
from ._result import TrainingResult
from ._search import default_space, search
from ._train import train


def _add_train(parser: argparse.ArgumentParser) -> None:
    _add_data(parser)
    _add_run(parser)
    _add_hyperparameters(parser)


def _add_distill(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "teacher", metavar="TEACHER", help="a bundle, or a checkpoint with a LogisticRegression, here or on the Hub"
    )
    parser.add_argument("texts", metavar="TEXTS", help="texts, in any form that train takes; labels are not looked at")
    _add_base(parser)
    _add_head(parser)
    _add_run(parser)
    _add_hyperparameters(parser)


def _add_search(parser: argparse.ArgumentParser) -> None:
    _add_data(parser)
    parser.add_argument("--eval", required=True, metavar="DATA", help="held-out texts, whose metric is compared")
    parser.add_argument("--trials", type=int, default=10, metavar="N", help="how many trainings (default: %(default)s)")
    parser.add_argument("--search-seed", type=int, default=42, metavar="N", help="of the search (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="one JSON document: the best arguments, every trial")
    _add_hyperparameters(parser, without=("output_dir",))  # a trial has a folder of its own, which is removed


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", required=True, metavar="CHECKPOINT", help="the folder to write")
    parser.add_argument("--eval", metavar="DATA", help="held-out texts to measure on")
    parser.add_argument("--for-setfit", action="store_true", help="add model_head.pkl, so that SetFit loads it, too")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint in --output-dir")
    parser.add_argument("--resume-from", metavar="FOLDER", help="go on from this checkpoint of a run")
    parser.add_argument("--overwrite", action="store_true", help="replace CHECKPOINT, whole, and the run that is there")
    parser.add_argument("--json", action="store_true", help="one JSON document: checkpoint, seconds, accuracy, …")


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "data", metavar="DATA", help="labelled texts: a .jsonl, .csv, .tsv or .parquet file, or a Hub data set org/name"
    )
    _add_base(parser)
    _add_head(parser)
    parser.add_argument(
        "--multi-target-strategy", choices=list(MultiTarget), help="how the head takes texts with several labels"
    )


def _add_head(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--label-names", type=_list, metavar="NAME,NAME", help="names of the labels 0, 1, 2, …")
    parser.add_argument("--head", choices=(LOGISTIC, DIFFERENTIABLE), default=LOGISTIC, help="default: %(default)s")
    parser.add_argument("--head-params", type=_json_object, metavar="JSON", help="arguments of the head, a JSON object")
    parser.add_argument("--freeze", choices=list(Freeze), help="what stays as it is in training a differentiable head")


def _add_base(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--base", required=True, metavar="FOLDER_OR_HUB_ID", help="the sentence-transformers model")
    parser.add_argument(
        "--columns", type=_by_name, metavar="NAME=text,NAME=label", help="columns that are not called text and label"
    )
    parser.add_argument("--metric", choices=METRICS, default="accuracy", help="what to measure (default: accuracy)")
    parser.add_argument("--metric-kwargs", type=_json_object, metavar="JSON", help='such as {"average": "micro"}')


def _add_hyperparameters(parser: argparse.ArgumentParser, without: Sequence[str] = ()) -> None:
    group = parser.add_argument_group(
        "hyperparameters", "SetFit's names and defaults; A,B is a value for the contrastive phase, one for the head"
    )
    for field in dataclasses.fields(TrainingArguments):
        if field.name in without:
            continue
        flag = f"--{field.name.replace('_', '-')}"
        default = ",".join(map(str, field.default)) if isinstance(field.default, tuple) else field.default
        text = field.metadata["help"] if default is None else f"{field.metadata['help']} (default: {default})"
        if isinstance(field.default, bool) or field.name == "greater_is_better":
            group.add_argument(flag, action=argparse.BooleanOptionalAction, default=argparse.SUPPRESS, help=text)
            continue
        choices = field.metadata.get("choices")
        metavar = None if choices else _METAVARS.get(field.name, "N")
        kind = _TYPES.get(field.name, int)
        group.add_argument(flag, type=kind, choices=choices, metavar=metavar, default=argparse.SUPPRESS, help=text)


def _pair_of(kind: Callable[[str], Any]) -> Callable[[str], Any]:
    def parse(text: str) -> Any:
        values = tuple(kind(part) for part in text.split(","))
        return values if len(values) > 1 else values[0]

    parse.__name__ = f"{kind.__name__} or pair"  # argparse names it in its message
    return parse


def _or_none(kind: Callable[[str], Any]) -> Callable[[str], Any]:
    def parse(text: str) -> Any:
        return None if text == "none" else kind(text)

    parse.__name__ = f"{kind.__name__} or none"
    return parse


def _list(text: str) -> list[str]:
    return text.split(",")


def _by_name(text: str) -> dict[str, str]:
    parts = [part.rpartition("=") for part in text.split(",")]
    if not all(name and meaning for name, _, meaning in parts):
        raise argparse.ArgumentTypeError(f"expected NAME=VALUE,NAME=VALUE, got {text!r}")
    return {name: meaning for name, _, meaning in parts}


def _weights(text: str) -> str | dict[str, float]:
    if text == "balanced":
        return text
    try:
        return {label: float(weight) for label, weight in _by_name(text).items()}
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected a number for each label, got {text!r}") from error


def _json_object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise argparse.ArgumentTypeError(f"expected a JSON object, as in '{{\"name\": 2}}', got {text!r}")
    return found


def _names(text: str) -> str | list[str]:
    names = _list(text)
    return names if len(names) > 1 else text


_TYPES: dict[str, Callable[[str], Any]] = {
    "batch_size": _pair_of(int),
    "num_epochs": _pair_of(int),
    "body_learning_rate": _pair_of(float),
    "class_weight": _weights,
    "report_to": _names,
    "loss_kwargs": _json_object,
    "loss": full_name,
    "l2_weight": _or_none(float),
    **dict.fromkeys(("pair_seed", "save_total_limit"), _or_none(int)),
    **dict.fromkeys(("head_learning_rate", "margin", "warmup_proportion", "eval_delay"), float),
    **dict.fromkeys(
        "output_dir device sampling_strategy distance_metric run_name logging_dir logging_strategy eval_strategy "
        "save_strategy metric_for_best_model lr_scheduler_type".split(),
        str,
    ),
}
_METAVARS = {
    **dict.fromkeys(("batch_size", "num_epochs", "body_learning_rate"), "N[,N]"),
    **dict.fromkeys(("output_dir", "logging_dir"), "FOLDER"),
    **dict.fromkeys(("run_name", "report_to", "metric_for_best_model"), "NAME"),
    "class_weight": "WEIGHTS",
    "loss_kwargs": "JSON",
}


def _arguments(options: argparse.Namespace) -> TrainingArguments:
    given = [name for name in _names_of_arguments() if hasattr(options, name)]
    return TrainingArguments(**{name: getattr(options, name) for name in given})


def _names_of_arguments() -> list[str]:
    return [field.name for field in dataclasses.fields(TrainingArguments)]


def _search(options: argparse.Namespace) -> None:
    with _log_on_stderr(logging.WARNING if options.json else logging.INFO):
        result = search(
            options.data,
            base=options.base,
            eval_rows=options.eval,
            space=default_space(options.head, _settled(options)),
            n_trials=options.trials,
            search_seed=options.search_seed,
            args=_arguments(options),
            columns=options.columns,
            label_names=options.label_names,
            head=options.head,
            head_params=options.head_params,
            multi_target_strategy=options.multi_target_strategy,
            freeze=options.freeze,
            metric=options.metric,
            metric_kwargs=options.metric_kwargs,
            progress=sys.stderr.isatty(),
        )
    if options.json:
        print(json.dumps(result.to_json(), ensure_ascii=False))
        return
    failed = sum(trial.score is None for trial in result.trials)
    print(f"best of {len(result.trials)} trials ({failed} failed): {result.objective} {result.score:.4f}")
    given = {
        "columns": options.columns,
        "label_names": options.label_names,
        "head": None if options.head == LOGISTIC else options.head,
        "head_params": result.head_params or None,
        "multi_target_strategy": options.multi_target_strategy,
        "freeze": options.freeze,
    }
    evaluated = result.arguments.eval_strategy != "no"
    if evaluated:  # or there would be nothing to evaluate on
        given |= {"metric": options.metric, "metric_kwargs": options.metric_kwargs}
    call = Call(
        rows=options.data,
        base=options.base,
        eval_rows=options.eval if evaluated else None,
        args=result.arguments,
        options=given,
    )
    print(f"next: {command(call, here=True)}")


def _settled(options: argparse.Namespace) -> set[str]:
    """Name what is given on the command line, be it the default or not: it is not to be searched."""
    return {name for name in _names_of_arguments() if hasattr(options, name)} | set(options.head_params or {})


def _train(options: argparse.Namespace) -> None:
    given = _given(options)
    with _log_on_stderr(logging.WARNING if options.json else logging.INFO):
        result = train(options.data, multi_target_strategy=options.multi_target_strategy, **given)
    _tell(result, given["args"], as_json=options.json)


def _distill(options: argparse.Namespace) -> None:
    given = _given(options)
    with _log_on_stderr(logging.WARNING if options.json else logging.INFO):
        result = distill(options.teacher, options.texts, **given)
    _tell(result, given["args"], as_json=options.json)


def _given(options: argparse.Namespace) -> dict[str, Any]:
    """Give the arguments that `train` and `distill` both have."""
    return {
        "base": options.base,
        "out": options.out,
        "args": _arguments(options),
        "columns": options.columns,
        "eval_rows": options.eval,
        "label_names": options.label_names,
        "head": options.head,
        "head_params": options.head_params,
        "freeze": options.freeze,
        "metric": options.metric,
        "metric_kwargs": options.metric_kwargs,
        "resume": _resume(options),
        "for_setfit": options.for_setfit,
        "overwrite": options.overwrite,
        "progress": sys.stderr.isatty(),
    }


def _resume(options: argparse.Namespace) -> bool | str:
    if options.resume and options.resume_from:
        raise UsageError("--resume and --resume-from: expected one of them, got both; leave one out")
    return options.resume_from or bool(options.resume)


def _tell(result: TrainingResult, args: TrainingArguments, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(result.to_json(), ensure_ascii=False))
        return
    tenth = -(-len(result.losses) // 10)
    first, last = (sum(losses) / tenth for losses in (result.losses[:tenth], result.losses[-tenth:]))
    print(f"{result.checkpoint}: {', '.join(f'{label} {count}' for label, count in result.labels.items())}")
    print(f"{result.steps} steps in {result.seconds:.0f} s, {result.pairs} {items_of(args.loss)} an epoch")
    print(f"mean loss {first:.4f} over the first tenth of the steps, {last:.4f} over the last")
    if result.best_step is not None:
        print(f"best: step {result.best_step}")
    for name, value in result.metrics.items():
        print(f"{name} on the held-out texts {value:.4f}")
    print(f"next: setfuse export {result.checkpoint} --out BUNDLE")


class _AboveTheBar(logging.Handler):
    """Lines on stderr that leave a progress bar whole."""

    def emit(self, record: logging.LogRecord) -> None:
        from tqdm import tqdm

        tqdm.write(self.format(record), file=sys.stderr)


@contextmanager
def _log_on_stderr(least: int) -> Iterator[None]:
    logger, handler = logging.getLogger("setfuse.train"), _AboveTheBar()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(least)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


COMMANDS = {
    "train": Command(_add_train, _train),
    "distill": Command(_add_distill, _distill),
    "search": Command(_add_search, _search),
}
