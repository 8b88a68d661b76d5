"""Which part of a model a node or a constant belongs to, by its name: ours, or as tracers name them."""

import re
from enum import StrEnum

import onnx

from setfuse.export._check._foreign import all_nodes


class ModelPart(StrEnum):
    """The parts that bytes and operators are counted by."""

    TOKENIZER = "tokenizer"
    EMBEDDINGS = "embeddings"
    ATTENTION = "attention"
    FEED_FORWARD = "feed-forward"
    NORMS = "norms and residuals"
    POOLING = "pooling"
    MODULES = "modules after the pooling"
    HEAD = "head"
    OTHER = "other"


# Looked for in this order in a name in lower case: our names, then those of transformers' modules.
_RULES = (
    (ModelPart.TOKENIZER, r"^(text|prompt)(\.(count|ids|input_ids|number|one|prompted|shape)\b.*)?$"),
    (ModelPart.HEAD, r"(^|[./_])(head|logits|probabilities|labels?|classifier|coef|decision\w*|calibration)\b"),
    (ModelPart.POOLING, r"pool(ed|ing)|sentence_embedding|^tokens$"),
    (ModelPart.MODULES, r"normalize|(^|[./])module\.\d+|(^|/)(module|dense|linear)[._]?\d*([./]|$)"),
    (ModelPart.EMBEDDINGS, r"(^|[./])embeddings?([./]|_hidden)|^traced_inputs\b"),
    (ModelPart.NORMS, r"norm|residual"),
    (ModelPart.ATTENTION, r"attention|attn|(^|[./])(mask|pairs)\b|relative_bias|first_token"),
    (ModelPart.FEED_FORWARD, r"intermediate|ffn|feed_forward|mlp|lin[12]|activation|(layer|group)\w*[./]\d+[./]output"),
)
_GRAPHS = {onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS}
_LAYER = re.compile(r"(?:^|[./])(?:layers?|h|blocks?|albert_layers)[./](\d+)[./]")


def part_of(name: str) -> ModelPart:
    """Tell the part from a name."""
    plain = name.lower()
    rules = _RULES if layer_of(name) is None else [rule for rule in _RULES if rule[0] is not ModelPart.MODULES]
    return next((part for part, rule in rules if re.search(rule, plain)), ModelPart.OTHER)


def layer_of(name: str) -> int | None:
    """Tell the number of the layer from a name; None outside of the layers."""
    found = _LAYER.search(name.lower())
    return int(found[1]) if found else None


class PartFinder:
    """Finds the parts of a graph's nodes and constants; what has no telling name goes with what reads it."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        """Look at each node and at who reads what."""
        self._readers: dict[str, list[onnx.NodeProto]] = {}
        for node in all_nodes(graph):
            for name in node.input:
                self._readers.setdefault(name, []).append(node)

    def of_node(self, node: onnx.NodeProto) -> tuple[ModelPart, int | None]:
        """Give a node's part and layer."""
        if any(attribute.type in _GRAPHS for attribute in node.attribute):  # a loop: its body has parts of its own
            return ModelPart.OTHER, None
        return self._first([node.name, *node.output], [])

    def of_constant(self, name: str) -> tuple[ModelPart, int | None]:
        """Give a constant's part and layer."""
        readers = self._readers.get(name, [])
        # A trace of a linear calls its weight `onnx::MatMul_387`, and a quantizer appends to names.
        part, layer = self._first([name], readers)
        layers = {layer_of(node.name) for node in readers}
        if layer is None and part is not ModelPart.OTHER and len(layers) == 1:  # of one layer, whatever it is called
            layer = layers.pop()
        return part, layer

    def _first(self, names: list[str], readers: list[onnx.NodeProto]) -> tuple[ModelPart, int | None]:
        candidates = [*names, *(name for node in readers for name in (node.name, *node.output))]
        onward = [reader for node in readers for name in node.output for reader in self._readers.get(name, [])]
        candidates += [name for node in onward for name in (node.name, *node.output)]
        telling = next((name for name in candidates if part_of(name) is not ModelPart.OTHER), "")
        return part_of(telling), layer_of(telling)
