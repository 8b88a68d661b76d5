"""The entry point of the command line: finds the stage that a subcommand belongs to, and imports no other."""

import argparse
import contextlib
import importlib
import io
import logging
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from ._errors import SetfuseError

if TYPE_CHECKING:
    from ._command import Command

# Each stage's own subcommands stand in its `cli` module, in a dictionary COMMANDS.
_COMMANDS = {
    "train": ("setfuse.train.cli", "fine-tune a body and fit the head on labelled texts: a checkpoint"),
    "distill": ("setfuse.train.cli", "train a small classifier on what a bigger one says of texts"),
    "search": ("setfuse.train.cli", "search the hyperparameters of a training"),
    "export": ("setfuse.export.cli", "turn a checkpoint into one fused ONNX graph: a bundle"),
    "predict": ("setfuse.runtime.cli", "classify texts with a bundle"),
    "evaluate": ("setfuse.runtime.cli", "judge a bundle on labelled texts"),
    "info": ("setfuse.runtime.cli", "say what a bundle holds"),
    "push": ("setfuse.runtime.cli", "put a bundle or a checkpoint on the Hugging Face Hub"),
    "check": (
        "setfuse.export.cli",
        "compare any ONNX graph with its checkpoint, and say what is wrong with it",
    ),
    "inspect": ("setfuse.export.cli", "say what is in a bundle's graphs: operators, bytes, multiply-adds; draw them"),
}


class _Parser(argparse.ArgumentParser):
    """Says what is wrong with the arguments in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def main(argv: Sequence[str] | None = None) -> int:  # noqa: PLR0911 - one a kind of failure
    """Run the command line.

    Args:
        argv: The arguments; None for the process's own.

    Returns:
        The exit status: 0, 1 for a failure, 2 for a value out of its range, 130 when interrupted. argparse itself
        exits, after `--help` with 0 and for arguments that it cannot take with 2.
    """
    # What goes to stderr is a progress bar or one line of error; libraries' own reports are neither.
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")
    logging.basicConfig(handlers=[logging.NullHandler()])  # what no handler takes would be printed
    # Torch's threads would otherwise spin while they wait, and take the processor from whoever shares it.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    _take_signals()
    if sys.stdout is None:  # closed by the caller, as with >&-
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # labels and texts are of any script, whatever the terminal's locale
    arguments = list(sys.argv[1:] if argv is None else argv)
    name = next((argument for argument in arguments if not argument.startswith("-")), "")
    try:
        try:
            return _run(arguments, name)
        finally:
            sys.stdout.flush()  # here, where a failure can still be told
    except SetfuseError as error:
        return _fail(name, str(error), error.exit_status)
    except BrokenPipeError:  # the reader of stdout has gone, as in `| head`
        _drop_output()
        return 1
    except OSError as error:
        _drop_output()
        where = f"{error.filename}: " if error.filename else ""
        return _fail(name, f"{where}{error.strerror or error}", 1)
    except MemoryError:
        return _fail(name, "out of memory", 1)
    except KeyboardInterrupt:
        return _interrupted(name)
    except Exception:  # an import that a signal breaks off fails with whatever the library makes of it
        if not _STOPPED:
            raise
        return _interrupted(name)


def _run(arguments: list[str], name: str) -> int:
    if name in _COMMANDS and arguments[0] == name:
        module, summary = _COMMANDS[name]
        command: Command = importlib.import_module(module).COMMANDS[name]
        parser = _Parser(prog=f"setfuse {name}", description=summary)
        command.add_arguments(parser)
        command.run(parser.parse_intermixed_args(arguments[1:]))  # options may stand between the texts
        return 0
    parser = _Parser(prog="setfuse", description="Few-shot text classification as one fused ONNX graph.")
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser)
    for other, (_, summary) in _COMMANDS.items():
        subparsers.add_parser(other, help=summary)
    if not parser.parse_args(arguments).version:
        parser.error("expected a command")
    from importlib import metadata

    print(f"setfuse {metadata.version('setfuse')}")
    return 0


def _fail(name: str, message: str, status: int) -> int:
    program = f"setfuse {name}" if name in _COMMANDS else "setfuse"
    print(f"{program}: {' '.join(message.split())}", file=sys.stderr)
    return status


def _interrupted(name: str) -> int:
    return 128 + signal.SIGTERM if _STOPPED[-1:] == [signal.SIGTERM] else _fail(name, "interrupted", 130)


def _drop_output() -> None:
    try:
        sys.stdout.flush()
    except OSError:  # it would fail again when the process ends, with lines and a status of Python's own
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


_STOPPED: list[int] = []
"""The signals that asked the process to stop."""


def _take_signals() -> None:
    _STOPPED.clear()
    with contextlib.suppress(ValueError):  # not the main thread
        signal.signal(signal.SIGTERM, _stop)
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not where the caller has it ignored
            signal.signal(signal.SIGINT, _stop)


def _stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signature of signal handlers
    # As an exception, so that half-written folders are removed on the way out.
    _STOPPED.append(number)
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
