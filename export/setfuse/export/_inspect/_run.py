"""What is in a bundle's graphs: operators, bytes and multiply-adds by part."""

import dataclasses
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from setfuse.export._check._foreign import all_graphs, all_nodes, open_session, read_model
from setfuse.export._errors import GraphError
from setfuse.export._strings import extensions_library
from setfuse.runtime import Manifest, MissingExtra, Tensor, UsageError, Variant

from ._cost import NONE, MultiplyAdds, multiply_adds
from ._parts import ModelPart, PartFinder

_USUAL_LENGTHS = (16, 128, 512)
_EXTENSIONS = "ai.onnx.contrib"


@dataclass(frozen=True, slots=True)
class Section:
    """One part of one layer, or of what stands outside of the layers.

    Attributes:
        part: The part.
        layer: Its layer's number; None outside of the layers.
        operators: Nodes by operator, as written.
        bytes: Of its constants.
        parameters: Numbers in its constants.
        multiply_adds: Of its matrix products; None if they could not be counted.
    """

    part: ModelPart
    layer: int | None
    operators: Mapping[str, int]
    bytes: int
    parameters: int
    multiply_adds: MultiplyAdds | None


@dataclass(frozen=True, slots=True)
class GraphInspection:
    """One ONNX file.

    Attributes:
        file: Its name.
        variant: Precision and target, as in `fp32/cpu`; empty of a file outside of a bundle.
        bytes: Its size, external data apart.
        operators: Nodes by operator, as written.
        operators_run: The same as onnxruntime runs it on the CPU, after its own fusions; None if it refuses the graph.
        refusal: Why it does; empty if it does not.
        sections: By layer and part, in the order of the model; their bytes add up to the constants'.
        dtypes: Bytes of constants by element type.
        multiply_adds: Of one text; None if they could not be counted. A bundle's graph with the tokenizer inside has
            those of the graph whose classifier it repeats.
        max_length: Tokens of the longest text, where the file or the bundle says so.
        inputs: What it takes.
        outputs: What it gives.
        opsets: Versions by domain; the standard domain is `ai.onnx`.
        ir_version: Version of the file's form.
        producer: Who wrote it.
        metadata: Its `metadata_props`.
    """

    file: str
    variant: str
    bytes: int
    operators: Mapping[str, int]
    operators_run: Mapping[str, int] | None
    refusal: str
    sections: tuple[Section, ...]
    dtypes: Mapping[str, int]
    multiply_adds: MultiplyAdds | None
    max_length: int | None
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    opsets: Mapping[str, int]
    ir_version: int
    producer: str
    metadata: Mapping[str, str]

    @property
    def bytes_by_part(self) -> dict[ModelPart, int]:
        """Bytes of the constants of each part that has any."""
        parts = {part: sum(one.bytes for one in self.sections if one.part is part) for part in ModelPart}
        return {part: count for part, count in parts.items() if count}

    @property
    def lengths(self) -> tuple[int, ...]:
        """Lengths that multiply-adds are shown at."""
        longest = self.max_length or _USUAL_LENGTHS[-1]
        return (*(length for length in _USUAL_LENGTHS if length < longest), longest)

    def to_json(self) -> dict[str, Any]:
        """Give it as `json.dump` takes it."""
        value = dataclasses.asdict(self)
        cost = self.multiply_adds
        at = {str(length): cost.of(length) for length in self.lengths} if cost else {}
        return {**value, "bytes_by_part": self.bytes_by_part, "multiply_adds_at": at}


@dataclass(frozen=True, slots=True)
class Inspection:
    """A bundle, or a lone ONNX file.

    Attributes:
        path: The folder, or the file.
        graphs: Each graph that was looked at.
    """

    path: str
    graphs: tuple[GraphInspection, ...]

    def to_json(self) -> dict[str, Any]:
        """Give it as `json.dump` takes it."""
        return {"path": self.path, "graphs": [graph.to_json() for graph in self.graphs]}


