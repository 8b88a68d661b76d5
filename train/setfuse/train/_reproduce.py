"""The command that trains the same again."""

import dataclasses
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ._arguments import TrainingArguments
from ._base import public_name
from ._runs import MAY_DIFFER

DATA = "DATA.jsonl"
"""What stands for rows that came from no file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What `train` or `distill` was called with, as far as the result depends on it.

    Attributes:
        rows: The training rows, or the teacher's texts, as they were given.
        teacher: As it was given to `distill`; None of `train`.
        base: The base model, as it was given.
        eval_rows: The held-out rows, as they were given.
        args: The hyperparameters.
        options: The other arguments by name; None for what was left out.
    """

    rows: Any
    teacher: Any = None
    base: str | Path
    eval_rows: Any
    args: TrainingArguments
    options: Mapping[str, Any]


def command(call: Call, *, here: bool = False) -> str | None:
    """Give the command line for a shell, or None where an argument is an object that none can name.

    Args:
        call: What to repeat.
        here: For this machine and folder: paths and all arguments as they were given. Else for a card: files and
            folders by their names, and no word of where things go, since checkpoints are passed on.
    """
    name_of = str if here else _name
    words = ["setfuse", "train"]
    if call.teacher is not None:
        if not isinstance(call.teacher, str | Path):
            return None
        words = ["setfuse", "distill", name_of(call.teacher)]
    words += [name_of(call.rows), "--base", name_of(call.base), "--out", "CHECKPOINT"]
    if call.eval_rows is not None:
        words += ["--eval", name_of(call.eval_rows)]
    given = {name: value for name, value in call.options.items() if value is not None}
    for field in dataclasses.fields(TrainingArguments):
        value = getattr(call.args, field.name)
        if value != field.default and (here or field.name not in MAY_DIFFER):
            given[field.name] = value
    try:
        for name, value in given.items():
            words += _flag(name, value)
    except _UnnamableError:
        return None
    return shlex.join(words)


class _UnnamableError(Exception):
    """A value that no flag can give."""


def _name(source: Any) -> str:
    return public_name(source) if isinstance(source, str | Path) else DATA


def _flag(name: str, value: Any) -> list[str]:
    """Give what the command line reads as that value: `cli` has the other direction.

    Raises:
        _UnnamableError: No flag can give it.
    """
    flag = f"--{name.replace('_', '-')}"
    if isinstance(value, bool):
        return [flag if value else f"--no-{name.replace('_', '-')}"]
    if isinstance(value, Mapping):
        if name in {"columns", "class_weight"}:
            return [flag, _listed([f"{key}={item}" for key, item in value.items()])]
        return [flag, _json(value)]
    if value is None:
        return [flag, "none"]
    if isinstance(value, str | int | float):
        return [flag, str(value)]
    if isinstance(value, Sequence) and all(isinstance(item, str | int | float) for item in value):
        return [flag, _listed([str(item) for item in value])]
    raise _UnnamableError


def _listed(items: list[str]) -> str:
    if any("," in item for item in items):
        raise _UnnamableError
    return ",".join(items)


def _json(value: Mapping[str, Any]) -> str:
    try:
        return json.dumps(dict(value))
    except TypeError as error:
        raise _UnnamableError from error
