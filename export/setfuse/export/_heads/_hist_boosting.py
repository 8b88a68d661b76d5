"""Write a HistGradientBoostingClassifier: skl2onnx 1.20 does not, under onnx 1.19 and later."""

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

from setfuse.export._graph import IR_VERSION, OPSET

from ._part import fitted, numbers, width_of

ML_OPSET = 3
"""The newest of ai.onnx.ml whose operators onnxruntime 1.20 has for every type that skl2onnx writes."""


def hist_boosting_model(estimator: Any) -> onnx.ModelProto:
    """Write the trees as one TreeEnsembleRegressor, which sums up a logit a class, and the link behind it.

    Args:
        estimator: Fitted and checked.

    Returns:
        A model from float32 (batch, width) to float32 probabilities (batch, classes).
    """
    classes = len(estimator.classes_)
    columns = 1 if classes == 2 else classes  # noqa: PLR2004 - scikit-learn's binary case
    trees = [
        (column, predictor.nodes)
        for iteration in fitted(estimator, "_predictors")
        for column, predictor in enumerate(iteration)
    ]
    baseline = np.broadcast_to(numbers(estimator, "_baseline_prediction").ravel(), (columns,))
    nodes = [
        helper.make_node(
            "TreeEnsembleRegressor",
            ["embedding"],
            ["logits"],
            domain="ai.onnx.ml",
            n_targets=columns,
            aggregate_function="SUM",
            post_transform="NONE",
            base_values=baseline.astype(np.float32).tolist(),
            **_tree_attributes(trees),  # type: ignore[arg-type] # onnx's annotation is for its named arguments
        )
    ]
    if columns == 1:
        nodes.append(helper.make_node("Neg", ["logits"], ["negated"]))
        nodes.append(helper.make_node("Concat", ["negated", "logits"], ["both"], axis=1))
        nodes.append(helper.make_node("Sigmoid", ["both"], ["probabilities"]))
    else:
        nodes.append(helper.make_node("Softmax", ["logits"], ["probabilities"], axis=-1))
    width = width_of(estimator)
    graph = helper.make_graph(
        nodes,
        "head",
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ("batch", width))],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ("batch", classes))],
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)


def _tree_attributes(trees: list[tuple[int, np.ndarray]]) -> dict[str, list[Any]]:
    counts = [len(nodes) for _, nodes in trees]
    all_nodes = np.concatenate([nodes for _, nodes in trees])
    tree_ids = np.repeat(np.arange(len(trees)), counts)
    node_ids = np.concatenate([np.arange(count) for count in counts])
    is_leaf = all_nodes["is_leaf"].astype(bool)
    return {
        "nodes_treeids": tree_ids.tolist(),
        "nodes_nodeids": node_ids.tolist(),
        "nodes_featureids": np.where(is_leaf, 0, all_nodes["feature_idx"]).tolist(),
        "nodes_modes": np.where(is_leaf, "LEAF", "BRANCH_LEQ").tolist(),
        "nodes_values": _at_most(np.where(is_leaf, 0.0, all_nodes["num_threshold"])).tolist(),
        "nodes_truenodeids": np.where(is_leaf, 0, all_nodes["left"]).tolist(),
        "nodes_falsenodeids": np.where(is_leaf, 0, all_nodes["right"]).tolist(),
        "target_treeids": tree_ids[is_leaf].tolist(),
        "target_nodeids": node_ids[is_leaf].tolist(),
        "target_ids": np.repeat([column for column, _ in trees], counts)[is_leaf].tolist(),
        "target_weights": all_nodes["value"][is_leaf].tolist(),
    }


def _at_most(thresholds: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Round down: a float32 number is at most the rounded threshold exactly where it is at most the threshold."""
    with np.errstate(over="ignore"):  # a threshold of infinity or beyond float32 lets everything pass, as it should
        rounded = thresholds.astype(np.float32)
    lower = np.nextafter(rounded, np.float32(-np.inf))
    return np.where(rounded > thresholds, lower, rounded)
