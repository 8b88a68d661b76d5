"""What of a head goes into the graph: linear pieces with a link, and the few ways that estimators put them together."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


class Link(StrEnum):
    """How a linear piece's logits become what the estimator answers."""

    IDENTITY = "identity"
    """Decision scores: the logits themselves."""
    SOFTMAX = "softmax"
    SIGMOID = "sigmoid"
    """Each column for itself."""
    CLIP = "clip"
    """(z + 1) / 2, cut to 0..1, each column for itself: SGDClassifier's modified Huber."""


@dataclass(frozen=True, slots=True, eq=False)
class Linear:
    """Logits, then a link.

    Attributes:
        coef: float64 (labels, width). An estimator of two classes has one row; here it has two, the first negated.
        intercept: float64 (labels,).
        link: From logits to the answer.
        normalized: Whether each text's answers are divided by their sum: one-vs-rest over more than two classes.
        even: Where all are 0, whether each label gets the same; else they stay 0.
    """

    coef: Array
    intercept: Array
    link: Link
    normalized: bool = False
    even: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """A binary classifier a label, whatever they are: the second column of each.

    Attributes:
        parts: One a label.
        normalized: As `Linear.normalized`; where all are 0 they stay so.
    """

    parts: "tuple[Formula, ...]"
    normalized: bool


@dataclass(frozen=True, slots=True, eq=False)
class Mean:
    """The mean of several answers to the same question: the folds of a CalibratedClassifierCV.

    Attributes:
        parts: Of the same labels.
    """

    parts: "tuple[Formula, ...]"


@dataclass(frozen=True, slots=True, eq=False)
class Platt:
    """Platt's calibration: the sigmoid of -(a z + b) of each score z.

    Attributes:
        slopes: a, float64 (scores,).
        offsets: b, float64 (scores,).
    """

    slopes: Array
    offsets: Array


@dataclass(frozen=True, slots=True, eq=False)
class Steps:
    """Isotonic calibration: linear between thresholds, constant outside of them.

    Attributes:
        starts: Where each segment starts, float64 (scores, segments).
        widths: How long each is, float64 (scores, segments), all above 0.
        rises: How much the probability rises over each, float64 (scores, segments); 0 in those that only pad.
        lowest: The probability before the first, float64 (scores,).
    """

    starts: Array
    widths: Array
    rises: Array
    lowest: Array


@dataclass(frozen=True, slots=True, eq=False)
class Calibrated:
    """Scores, each calibrated for itself, then divided by their sum; where all are 0, each label gets the same.

    Attributes:
        scores: What is calibrated; of two labels the second column alone counts.
        labels: How many.
        calibration: A row a score: one of two labels, else one a label.
    """

    scores: "Formula"
    labels: int
    calibration: Platt | Steps


class Feedback(StrEnum):
    """What a link of a chain hands to those behind it."""

    HARD = "predict"
    """0 or 1."""
    ANSWER = "answer"
    """What it answers itself: its probability, or its decision score."""
    SCORE = "decision_function"


@dataclass(frozen=True, slots=True, eq=False)
class Chain:
    """A ClassifierChain: each binary linear classifier also reads what those before it said.

    Attributes:
        coef: float64 (labels, width), in the order of the chain.
        intercept: float64 (labels,).
        weights: What each link makes of those before it, float64 (labels, labels), 0 on and above the diagonal.
        order: Which label each link is for.
        link: From logits to the answer.
        feedback: What is handed on.
    """

    coef: Array
    intercept: Array
    weights: Array
    order: tuple[int, ...]
    link: Link
    feedback: Feedback


@dataclass(frozen=True, slots=True, eq=False)
class Standardized:
    """A StandardScaler before something that is not linear, so that it cannot be folded into weights.

    Attributes:
        mean: float64 (width,).
        scale: float64 (width,).
        inner: What reads the scaled embedding.
    """

    mean: Array
    scale: Array
    inner: "Formula"


@dataclass(frozen=True, slots=True, eq=False)
class Converted:
    """What another converter wrote.

    Attributes:
        model: A serialized ONNX model of OPSET, with one input (batch, width) and one output (batch, labels), or
            (labels, batch, 2) with `per_output`.
        double: Whether it reads and answers float64.
        per_output: Whether the output is scikit-learn's list of one binary answer a label.
    """

    model: bytes
    double: bool
    per_output: bool = False


Formula = Linear | Columns | Mean | Calibrated | Chain | Standardized | Converted
