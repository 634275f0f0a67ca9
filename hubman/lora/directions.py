"""The fixed random directions along which changes are looked at: the same on every machine and in every version.

Random generators of libraries may change between versions, and their logarithms and cosines between machines. So the
numbers here are made of integers alone: entry ``i`` of the directions of a dimension is

    z = splitmix64(seed + i · 0x9E3779B97F4A7C15)       (all modulo 2⁶⁴; seed = splitmix64(dimension · 4 + side))
    value = (number of ones among the 64 bits of z - 32) / 4

A sum of 64 fair bits has the variance 16, so the values have mean 0 and variance 1, are symmetric, and are as good as
normal: the fourth moment is 2.97 and not 3. They are multiples of 1/4 up to 8, exact in every floating-point type.
splitmix64: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from hubman.lora.halves import Array

OUT, IN, VECTOR = 0, 1, 2
"""The side of a weight, or the only one of a bias; fixed for ever, as stored fingerprints depend on them."""

_GOLDEN = 0x9E3779B97F4A7C15
_BLOCK = 1 << 16


@lru_cache(maxsize=128)
def directions(dimension: int, count: int, side: int) -> Array:
    """[dimension, count] fixed random numbers of mean 0 and variance 1; row by row. Not to be written to."""
    seed = int(_splitmix(np.array([dimension * 4 + side], np.uint64))[0])
    found = np.empty(dimension * count, np.float32)
    for start in range(0, found.size, _BLOCK):
        numbers = np.arange(start, min(start + _BLOCK, found.size), dtype=np.uint64)
        bits = np.bitwise_count(_splitmix(numbers * np.uint64(_GOLDEN) + np.uint64(seed)))
        found[start : start + numbers.size] = (bits.astype(np.float32) - 32) / 4
    found.flags.writeable = False
    return found.reshape(dimension, count)


def _splitmix(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    z = z + np.uint64(_GOLDEN)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
