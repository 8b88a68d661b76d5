"""Make scikit-learn's estimators of what a pickle says of them: new ones, with its defaults and the attributes listed.

No estimator is made that has not been checked.
"""

import functools
import inspect
from importlib import import_module
from typing import Any

from ._attributes import KINDS
from ._record import Damaged, described, is_a

ESTIMATOR_BYTES = 2048
"""What an estimator takes up, about."""


class Maker:
    """Makes the estimators of one pickle.

    A pickle may use what stands in it once as often as it likes. What is made of it is counted each time, so that a
    small file takes no gigabytes.
    """

    def __init__(self, limit: int) -> None:
        self._left = limit

    def spent(self, array: Any) -> Any:
        """Give back an array, counted.

        Raises:
            Damaged: Now it is too much.
        """
        self._spend(array.nbytes)
        return array

    def _spend(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise Damaged("more numbers than a file of its size may ask for")

    def estimator(self, value: Any, *names: str) -> Any:
        """Make an estimator.

        Args:
            value: Its record.
            *names: The classes that may stand here.

        Raises:
            Damaged: It is of another class, or an attribute is of another type than scikit-learn gives it.
            CheckpointError: Its attributes do not fit together.
            UnsupportedCheckpoint: It has a setting that is not supported.
        """
        if not is_a(value, *names):
            raise Damaged(f"{described(value)} where one of {', '.join(names)} stands")
        if not isinstance(value.state, dict):
            raise Damaged(f"{described(value)} of another state than a dict")
        self._spend(ESTIMATOR_BYTES)
        name = value.name.name
        cls = getattr(import_module(value.name.module), name)
        made = cls(**dict.fromkeys(_required(cls)))
        for attribute, read in KINDS[name].attributes.items():
            if value.state.get(attribute) is not None:
                try:
                    setattr(made, attribute, read(self, value.state[attribute]))
                except Damaged as error:
                    raise Damaged(f"{error}, in {name}.{attribute}") from error
        KINDS[name].finish(made)
        return made


@functools.cache
def _required(cls: type) -> tuple[str, ...]:
    parameters = inspect.signature(cls).parameters.values()
    return tuple(parameter.name for parameter in parameters if parameter.default is parameter.empty)
