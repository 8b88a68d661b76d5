"""Python objects in JSON's types, the same in every process."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import partial
from typing import Any


def describe(value: Any) -> Any:
    """Give what `json.dump` takes.

    Args:
        value: Of a hyperparameter. A class or function becomes its name; a partial of one its name and arguments; an
            estimator of scikit-learn's its class and parameters; an array a list; anything else its class's name, as
            its `repr` may hold an address, another in each process.
    """
    if isinstance(value, str | int | float | None):
        return value
    if isinstance(value, Mapping):
        return {str(name): describe(inner) for name, inner in value.items()}
    if isinstance(value, AbstractSet):
        return sorted((describe(inner) for inner in value), key=repr)
    if isinstance(value, Sequence):
        return [describe(inner) for inner in value]
    return _describe_object(value)


def _describe_object(value: Any) -> Any:
    if isinstance(value, partial):
        return {"partial": describe(value.func), "args": describe(value.args), **describe(value.keywords)}
    if hasattr(value, "get_params") and not isinstance(value, type):
        return {"class": _name(type(value)), **describe(value.get_params(deep=False))}
    if hasattr(value, "tolist"):
        return value.tolist()
    return _name(value if hasattr(value, "__qualname__") else type(value))


def _name(value: Any) -> str:
    return f"{value.__module__}.{value.__qualname__}"
