"""How sharp a picture is, in numbers that tell a blurred one from a plain drawing."""

from __future__ import annotations

from PIL import Image, ImageFilter, ImageStat

SIDE = 512
"""Sharpness is measured after shrinking the long side to this many pixels; smaller pictures are not enlarged."""
CLEARLY_SHARP = 1000.0
"""A variance that no blurred picture has, whatever the set: 50 to 150 are in use as limits."""

_LAPLACE = (0, 1, 0, 1, -4, 1, 0, 1, 0)
_ACROSS = (0, 0, 0, -1, 0, 1, 0, 0, 0)
_DOWN = (0, -1, 0, 0, 0, 0, 0, 1, 0)
_LAPLACE_ROUNDING, _SLOPE_ROUNDING = 20 / 12, 4 / 12
"""What rounding to 8 bits (variance 1/12 a pixel) adds to the energies: all there is in a strongly blurred picture."""


def shrunk(picture: Image.Image) -> Image.Image:
    """``picture`` with its long side at most :data:`SIDE`."""
    scale = SIDE / max(picture.size)
    if scale >= 1:
        return picture
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    return picture.resize(size, Image.Resampling.BOX, reducing_gap=1.0)


def sharpness(small: Image.Image) -> tuple[float, float]:
    """(variance of the 4-neighbour Laplacian of the grey picture, Laplacian over gradient energy) of an RGB picture.

    ``small`` is shrunk already. The ratio is taken in the band with most contrast; it is 1 without a measurement for
    a picture that is :data:`CLEARLY_SHARP`.
    """
    if min(small.size) < 3:
        return 0.0, 0.0
    mean, energy = _moments(small.convert("L"), _LAPLACE)
    variance = energy - mean * mean
    if variance > CLEARLY_SHARP:
        return variance, 1.0
    band = max(small.split(), key=lambda each: ImageStat.Stat(each).var[0])
    curve = _moments(band, _LAPLACE)[1] - _LAPLACE_ROUNDING
    slope = _moments(band, _ACROSS)[1] + _moments(band, _DOWN)[1] - _SLOPE_ROUNDING
    return variance, max(0.0, curve) / slope if slope > 0 else 0.0


def _moments(grey: Image.Image, kernel: tuple[int, ...]) -> tuple[float, float]:
    """Mean and mean square of a 3x3 filter's response."""
    # A filtered L picture holds 0..255, so the two signs are filtered apart; the filter leaves the border alone.
    inner = (1, 1, grey.width - 1, grey.height - 1)
    above = ImageStat.Stat(grey.filter(ImageFilter.Kernel((3, 3), kernel, 1)).crop(inner))
    below = ImageStat.Stat(grey.filter(ImageFilter.Kernel((3, 3), [-k for k in kernel], 1)).crop(inner))
    count = above.count[0]
    return (above.sum[0] - below.sum[0]) / count, (above.sum2[0] + below.sum2[0]) / count
