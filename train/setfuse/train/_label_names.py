"""Labels as data sets hold them (texts, numbers, lists, multi-hot lists), to labels as texts."""

import numbers
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from setfuse.runtime import DatasetError, UsageError


def plain(label: object) -> object:
    """Take a numpy array or scalar as the list or number that it holds."""
    return label.tolist() if isinstance(label, np.ndarray | np.generic) else label


def kind_of(label: object) -> str:
    """Say what kind a label is of, for the check that all are of one."""
    if isinstance(label, str):
        return "a text"
    return "a list" if isinstance(label, Sequence) else "a number"


def _is_unicode(name: str) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in name)


@dataclass(frozen=True, slots=True)
class LabelNames:
    """The names of labels that may come as numbers.

    Attributes:
        names: Those of the labels 0, 1, 2, …; none if numbers have no names.
        multi_hot: Whether a list of numbers says of each label whether it applies; else it lists those that do.

    Raises:
        UsageError: A name is no text, is blank, has half a surrogate pair, or stands twice.
    """

    names: tuple[str, ...] = ()
    multi_hot: bool = True

    def __post_init__(self) -> None:
        usable = all(isinstance(name, str) and name.strip() and _is_unicode(name) for name in self.names)
        if not usable or len(set(self.names)) != len(self.names):
            raise UsageError(f"label_names: expected different texts, none of them blank, got {list(self.names)!r}")

    def of(self, label: object, origin: str) -> object:
        """Name a label, or each label of a list; what is neither text nor number stays, for the row to refuse.

        Raises:
            DatasetError: It is none of the labels that have names, or a list that names no labels.
        """
        if isinstance(label, list | tuple):
            return [self._name(item, origin) for item in self._listed(label, origin)]
        return self._name(label, origin)

    def _name(self, label: object, origin: str) -> object:
        if not self.names or label in self.names or not isinstance(label, str | numbers.Integral):
            return label
        if not isinstance(label, str) or label.isdecimal():
            number = int(label)
            if 0 <= number < len(self.names):
                return self.names[number]
        raise DatasetError(
            f"{origin}: expected one of the labels {', '.join(self.names)} or a number from 0 to "
            f"{len(self.names) - 1}, found {label!r}"
        )

    def _listed(self, labels: Sequence[object], origin: str) -> Sequence[object]:
        if not labels or not all(isinstance(label, numbers.Real) for label in labels):
            return labels
        if not self.names:
            raise DatasetError(
                f"{origin}: expected names for a list of {len(labels)} numbers, found none; pass label_names"
            )
        if not self.multi_hot:
            return labels
        if len(labels) != len(self.names) or not set(labels) <= {0, 1}:
            raise DatasetError(
                f"{origin}: expected a 0 or a 1 for each of {', '.join(self.names)}, found {list(labels)!r}"
            )
        return [name for name, applies in zip(self.names, labels, strict=True) if applies]
