"""What is known of an estimator, or of one inside another, once it is read."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from setfuse.export._errors import CheckpointError, UnsupportedCheckpoint
from setfuse.runtime import Scores

from ._formulas import Array, Formula, Linear, Link

WIDEST = 1 << 16
"""Numbers of the widest embedding: several times what the largest bodies give."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """An estimator, read.

    Attributes:
        kind: As `Head.kind`.
        formula: Two columns for two classes.
        scores: As `Head.scores`.
        classes: scikit-learn's.
        multi_label: As `Head.multi_label`.
        has_steps: As `Head.has_steps`.
    """

    kind: str
    formula: Formula
    scores: Scores
    classes: tuple[Any, ...]
    multi_label: bool = False
    has_steps: bool = False


def name_of(estimator: Any) -> str:
    """Give the name of an estimator's class."""
    return type(estimator).__name__


def fitted(estimator: Any, attribute: str) -> Any:
    """Read an attribute that fitting sets.

    Raises:
        CheckpointError: There is none.
    """
    value = getattr(estimator, attribute, None)
    if value is None:
        raise CheckpointError(
            f"{name_of(estimator)}: expected a fitted estimator, found no {attribute}; fit it and save it again"
        )
    return value


def width_of(estimator: Any) -> int:
    """Read how many numbers of the embedding an estimator reads; a head takes as much memory as that, and more.

    Raises:
        CheckpointError: It says none, or more than any body gives.
    """
    width = fitted(estimator, "n_features_in_")
    if not isinstance(width, int) or not 0 < width <= WIDEST:
        raise CheckpointError(f"{name_of(estimator)}: expected n_features_in_ of 1 to {WIDEST}, found {width!r:.80}")
    return width


def numbers(estimator: Any, attribute: str) -> Array:
    """Read an array of numbers that fitting sets.

    Raises:
        CheckpointError: There is none, or it holds something else, NaN or infinity.
    """
    value = fitted(estimator, attribute)
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise CheckpointError(
            f"{name_of(estimator)}: expected numbers in {attribute}, found {type(value).__name__}"
        ) from error
    if not (np.abs(array) <= np.finfo(np.float32).max).all():  # also true of NaN
        raise CheckpointError(
            f"{name_of(estimator)}: expected finite weights, found NaN or infinity in {attribute}, or more "
            "than float32 holds"
        )
    return array


def classes_of(estimator: Any) -> tuple[Any, ...]:
    """Read the classes of an estimator of one label a text.

    Raises:
        CheckpointError: There are fewer than two.
        UnsupportedCheckpoint: It has several outputs of one class each.
    """
    classes = fitted(estimator, "classes_")
    if isinstance(classes, list):
        raise UnsupportedCheckpoint(
            f"{name_of(estimator)}: expected one label a text here, found {len(classes)} outputs: not supported"
        )
    if np.ndim(classes) != 1 or len(classes) < 2:  # noqa: PLR2004 - one label is no choice
        raise CheckpointError(f"{name_of(estimator)}: expected two classes or more, found {np.size(classes)}")
    return tuple(np.asarray(classes).tolist())


def linear(estimator: Any, rows: int, link: Link, *, normalized: bool = False) -> Linear:
    """Read `coef_` and `intercept_`.

    Args:
        estimator: Fitted.
        rows: How many rows of coefficients it must have; one stands for two classes, and gives two.
        link: From logits to the answer.
        normalized: As `Linear.normalized`.

    Raises:
        CheckpointError: The shapes are others.
    """
    coef, intercept = numbers(estimator, "coef_"), numbers(estimator, "intercept_")
    if coef.ndim == 1:  # an estimator of one row may leave the axis out
        coef = coef[None]
    if intercept.ndim == 0 or (intercept.shape == (1,) and rows > 1):  # fitted without an intercept
        intercept = np.full(rows, intercept.item())
    if coef.ndim != 2 or coef.shape[0] != rows or intercept.shape != (rows,):  # noqa: PLR2004 - a matrix
        raise CheckpointError(
            f"{name_of(estimator)}: expected coef_ ({rows}, dim) and intercept_ ({rows},), "
            f"found {coef.shape} and {intercept.shape}"
        )
    if rows == 1:
        return both_sides(coef, intercept, link)
    return Linear(coef, intercept, link, normalized=normalized)


def both_sides(coef: Array, intercept: Array, link: Link) -> Linear:
    """Make two columns of the one row that stands for two classes: the first class's logit is the second's, negated."""
    return Linear(np.concatenate([-coef, coef]), np.concatenate([-intercept, intercept]), link)


def rows_of(classes: tuple[Any, ...]) -> int:
    """Give how many rows of coefficients scikit-learn keeps for as many classes."""
    return 1 if len(classes) == 2 else len(classes)  # noqa: PLR2004 - scikit-learn's binary case


def is_yes_or_no(classes: npt.ArrayLike) -> bool:
    """Tell whether the classes are those of a label that applies or does not."""
    found = np.asarray(classes)
    return bool(found.shape == (2,) and found.dtype.kind in "biuf" and (found == [0, 1]).all())