def inspect(target: str | Path, *, variant: str | None = None) -> Inspection:
    """Look into the graphs of a bundle.

    Args:
        target: A bundle's folder, or an ONNX file, whoever wrote it.
        variant: The one graph to look at, as `fp32`, `int8/cpu` or a file's name; None for all.

    Returns:
        What is in each graph.

    Raises:
        UsageError: The bundle has no such variant.
        GraphError: The file is not ONNX.
        BundleNotFound: The folder is no bundle.
        BundleCorrupt: `bundle.json` is damaged.
        UnsupportedFormat: It is of another format version.
    """
    path = Path(target)
    if not path.is_dir():
        if variant is not None:
            raise UsageError(f"variant: expected none for the single file {path}, got {variant!r}")
        return Inspection(str(target), (_inspect_file(path, path, "", None),))
    manifest = Manifest.read(path)
    wanted = [one for one in manifest.variants if variant in {None, str(one), str(one.precision), one.file.file}]
    if not wanted:
        has = ", ".join(str(one) for one in manifest.variants)
        raise UsageError(f"variant: expected one of {has}, got {variant!r}")
    graphs = [
        _inspect_file(path / one.file.file, path / _takes_ids(one, manifest), str(one), manifest.max_length)
        for one in wanted
    ]
    return Inspection(str(target), tuple(graphs))


_DIGITS = 10
"""Of a number of tokens; a longer one is damage."""


def _takes_ids(variant: Variant, manifest: Manifest) -> str:
    """Name the file with the same classifier from token ids on: the variant's own, unless it takes strings."""
    repeated = [
        one.file.file
        for one in manifest.variants
        if variant.takes_strings and not one.takes_strings and one.precision is variant.precision
    ]
    return next(iter(repeated), variant.file.file)


def _inspect_file(path: Path, takes_ids: Path, variant: str, max_length: int | None) -> GraphInspection:
    model = read_model(path)
    promised = model_metadata(model).get("setfuse.max_length", "")
    cost = multiply_adds(takes_ids if takes_ids.is_file() else path)
    operators_run, refusal = _as_run(path)
    return GraphInspection(
        file=path.name,
        variant=variant,
        bytes=path.stat().st_size,
        operators=_count(all_nodes(model.graph)),
        operators_run=operators_run,
        refusal=refusal,
        sections=_sections(model, cost),
        dtypes=_dtypes(model),
        multiply_adds=None if cost is None else sum(cost.values(), NONE),
        max_length=max_length or (int(promised) if promised.isdecimal() and len(promised) < _DIGITS else None),
        inputs=tuple(_tensor(value) for value in model.graph.input if value.name not in _constant_names(model)),
        outputs=tuple(_tensor(value) for value in model.graph.output),
        opsets={opset.domain or "ai.onnx": opset.version for opset in model.opset_import},
        ir_version=model.ir_version,
        producer=f"{model.producer_name} {model.producer_version}".strip(),
        metadata=model_metadata(model),
    )


def model_metadata(model: onnx.ModelProto) -> dict[str, str]:
    """Give a model's `metadata_props`."""
    return {item.key: item.value for item in model.metadata_props}


def _as_run(path: Path) -> tuple[dict[str, int] | None, str]:
    with tempfile.TemporaryDirectory() as folder:
        optimized = Path(folder) / "optimized.onnx"
        try:
            open_session(path, optimized, _library(read_model(path)))
        except (GraphError, MissingExtra) as error:
            return None, str(error)
        return _count(all_nodes(read_model(optimized).graph)), ""


def _library(model: onnx.ModelProto) -> str:
    """Find onnxruntime-extensions, where a graph needs it.

    Raises:
        MissingExtra: It is not installed.
    """
    if not any(opset.domain == _EXTENSIONS for opset in model.opset_import):
        return ""
    try:
        return extensions_library()
    except MissingExtra as error:
        raise MissingExtra(
            'not known: the tokenizer inside needs onnxruntime-extensions; pip install "setfuse[strings]"'
        ) from error


