"""Read a layer, by what a family calls its parts."""

from dataclasses import dataclass

from setfuse.export._encoder import Layer

from ._weights import Weights


@dataclass(frozen=True, slots=True)
class LayerNames:
    """What a family calls the parts of a layer, which are those of `Layer`: tensor names after the layer's own."""

    query: str
    key: str
    value: str
    attention_output: str
    attention_norm: str
    intermediate: str
    output: str
    norm: str

    def read(self, weights: Weights, layer: str, called: str, *, hidden: int, inner: int, epsilon: float) -> Layer:
        """Read a layer.

        Args:
            weights: The tensors.
            layer: The layer's own name among them.
            called: Its name in the graph.
            hidden: Width of the layers.
            inner: Width inside the feed-forward part.
            epsilon: That of the normalisations.

        Raises:
            CheckpointError: A tensor is missing, misshapen or not finite.
        """
        query, key, value = (
            weights.linear(f"{layer}.{name}", hidden, hidden, called=f"{called}.attention.{part}")
            for name, part in ((self.query, "query"), (self.key, "key"), (self.value, "value"))
        )
        return Layer(
            name=called,
            query=query,
            key=key,
            value=value,
            attention_output=weights.linear(
                f"{layer}.{self.attention_output}", hidden, hidden, called=f"{called}.attention.output"
            ),
            attention_norm=weights.norm(
                f"{layer}.{self.attention_norm}", hidden, epsilon, called=f"{called}.attention.norm"
            ),
            intermediate=weights.linear(f"{layer}.{self.intermediate}", hidden, inner, called=f"{called}.intermediate"),
            output=weights.linear(f"{layer}.{self.output}", inner, hidden, called=f"{called}.output"),
            norm=weights.norm(f"{layer}.{self.norm}", hidden, epsilon, called=f"{called}.norm"),
        )

    def read_all(
        self, weights: Weights, source: str, count: int, *, hidden: int, inner: int, epsilon: float
    ) -> tuple[Layer, ...]:
        """Read layers that are numbered from 0 on, each with weights of its own.

        Args:
            weights: The tensors.
            source: What stands before a layer's number among them.
            count: How many layers there are.
            hidden: As of `read`.
            inner: As of `read`.
            epsilon: As of `read`.

        Raises:
            CheckpointError: As `read`.
        """
        return tuple(
            self.read(weights, f"{source}.{number}", f"layer.{number}", hidden=hidden, inner=inner, epsilon=epsilon)
            for number in range(count)
        )
