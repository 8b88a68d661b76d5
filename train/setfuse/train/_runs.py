"""The checkpoints of a run: which there are, what they belong to, and whether a run may go on from one."""

import contextlib
import hashlib
import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from setfuse.runtime import OutputExists, UsageError

from ._arguments import TrainingArguments
from ._data_checks import Rows, labels_of
from ._describe import describe
from ._errors import RunNotResumable, RunNotSaved

RUN_FILE = "run.json"
FORMAT_VERSION = 1

MAY_DIFFER = frozenset({"output_dir", "report_to", "run_name", "logging_dir", "save_total_limit"})
"""Arguments that say where things go, and nothing about what the training does."""

_STEP = re.compile(r"checkpoint-(\d+)")


@dataclass(frozen=True, slots=True)
class Saved:
    """What a checkpoint of a run says of it.

    Attributes:
        run: What it belongs to.
        losses: Of each step so far.
        seconds: That the training took so far.
    """

    run: "Run"
    losses: tuple[float, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class Run:
    """What makes a run the same run.

    Attributes:
        arguments: The hyperparameters, the head and, where it is evaluated, the metric, as JSON has them.
        hashes: SHA-256 of what was read, by what it is called in messages: texts and labels, in their order, and the
            base model's files.
    """

    arguments: Mapping[str, Any]
    hashes: Mapping[str, str]


def make_run(
    args: TrainingArguments,
    given: Mapping[str, Any],
    rows: Rows,
    base: Path,
    *,
    held_out: Rows | None = None,
    hashes: Mapping[str, str] | None = None,
) -> Run:
    """Describe a run.

    Args:
        args: Its hyperparameters.
        given: What else it was given: its head, its metric.
        rows: Its training rows.
        base: The folder of its base model.
        held_out: The rows that it is evaluated on while it trains.
        hashes: SHA-256 of what else it reads, by what it is called in messages.
    """
    read = {"rows": _hash_of_rows(rows), **(hashes or {})}
    if held_out is not None:
        read["held-out rows"] = _hash_of_rows(held_out)
    if args.save_strategy != "no":  # or nothing would be compared with it
        read["base model"] = hash_of_model(base)
    return Run({**args.to_json(), **describe(given)}, read)


def _hash_of_rows(rows: Rows) -> str:
    return hashlib.sha256(json.dumps([[row.text, labels_of(row)] for row in rows]).encode()).hexdigest()


def hash_of_model(folder: Path) -> str:
    """Hash the files in the folder itself and in those of its modules, which are what is loaded."""
    paths = {path for path in folder.iterdir() if path.is_file()}
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # it is the loading that refuses a broken one
        modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
        for inside in filter(None, (module["path"] for module in modules)):
            paths |= {path for path in (folder / inside).rglob("*") if path.is_file()}
    total = hashlib.sha256()
    for path in sorted(paths):
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
        OutputExists: Another run is there, or checkpoints of another program.
    """
    if args.save_strategy == "no":
        return
    folder = Path(args.output_dir).expanduser().resolve()
    if folder.is_relative_to(out.expanduser().resolve()):
        raise UsageError(f"output_dir: expected a folder outside {out}, got {args.output_dir}; choose another")
    for path in inputs:
        if any(path.expanduser().resolve().is_relative_to(step) for step in step_folders(folder)):
            raise UsageError(f"output_dir: saving to {args.output_dir} would remove {path}; choose another folder")
    _check_replaceable(folder, resume_from=resume_from, overwrite=overwrite)


def _check_replaceable(folder: Path, *, resume_from: Path | None, overwrite: bool) -> None:
    steps = step_folders(folder)
    for step in steps:
        if not (step / RUN_FILE).is_file():  # transformers would count it to save_total_limit, and remove it
            raise OutputExists(
                f"{step}: expected only checkpoints of setfuse there, found one of another program (without "
                f"{RUN_FILE}); choose another output_dir"
            )
    if steps and not overwrite and not _is_in(resume_from, folder):
        raise OutputExists(
            f"{steps[-1]}: a run is there already; go on with it by resume (--resume), replace it by overwrite "
            "(--overwrite), or choose another output_dir"
        )


@contextlib.contextmanager
def hold_output_dir(args: TrainingArguments) -> Iterator[None]:
    """Keep other processes from training into the run's folder while the block runs.

    The folder is made for that, and goes again if nothing was saved. A killed process lets go of it.

    Args:
        args: Say where and whether to save.

    Raises:
        OutputExists: Another process trains there.
        RunNotSaved: It cannot be made or written to.
    """
    if args.save_strategy == "no":
        yield
        return
    from filelock import FileLock, Timeout  # beside torch, which needs it, or later

    folder = Path(args.output_dir).expanduser().resolve()
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    lock = FileLock(folder / ".lock", timeout=0)
    try:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except Timeout as error:
            raise OutputExists(
                f"{folder}: expected no other run to save there, but another process does; wait for it, or choose "
                "another output_dir"
            ) from error
        except OSError as error:
            raise RunNotSaved(
                f"{folder}: expected a folder to save checkpoints in, cannot write there: {error}; choose another "
                'output_dir, or say save_strategy="no"'
            ) from error
        try:
            yield
        finally:
            Path(lock.lock_file).unlink(missing_ok=True)
            lock.release()
    finally:
        with contextlib.suppress(OSError):  # something was saved
            for path in missing:
                path.rmdir()


def clear_output_dir(output_dir: str, *, resume_from: Path | None, overwrite: bool) -> None:
    """Remove what a killed process left half written, and the checkpoints of a run that is replaced.

    Args:
        output_dir: The run's folder, which `hold_output_dir` holds.
        resume_from: The checkpoint that the training goes on from; if it is there, that run stays.
        overwrite: The run that is there may be replaced.

    Raises:
        OutputExists: Another run has come there since `check_output_dir` looked.
    """
    folder = Path(output_dir).expanduser().resolve()
    _check_replaceable(folder, resume_from=resume_from, overwrite=overwrite)
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
    saved = read_run(step).run
    differing = [
        f"{name} {run.arguments[name]!r} instead of {saved.arguments.get(name)!r}"
        for name in run.arguments
        if name not in MAY_DIFFER and run.arguments[name] != saved.arguments.get(name)
    ]
    differing += [f"other {what}" for what, value in run.hashes.items() if saved.hashes.get(what) != value]
    if differing:
        raise RunNotResumable(
            f"{step}: expected to go on with the same run, got {', '.join(differing)}; "
            "give what it had, or train without resume"
        )


def write_run(step: Path, saved: Saved) -> None:
    """Write what a checkpoint belongs to, and what was done so far."""
    content = {
        "format_version": FORMAT_VERSION,
        "arguments": saved.run.arguments,
        "sha256": saved.run.hashes,
        "seconds": saved.seconds,
        "losses": saved.losses,
    }
    (step / RUN_FILE).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def read_run(step: Path) -> Saved:
    """Read what a checkpoint belongs to, and what was done so far.

    Raises:
        RunNotResumable: Its `run.json` cannot be read.
    """
    path = step / RUN_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        version = content["format_version"]
        if version == FORMAT_VERSION:
            run = Run(dict(content["arguments"]), dict(content["sha256"]))
            return Saved(run, tuple(map(float, content["losses"])), float(content["seconds"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunNotResumable(f"{path}: expected what a run of setfuse wrote, cannot read it: {error!r}") from error
    raise RunNotResumable(f"{path}: expected format version {FORMAT_VERSION}, found {version!r}; update setfuse")
