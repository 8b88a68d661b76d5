"""Labels as numbers."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from setfuse.runtime import DatasetError

Labels = Sequence[str] | Sequence[Sequence[str]]
"""One label a row; or any number of labels a row, in each row."""


@dataclass(frozen=True, slots=True, eq=False)
class Targets:
    """The labels of the training rows.

    Attributes:
        names: All labels that rows have, in their order; at least two.
        multi_label: Whether a row has any number of them.
        values: int64 (rows,), positions in `names`; multi-label int64 (rows, names), 1 where the label applies.
    """

    names: tuple[str, ...]
    multi_label: bool
    values: npt.NDArray[np.int64]


def make_targets(labels: Labels, order: Sequence[str] | None = None) -> Targets:
    """Number the labels.

    Args:
        labels: Of each row.
        order: All labels, in their order; possibly some that no row has. None for alphabetical order.

    Raises:
        DatasetError: Some rows have one label and others a list; there is only one label; or, multi-label, a label is
            in every row, so that nothing tells it apart.
    """
    kinds = {isinstance(label, str) for label in labels}
    if len(kinds) != 1:
        given = "both" if kinds else "no rows"
        raise DatasetError(f"labels: expected one label in every row, or a list of labels in every row, found {given}")
    found = {name for row in labels for name in ([row] if isinstance(row, str) else row)}
    names = sorted(found) if order is None else [name for name in order if name in found]
    if kinds == {True}:
        single = [str(label) for label in labels]
        numbers = {name: number for number, name in enumerate(names)}
        values = np.asarray([numbers[label] for label in single], dtype=np.int64)
    else:
        values = np.asarray([[name in row for name in names] for row in labels], dtype=np.int64)
        for name, column in zip(names, values.T, strict=True):
            if column.all():
                raise DatasetError(f"labels: expected rows without the label {name!r}, found it in all {len(values)}")
    if len(names) < 2:  # noqa: PLR2004 - one label leaves nothing to tell apart
        raise DatasetError(f"labels: expected at least two different ones, found {names}")
    return Targets(tuple(names), kinds == {False}, values)
