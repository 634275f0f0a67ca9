"""One training image: decoded completely, and measured with Pillow alone (the base install has no numpy)."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
from PIL import Image, ImageOps, ImageStat, UnidentifiedImageError

from hubman.train.data import borders, perceptual
from hubman.train.data.sharpness import sharpness, shrunk

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".avif", ".bmp", ".tif", ".tiff"})
_TINT_SIDE = 4


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
    peak: int = 0
    """What one in a thousand pixels exceeds in the Laplacian, 0 to 255: where no edge is sharp, it is low."""
    phash: int = 0
    """64-bit DCT perceptual hash."""
    phash_mirrored: int = 0
    tint: tuple[int, ...] = ()
    """A 4x4 thumbnail, 48 RGB values: perceptual hashes do not see colour."""
    bars: borders.Bars = (0, 0, 0, 0)
    """Bars of one colour along opposite edges."""
    strips: bytes = b""
    """What lies along the edges: see :func:`hubman.train.data.borders.strips`."""
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
    except Exception as error:
        return Picture(error=why_undecoded(error))
    small = shrunk(rgb)
    phash, mirrored = perceptual.hashes(small)
    sharp = sharpness(small)
    scale = rgb.width / small.width
    left, top, right, bottom = borders.bars(small)
    return Picture(
        width=rgb.width,
        height=rgb.height,
        mode=mode,
        frames=frames,
        transparent=transparent,
        pixels=hashlib.sha256(b"%d %d\n" % rgb.size + rgb.tobytes()).hexdigest(),
        sharpness=round(sharp.variance, 2),
        edges=round(sharp.edges, 3),
        peak=sharp.peak,
        phash=phash,
        phash_mirrored=mirrored,
        tint=tuple(small.resize((_TINT_SIDE, _TINT_SIDE), Image.Resampling.BOX).tobytes()),
        bars=(round(left * scale), round(top * scale), round(right * scale), round(bottom * scale)),
        strips=borders.strips(small),
    )


def _on_ground(picture: Image.Image, ground: str = "white") -> Image.Image:
    if picture.mode.startswith("I;16") or picture.mode in ("I", "F"):
        return _eight_bits(picture).convert("RGB")
    if not picture.has_transparency_data:
        return picture if picture.mode == "RGB" else picture.convert("RGB")
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


def why_undecoded(error: Exception) -> str:
    """What Pillow's ``error`` means for a picture, in one line."""
    if isinstance(error, UnidentifiedImageError):
        return "is no picture in a format that can be read"
    if isinstance(error, Image.DecompressionBombError):
        return "claims more pixels than can be decoded safely"
    return f"cannot be decoded ({(str(error).splitlines() or [type(error).__name__])[0][:120]})"