def _sections(
    model: onnx.ModelProto, cost: Mapping[tuple[ModelPart, int | None], MultiplyAdds] | None
) -> tuple[Section, ...]:
    finder = PartFinder(model.graph)
    nodes: dict[tuple[ModelPart, int | None], list[onnx.NodeProto]] = {}
    constants: dict[tuple[ModelPart, int | None], list[onnx.TensorProto]] = {}
    for node in all_nodes(model.graph):
        nodes.setdefault(finder.of_node(node), []).append(node)
    for graph in all_graphs(model.graph):
        for constant in graph.initializer:
            constants.setdefault(finder.of_constant(constant.name), []).append(constant)
    for node in all_nodes(model.graph):
        constants.setdefault(finder.of_node(node), []).extend(_inside(node))
    places = sorted({*nodes, *constants}, key=_in_models_order)
    return tuple(
        Section(
            part=place[0],
            layer=place[1],
            operators=_count(nodes.get(place, [])),
            bytes=sum(_bytes(constant) for constant in constants.get(place, [])),
            parameters=sum(int(np.prod(constant.dims)) for constant in constants.get(place, [])),
            multiply_adds=None if cost is None else cost.get(place, NONE),
        )
        for place in places
    )


def _inside(node: onnx.NodeProto) -> list[onnx.TensorProto]:
    """Give the constants that a node holds itself: a Constant's tensor, a tokenizer's file, ai.onnx.ml's numbers."""
    tensors = [attribute.t for attribute in node.attribute if attribute.type == onnx.AttributeProto.TENSOR]
    weights = [attribute.floats for attribute in node.attribute if attribute.type == onnx.AttributeProto.FLOATS]
    numbers = [onnx.TensorProto(data_type=TensorProto.FLOAT, dims=[len(floats)]) for floats in weights]
    files = [attribute.s for attribute in node.attribute if attribute.name.endswith("_file")]
    return [*tensors, *numbers, *(onnx.TensorProto(data_type=TensorProto.UINT8, dims=[len(file)]) for file in files)]


def _in_models_order(place: tuple[ModelPart, int | None]) -> tuple[int, int, int]:
    part, layer = place
    order = list(ModelPart).index(part)
    before_layers = part in {ModelPart.TOKENIZER, ModelPart.EMBEDDINGS, ModelPart.ATTENTION}
    return (1, layer, order) if layer is not None else (0 if before_layers else 2, 0, order)


def _count(nodes: list[onnx.NodeProto]) -> dict[str, int]:
    names = Counter(".".join(part for part in (node.domain, node.op_type) if part) for node in nodes)
    return dict(sorted(names.items(), key=lambda item: (-item[1], item[0])))


def _bytes(constant: onnx.TensorProto) -> int:
    if constant.data_type == TensorProto.STRING:
        return sum(len(item) for item in constant.string_data)
    return _size(constant.data_type, int(np.prod(constant.dims)))


def _size(dtype: int, count: int) -> int:
    if dtype in {TensorProto.INT4, TensorProto.UINT4}:
        return (count + 1) // 2
    return count * np.dtype(helper.tensor_dtype_to_np_dtype(dtype)).itemsize


def _dtypes(model: onnx.ModelProto) -> dict[str, int]:
    sizes: Counter[str] = Counter()
    for constant in (constant for graph in all_graphs(model.graph) for constant in graph.initializer):
        sizes[TensorProto.DataType.Name(constant.data_type).lower()] += _bytes(constant)
    return dict(sizes.most_common())


def _constant_names(model: onnx.ModelProto) -> set[str]:
    return {constant.name for constant in model.graph.initializer}


def _tensor(value: onnx.ValueInfoProto) -> Tensor:
    kind = value.type.tensor_type
    # What another exporter left open has no name.
    shape = tuple(dim.dim_param or dim.dim_value or "?" for dim in kind.shape.dim)
    return Tensor(name=value.name, dtype=TensorProto.DataType.Name(kind.elem_type).lower(), shape=shape)
