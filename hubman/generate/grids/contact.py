"""A contact sheet: every picture of a grid small, with what it shows below it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from hubman.generate.files import replace_file
from hubman.generate.grids.thumbnails import PAPER, fit_text, fitted, numbered, open_picture
from hubman.generate.grids.view import GridView, ShownCell
from registry.errors import UsageError

THUMBNAIL = 160
COLUMNS = 6
ROWS = 40
"""Rows of one file: about 1000 by 8500 pixels."""
_LINE, _GAP = 13, 8
_INK = "#1a1a1a"


def write_contact(view: GridView, path: Path, *, side: int = THUMBNAIL, columns: int = COLUMNS) -> list[Path]:
    """Write the drawn pictures, each once, as JPEGs of at most 40 rows: ``path``, or numbered files beside it.

    ``side`` is a thumbnail's longer side in pixels. Raises ``UsageError`` if nothing is drawn.
    """
    shown = {cell.key: cell for cell in reversed(view.in_reading_order()) if cell.path}
    cells = list(reversed(shown.values()))
    if not cells:
        raise UsageError("no cell of the grid is drawn yet", "draw it first")
    sheets = [cells[start : start + ROWS * columns] for start in range(0, len(cells), ROWS * columns)]
    places = numbered(path, len(sheets))
    for part, place in zip(sheets, places, strict=True):
        image = _sheet(view, part, side, columns)
        replace_file(place, partial(image.save, format="JPEG", quality=90))
    return places


def _sheet(view: GridView, cells: Sequence[ShownCell], side: int, columns: int) -> Image.Image:
    font = ImageFont.load_default(_LINE - 2)
    width, height = side + _GAP, side + _LINE * len(view.axes) + _GAP
    used = min(columns, len(cells))
    sheet = Image.new("RGB", (used * width + _GAP, 2 * _LINE + -(-len(cells) // columns) * height), PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.text((_GAP, _LINE // 2), fit_text(view.title, font, sheet.width - 2 * _GAP), fill=_INK, font=font)
    for number, cell in enumerate(cells):
        left, top = _GAP + number % columns * width, 2 * _LINE + number // columns * height
        image = fitted(open_picture(Path(cell.path)), (side, side))
        sheet.paste(image, (left + (side - image.width) // 2, top))
        for line, (axis, label) in enumerate(zip(view.axes, cell.labels, strict=True)):
            words = fit_text(f"{axis.label} {label}", font, side)
            pen.text((left, top + side + line * _LINE), words, fill=_INK, font=font)
    return sheet
