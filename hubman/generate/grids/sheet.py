"""A grid as labelled PNGs, to show outside of hubman: one a page, in tiles where one file would grow too large."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

from hubman.generate.files import replace_file
from hubman.generate.grids.cells import cell_path
from hubman.generate.grids.grid import Grid
from hubman.generate.grids.layout import Layout, lay_out
from hubman.generate.grids.thumbnails import PAPER, Font, fit_text, fitted, numbered, open_picture, size_of
from registry.errors import UsageError

MAX_PIXELS = 64_000_000
"""Of one file: 190 MB in memory while it is written, and what viewers still open."""
MAX_SIDE = 32_000
"""Many decoders count sides in 15 bits."""
_INK, _MISSING = "#1a1a1a", "#d0d0d0"
_GAP = 4
_SMALLEST = 128


@dataclass(frozen=True)
class _Tile:
    page: int
    rows: range
    columns: range


@dataclass(frozen=True)
class _Cells:
    """The pictures by (page, row, column), and the box that each is drawn in."""

    pictures: Mapping[tuple[int, int, int], Path]
    box: tuple[int, int]
    font: Font
    margin: int
    """Width of the row labels."""

    @property
    def top(self) -> int:
        return 3 * round(self.font.size) + 2 * _GAP if isinstance(self.font, ImageFont.FreeTypeFont) else 44

    def size(self, rows: int, columns: int) -> tuple[int, int]:
        return self.margin + columns * (self.box[0] + _GAP), self.top + rows * (self.box[1] + _GAP)


def write_sheets(
    grid: Grid, store: Path, path: Path, *, cell_side: int = 0, max_pixels: int = MAX_PIXELS
) -> list[Path]:
    """Stitch the pictures drawn so far into PNGs with labels; a cell not yet drawn is an empty box.

    One file at ``path``, or numbered ones beside it (``grid-01.png``, …) for further pages and for tiles of at most
    ``max_pixels``. ``cell_side`` scales each picture's longer side to so many pixels (0 = as drawn, but at least
    128). Raises ``UsageError`` if nothing is drawn.
    """
    layout = lay_out(grid.axes)
    cells = _cells(grid, layout, store, cell_side)
    tiles = list(_tiles(layout, cells, max_pixels))
    places = numbered(path, len(tiles))
    for tile, place in zip(tiles, places, strict=True):
        sheet = _draw(grid.title, layout, cells, tile)
        notes = PngImagePlugin.PngInfo()
        notes.add_itxt("Title", _title(grid.title, layout, tile))
        replace_file(place, partial(sheet.save, format="PNG", pnginfo=notes))
    return places


def _cells(grid: Grid, layout: Layout, store: Path, cell_side: int) -> _Cells:
    pictures = {}
    for cell in grid.cells:
        path = cell_path(store, cell.request)
        if path.is_file():
            place = layout.place(cell.at)
            pictures[place.page, place.row, place.column] = path
    if not pictures:
        raise UsageError("no cell of the grid is drawn yet", "draw it first")
    sizes = {size_of(path) for path in set(pictures.values())}
    width, height = max(w for w, _ in sizes), max(h for _, h in sizes)
    longest = max(width, height)
    scale = cell_side / longest if cell_side else max(1, -(-_SMALLEST // longest))
    box = max(1, round(width * scale)), max(1, round(height * scale))
    font = ImageFont.load_default(max(12, box[1] // 14))
    widest = max(font.getlength(label) for label in _row_labels(layout))
    return _Cells(pictures, box, font, min(round(widest), 3 * box[0]) + 2 * _GAP if widest else _GAP)


def _tiles(layout: Layout, cells: _Cells, max_pixels: int) -> Iterator[_Tile]:
    """Each page in equal tiles that keep to the limits, halving its longer side as often as needed."""
    rows, columns = len(layout.rows), len(layout.columns)
    while (size := cells.size(rows, columns))[0] * size[1] > max_pixels or max(size) > MAX_SIDE:
        if rows == columns == 1:
            break
        if columns > 1 and (size[0] >= size[1] or rows == 1):
            columns = -(-columns // 2)
        else:
            rows = -(-rows // 2)
    for page in range(len(layout.pages)):
        for row in range(0, len(layout.rows), rows):
            for column in range(0, len(layout.columns), columns):
                yield _Tile(
                    page,
                    range(row, min(row + rows, len(layout.rows))),
                    range(column, min(column + columns, len(layout.columns))),
                )


def _title(title: str, layout: Layout, tile: _Tile) -> str:
    return " · ".join(part for part in (title, layout.pages[tile.page]) if part)


def _draw(title: str, layout: Layout, cells: _Cells, tile: _Tile) -> Image.Image:
    sheet = Image.new("RGB", cells.size(len(tile.rows), len(tile.columns)), PAPER)
    pen = ImageDraw.Draw(sheet)
    width, height = cells.box
    font, line = cells.font, (cells.top - 2 * _GAP) // 3
    heading = fit_text(_title(title, layout, tile), font, sheet.width - 2 * _GAP)
    pen.text((_GAP, _GAP), heading, fill=_INK, font=font)
    lefts = {column: cells.margin + i * (width + _GAP) for i, column in enumerate(tile.columns)}
    tops = {row: cells.top + i * (height + _GAP) for i, row in enumerate(tile.rows)}
    for column, left in lefts.items():
        text = layout.columns[column]
        text = f"{layout.x_label} {text}" if column == tile.columns[0] and layout.x_label else text
        pen.text((left, line + 3 * _GAP), fit_text(text, font, width), fill=_INK, font=font)
    labels = _row_labels(layout)
    for row, top in tops.items():
        label = fit_text(labels[row], font, cells.margin - 2 * _GAP)
        pen.text((_GAP, top + height // 2 - line // 2), label, fill=_INK, font=font)
        for column, left in lefts.items():
            file = cells.pictures.get((tile.page, row, column))
            if file is None:
                pen.rectangle((left, top, left + width - 1, top + height - 1), outline=_MISSING)
            else:
                image = fitted(open_picture(file), cells.box)
                sheet.paste(image, (left + (width - image.width) // 2, top + (height - image.height) // 2))
    return sheet


def _row_labels(layout: Layout) -> Sequence[str]:
    return [f"{layout.y_label} {label}".strip() for label in layout.rows]
