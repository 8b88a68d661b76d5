"""The body's part of the graph after the encoder: token embeddings to the embedding that the head sees."""

from collections.abc import Callable, Sequence

import numpy as np

from ._encoder import Linear
from ._graph import BOOL, FLOAT, GraphBuilder
from ._modules import Dense, DenseActivation, LayerNorm, Module, Normalize, Pooling, PoolingMode, Truncate


def add_pooling(
    graph: GraphBuilder, pooling: Pooling, tokens: str, *, input_ids: str, attention_mask: str | None, longest: int
) -> str:
    """Add a pooling as sentence-transformers' `Pooling` computes it.

    Args:
        graph: Where to add it.
        pooling: Its modes, and how many tokens do not count.
        tokens: float32 (batch, sequence, hidden), the token embeddings; where only the first is used, it will do.
        input_ids: int64 (batch, sequence).
        attention_mask: int64 (batch, sequence), with any padding on the right; None if there is never any.
        longest: Tokens of the longest text that the encoder takes.

    Returns:
        float32 (batch, modes x hidden).
    """
    if pooling.skipped and attention_mask is None:
        one = graph.constant("pooling.one", [[1]], np.int64)
        shape = graph.node("Shape", [input_ids], "pooling.shape")
        attention_mask = graph.node("Expand", [one, shape], "pooling.every_token")
    writer = _PoolingWriter(graph, pooling, tokens, attention_mask, longest)
    pooled = [writer.add(mode) for mode in pooling.modes]
    return pooled[0] if len(pooled) == 1 else graph.node("Concat", pooled, "pooled", axis=-1)


