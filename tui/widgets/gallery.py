"""The library as cards with previews."""

from __future__ import annotations

from collections.abc import Callable

from rich.style import Style
from textual.geometry import Size
from textual.strip import Strip

from registry.records import ModelRow
from tui import formats
from tui.decoding import decoded
from tui.looks import looks_of
from tui.pictures import Tile
from tui.widgets.blocks import strips_of_file
from tui.widgets.cards import Cards, tile_strips
from tui.widgets.model_list import ModelOrder


class Gallery(Cards[ModelRow]):
    """The models of a :class:`ModelOrder` as cards. ``find`` gives what to show for a version, in a thread."""

    def __init__(self, order: ModelOrder, find: Callable[[str], Tile], *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.order = order
        self._find = find

    @property
    def row_count(self) -> int:
        return len(self.order.ids)

    def item(self, index: int) -> ModelRow | None:
        return self.order.row(index)

    def rows_needed(self, first: int, last: int) -> None:
        self.order.prepare(first, last)

    def key(self, item: ModelRow) -> str:
        return item.version_id

    def heading(self, item: ModelRow) -> str:
        mark = "● " if item.id in self.order.marks else "♥ " if item.favourite else ""
        return mark + looks_of(self).name(item.id, formats.one_line(item.name))

    def facts(self, item: ModelRow) -> str:
        return f"{item.base_model or '?'} {formats.stars(item.rating)}"

    async def load(self, key: str, size: Size, shade: Style) -> list[Strip]:
        return await decoded(self._strips, key, size, shade)

    def _strips(self, version: str, size: Size, shade: Style) -> list[Strip]:
        tile = self._find(version)
        if tile.words:
            return tile_strips(tile.words, size, shade)
        return strips_of_file(tile.path, *size) if tile.path else []
