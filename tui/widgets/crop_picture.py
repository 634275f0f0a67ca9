"""One training image, as large as its place allows, with what is cut off."""

from __future__ import annotations

from functools import partial

from textual.strip import Strip
from textual.widget import Widget

from tui.decoding import decoded
from tui.looks import looks_of
from tui.widgets import cropped
from tui.widgets.cropped import Crop
from tui.work import begin


class CropPicture(Widget):
    """Decodes in a thread; shows nothing without a picture."""

    DEFAULT_CSS = "CropPicture { height: 12; }"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._crop: Crop | None = None
        self._strips: list[Strip] = []

    def show(self, crop: Crop | None) -> None:
        if crop != self._crop:
            self._crop = crop
            self._load()

    def on_resize(self) -> None:
        self._load()

    def _load(self) -> None:
        self.workers.cancel_group(self, "picture")
        if self._crop is None or not looks_of(self).has_pictures:
            self._set([])
        elif (strips := cropped.at_hand(self._crop, *self.size)) is not None:
            self._set(strips)
        else:
            begin(self, partial(self._decode, self._crop), group="picture", exclusive=True)

    async def _decode(self, crop: Crop) -> None:
        self._set(await decoded(cropped.strips, crop, *self.size))

    def _set(self, strips: list[Strip]) -> None:
        self._strips = strips
        self.refresh()

    def render_line(self, y: int) -> Strip:
        width, base = self.size.width, self.rich_style
        line = y - (self.size.height - len(self._strips)) // 2
        if not 0 <= line < len(self._strips):
            return Strip.blank(width, base)
        strip = self._strips[line]
        left = (width - strip.cell_length) // 2
        return Strip.join([Strip.blank(left, base), strip]).adjust_cell_length(width, base)
