"""One picture, as large as its place allows."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from rich.segment import Segment
from textual.geometry import Size
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from tui.decoding import decoded
from tui.looks import looks_of
from tui.widgets.blocks import strips_at_hand, strips_of_source
from tui.widgets.columns import cut
from tui.widgets.tile import tile_line
from tui.work import begin

if TYPE_CHECKING:
    from tui.pictures import Tile
    from tui.widgets.real_picture import RealPicture


class Picture(Widget):
    """Shows the picture in ``path``, decoded in a thread; without one a tile of ``words``, or ``caption``.

    A ``real`` one uses the terminal's picture protocol, if it has one. There is one such picture on a screen.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {"picture--caption"}
    DEFAULT_CSS = """
    Picture { height: 12; & > .picture--caption { color: $text-muted; } }
    """

    path: reactive[Path | bytes | None] = reactive(None)
    """A file, or the bytes of one."""
    words: reactive[tuple[str, ...]] = reactive(())
    caption: reactive[str] = reactive("no preview")

    def __init__(self, *, id: str | None = None, real: bool = False) -> None:
        super().__init__(id=id)
        self._is_real = real
        self._real: RealPicture | None = None
        self._strips: list[Strip] = []

    def show(self, tile: Tile) -> None:
        self.words = tile.words
        self.path = tile.path

    def on_mount(self) -> None:
        method = looks_of(self).pictures.method
        if self._is_real and method in {"kitty", "sixel"}:
            from tui.widgets.real_picture import RealPicture

            self._real = RealPicture(method)
            self.mount(self._real)

    def watch_path(self) -> None:
        self._load()

    def on_resize(self) -> None:
        self._load()

    def _load(self) -> None:
        if not self.is_attached:
            return
        if self.path is None:
            self.workers.cancel_group(self, "picture")
            self._show([])
            if self._real is not None:
                self._real.clear()
                self._real.display = False
        elif (strips := self._at_hand(self.path)) is not None:
            self.workers.cancel_group(self, "picture")
            self._show(strips)
        else:
            begin(self, partial(self._decode, self.path), group="picture", exclusive=True)

    def _at_hand(self, path: Path | bytes) -> list[Strip] | None:
        """Lines that are there already are shown with what else changes, in one paint."""
        if self._real is not None or not isinstance(path, Path):
            return None
        return strips_at_hand(path, self.size.width, self.size.height)

    def draw_ahead(self, tile: Tile, size: Size) -> None:
        """Have the lines of ``tile`` at hand when it is shown in a picture of that ``size``; for a thread."""
        if tile.path is not None and self._real is None:
            strips_of_source(tile.path, size.width, size.height)

    async def _decode(self, path: Path | bytes) -> None:
        if self._real is not None:
            await self._real.show(path, self.size)
            self._real.display = True
        else:
            self._show(await decoded(strips_of_source, path, self.size.width, self.size.height))

    def _show(self, strips: list[Strip]) -> None:
        self._strips = strips
        self.refresh()

    def render_line(self, y: int) -> Strip:
        width, base = self.size.width, self.rich_style
        if not self._strips:
            style = self.get_component_rich_style("picture--caption")
            return Strip([Segment(self._words_line(y), style)]).adjust_cell_length(width, base)
        line = y - (self.size.height - len(self._strips)) // 2
        if not 0 <= line < len(self._strips):
            return Strip.blank(width, base)
        strip = self._strips[line]
        left = (width - strip.cell_length) // 2
        return Strip.join([Strip.blank(left, base), strip]).adjust_cell_length(width, base)

    def _words_line(self, y: int) -> str:
        width, height = self.size.width, self.size.height
        if self.words:
            return tile_line(self.words, width, height, y)
        return cut(self.caption.center(width), width) if y == height // 2 and self._real is None else ""
