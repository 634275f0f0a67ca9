"""One training image: decoded completely, and measured with Pillow alone (the base install has no numpy)."""

from __future__ import annotations

import hashlib
import math
from functools import cache
from operator import mul
from pathlib import Path

import msgspec
from PIL import Image, ImageFilter, ImageOps, ImageStat

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".avif", ".bmp", ".tif", ".tiff"})
LAPLACE_SIDE = 512
"""Sharpness is measured after shrinking the long side to this many pixels; smaller pictures are not enlarged."""

_HASH_SIDE = 32
_HASH_BITS = 8
_TINT_SIDE = 4
_LAPLACE = (0, 1, 0, 1, -4, 1, 0, 1, 0)
_ACROSS = (0, 0, 0, -1, 0, 1, 0, 0, 0)
_DOWN = (0, -1, 0, 0, 0, 0, 0, 1, 0)
_LAPLACE_ROUNDING, _SLOPE_ROUNDING = 20 / 12, 4 / 12
"""What rounding to 8 bits (variance 1/12 a pixel) adds to the energies: all there is in a strongly blurred picture."""


class Picture(msgspec.Struct, frozen=True):
    """What one image file is, after EXIF orientation. With ``error`` set the other fields mean nothing."""

    width: int = 0
    height: int = 0
    mode: str = ""
    """Pillow's mode as stored: ``RGB``, ``RGBA``, ``L``, ``P``, ``CMYK``, ``I;16``..."""
    frames: int = 1
    transparent: bool = False
    """Some pixel is not opaque."""
    pixels: str = ""
    """SHA-256 of size and RGB bytes, on white where the picture is transparent."""
    sharpness: float = 0.0
    """Variance of the Laplacian of the grey picture: below 100 is usually called blurred in photographs."""
    edges: float = 0.0
    """Laplacian energy over gradient energy: 0.3 to 1.5 where edges are one pixel wide, however few they are;
    below 0.2 after a blur of a pixel or more. Tells a flat drawing from a blurred picture."""
    phash: int = 0
    """64-bit DCT perceptual hash."""
    phash_mirrored: int = 0
    tint: tuple[int, ...] = ()
    """A 4x4 thumbnail, 48 RGB values: perceptual hashes do not see colour."""
    error: str = ""


def load_rgb(path: Path, ground: str = "white") -> Image.Image:
    """The first frame as RGB, turned as EXIF says, transparent pixels on ``ground``.

    Raises what Pillow raises for a damaged or truncated file (``OSError``, ``SyntaxError``, ``ValueError``...).
    """
    with Image.open(path) as opened:
        opened.load()
        return _on_ground(ImageOps.exif_transpose(opened), ground)


def load_alpha(path: Path) -> Image.Image:
    """How opaque each pixel of the first frame is, as ``L``; raises as :func:`load_rgb`."""
    with Image.open(path) as opened:
        opened.load()
        return ImageOps.exif_transpose(opened).convert("RGBA").getchannel("A")


def measure(path: Path) -> Picture:
    """Decode ``path`` completely and measure it; a file that cannot be decoded gets ``error``, never an exception."""
    try:
        if path.stat().st_size == 0:
            return Picture(error="the file is empty")
        with Image.open(path) as opened:
            opened.load()
            mode, frames = opened.mode, getattr(opened, "n_frames", 1)
            turned = ImageOps.exif_transpose(opened)
        rgb = _on_ground(turned)
        transparent = _is_transparent(turned)
    except Image.DecompressionBombError:
        return Picture(error="the picture claims more pixels than can be decoded safely")
    except Exception as error:
        return Picture(error=f"cannot be decoded ({first_line(error)})")
    coefficients = _low_frequencies(rgb)
    variance, edges = sharpness(rgb)
    tint = rgb.resize((_TINT_SIDE, _TINT_SIDE), Image.Resampling.BOX).tobytes()
    return Picture(
        width=rgb.width,
        height=rgb.height,
        mode=mode,
        frames=frames,
        transparent=transparent,
        pixels=hashlib.sha256(b"%d %d\n" % rgb.size + rgb.tobytes()).hexdigest(),
        sharpness=round(variance, 2),
        edges=round(edges, 3),
        phash=_bits(coefficients),
        phash_mirrored=_bits([-c if i % _HASH_BITS % 2 else c for i, c in enumerate(coefficients)]),
        tint=tuple(tint),
    )


