"""The images of a training as a list and as a contact sheet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.style import Style
from textual.geometry import Size
from textual.strip import Strip

from tui import formats
from tui.data_set import ImageLine
from tui.decoding import decoded
from tui.widgets import cropped
from tui.widgets.cards import Cards
from tui.widgets.columns import Column
from tui.widgets.cropped import Crop
from tui.widgets.rows import Cell, RowList

_MARKS = {"error": ("✘", "bad"), "warn": ("!", "warn"), "note": ("·", "muted")}


def mark_of(line: ImageLine) -> Cell:
    """One sign: left out, the worst finding, or nothing to complain about."""
    if line.is_out:
        return "-", "muted"
    return _MARKS[line.worst.severity] if line.worst else ("✔", "good")


class ImageList(RowList[ImageLine]):
    """Images with their captions; the worst finding marks the line."""

    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("", 1),
        Column("", 1),
        Column("Image", 14),
        Column("Size", 9, drop=2),
        Column("Finding", 18, drop=1),
        Column("Caption", 20, grow=True),
    )

    def cells(self, item: ImageLine) -> Sequence[Cell]:
        if item.image is None:
            said = item.findings[0].sentence
            return mark_of(item), ("", ""), ("the whole set", "accent"), ("", ""), ("", ""), (said, "muted")
        picture = item.image.picture
        size = f"{picture.width}x{picture.height}" if not picture.error else ""
        text = formats.one_line(item.image.caption or "")
        caption: Cell = (text, "") if text else (item.lacks_caption, "warn")
        found: Cell = (item.problem, mark_of(item)[1])
        name: Cell = (item.image.name, "")
        if item.is_out:
            caption, found, name = (text, "muted"), ("left out", "muted"), (item.image.name, "muted")
        return mark_of(item), (item.twin, "accent"), name, (size, "muted"), found, caption


class ImageSheet(Cards[ImageLine]):
    """Images as cards, each with what its bucket keeps."""

    def key(self, item: ImageLine) -> str:
        return f"{item.path}\0{item.box}\0{item.is_out}"

    def rows_needed(self, first: int, last: int) -> None:
        self._crops = {self.key(line): Crop.of(line) for line in map(self.item, range(first, last)) if line}

    async def load(self, key: str, size: Size, shade: Style) -> list[Strip]:
        del shade
        crop = self._crops.get(key)
        return await decoded(cropped.strips, crop, size.width, size.height) if crop else []

    def heading(self, item: ImageLine) -> str:
        if item.image is None:
            return f"{mark_of(item)[0]} the whole set"
        return f"{item.twin}{mark_of(item)[0]} {item.image.name}"

    def facts(self, item: ImageLine) -> str:
        if item.image is None:
            return formats.count(len(item.findings), "remark")
        if item.is_out:
            return "left out"
        picture = item.image.picture
        return item.problem or f"{picture.width}x{picture.height}"

    def lacking(self, item: ImageLine) -> str:
        return "can't be shown" if item.image is not None else ""