class _PoolingWriter:
    """Writes the modes of one pooling; what several of them need is written once, when the first asks for it."""

    def __init__(
        self, graph: GraphBuilder, pooling: Pooling, tokens: str, attention_mask: str | None, longest: int
    ) -> None:
        self._graph = graph
        self._tokens = tokens
        self._longest = longest
        self._skipped = pooling.skipped
        self._written: dict[str, str] = {}
        # float32 (batch, sequence): 1 for a token that counts
        self._mask = self._add_mask(attention_mask) if attention_mask and not pooling.first_token_only else None

    def add(self, mode: PoolingMode) -> str:
        """Add one mode: float32 (batch, hidden)."""
        return {
            PoolingMode.CLS: self._add_cls,
            PoolingMode.MAX: self._add_max,
            PoolingMode.MEAN: self._add_mean,
            PoolingMode.MEAN_SQRT_LEN: self._add_mean_sqrt_len,
            PoolingMode.WEIGHTED_MEAN: self._add_weighted_mean,
            PoolingMode.LAST_TOKEN: self._add_last_token,
        }[mode]()

    def _add_axis(self) -> str:
        return self._graph.constant("pooling.axis", [1], np.int64)

    def _add_mask(self, attention_mask: str) -> str:
        mask = self._graph.node("Cast", [attention_mask], "pooling.mask", to=FLOAT)
        if not self._skipped:
            return mask
        counts = np.arange(self._longest) >= self._skipped
        return self._graph.node(
            "Mul", [mask, self._add_up_to_length("pooling.after_prompt", counts)], "pooling.counted"
        )

    def _add_up_to_length(self, name: str, values: np.ndarray[tuple[int], np.dtype[np.generic]]) -> str:
        """Add a constant with a value a place, cut to the length of the batch: float32 (sequence,)."""
        graph = self._graph
        length = self._once(
            "pooling.length", lambda: graph.node("Shape", [self._tokens], "pooling.length", start=1, end=2)
        )
        zero = graph.constant("pooling.zero", [0], np.int64)
        return graph.node("Slice", [graph.constant(f"{name}.table", values), zero, length, zero], name)

    def _once(self, name: str, add: Callable[[], str]) -> str:
        if name not in self._written:
            self._written[name] = add()
        return self._written[name]

    def _add_column(self) -> str:
        """Add the mask as (batch, sequence, 1)."""
        graph = self._graph
        last = graph.constant("pooling.last", [-1], np.int64)
        return self._once("column", lambda: graph.node("Unsqueeze", [str(self._mask), last], "pooling.mask.column"))

    def _add_row_at(self, place: str, name: str) -> str:
        """Add the lookup of one token a text; places are int64 (batch, 1)."""
        return self._graph.node("GatherND", [self._tokens, place], name, batch_dims=1)

    def _add_cls(self) -> str:
        graph = self._graph
        if self._skipped:  # the first token that counts
            place = graph.node("ArgMax", [str(self._mask)], "pooling.cls.place", axis=1, keepdims=1)
            return self._add_row_at(place, "pooled.cls")
        return graph.node("Gather", [self._tokens, graph.constant("pooling.cls", 0, np.int64)], "pooled.cls", axis=1)

    def _add_last_token(self) -> str:
        graph = self._graph
        if self._mask is None:
            last = graph.constant("pooling.lasttoken", -1, np.int64)
            return graph.node("Gather", [self._tokens, last], "pooled.lasttoken", axis=1)
        # ArgMax could give the last of several largest itself, but not on CUDA.
        numbers = self._add_up_to_length("pooling.lasttoken.numbers", np.arange(1, self._longest + 1))
        counted = graph.node("Mul", [self._mask, numbers], "pooling.lasttoken.counted")
        place = graph.node("ArgMax", [counted], "pooling.lasttoken.place", axis=1, keepdims=1)
        return self._add_row_at(place, "pooled.lasttoken")

    def _add_max(self) -> str:
        graph, tokens = self._graph, self._tokens
        if self._mask:
            is_token = graph.node("Cast", [self._add_column()], "pooling.max.is_token", to=BOOL)
            lowest = graph.constant("pooling.max.padding", -np.inf)
            tokens = graph.node("Where", [is_token, tokens, lowest], "pooling.max.tokens")
        return graph.node("ReduceMax", [tokens, self._add_axis()], "pooled.max", keepdims=0)

    def _add_mean(self) -> str:
        if self._mask is None:
            return self._graph.node("ReduceMean", [self._tokens, self._add_axis()], "pooled.mean", keepdims=0)
        return self._graph.node("Div", [self._add_sum(), self._add_count()], "pooled.mean")

    def _add_mean_sqrt_len(self) -> str:
        root = self._graph.node("Sqrt", [self._add_count()], "pooling.sqrt_count")
        return self._graph.node("Div", [self._add_sum(), root], "pooled.mean_sqrt_len")

    def _add_weighted_mean(self) -> str:
        graph = self._graph
        weights = self._add_up_to_length("pooling.weights", np.arange(1, self._longest + 1))
        if self._mask:
            weights = graph.node("Mul", [weights, self._mask], "pooling.weights.counted")
        last = graph.constant("pooling.last", [-1], np.int64)
        column = graph.node("Unsqueeze", [weights, last], "pooling.weights.column")
        weighted = graph.node("Mul", [self._tokens, column], "pooling.weighted")
        total = graph.node("ReduceSum", [weighted, self._add_axis()], "pooling.weighted.sum", keepdims=0)
        # (batch, 1), or (1,) where no mask makes it a matter of the text
        count = graph.node("ReduceSum", [weights, last], "pooling.weights.sum", keepdims=1)
        return graph.node("Div", [total, self._add_at_least(count, "pooling.weights")], "pooled.weightedmean")

    def _add_sum(self) -> str:
        graph = self._graph

        def add() -> str:
            tokens = self._tokens
            if self._mask:
                tokens = graph.node("Mul", [tokens, self._add_column()], "pooling.tokens")
            return graph.node("ReduceSum", [tokens, self._add_axis()], "pooling.sum", keepdims=0)

        return self._once("sum", add)

    def _add_count(self) -> str:
        """Add the number of tokens that count: float32 (batch, 1) or (1,)."""
        graph = self._graph

        def add() -> str:
            if self._mask is None:
                length = graph.node("Shape", [self._tokens], "pooling.count.length", start=1, end=2)
                return graph.node("Cast", [length], "pooling.count", to=FLOAT)
            count = graph.node("ReduceSum", [self._mask, self._add_axis()], "pooling.count", keepdims=1)
            return self._add_at_least(count, "pooling")

        return self._once("count", add)

    def _add_at_least(self, count: str, name: str) -> str:
        # sentence-transformers' own guard against a text without tokens
        return self._graph.node("Max", [count, self._graph.constant("pooling.at_least", 1e-9)], f"{name}.divisor")


