"""A contact sheet: every image of a set with what its bucket cuts off and what the checks found."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import msgspec
from PIL import Image, ImageDraw, ImageFont

from hubman.progress import Progress, Report, silent
from hubman.train.checks import Finding, Rules, by_image
from hubman.train.data.dataset import Dataset, DatasetImage
from hubman.train.data.pictures import load_rgb
from hubman.train.files import write_atomically

SIDES = ((60, 224), (250, 160), (100_000, 112))
"""Up to so many images, thumbnails are so many pixels wide and high."""

Font = ImageFont.ImageFont | ImageFont.FreeTypeFont

_GAP, _FONT = 8, 12
_LINE = _FONT + 4
_GROUND, _INK, _FAINT = (24, 24, 27), (228, 228, 231), (130, 130, 138)
_COLOURS = {"error": (239, 68, 68), "warn": (245, 158, 11), "note": (96, 165, 250)}
_WORDS = {"error": "errors", "warn": "warnings", "note": "notes"}
_GOOD = (74, 222, 128)
_DIMMED = 90
"""Of 255: how bright what is cut off remains."""


class _Cell(msgspec.Struct, frozen=True):
    image: DatasetImage
    findings: tuple[Finding, ...]

    @property
    def colour(self) -> tuple[int, int, int]:
        if self.image.left_out:
            return _FAINT
        return _COLOURS[self.findings[0].severity] if self.findings else _GOOD

    @property
    def words(self) -> str:
        return ", ".join(dict.fromkeys(finding.code for finding in self.findings)) or "nothing found"


def write_sheet(
    path: Path, dataset: Dataset, findings: Sequence[Finding], rules: Rules, report: Report = silent
) -> None:
    """Write the sheet as a PNG. Raises HubError where ``path`` cannot be written."""
    content = io.BytesIO()
    contact_sheet(dataset, findings, rules, report).save(content, "PNG")
    write_atomically(path, content.getvalue())


def contact_sheet(dataset: Dataset, findings: Sequence[Finding], rules: Rules, report: Report = silent) -> Image.Image:
    """All images in the order of their names, about as wide as high; what is cut off is dark, the crop is framed.

    The frame's colour and the words below tell the worst finding; images that are left out are grey and crossed out.
    """
    grouped = by_image(findings)
    cells = [_Cell(image, grouped.get(image.name, ())) for image in dataset.images]
    side = next(pixels for most, pixels in SIDES if len(cells) <= most)
    columns = max(3, math.ceil(math.sqrt(len(cells))))
    rows = math.ceil(len(cells) / columns)
    step = side + _GAP, side + 2 * _LINE + _GAP
    head = 2 * _LINE + _GAP
    sheet = Image.new("RGB", (columns * step[0] + _GAP, head + rows * step[1] + _GAP), _GROUND)
    font = ImageFont.load_default(_FONT)
    _head(ImageDraw.Draw(sheet), dataset, findings, font)
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for i, drawn in enumerate(pool.map(partial(_draw, side=side, rules=rules, font=font), cells)):
            sheet.paste(drawn, (_GAP + i % columns * step[0], head + i // columns * step[1]))
            report(Progress(stage="draw sheet", done=i + 1, total=len(cells), unit="images"))
    return sheet


def _head(pen: ImageDraw.ImageDraw, dataset: Dataset, findings: Sequence[Finding], font: Font) -> None:
    left = sum(image.left_out for image in dataset.images)
    counted = ", ".join(
        f"{count} {word}"
        for count, word in (
            (len(dataset.images), "images"),
            (left, "left out"),
            *((sum(each.severity == level for each in findings), word) for level, word in _WORDS.items()),
        )
        if count
    )
    pen.text((_GAP, _GAP), _fitting(dataset.folder.absolute().name, font, 10_000), font=font, fill=_INK)
    pen.text((_GAP, _GAP + _LINE), counted, font=font, fill=_FAINT)


def _draw(cell: _Cell, *, side: int, rules: Rules, font: Font) -> Image.Image:
    drawn = Image.new("RGB", (side, side + 2 * _LINE), _GROUND)
    pen = ImageDraw.Draw(drawn)
    picture = None if cell.image.picture.error else _picture(cell, side, rules)
    if picture is None:
        pen.rectangle((0, 0, side - 1, side - 1), outline=cell.colour)
        pen.line((0, 0, side, side), fill=cell.colour)
    else:
        drawn.paste(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
    if cell.image.left_out:
        pen.line((0, 0, side, side), fill=_INK, width=2)
        pen.line((side, 0, 0, side), fill=_INK, width=2)
    pen.text((0, side + 2), _fitting(cell.image.name, font, side), font=font, fill=_INK)
    pen.text((0, side + 2 + _LINE), _fitting(cell.words, font, side), font=font, fill=cell.colour)
    return drawn


def _picture(cell: _Cell, side: int, rules: Rules) -> Image.Image | None:
    """The thumbnail with its crop, or None where the file is gone or was damaged since it was measured."""
    try:
        whole = load_rgb(cell.image.path)
    except Exception:
        return None
    box = rules.cut(whole.size).box
    scale = side / max(whole.size)
    small = whole.resize([max(1, round(edge * scale)) for edge in whole.size], Image.Resampling.BOX, reducing_gap=2.0)
    if cell.image.left_out:
        small = small.convert("L").convert("RGB")
    left, top, right, bottom = (round(edge * scale) for edge in box)
    kept = small.crop((left, top, right, bottom))
    shown = small.point(lambda value: value * _DIMMED // 255)
    shown.paste(kept, (left, top))
    outline = (left, top, max(left, min(right, small.width) - 1), max(top, min(bottom, small.height) - 1))
    ImageDraw.Draw(shown).rectangle(outline, outline=cell.colour, width=2)
    return shown


def _fitting(text: str, font: Font, width: int) -> str:
    # A file's name may hold bytes that are no text, and line breaks.
    text = " ".join(text.encode("utf-8", "replace").decode().split())
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"
