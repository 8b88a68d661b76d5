"""A head that training stored as an ONNX graph, because it is not linear: taken over as it is."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from google.protobuf.message import Message  # type: ignore[import-untyped] # publishes no types

from setfuse.export._errors import CheckpointError, UnsupportedCheckpoint
from setfuse.runtime import Scores

from ._converted import only
from ._formulas import Array, Converted
from ._part import Part

OPERATORS: dict[str, frozenset[str]] = {
    "": frozenset(
        "Abs Add And ArgMax ArgMin Cast Clip Concat Constant ConstantOfShape Div Equal Erf Exp Flatten Floor Gather "
        "GatherElements Gemm Greater GreaterOrEqual Identity IsNaN Less LessOrEqual Log LpNormalization MatMul Max "
        "Mean Min Mul Neg Not Or Pow Reciprocal ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum "
        "ReduceSumSquare Relu Reshape Scan Shape Sigmoid Sign Slice Softmax Sqrt Squeeze Sub Sum Tanh TopK Transpose "
        "Unsqueeze Where".split()
    ),
    "ai.onnx.ml": frozenset(
        "ArrayFeatureExtractor Binarizer Imputer LinearClassifier LinearRegressor Normalizer SVMClassifier "
        "SVMRegressor Scaler TreeEnsembleClassifier TreeEnsembleRegressor".split()
    ),
}
"""By domain, what skl2onnx 1.20 writes of scikit-learn's classifiers, and plain arithmetic beside it.

Left out is what runs for as long, or gives as much, as a number in the file says: Loop, Range, Expand, Tile. Scan runs
once a row of what it is given.
"""

_STEPS = {"ArgMax", "ArgMin", "TopK", "TreeEnsembleClassifier", "TreeEnsembleRegressor"}
"""Operators whose answers may jump at a tiny change of the embedding."""


@dataclass(frozen=True, slots=True, eq=False)
class StoredGraph:
    """Stands for the estimator that a graph was written of; training compared the two when it stored the graph.

    Attributes:
        kind: Name of the estimator's class.
        classes_: scikit-learn's, or the numbers of its outputs.
        multi_label: As `Head.multi_label`.
        scores: What it gives.
        per_output: As `Converted.per_output`.
        model: Of one input and one output, the scores.
        session: Of the same.
    """

    kind: str
    classes_: tuple[Any, ...]
    multi_label: bool
    scores: Scores
    per_output: bool
    model: onnx.ModelProto
    session: onnxruntime.InferenceSession

    @property
    def double(self) -> bool:
        """Whether it reads float64."""
        return bool(self.model.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.DOUBLE)

    @property
    def n_features_in_(self) -> int:
        """Numbers of the embedding that it reads."""
        return int(self.model.graph.input[0].type.tensor_type.shape.dim[1].dim_value)

    def answer(self, x: npt.ArrayLike) -> Array:
        """Run the graph: float64 (texts, width) to float64 (texts, labels).

        Raises:
            CheckpointError: onnxruntime fails.
        """
        numbers = np.asarray(x, dtype=np.float64 if self.double else np.float32)
        try:
            (answers,) = self.session.run(None, {self.model.graph.input[0].name: numbers})
        except Exception as error:  # onnxruntime's exceptions have no common base but this one
            raise CheckpointError(f"expected a graph that runs, onnxruntime says: {error!s:.200}") from error
        answers = np.asarray(answers, dtype=np.float64)
        return answers[:, :, 1].T if self.per_output else answers

    predict_proba = answer
    """scikit-learn's name for it; `scores` says what it really gives."""

    decision_function = answer


def load_stored_graph(data: bytes, **known: Any) -> StoredGraph:
    """Load a graph that skl2onnx wrote.

    Args:
        data: A serialized model of one input, (rows, width), and two outputs, the scores second.
        **known: The other attributes of `StoredGraph`.

    Raises:
        CheckpointError: It is no such model, or does not run.
        UnsupportedCheckpoint: It has operators that skl2onnx does not write of classifiers, or keeps numbers elsewhere.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        model = onnx.load_model_from_string(data)
        _check_parts(model)
        onnx.checker.check_model(model)
        model = only(model, model.graph.output[1].name)
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except UnsupportedCheckpoint:
        raise
    except Exception as error:  # protobuf's, onnx's and onnxruntime's exceptions have no common base but this one
        raise CheckpointError(f"expected an ONNX model of two outputs, found damage ({error!s:.200})") from error
    if len(model.graph.input) != 1:
        raise CheckpointError(f"expected an ONNX model of one input, found {len(model.graph.input)}")
    return StoredGraph(model=model, session=session, **known)


def _check_parts(model: onnx.ModelProto) -> None:
    for part in _parts(model):
        match part:
            case onnx.GraphProto():
                _check_constants(part)
            case onnx.FunctionProto():
                raise UnsupportedCheckpoint("expected a graph without functions of its own: not supported")
            case onnx.SparseTensorProto():
                raise UnsupportedCheckpoint("expected a graph without sparse tensors: not supported")
            case onnx.TensorProto() if part.data_location == onnx.TensorProto.EXTERNAL or part.external_data:
                raise UnsupportedCheckpoint("expected all numbers inside the graph, found some in other files")
            case onnx.NodeProto() if part.op_type not in OPERATORS.get(part.domain, ()):
                raise UnsupportedCheckpoint(
                    f"expected operators that skl2onnx writes of classifiers, found {part.op_type:.80} of "
                    f"{part.domain or 'ai.onnx':.80}: not supported"
                )


def _check_constants(graph: onnx.GraphProto) -> None:
    """Refuse a constant as large as a number in the file says: skl2onnx takes the shape of what is there.

    Raises:
        UnsupportedCheckpoint: There is one.
    """
    shapes = {output for node in graph.node if node.op_type == "Shape" for output in node.output}
    for node in graph.node:
        if node.op_type == "ConstantOfShape" and not shapes.issuperset(node.input):
            raise UnsupportedCheckpoint(
                "expected constants of the shape of another tensor, found some of any: not supported"
            )


def _parts(message: Message) -> Iterator[Message]:
    """Give a message and all that it is made of, wherever it stands: branches and loops have graphs of their own."""
    yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for inside in [value] if isinstance(value, Message) else value:
                yield from _parts(inside)


def read_stored_graph(estimator: StoredGraph) -> Part:
    """Read it as a formula: the graph itself."""
    operators = {node.op_type for node in estimator.model.graph.node}
    data = estimator.model.SerializeToString(deterministic=True)
    return Part(
        estimator.kind,
        Converted(data, estimator.double, per_output=estimator.per_output),
        estimator.scores,
        estimator.classes_,
        multi_label=estimator.multi_label,
        has_steps=bool(operators & _STEPS),
    )
