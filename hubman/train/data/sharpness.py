"""How sharp a picture is, in numbers that tell a blurred one from a plain drawing."""

from __future__ import annotations

from itertools import accumulate
from typing import NamedTuple

from PIL import Image, ImageFilter, ImageStat

SIDE = 512
"""Sharpness is measured after shrinking the long side to this many pixels; smaller pictures are not enlarged."""
CLEARLY_SHARP = 1000.0
"""A variance that no blurred picture has, whatever the set: 50 to 150 are in use as limits."""

_LAPLACE = (0, 1, 0, 1, -4, 1, 0, 1, 0)
_ACROSS = (0, 0, 0, -1, 0, 1, 0, 0, 0)
_DOWN = (0, -1, 0, 0, 0, 0, 0, 1, 0)
_RARE = 0.001
_LAPLACE_ROUNDING, _SLOPE_ROUNDING = 20 / 12, 4 / 12
"""What rounding to 8 bits (variance 1/12 a pixel) adds to the energies: all there is in a strongly blurred picture."""


def shrunk(picture: Image.Image) -> Image.Image:
    """``picture`` with its long side at most :data:`SIDE`."""
    scale = SIDE / max(picture.size)
    if scale >= 1:
        return picture
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    return picture.resize(size, Image.Resampling.BOX, reducing_gap=1.0)


class Sharpness(NamedTuple):
    """What tells a blurred picture from a plain one."""

    variance: float
    """Of the 4-neighbour Laplacian of the grey picture."""
    edges: float
    """Laplacian over gradient energy, in the band with most contrast."""
    peak: int
    """What one in a thousand pixels exceeds in the Laplacian of that band, 0 to 255: high where there is any edge."""


def sharpness(small: Image.Image) -> Sharpness:
    """Measure an RGB picture that is shrunk already.

    The ratio is 1 and the peak 255 without a measurement for a picture that is :data:`CLEARLY_SHARP`.
    """
    if min(small.size) < 3:
        return Sharpness(0.0, 0.0, 0)
    mean, energy, _ = _response(small.convert("L"), _LAPLACE)
    variance = energy - mean * mean
    if variance > CLEARLY_SHARP:
        return Sharpness(variance, 1.0, 255)
    band = max(small.split(), key=lambda each: ImageStat.Stat(each).var[0])
    _, curve, peak = _response(band, _LAPLACE)
    slope = _response(band, _ACROSS)[1] + _response(band, _DOWN)[1] - _SLOPE_ROUNDING
    return Sharpness(variance, max(0.0, curve - _LAPLACE_ROUNDING) / slope if slope > 0 else 0.0, peak)


def _response(grey: Image.Image, kernel: tuple[int, ...]) -> tuple[float, float, int]:
    """Mean and mean square of a 3x3 filter's response, and the size that one in a thousand pixels exceeds."""
    # A filtered L picture holds 0..255, so the two signs are filtered apart; the filter leaves the border alone.
    inner = (1, 1, grey.width - 1, grey.height - 1)
    above = ImageStat.Stat(grey.filter(ImageFilter.Kernel((3, 3), kernel, 1)).crop(inner))
    below = ImageStat.Stat(grey.filter(ImageFilter.Kernel((3, 3), [-k for k in kernel], 1)).crop(inner))
    count = above.count[0]
    mean, energy = (above.sum[0] - below.sum[0]) / count, (above.sum2[0] + below.sum2[0]) / count
    larger = accumulate(up + down for up, down in zip(reversed(above.h), reversed(below.h), strict=True))
    peak = next((255 - i for i, pixels in enumerate(larger) if pixels > count * _RARE), 0)
    return mean, energy, peak
