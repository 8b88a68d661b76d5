"""What a call asks of the device at least, from the model's shape: floating-point operations, and bytes of weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks._roof import multiply_adds

BYTES = 2
"""Of a weight in fp16."""


@dataclass(frozen=True, slots=True)
class Work:
    """A model's encoder.

    Attributes:
        folder: Where its `config.json` is.
    """

    folder: Path

    def flops(self, tokens: Sequence[int]) -> float | None:
        """Count floating-point operations of the matrix products, two a multiply-add, without padding.

        Args:
            tokens: Tokens of each text of the call.

        Returns:
            None where the config is unknown.
        """
        products = multiply_adds(self.folder, tokens)
        return None if products is None else 2 * products

    def weight_bytes(self) -> float | None:
        """Count the bytes of the layers' weights in fp16, which every run reads once at least; None as above.

        What grows with a text's length is one multiply-add a weight; what grows with its square is attention's, and
        falls out of four texts of one token less one of two.
        """
        four, two = multiply_adds(self.folder, [1] * 4), multiply_adds(self.folder, [2])
        return None if four is None or two is None else BYTES * (four - two) / 2