def add_modules(graph: GraphBuilder, modules: Sequence[Module], embedding: str) -> str:
    """Add what a body does after the pooling.

    Args:
        graph: Where to add it.
        modules: In order.
        embedding: float32 (batch, width).

    Returns:
        float32 (batch, width of the last module).
    """
    for number, module in enumerate(modules, start=2):
        name = f"module.{number}"
        if isinstance(module, Dense):
            embedding = _add_dense(graph, module, embedding, name)
        elif isinstance(module, LayerNorm):
            embedding = graph.layer_norm(embedding, name, module.norm)
        elif isinstance(module, Normalize):
            embedding = _add_normalize(graph, embedding, name)
        elif isinstance(module, Truncate):
            start, end = (
                graph.constant(f"{name}.start", [0], np.int64),
                graph.constant(f"{name}.end", [module.dim], np.int64),
            )
            axis = graph.constant(f"{name}.axis", [-1], np.int64)
            embedding = graph.node("Slice", [embedding, start, end, axis], name)
    return embedding


def _add_dense(graph: GraphBuilder, module: Dense, x: str, name: str) -> str:
    projected = _add_gemm(graph, module.linear, x, f"{name}.linear")
    activated = _add_activation(graph, module.activation, projected, f"{name}.activation")
    if not module.residual:
        return activated
    residual = x if module.residual_linear is None else _add_gemm(graph, module.residual_linear, x, f"{name}.residual")
    return graph.node("Add", [activated, residual], f"{name}.sum")


def _add_gemm(graph: GraphBuilder, linear: Linear, x: str, output: str) -> str:
    constants = [
        graph.constant(f"{linear.name}.weight", linear.weight),
        graph.constant(f"{linear.name}.bias", linear.bias),
    ]
    return graph.node("Gemm", [x, *constants], output)


def _add_activation(graph: GraphBuilder, activation: DenseActivation, x: str, output: str) -> str:
    if activation is DenseActivation.IDENTITY:
        return x
    if activation is DenseActivation.SILU:
        return graph.node("Mul", [x, graph.node("Sigmoid", [x], f"{output}.gate")], output)
    operators = {
        DenseActivation.TANH: "Tanh",
        DenseActivation.RELU: "Relu",
        DenseActivation.GELU: "Gelu",
        DenseActivation.SIGMOID: "Sigmoid",
        DenseActivation.LEAKY_RELU: "LeakyRelu",
        DenseActivation.ELU: "Elu",
        DenseActivation.SOFTPLUS: "Softplus",
    }
    return graph.node(operators[activation], [x], output)  # torch's and ONNX's defaults are the same for all of these


def _add_normalize(graph: GraphBuilder, embedding: str, name: str) -> str:
    """Add torch's `F.normalize`: scale each row to unit length; a row of zeros stays one."""
    axis = graph.constant(f"{name}.axis", [-1], np.int64)
    length = graph.node("ReduceL2", [embedding, axis], f"{name}.length", keepdims=1)
    at_least = graph.node("Max", [length, graph.constant(f"{name}.at_least", 1e-12)], f"{name}.divisor")
    return graph.node("Div", [embedding, at_least], name)
