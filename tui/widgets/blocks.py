"""Pictures from quadrant blocks: two colours for every 2x2 pixels of a cell. Works in any terminal."""

from __future__ import annotations

from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from tui.decoding import slots
from tui.widgets.strip_cache import StripCache

if TYPE_CHECKING:
    from PIL.Image import Image

_QUADRANTS = " ▘▝▀▖▌▞▛▗▚▐▜▄▙▟█"
"""By a mask of the lit pixels: 1 top left, 2 top right, 4 bottom left, 8 bottom right."""

Pixel = tuple[int, int, int]


def fit_cells(width: int, height: int, columns: int, rows: int) -> tuple[int, int]:
    """The largest (columns, rows) inside the given ones that keep a picture's shape; a cell is twice as high as wide."""
    if width <= 0 or height <= 0 or columns <= 0 or rows <= 0:
        return 0, 0
    scale = min(columns / width, 2 * rows / height)
    return max(1, min(columns, round(width * scale))), max(1, min(rows, round(height * scale / 2)))


def strips_of(image: Image, columns: int, rows: int) -> list[Strip]:
    """``image`` as lines of blocks, as large as fits into ``columns`` x ``rows`` cells."""
    columns, rows = fit_cells(*image.size, columns, rows)
    if not columns:
        return []
    from PIL.Image import Resampling

    small = image.convert("RGB").resize((2 * columns, 2 * rows), Resampling.LANCZOS)
    data = small.tobytes()
    stride = 6 * columns
    return [
        _line(data[2 * y * stride : (2 * y + 1) * stride], data[(2 * y + 1) * stride : (2 * y + 2) * stride])
        for y in range(rows)
    ]


def _line(top: bytes, bottom: bytes) -> Strip:
    segments = []
    for x in range(0, len(top), 6):
        mask, ink, paper = _cell(top[x : x + 3], top[x + 3 : x + 6], bottom[x : x + 3], bottom[x + 3 : x + 6])
        segments.append(Segment(_QUADRANTS[mask], _style(ink, paper)))
    return Strip(segments, len(top) // 6)


def _cell(*pixels: bytes) -> tuple[int, int, int]:
    """(mask, colour of the lit pixels, colour of the others): split at the mean brightness."""
    brightness = [299 * r + 587 * g + 114 * b for r, g, b in pixels]
    mean = sum(brightness) / 4
    lit = [pixel for pixel, value in zip(pixels, brightness, strict=True) if value > mean]
    rest = [pixel for pixel, value in zip(pixels, brightness, strict=True) if value <= mean]
    mask = sum(1 << index for index, value in enumerate(brightness) if value > mean)
    paper = _mean(rest)
    return mask, _mean(lit) if lit else paper, paper


def _mean(pixels: list[bytes]) -> int:
    count = len(pixels)
    # Four low values per channel are given up so that a picture shares its styles with the next one.
    red, green, blue = (sum(pixel[channel] for pixel in pixels) // count & 0xFC for channel in range(3))
    return red << 16 | green << 8 | blue


@lru_cache(maxsize=32_768)
def _style(ink: int, paper: int) -> Style:
    return Style(color=_color(ink), bgcolor=_color(paper))


@lru_cache(maxsize=8192)
def _color(value: int) -> Color:
    return Color.from_rgb(value >> 16, value >> 8 & 255, value & 255)


def strips_at_hand(path: Path, columns: int, rows: int) -> list[Strip] | None:
    """The same as :func:`strips_of_file` if the picture was drawn in that size before; then it takes no time."""
    try:
        return _drawn.get((path, path.stat().st_mtime_ns, columns, rows))
    except OSError:
        return None


def strips_of_file(path: Path, columns: int, rows: int) -> list[Strip]:
    """The picture in a file, for a thread. An unreadable one gives no lines."""
    try:
        stamp = path.stat().st_mtime_ns
    except OSError:
        return []
    key = (path, stamp, columns, rows)
    found = _drawn.get(key)
    if found is None:
        found = _decoded(path, columns, rows)
        _drawn.put(key, found)
    return found


_drawn: StripCache[tuple[Path, int, int, int]] = StripCache(30_000)


def strips_of_source(source: Path | bytes, columns: int, rows: int) -> list[Strip]:
    """Like :func:`strips_of_file`, also for a picture that is only in memory."""
    if isinstance(source, Path):
        return strips_of_file(source, columns, rows)
    return _decoded(BytesIO(source), columns, rows)


def _decoded(source: Path | BytesIO, columns: int, rows: int) -> list[Strip]:
    if columns <= 0 or rows <= 0:
        return []
    from PIL import Image

    try:
        with slots, Image.open(source) as image:
            image.draft("RGB", (4 * columns, 4 * rows))
            return strips_of(image, columns, rows)
    except (OSError, ValueError, Image.DecompressionBombError):
        return []