def sharpness(picture: Image.Image) -> tuple[float, float]:
    """(variance of the 4-neighbour Laplacian of the grey picture, Laplacian over gradient energy) of an RGB picture.

    The long side is shrunk to :data:`LAPLACE_SIDE` first. The ratio is taken in the band with most contrast.
    """
    small = picture.copy()
    if max(small.size) > LAPLACE_SIDE:
        small.thumbnail((LAPLACE_SIDE, LAPLACE_SIDE), Image.Resampling.BOX)
    if min(small.size) < 3:
        return 0.0, 0.0
    mean, energy = _moments(small.convert("L"), _LAPLACE)
    band = max(small.split(), key=lambda each: ImageStat.Stat(each).var[0])
    curve = _moments(band, _LAPLACE)[1] - _LAPLACE_ROUNDING
    slope = _moments(band, _ACROSS)[1] + _moments(band, _DOWN)[1] - _SLOPE_ROUNDING
    return energy - mean * mean, max(0.0, curve) / slope if slope > 0 else 0.0


def _moments(grey: Image.Image, kernel: tuple[int, ...]) -> tuple[float, float]:
    """Mean and mean square of a 3x3 filter's response."""
    # A filtered L picture holds 0..255, so the two signs are filtered apart; the filter leaves the border alone.
    inner = (1, 1, grey.width - 1, grey.height - 1)
    above = ImageStat.Stat(grey.filter(ImageFilter.Kernel((3, 3), kernel, 1)).crop(inner))
    below = ImageStat.Stat(grey.filter(ImageFilter.Kernel((3, 3), [-k for k in kernel], 1)).crop(inner))
    count = above.count[0]
    return (above.sum[0] - below.sum[0]) / count, (above.sum2[0] + below.sum2[0]) / count


def _on_ground(picture: Image.Image, ground: str = "white") -> Image.Image:
    if picture.mode.startswith("I;16") or picture.mode in ("I", "F"):
        return _eight_bits(picture).convert("RGB")
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    rgba = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", rgba.size, ground), rgba).convert("RGB")


def _eight_bits(picture: Image.Image) -> Image.Image:
    """16-bit and float greys scaled to 0..255: Pillow's own conversion clips them to white."""
    wide = picture.convert("F")
    top = 255.0 if picture.mode == "F" else 65535.0
    return wide.point(lambda value: value * (255.0 / top) + 0.0).convert("L")


def _is_transparent(picture: Image.Image) -> bool:
    if not picture.has_transparency_data:
        return False
    return ImageStat.Stat(picture.convert("RGBA").getchannel("A")).extrema[0][0] < 255


@cache
def _cosines() -> list[list[float]]:
    """The first rows of the DCT-II matrix for 32 samples."""
    step = math.pi / (2 * _HASH_SIDE)
    return [[math.cos(u * (2 * x + 1) * step) for x in range(_HASH_SIDE)] for u in range(_HASH_BITS)]


def _low_frequencies(picture: Image.Image) -> list[float]:
    """The 8x8 lowest DCT coefficients of the grey picture at 32x32, row by row; column = horizontal frequency."""
    grey = picture.convert("L").resize((_HASH_SIDE, _HASH_SIDE), Image.Resampling.LANCZOS).tobytes()
    rows = [grey[i : i + _HASH_SIDE] for i in range(0, len(grey), _HASH_SIDE)]
    across = [[sum(map(mul, cosine, row)) for row in rows] for cosine in _cosines()]
    return [sum(map(mul, cosine, column)) for cosine in _cosines() for column in across]


def _bits(coefficients: list[float]) -> int:
    """One bit a coefficient: above the median of all but the mean brightness."""
    ordered = sorted(coefficients[1:])
    median = ordered[len(ordered) // 2]
    return sum(1 << i for i, value in enumerate(coefficients) if value > median)


def first_line(error: BaseException) -> str:
    """What an exception says, short enough for one line."""
    return (str(error).splitlines() or [type(error).__name__])[0][:120]
