"""Faults of numbers: rounding of float16 and of 8 bits, answers that depend on the batch, other weights."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from setfuse.export._errors import GraphError

from ._case import Case
from ._foreign import RunFailed, run_exposed
from ._reference import Recipe
from ._report import Reason
from ._roles import FloatArray, OutputRole

_LIKE_FLOAT16 = 8
"""How many times the difference that float16 makes to torch a float16 graph may differ: it rounds in other places."""

_LIKE_INT8 = 0.1
"""Largest mean difference, as a share of the values' spread, that 8 bits are believed to make."""

_DYNAMIC = {"DynamicQuantizeLinear", "DynamicQuantizeMatMul", "DynamicQuantizeLSTM"}
_INT8 = {"INT8", "UINT8"}
_HALF = {"FLOAT16"}
_QUANTIZED = {"QuantizeLinear", "DequantizeLinear", "MatMulInteger", "QLinearMatMul", "MatMulIntegerToFloat"}


def float16(case: Case, right: FloatArray) -> Reason | None:
    """The graph computes in float16, and is off by about as much as torch is in float16."""
    if not _HALF & case.subject.graph.dtypes:
        return None
    recipe = Recipe(half=True)
    half = case.predict(case.reference.tokens(case.batches, recipe), recipe)
    off = case.difference(case.alone.rows, right)
    if half is None or off > _LIKE_FLOAT16 * case.difference(half, case.expected) + case.tolerance:
        return None
    return Reason(
        "float16", f"float16 rounding: torch itself differs by {case.difference(half, case.expected):.1e} in it"
    )


def dynamic_int8(case: Case, right: FloatArray) -> Reason | None:
    """The graph takes the scale of its 8-bit activations from the batch."""
    graph = case.subject.graph
    operators = sorted(_DYNAMIC & graph.operators.keys())
    if not operators or not _near(case, right):
        return None
    beside = case.subject.beside_another(case.output, case.texts, case.roles)
    moved = case.difference(beside.rows, case.alone.rows)
    batch = f"; so a text's answer depends on its batch, here by up to {moved:.1e}" if moved > case.tolerance else ""
    return Reason(
        "dynamic_int8", f"dynamic 8-bit rounding ({', '.join(operators)}): one scale for all texts of a batch{batch}"
    )


def static_int8(case: Case, right: FloatArray) -> Reason | None:
    """The graph holds 8-bit weights, and is off by no more than those explain."""
    graph = case.subject.graph
    if not (_INT8 & graph.dtypes and _QUANTIZED & graph.operators.keys()) or not _near(case, right):
        return None
    return Reason(
        "int8",
        "8-bit rounding and nothing else: the graph's weights are int8, and that is how far int8 is off",
    )


def _near(case: Case, right: FloatArray) -> bool:
    if case.alone.rows.shape != right.shape:
        return False
    spread = float(right.max() - right.min())
    answered = case.ran
    return float(np.abs(case.alone.rows - right)[answered].mean()) <= _LIKE_INT8 * spread


def depends_on_batch(case: Case) -> Reason:
    """Answers change with the batch; nothing more is known."""
    how = "padded batches" if case.is_padded else "batches of texts of equal length"
    moved = case.difference(case.in_batch.rows, case.alone.rows)
    return Reason("depends_on_batch", f"a text gets another answer in {how} than alone, by up to {moved:.1e}")


def head_or_body(case: Case) -> Reason:
    """Look inside the graph for the checkpoint's embedding and token embeddings: which part is another?"""
    place = int(np.abs(case.lengths() - 8).argmin())
    batch = case.batches[place]
    tokens = case.reference.tokens([batch], Recipe())
    embedding = case.reference.embed(tokens)[0]
    try:
        values = run_exposed(case.subject.graph, batch, case.roles)
    except (GraphError, RunFailed):  # its weights stand in another file, say
        return Reason("unexplained", "none of the faults that setfuse knows explains it")
    if case.output.role is OutputRole.SCORES and (name := _find(values, embedding)):
        return other_head(f"the value {name!r} inside the graph is the checkpoint's embedding")
    whole, first = (tokens[0].embeddings[0, kept].numpy() for kept in (slice(None), slice(0, 1)))
    if name := _find(values, whole) or _find(values, first):
        return Reason(
            "after_the_transformer",
            f"the value {name!r} inside the graph is the checkpoint's token embeddings; what comes after it differs, "
            "in a way that setfuse does not know",
        )
    return Reason(
        "other_body",
        "the body has other weights, or a fault that setfuse does not know: no value inside the graph is the "
        "checkpoint's token embeddings",
    )


def other_labels(case: Case) -> Reason | None:
    """The graph has scores of another number of labels."""
    columns, labels = case.alone.rows.shape[1], len(case.subject.labels)
    if case.output.role is not OutputRole.SCORES or columns == labels or not case.ran.any():
        return None
    count = f"{columns} columns" if columns > 1 else "1 column"
    return Reason(
        "other_labels", f"output {case.output.name} has {count}, the checkpoint has {labels} labels: another head"
    )


def other_head(known: str) -> Reason:
    """The same embedding is given, and the graph makes something else of it; `known` says how that was seen."""
    return Reason(
        "other_head", f"the head has other weights: {known}, what the graph makes of it is not the checkpoint's"
    )


def _find(values: Mapping[str, Any], wanted: FloatArray) -> str | None:
    tolerance = 1e-4 * max(1.0, float(np.abs(wanted).max()))
    flat = wanted.reshape(-1)
    for name, value in values.items():
        is_float = isinstance(value, np.ndarray) and value.dtype.kind == "f"
        if is_float and value.size == flat.size and np.abs(value.reshape(-1) - flat).max() <= tolerance:
            return name
    return None
