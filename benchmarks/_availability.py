"""Who can run here: the machine, the environment, and the form of the model that each needs."""

from collections.abc import Callable
from functools import partial

from ._contenders import CONTENDERS, Contender, Device, Models
from ._environment import cpu_flags, has_cuda
from ._environments import ENVIRONMENTS, python_for
from ._errors import BenchmarkError
from ._prepare import prepare
from ._process import worker_command
from ._runner import Roster

Command = Callable[[int], list[str]]
"""Gives the command line that starts a contender with some number of threads."""


def find_available(roster: Roster, models: Models) -> dict[str, Command]:
    """Give what starts each contender; those that cannot run here are taken out of the run, with the reason.

    What their forms of the model need is made, unless it is there: minutes, the first time.

    Args:
        roster: Who is wanted.
        models: What they are to run.
    """
    pythons = {}
    for name in tuple(roster.running):
        try:
            _check_machine(CONTENDERS[name])
            pythons[name] = str(python_for(ENVIRONMENTS[CONTENDERS[name].environment]))
        except BenchmarkError as error:
            roster.fail(name, str(error))
    forms = dict.fromkeys(form for name in roster.running for form in CONTENDERS[name].preparations)
    failed = prepare(forms, models)
    for name in tuple(roster.running):
        for reason in filter(None, (failed[form] for form in CONTENDERS[name].preparations)):
            roster.fail(name, reason)
    return {name: partial(worker_command, pythons[name], name, models) for name in roster.running}


def _check_machine(contender: Contender) -> None:
    if contender.device is Device.CUDA and not has_cuda():
        raise BenchmarkError("needs an NVIDIA GPU, and there is none here")
    if contender.cpu_flags and not cpu_flags() & set(contender.cpu_flags):
        raise BenchmarkError(f"needs a processor with {' or '.join(contender.cpu_flags)}, and this one has neither")
