"""A grid as one labelled PNG, to show outside of hubman. The cells stay what they are."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

from hubman.generate.files import replace_file
from hubman.generate.sweep import Grid, cell_path
from registry.errors import DamagedFileError, UsageError

MAX_PIXELS = 200_000_000
_PAPER, _INK, _MISSING = "#ffffff", "#1a1a1a", "#d0d0d0"
_GAP = 4


def grid_png(grid: Grid, folder: Path, path: Path, *, cell_side: int = 0) -> Path:
    """Stitch the pictures drawn so far into ``path`` with labels; a cell not yet drawn is an empty box.

    ``cell_side`` scales each picture's longer side to so many pixels (0 = as drawn, but at least 128). Raises
    ``UsageError`` if the whole would pass 200 million pixels, or if nothing is drawn.
    """
    found = {(cell.column, cell.row): cell_path(folder, cell.request) for cell in grid.cells}
    first = next((path for path in found.values() if path.is_file()), None)
    if first is None:
        raise UsageError("no cell of the grid is drawn yet", "draw it first")
    width, height = _cell_size(first, cell_side)
    font_size = max(12, height // 14)
    font = ImageFont.load_default(font_size)
    left = _left_margin(grid, font)
    top = 3 * font_size + 2 * _GAP
    size = (left + len(grid.x) * (width + _GAP), top + len(grid.y) * (height + _GAP))
    if size[0] * size[1] > MAX_PIXELS:
        raise UsageError(f"the grid would be {size[0]}x{size[1]} pixels", "choose a smaller cell size")
    sheet = Image.new("RGB", size, _PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.text((_GAP, _GAP), _fit(grid.title, font, size[0] - 2 * _GAP), fill=_INK, font=font)
    for column, label in enumerate(grid.x):
        text = f"{grid.x_label} {label}" if column == 0 and grid.x_label else label
        at = (left + column * (width + _GAP), font_size + 3 * _GAP)
        pen.text(at, _fit(text, font, width), fill=_INK, font=font)
    for row, label in enumerate(_row_labels(grid)):
        pen.text((_GAP, top + row * (height + _GAP) + height // 2 - font_size // 2), label, fill=_INK, font=font)
    for (column, row), file in found.items():
        at = (left + column * (width + _GAP), top + row * (height + _GAP))
        if file.is_file():
            sheet.paste(_picture(file, (width, height)), at)
        else:
            pen.rectangle((*at, at[0] + width - 1, at[1] + height - 1), outline=_MISSING)
    notes = PngImagePlugin.PngInfo()
    notes.add_text("Title", grid.title)
    replace_file(path, lambda file: sheet.save(file, format="PNG", pnginfo=notes))
    return path


def _cell_size(first: Path, cell_side: int) -> tuple[int, int]:
    width, height = _open(first).size
    longest = max(width, height)
    scale = cell_side / longest if cell_side else max(1, -(-128 // longest))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _open(path: Path) -> Image.Image:
    try:
        with Image.open(path) as opened:
            return opened.convert("RGB")
    except (OSError, SyntaxError) as error:
        raise DamagedFileError(f"{path} is not a picture that can be read ({error})") from error


def _picture(path: Path, size: tuple[int, int]) -> Image.Image:
    image = _open(path)
    small = image.width < size[0]
    return (
        image
        if image.size == size
        else image.resize(size, Image.Resampling.NEAREST if small else Image.Resampling.LANCZOS)
    )


def _row_labels(grid: Grid) -> list[str]:
    return [f"{grid.y_label} {label}".strip() for label in grid.y]


def _left_margin(grid: Grid, font: ImageFont.ImageFont | ImageFont.FreeTypeFont) -> int:
    widest = max(font.getlength(label) for label in _row_labels(grid))
    return round(widest) + 2 * _GAP if widest else _GAP


def _fit(text: str, font: ImageFont.ImageFont | ImageFont.FreeTypeFont, width: int) -> str:
    text = " ".join(text.split())
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"
