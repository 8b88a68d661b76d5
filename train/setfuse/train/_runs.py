"""The checkpoints of a run: which there are, what they belong to, and whether a run may go on from one."""

import hashlib
import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from setfuse.runtime import OutputExists, UsageError

from ._arguments import TrainingArguments
from ._data_checks import Rows, labels_of
from ._errors import RunNotResumable

RUN_FILE = "run.json"
FORMAT_VERSION = 1

MAY_DIFFER = frozenset({"output_dir", "report_to", "run_name", "logging_dir", "save_total_limit"})
"""Arguments that say where things go, and nothing about what the training does."""

_STEP = re.compile(r"checkpoint-(\d+)")


@dataclass(frozen=True, slots=True)
class Run:
    """What makes a run the same run.

    Attributes:
        arguments: The hyperparameters, as JSON has them.
        rows: SHA-256 of texts and labels, in their order.
        base: SHA-256 of the base model's files.
    """

    arguments: Mapping[str, Any]
    rows: str
    base: str


def make_run(args: TrainingArguments, head: Mapping[str, Any], rows: Rows, base: Path) -> Run:
    """Describe a run.

    Args:
        args: Its hyperparameters.
        head: Which head it gets.
        rows: Its training rows.
        base: The folder of its base model.
    """
    arguments = json.loads(
        json.dumps({**args.to_json(), **head}, default=repr)
    )  # tuples become lists, as they come back from a file
    texts = json.dumps([[row.text, labels_of(row)] for row in rows])
    return Run(arguments, hashlib.sha256(texts.encode()).hexdigest(), _hash_of_folder(base))


def _hash_of_folder(folder: Path) -> str:
    total = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            total.update(f"{path.relative_to(folder)}\0".encode() + hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()


def step_folders(output_dir: str | Path) -> list[Path]:
    """List the checkpoints of the run in a folder, the last step last; the folder may be missing."""
    found = [(int(match[1]), path) for path in Path(output_dir).glob("*") if (match := _STEP.fullmatch(path.name))]
    return [path for _, path in sorted(found)]


def check_output_dir(
    args: TrainingArguments, *, out: Path, inputs: Sequence[Path], resume_from: Path | None, overwrite: bool
) -> None:
    """See that saving there destroys nothing.

    Args:
        args: Say where and whether to save.
        out: The checkpoint folder that the training is to write.
        inputs: Files and folders that the training reads.
        resume_from: The checkpoint that the training goes on from.
        overwrite: The run that is there may be replaced.

    Raises:
        UsageError: A folder lies in another that is replaced.
        OutputExists: Another run is there.
    """
    if args.save_strategy == "no":
        return
    folder = Path(args.output_dir).expanduser().resolve()
    if folder.is_relative_to(out.expanduser().resolve()):
        raise UsageError(f"output_dir: expected a folder outside {out}, got {args.output_dir}; choose another")
    for path in inputs:
        if any(path.expanduser().resolve().is_relative_to(step) for step in step_folders(folder)):
            raise UsageError(f"output_dir: saving to {args.output_dir} would remove {path}; choose another folder")
    steps = step_folders(folder)
    if steps and not overwrite and not _is_in(resume_from, folder):
        raise OutputExists(
            f"{steps[-1]}: a run is there already; go on with it by resume (--resume), replace it by overwrite "
            "(--overwrite), or choose another output_dir"
        )


def clear_output_dir(output_dir: str, *, resume_from: Path | None) -> None:
    """Remove what a killed process left half written, and the checkpoints of a run that is replaced.

    Args:
        output_dir: The run's folder, which may be missing.
        resume_from: The checkpoint that the training goes on from; if it is there, that run stays.
    """
    folder = Path(output_dir).expanduser().resolve()
    for partial in folder.glob(".checkpoint-*.partial-*"):
        shutil.rmtree(partial, ignore_errors=True)
    for step in [] if _is_in(resume_from, folder) else step_folders(folder):
        shutil.rmtree(step)


def _is_in(step: Path | None, folder: Path) -> bool:
    return step is not None and step.resolve().parent == folder


def find_step(resume: bool | str | Path, output_dir: str) -> Path:
    """Find the checkpoint to go on from.

    Args:
        resume: True for the last one in `output_dir`; or a checkpoint's folder, or one that holds checkpoints.
        output_dir: The run's folder.

    Raises:
        RunNotResumable: There is none.
    """
    folder = Path(output_dir if isinstance(resume, bool) else resume).expanduser()
    if (folder / RUN_FILE).is_file():
        return folder
    steps = [step for step in step_folders(folder) if (step / RUN_FILE).is_file()]
    if not steps:
        raise RunNotResumable(
            f"{folder}: expected checkpoints of a run (checkpoint-STEP with {RUN_FILE}), found none; "
            "name the run's output_dir, or train without resume"
        )
    return steps[-1]


def check_same_run(step: Path, run: Run) -> None:
    """See that a checkpoint belongs to this run.

    Args:
        step: Its folder.
        run: The run that is to go on.

    Raises:
        RunNotResumable: It belongs to another; the message names what differs.
    """
    saved, _ = read_run(step)
    differing = [
        f"{name} {run.arguments[name]!r} instead of {saved.arguments.get(name)!r}"
        for name in run.arguments
        if name not in MAY_DIFFER and run.arguments[name] != saved.arguments.get(name)
    ]
    differing += [
        f"other {what}"
        for what, same in (("rows", saved.rows == run.rows), ("base model", saved.base == run.base))
        if not same
    ]
    if differing:
        raise RunNotResumable(
            f"{step}: expected to go on with the same run, got {', '.join(differing)}; "
            "give what it had, or train without resume"
        )


def write_run(step: Path, run: Run, losses: Sequence[float]) -> None:
    """Write what a checkpoint belongs to, and the loss of each step so far."""
    content = {
        "format_version": FORMAT_VERSION,
        "arguments": run.arguments,
        "rows_sha256": run.rows,
        "base_sha256": run.base,
        "losses": list(losses),
    }
    (step / RUN_FILE).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def read_run(step: Path) -> tuple[Run, list[float]]:
    """Read what a checkpoint belongs to, and the loss of each step so far.

    Raises:
        RunNotResumable: Its `run.json` cannot be read.
    """
    path = step / RUN_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        version = content["format_version"]
        if version == FORMAT_VERSION:
            run = Run(dict(content["arguments"]), str(content["rows_sha256"]), str(content["base_sha256"]))
            return run, [float(loss) for loss in content["losses"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunNotResumable(f"{path}: expected what a run of setfuse wrote, cannot read it: {error!r}") from error
    raise RunNotResumable(f"{path}: expected format version {FORMAT_VERSION}, found {version!r}; update setfuse")
