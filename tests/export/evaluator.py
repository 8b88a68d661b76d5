"""A graph for CUDA in onnx's own evaluator."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import onnx
from onnx.reference import ReferenceEvaluator

from .microsoft_operators import OPERATORS


def evaluate(model: onnx.ModelProto, feeds: Mapping[str, npt.NDArray[np.int32]]) -> dict[str, npt.NDArray[np.generic]]:
    """Give every value of a graph, by name: inputs, constants, what its nodes put out.

    Raises:
        FloatingPointError: A number is too large for its type, or is none (infinity less infinity, 0 by 0).
    """
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        values = ReferenceEvaluator(model, new_ops=OPERATORS).run(None, dict(feeds), intermediate=True)  # type: ignore[arg-type]
    return {name: value for name, value in values.items() if isinstance(value, np.ndarray)}  # type: ignore[union-attr]
