"""Store a head without pickle: numbers in safetensors, what they mean in JSON, what is not linear as an ONNX graph."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors.numpy
import sklearn

from setfuse.runtime import UsageError

from ._convert import convert
from ._fitted import FittedHead
from ._torch_head import DifferentiableHead

FORMAT_VERSION = 2
"""How to raise it is written in the export stage's README, which reads it."""

CONFIG, TENSORS, GRAPH = "head.json", "head.safetensors", "head.onnx"

Numbers = npt.NDArray[Any]

LINEAR: dict[str, tuple[str, ...]] = {
    "LogisticRegression": ("solver", "multi_class"),
    "LogisticRegressionCV": ("solver", "multi_class"),
    "LinearDiscriminantAnalysis": (),
    "LinearSVC": (),
    "RidgeClassifier": (),
    "RidgeClassifierCV": (),
    "SGDClassifier": ("loss",),
    "Perceptron": (),
    "PassiveAggressiveClassifier": (),
}
"""Estimators that are coefficients and intercepts, and those of their parameters that their answers depend on."""

SEVERAL = ("OneVsRestClassifier", "MultiOutputClassifier", "ClassifierChain")
"""Estimators that are made of others; of linear ones these are stored number by number."""


@dataclass(frozen=True, slots=True, eq=False)
class Content:
    """The files of a head.

    Attributes:
        config: Of `head.json`.
        tensors: Of `head.safetensors`.
        graph: `head.onnx`; None of a head without one.
    """

    config: dict[str, Any]
    tensors: dict[str, Numbers]
    graph: bytes | None


def save_head(head: FittedHead, folder: Path) -> None:
    """Write `head.json`, and `head.safetensors` or `head.onnx` or both.

    Raises:
        UsageError: It can be stored in no way.
        MissingExtra: skl2onnx would store it, and is not installed.
    """
    content = content_of(head)
    if content.tensors:
        safetensors.numpy.save_file(content.tensors, folder / TENSORS)
    if content.graph is not None:
        (folder / GRAPH).write_bytes(content.graph)
    text = json.dumps(content.config, ensure_ascii=False, indent=2) + "\n"
    (folder / CONFIG).write_text(text, encoding="utf-8")


def content_of(head: FittedHead) -> Content:
    """Give what `save_head` writes.

    Raises:
        UsageError: As `save_head`.
        MissingExtra: As `save_head`.
    """
    writer = _Writer()
    config = {
        "format_version": FORMAT_VERSION,
        **writer.describe(head.estimator, head.probes),
        "classes": list(head.labels),
        "multi_label": head.multi_label,
        "multi_target_strategy": None if head.strategy is None else str(head.strategy),
        "versions": {"numpy": np.__version__, "scikit-learn": sklearn.__version__},
    }
    return Content(config, writer.tensors, writer.graph)


class _Writer:
    """Describes estimators, and collects their numbers on the way: those of one inside another under a prefix."""

    def __init__(self) -> None:
        self.tensors: dict[str, Numbers] = {}
        self.graph: bytes | None = None

    def describe(self, estimator: Any, probes: npt.NDArray[np.float32]) -> dict[str, Any]:
        """Give the JSON of a head.

        Raises:
            UsageError: It can be stored in no way.
        """
        if isinstance(estimator, DifferentiableHead):
            return self._differentiable(estimator)
        if "." in _name(estimator):
            raise UsageError(
                f"head: expected a class of scikit-learn's, which can be stored without pickle, got {_name(estimator)}"
            )
        if _is_linear(estimator):
            return self._numbers(estimator, "")
        if not _only_scales(estimator):
            return self._converted(estimator, probes)
        *scalers, last = _steps(estimator)
        for scaler in scalers:
            probes = np.asarray(scaler.transform(probes), dtype=np.float32)
        steps = [self._scaler(scaler, f"steps.{number}.") for number, scaler in enumerate(scalers)]
        return {"kind": "Pipeline", "steps": [*steps, self._converted(last, probes)]}

    def _numbers(self, estimator: Any, prefix: str) -> dict[str, Any]:
        name = _name(estimator)
        if name == "Pipeline":
            *scalers, last = _steps(estimator)
            steps = [self._scaler(scaler, f"{prefix}steps.{number}.") for number, scaler in enumerate(scalers)]
            return {"kind": name, "steps": [*steps, self._numbers(last, f"{prefix}steps.{len(steps)}.")]}
        described: dict[str, Any] = {"kind": name, "classes": _classes(estimator)}
        if name in LINEAR:
            self._put(f"{prefix}coef", estimator.coef_)
            self._put(f"{prefix}intercept", np.atleast_1d(estimator.intercept_))
            described |= {key: getattr(estimator, key) for key in LINEAR[name] if hasattr(estimator, key)}
            return described
        described["estimators"] = [
            self._numbers(part, f"{prefix}estimators.{number}.") for number, part in enumerate(estimator.estimators_)
        ]
        if name == "ClassifierChain":
            described["order"] = [int(label) for label in estimator.order_]
            described["chain_method"] = str(estimator.chain_method_)
        return described

    def _put(self, name: str, values: npt.ArrayLike) -> None:
        self.tensors[name] = np.ascontiguousarray(values)

    def _scaler(self, scaler: Any, prefix: str) -> dict[str, Any]:
        if scaler.with_mean:
            self._put(f"{prefix}mean", scaler.mean_)
        if scaler.with_std:
            self._put(f"{prefix}scale", scaler.scale_)
        return {"kind": "StandardScaler", "width": int(scaler.n_features_in_)}

    def _differentiable(self, head: DifferentiableHead) -> dict[str, Any]:
        self._put("weight", head.linear.weight.detach().cpu().numpy())
        if head.linear.bias is not None:
            self._put("bias", head.linear.bias.detach().cpu().numpy())
        return {"kind": "SetFitHead", "temperature": head.temperature, "eps": head.eps}

    def _converted(self, estimator: Any, probes: npt.NDArray[np.float32]) -> dict[str, Any]:
        self.graph, known = convert(estimator, probes)
        return {"kind": _name(estimator), "graph": GRAPH, "classes": _classes(estimator), **known}


def _name(estimator: Any) -> str:
    """Name a class of scikit-learn's; another may bear the same name and answer otherwise."""
    kind = type(estimator)
    return kind.__name__ if kind.__module__.split(".")[0] == "sklearn" else f"{kind.__module__}.{kind.__name__}"


def _only_scales(estimator: Any) -> bool:
    return _name(estimator) == "Pipeline" and all(_name(step) == "StandardScaler" for step in _steps(estimator)[:-1])


def _is_linear(estimator: Any) -> bool:
    """Tell whether it is, or is made of, coefficients alone."""
    if _only_scales(estimator):
        return _is_linear(_steps(estimator)[-1])
    if _name(estimator) in SEVERAL:
        return all(_is_linear(part) for part in estimator.estimators_)
    return _name(estimator) in LINEAR


def _classes(estimator: Any) -> list[Any]:
    """Give the classes; of an estimator of several outputs the numbers of these."""
    classes = estimator.classes_
    if isinstance(classes, list):
        return list(range(len(classes)))
    given: list[Any] = np.asarray(classes).tolist()
    return given


def _steps(pipeline: Any) -> list[Any]:
    return [step for _, step in pipeline.steps if step is not None and step != "passthrough"]
