"""Texture as oriented gradients: how much of them there is in each direction, at three scales."""

from __future__ import annotations

import numpy as np

from hubman.generate.metrics.pixels import Array, luma

SCALES = 3
DIRECTIONS = 8
_LEAST = 0.002
"""Mean gradient of a scale, in luma a pixel, below which two pictures both count as smooth."""


def texture(pixels: Array) -> Array:
    """[scales, directions]: the mean gradient of the luma that lies in each direction (modulo 180 degrees).

    Each scale has half the pixels a side of the one before, by means over 2x2; a picture too small for one has zeros there.
    """
    grey, found = luma(pixels), np.zeros((SCALES, DIRECTIONS))
    for scale in range(SCALES):
        if min(grey.shape) < 3:
            break
        dy = (grey[2:, 1:-1] - grey[:-2, 1:-1]) / 2
        dx = (grey[1:-1, 2:] - grey[1:-1, :-2]) / 2
        place = np.arctan2(dy, dx) % np.pi * DIRECTIONS / np.pi
        low = np.floor(place).astype(int)
        share, size = place - low, np.hypot(dx, dy)
        for bins, weight in ((low % DIRECTIONS, 1 - share), ((low + 1) % DIRECTIONS, share)):
            found[scale] += np.bincount(bins.ravel(), (size * weight).ravel(), DIRECTIONS)
        found[scale] /= size.size
        grey = _halved(grey)
    return found


def texture_distance(first: Array, second: Array) -> float:
    """How different the textures of two pictures are: 0 = the same … 1 = nothing in common, the mean over scales."""
    one, other = texture(first), texture(second)
    apart = np.abs(one - other).sum(axis=1)
    return float((apart / (one.sum(axis=1) + other.sum(axis=1) + _LEAST)).mean())


def _halved(grey: Array) -> Array:
    height, width = (side // 2 * 2 for side in grey.shape)
    even = grey[:height, :width]
    halved: Array = (even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]) / 4
    return halved
