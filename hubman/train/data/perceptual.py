"""64-bit perceptual hashes by the discrete cosine transform (pHash), also of the mirrored picture."""

from __future__ import annotations

import math
from functools import cache
from operator import mul

from PIL import Image

_SIDE = 32
_BITS = 8


def hashes(picture: Image.Image) -> tuple[int, int]:
    """The hash of ``picture`` and of its mirror image."""
    coefficients = _low_frequencies(picture)
    return _bits(coefficients), _bits([-c if i % _BITS % 2 else c for i, c in enumerate(coefficients)])


@cache
def _cosines() -> list[list[float]]:
    """The first rows of the DCT-II matrix for 32 samples."""
    step = math.pi / (2 * _SIDE)
    return [[math.cos(u * (2 * x + 1) * step) for x in range(_SIDE)] for u in range(_BITS)]


def _low_frequencies(picture: Image.Image) -> list[float]:
    """The 8x8 lowest DCT coefficients of the grey picture at 32x32, row by row; column = horizontal frequency."""
    grey = picture.convert("L").resize((_SIDE, _SIDE), Image.Resampling.LANCZOS).tobytes()
    rows = [grey[i : i + _SIDE] for i in range(0, len(grey), _SIDE)]
    across = [[sum(map(mul, cosine, row)) for row in rows] for cosine in _cosines()]
    return [sum(map(mul, cosine, column)) for cosine in _cosines() for column in across]


def _bits(coefficients: list[float]) -> int:
    """One bit a coefficient: above the median of all but the mean brightness."""
    ordered = sorted(coefficients[1:])
    median = ordered[len(ordered) // 2]
    return sum(1 << i for i, value in enumerate(coefficients) if value > median)
