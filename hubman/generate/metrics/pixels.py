"""Pictures as numbers: read, brought to 256 pixels, and in the colours that are compared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from registry.errors import DamagedFileError

Array = NDArray[np.float64]

LONGEST = 256
"""Pixels of the longer side at most: larger pictures are scaled down, so that curves of all bases mean the same."""

_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
_WHITE = np.array([0.95047, 1.0, 1.08883])


def load_pixels(path: Path, longest_side: int = LONGEST) -> Array:
    """A picture as [height, width, 3] sRGB in 0..1, at most so many pixels a side. ``DamagedFileError`` if unreadable."""
    try:
        with Image.open(path) as opened:
            image = opened.convert("RGB")
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise DamagedFileError(f"{path} is not a picture that can be read ({error})") from error
    longest = max(image.size)
    if longest > longest_side:
        width, height = (max(1, round(side * longest_side / longest)) for side in image.size)
        image = image.resize((width, height), Image.Resampling.LANCZOS)
    return np.asarray(image, dtype=np.float64) / 255


def luma(pixels: Array) -> Array:
    """Rec. 601 luma, 0..1."""
    grey: Array = pixels @ np.array([0.299, 0.587, 0.114])
    return grey


def lab(pixels: Array) -> Array:
    """SRGB 0..1 to CIE Lab (D65): L in 0..100, a and b about -100..100."""
    linear = np.where(pixels <= 0.04045, pixels / 12.92, ((pixels + 0.055) / 1.055) ** 2.4)
    xyz = linear @ _TO_XYZ.T / _WHITE
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)
