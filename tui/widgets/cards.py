"""Cards with pictures, drawn line by line: what the library and the site are shown as."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar, TypeVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import BindingType
from textual.geometry import Size
from textual.strip import Strip

from tui import actions
from tui.decoding import THREADS
from tui.looks import looks_of
from tui.widgets.columns import cut
from tui.widgets.rows import RowList
from tui.widgets.strip_cache import StripCache
from tui.widgets.tile import tile_line
from tui.work import begin

Item = TypeVar("Item")

SMALLEST = 22
"""Cells across of the narrowest card; as many as fit share the width."""
TALLEST = 10
"""Lines of a picture at most, so that two rows of cards fit a small terminal."""
_TEXT = 3
"""Lines of a card below its picture: name, facts and a gap."""
_KEPT = 25_000
"""Cells of pictures kept as lines: some 20 MB, five screens of 160 x 48."""


class Cards(RowList[Item]):
    """Items as cards. Subclasses say what picture an item has (``key``), how to ``load`` it, and its two lines."""

    HEADER: ClassVar[bool] = False
    AT_ONCE: ClassVar[int] = THREADS
    """Pictures that are loaded side by side."""
    BINDINGS: ClassVar[list[BindingType]] = [*actions.bindings("move", only=("left", "right"))]

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._pictures: StripCache[str] = StripCache(_KEPT)
        self._wanted: list[str] = []
        self._lines: dict[str, set[int]] = {}
        self._generation = 0

    # what a card shows --------------------------------------------------------------------------------------------

    @abstractmethod
    def key(self, item: Item) -> str:
        """What names the picture of an item."""

    @abstractmethod
    async def load(self, key: str, size: Size, shade: Style) -> list[Strip]:
        """The lines of a picture; none where there is none. Decoding belongs into :func:`tui.decoding.decoded`."""

    @abstractmethod
    def heading(self, item: Item) -> str: ...

    @abstractmethod
    def facts(self, item: Item) -> str: ...

    def rows_needed(self, first: int, last: int) -> None:
        """Called before the items ``first`` to ``last`` (exclusive) are drawn."""

    # geometry -----------------------------------------------------------------------------------------------------

    @property
    def across(self) -> int:
        return max(1, (self.size.width - 1) // SMALLEST)

    @property
    def card(self) -> Size:
        """Cells of a card, with a gap to the right and below; its picture is about square."""
        width = max(4, (self.size.width - 1) // self.across)
        return Size(width, min(TALLEST, max(4, (width - 2) // 2)) + _TEXT)

    @property
    def picture(self) -> Size:
        card = self.card
        return Size(card.width - 2, card.height - _TEXT)

    def rows_changed(self, cursor: int | None = None) -> None:
        self._set_size()
        wanted = self.cursor if cursor is None else cursor
        self.set_reactive(RowList.cursor, max(0, min(wanted, self.row_count - 1)))
        self._show_cursor()
        self.refresh()
        self.post_message(self.Highlighted(self))

    def _set_size(self) -> None:
        lines = -(-self.row_count // self.across) * self.card.height
        self.virtual_size = Size(self.size.width, max(1, lines))

    def on_resize(self) -> None:
        self.forget()
        self._set_size()
        self._show_cursor()

    def forget(self) -> None:
        """To be called when other pictures are to be shown than before; those under way are thrown away."""
        self._generation += 1
        self._pictures.clear()
        self.refresh()

    def _show_cursor(self) -> None:
        top = self.cursor // self.across * self.card.height
        if top < self.scroll_offset.y:
            self.scroll_to(y=top, animate=False)
        elif top + self.card.height > self.scroll_offset.y + self.size.height:
            self.scroll_to(y=top + self.card.height - self.size.height, animate=False)

    def watch_cursor(self, old: int, new: int) -> None:
        for index in (old, new):
            self.refresh_lines(index // self.across * self.card.height, self.card.height)
        self._show_cursor()
        self.post_message(self.Highlighted(self))

    def do_left(self) -> None:
        self.cursor -= 1

    def do_right(self) -> None:
        self.cursor += 1

    def do_down(self) -> None:
        if self.cursor + self.across < self.row_count:
            self.cursor += self.across
        elif self.cursor // self.across < (self.row_count - 1) // self.across:
            self.cursor = self.row_count - 1

    def do_up(self) -> None:
        if self.cursor >= self.across:
            self.cursor -= self.across

    def _page(self) -> int:
        return max(1, self.size.height // self.card.height) * self.across

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset_capture(self)
        column = min(self.across - 1, max(0, offset.x - 1) // self.card.width)
        index = (offset.y + self.scroll_offset.y) // self.card.height * self.across + column
        if index < self.row_count:
            self.cursor = index
            if event.chain == 2:
                self.do_open()

    # drawing ------------------------------------------------------------------------------------------------------

    def prepare(self, first: int, last: int) -> None:
        """Here the lines of the cards, not of a list: reads their items and asks for their pictures."""
        top = self.scroll_offset.y // self.card.height
        bottom = (self.scroll_offset.y + self.size.height - 1) // self.card.height + 1
        first, last = top * self.across, min(self.row_count, bottom * self.across)
        self.rows_needed(first, last)
        shown = [(index, item) for index in range(first, last) if (item := self.item(index)) is not None]
        self._lines = {}
        for index, item in shown:
            self._lines.setdefault(self.key(item), set()).add(index // self.across * self.card.height)
        self._wanted = [key for key in self._lines if key not in self._pictures]
        if self._wanted and not any(worker.group == "pictures" and worker.is_running for worker in self.workers):
            begin(self, self._load, group="pictures")

    async def _load(self) -> None:
        """Fetch what is on the screen, some at a time; what has scrolled away is no longer wanted."""
        while self._wanted:
            batch, self._wanted = self._wanted[: self.AT_ONCE], self._wanted[self.AT_ONCE :]
            generation, size, shade = self._generation, self.picture, self._base + self._component("muted")
            loaded = await asyncio.gather(*(self.load(key, size, shade) for key in batch))
            if generation == self._generation:
                for key, strips in zip(batch, loaded, strict=True):
                    self._pictures.put(key, strips)
            # A whole screen of pictures takes longer to paint than the rows that these stand in.
            for line in set().union(*(self._lines.get(key, set()) for key in batch)):
                self.refresh_lines(line, self.picture.height)

    def render_line(self, y: int) -> Strip:
        width, base = self.size.width, self._base
        if not self.row_count:
            return self._empty_line(y, width, base)
        row, line = divmod(y + self.scroll_offset.y, self.card.height)
        parts = [Strip.blank(1, base)]
        for index in range(row * self.across, min((row + 1) * self.across, self.row_count)):
            item = self.item(index)
            if item is not None:
                parts.append(self._card_line(item, index, line, base))
        return Strip.join(parts).adjust_cell_length(width, base)

    def _card_line(self, item: Item, index: int, line: int, base: Style) -> Strip:
        if line == self.card.height - 1:
            return Strip.blank(self.card.width, base)
        at_cursor = index == self.cursor
        style = base + self._component("cursor" if self.has_focus else "blurred") if at_cursor else base
        if line < self.picture.height:
            inside = self._picture_line(item, line, style)
        elif line == self.picture.height:
            inside = Strip([Segment(cut(self.heading(item), self.picture.width), style + Style(bold=True))])
        else:
            muted = style if at_cursor else style + self._component("muted")
            inside = Strip([Segment(cut(self.facts(item), self.picture.width), muted)])
        edge = Segment("▌" if at_cursor else " ", style)
        return Strip([edge, *inside, Segment(" ", base)]).adjust_cell_length(self.card.width, base)

    def lacking(self, item: Item) -> str:
        """What stands where an item has no picture."""
        del item
        return "no preview" if looks_of(self).has_pictures else "hidden"

    def _picture_line(self, item: Item, line: int, style: Style) -> Strip:
        strips: Sequence[Strip] | None = self._pictures.get(self.key(item))
        if not strips:
            text = (
                ("…" if strips is None else self.lacking(item)).center(self.picture.width)
                if line == self.picture.height // 2
                else ""
            )
            return Strip([Segment(cut(text, self.picture.width), style + self._component("muted"))])
        position = line - (self.picture.height - len(strips)) // 2
        if not 0 <= position < len(strips):
            return Strip.blank(self.picture.width, style)
        left = (self.picture.width - strips[position].cell_length) // 2
        return Strip.join([Strip.blank(left, style), strips[position]]).adjust_cell_length(self.picture.width, style)


def tile_strips(words: Sequence[str], size: Size, shade: Style) -> list[Strip]:
    """A tile of ``words`` in the place of a picture."""
    return [Strip([Segment(tile_line(words, *size, y), shade)]) for y in range(size.height)]
