"""BlurHash: a picture as thirty-odd characters, which Civitai shows until the real one has loaded.

Follows the reference encoder (woltapp/blurhash): a cosine transform in linear light, written in base 83.
"""

from __future__ import annotations

import functools
import math
import operator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz#$%*+,-.:;=?@[]^_{|}~"
_SIDE = 32
"""Pixels a side of the copy that is transformed; a finer one changes nothing that can be seen."""

Colour = tuple[float, float, float]


def encode(image: Image.Image, across: int = 4, down: int = 4) -> str:
    """The BlurHash of ``image`` with ``across`` by ``down`` components (1 to 9 each): 4 by 4 is what Civitai uses."""
    raw = image.convert("RGB").resize((_SIDE, _SIDE)).tobytes()
    factors = list(zip(*(_cosines(raw[c::3], across, down) for c in range(3)), strict=True))
    average, details = factors[0], factors[1:]
    size = _base83((across - 1) + (down - 1) * 9, 1)
    if not details:
        return size + _base83(0, 1) + _base83(_average(average), 4)
    largest = max(abs(value) for factor in details for value in factor)
    level = max(0, min(82, math.floor(largest * 166 - 0.5)))
    scale = (level + 1) / 166
    return (
        size
        + _base83(level, 1)
        + _base83(_average(average), 4)
        + "".join(_base83(_detail(f, scale), 2) for f in details)
    )


def _to_linear(value: int) -> float:
    v = value / 255
    return v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4


_LINEAR = [_to_linear(value) for value in range(256)]


def _to_srgb(value: float) -> int:
    v = max(0.0, min(1.0, value))
    return int((v * 12.92 if v <= 0.0031308 else 1.055 * v ** (1 / 2.4) - 0.055) * 255 + 0.5)


def _cosines(values: bytes, across: int, down: int) -> list[float]:
    """The weights of all cosines over one colour of the picture, row by row of components.

    First along the rows, then along the columns of what that gave: thirty times fewer products than at once.
    """
    linear = [_LINEAR[value] for value in values]
    rows = [
        [sum(map(operator.mul, linear[y * _SIDE : (y + 1) * _SIDE], _wave(i))) for y in range(_SIDE)]
        for i in range(across)
    ]
    return [
        sum(map(operator.mul, rows[i], _wave(j))) * (1 if i == j == 0 else 2) / _SIDE**2
        for j in range(down)
        for i in range(across)
    ]


@functools.cache
def _wave(frequency: int) -> list[float]:
    return [math.cos(math.pi * frequency * position / _SIDE) for position in range(_SIDE)]


def _average(colour: Colour) -> int:
    red, green, blue = (_to_srgb(value) for value in colour)
    return (red << 16) + (green << 8) + blue


def _detail(colour: Colour, scale: float) -> int:
    def digit(value: float) -> int:
        root = math.copysign(math.sqrt(abs(value / scale)), value)
        return max(0, min(18, math.floor(root * 9 + 9.5)))

    red, green, blue = (digit(value) for value in colour)
    return red * 361 + green * 19 + blue


def _base83(value: int, length: int) -> str:
    return "".join(_DIGITS[(value // 83**power) % 83] for power in reversed(range(length)))
