"""A seeded permutation that is computed where it is asked for, and never stored."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_ROUNDS = 6
"""Luby and Rackoff prove four rounds of ideal functions enough (1988); these are mere hashes, hence two more."""


@dataclass(frozen=True, slots=True)
class Permutation:
    """A permutation of 0, …, size - 1 that is chosen by a key.

    A Feistel network over two digits of base b, where b x b is the smallest square that holds `size`: each round adds
    a hash of one digit to the other, which can be undone, so no two positions get the same value. A value that is not
    below `size` is sent through again until it is (cycle walking), which keeps this true. Both are from Black and
    Rogaway, "Ciphers with Arbitrary Finite Domains" (2002). It shuffles; it keeps no secrets.

    Attributes:
        size: How many numbers there are; below 2^62.
        key: Numbers from 0 on, such as a seed and an epoch. Keys that differ give permutations that have nothing to do
            with each other, but for zeros at the end, which count for nothing.
    """

    size: int
    key: tuple[int, ...]

    def __call__(self, positions: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Give the numbers that stand at these positions.

        Args:
            positions: int64 (n,), each from 0 to `size - 1`.

        Returns:
            int64 (n,), each from 0 to `size - 1`. Memory and time grow with n alone.
        """
        base = np.uint64(math.isqrt(max(self.size, 1) - 1) + 1)
        keys = np.asarray(np.random.SeedSequence(self.key).generate_state(_ROUNDS, np.uint64), np.uint64)
        values = positions.astype(np.uint64)
        beyond = np.ones(len(values), bool)
        while beyond.any():
            values[beyond] = _encrypt(values[beyond], base, keys)
            beyond = values >= self.size
        return values.astype(np.int64)


def _encrypt(values: npt.NDArray[np.uint64], base: np.uint64, keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    left, right = np.divmod(values, base)
    for key in keys:
        left, right = right, (left + _hash(right, key)) % base
    return left * base + right


def _hash(values: npt.NDArray[np.uint64], key: np.uint64) -> npt.NDArray[np.uint64]:
    """Mix each number with the key: the output function of SplitMix64 (Steele, Lea and Flood, 2014).

    Halved, so that the sum with a digit cannot overflow.
    """
    mixed = values ^ key
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (mixed ^ (mixed >> np.uint64(31))) >> np.uint64(1)
