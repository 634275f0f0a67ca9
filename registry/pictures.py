"""Measuring and shrinking pictures that came from anywhere: few formats, bounded size, nothing trusted."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from registry import ids
from registry.errors import DamagedFileError
from registry.regular import open_regular

if TYPE_CHECKING:
    from PIL import Image

MAX_PIXELS = 64_000_000
MAX_BYTES = 64 << 20
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "AVIF", "BMP")
VIDEO_SUFFIXES = frozenset({".mp4", ".webm"})


def is_video(path: Path) -> bool:
    return path.suffix.lower() in VIDEO_SUFFIXES


def measure(path: Path) -> tuple[int, int]:
    """(width, height) in pixels as shown, from the picture's head. Raises :class:`DamagedFileError`."""
    with _opened(path) as image:
        width, height = image.size
        turned = image.getexif().get(_ORIENTATION, 1) in {5, 6, 7, 8}
    return (height, width) if turned else (width, height)


_ORIENTATION = 0x0112


def shrink(path: Path, target: Path, side: int) -> None:
    """Write a JPEG of at most ``side`` pixels a side, replacing ``target`` at once.

    Transparent parts become white; of an animation the first frame is taken. Raises :class:`DamagedFileError`.
    """
    from PIL import Image, ImageOps

    with _opened(path) as image:
        # A JPEG decodes at a fraction of its size several times faster.
        image.draft("RGB", (side, side))
        turned = ImageOps.exif_transpose(image)
        if turned.mode in {"RGBA", "LA", "PA"} or "transparency" in turned.info:
            layer = turned.convert("RGBA")
            turned = Image.new("RGB", layer.size, "white")
            turned.paste(layer, mask=layer.getchannel("A"))
        small = turned.convert("RGB")
        small.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=2.0)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.parent / f".{ids.new_id()}.part"
    small.save(temporary, "JPEG", quality=85)
    temporary.replace(target)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """The picture with its size checked before a pixel is decoded; every failure in or after it is damage."""
    from PIL import Image

    try:
        with open_regular(path) as file:
            if os.fstat(file.fileno()).st_size > MAX_BYTES:
                raise DamagedFileError(f"{path.name} is larger than {MAX_BYTES >> 20} MiB", "shrink the picture")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)
                image = Image.open(file, formats=FORMATS)
            with image:
                if image.width * image.height > MAX_PIXELS:
                    size = f"{image.width}x{image.height}"
                    raise DamagedFileError(f"{path.name} unpacks to {size} pixels", "shrink the picture")
                yield image
    except DamagedFileError:
        raise
    # Decoders of damaged data raise whatever they trip over.
    except Exception as error:
        raise DamagedFileError(f"{path.name} is no picture that can be read", "use PNG, JPEG or WebP") from error
