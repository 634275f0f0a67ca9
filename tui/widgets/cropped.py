"""Training images as blocks: turned as EXIF says, with the part that is cut off in the dark, grey where left out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from textual.strip import Strip

from tui.data_set import Box, ImageLine
from tui.decoding import slots
from tui.widgets.blocks import fit_cells, strips_of
from tui.widgets.strip_cache import StripCache

if TYPE_CHECKING:
    from PIL.Image import Image

_FRAME = (255, 196, 0)
_SHADE = 0.35


@dataclass(frozen=True)
class Crop:
    """A picture with what is kept of it."""

    path: Path
    box: Box | None = None
    is_out: bool = False

    @classmethod
    def of(cls, line: ImageLine) -> Crop | None:
        return cls(line.path, line.box, line.is_out) if line.path else None


_drawn: StripCache[tuple[Crop, int, int, int]] = StripCache(30_000)


def at_hand(crop: Crop, columns: int, rows: int) -> list[Strip] | None:
    """The lines if they were drawn before; takes no time."""
    key = _key(crop, columns, rows)
    return _drawn.get(key) if key else None


def strips(crop: Crop, columns: int, rows: int) -> list[Strip]:
    """The picture as lines of blocks, for a thread. An unreadable one gives no lines."""
    key = _key(crop, columns, rows)
    if key is None:
        return []
    found = _drawn.get(key)
    if found is None:
        found = _decoded(crop, columns, rows)
        _drawn.put(key, found)
    return found


def _key(crop: Crop, columns: int, rows: int) -> tuple[Crop, int, int, int] | None:
    try:
        return crop, crop.path.stat().st_mtime_ns, columns, rows
    except OSError:
        return None


def _decoded(crop: Crop, columns: int, rows: int) -> list[Strip]:
    if columns <= 0 or rows <= 0:
        return []
    from PIL import Image, ImageOps

    try:
        with slots, Image.open(crop.path) as opened:
            opened.draft("RGB", (4 * columns, 4 * rows))
            opened.thumbnail((4 * columns, 4 * rows))
            turned = ImageOps.exif_transpose(opened)
            across, down = fit_cells(*turned.size, columns, rows)
            if not across:
                return []
            small = _on_white(turned).resize((2 * across, 2 * down), Image.Resampling.LANCZOS)
            return strips_of(_marked(small, crop), across, down)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return []


def _on_white(image: Image) -> Image:
    from PIL import Image

    if not image.has_transparency_data:
        return image.convert("RGB")
    rgba = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", rgba.size, (255, 255, 255, 255)), rgba).convert("RGB")


def _marked(small: Image, crop: Crop) -> Image:
    from PIL import ImageDraw, ImageEnhance, ImageOps

    if crop.is_out:
        return ImageEnhance.Brightness(ImageOps.grayscale(small).convert("RGB")).enhance(_SHADE)
    if crop.box is None:
        return small
    wide, high = small.size
    left, top = round(crop.box[0] * wide), round(crop.box[1] * high)
    right, bottom = max(left + 1, round(crop.box[2] * wide)), max(top + 1, round(crop.box[3] * high))
    if (left, top, right, bottom) == (0, 0, wide, high):
        return small
    shaded = ImageEnhance.Brightness(small).enhance(_SHADE)
    shaded.paste(small.crop((left, top, right, bottom)), (left, top))
    ImageDraw.Draw(shaded).rectangle((left, top, right - 1, bottom - 1), outline=_FRAME)
    return shaded
