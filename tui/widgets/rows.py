"""A list of any length that draws only the lines on the screen."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, ClassVar, Generic, TypeVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui import actions
from tui.acting import Acting
from tui.widgets.columns import GAP, Column, cut, fit
from tui.widgets.paint import ink

Item = TypeVar("Item")
_KEY = re.compile(r"\S+ {2,}| +")
Cell = tuple[str, str]
"""A text and the name of its component style without ``rows--``; an empty name means the row's own style."""


class RowList(ScrollView, Acting, Generic[Item], can_focus=True):
    """Lines of columns with a cursor. Subclasses name the ``COLUMNS`` and turn an item into ``cells``.

    This class keeps its items in a sequence; one with more rows than should lie in memory overrides
    ``row_count``, ``item`` and ``prepare``.
    """

    COLUMNS: ClassVar[tuple[Column, ...]] = (Column("", 10, grow=True),)
    HEADER: ClassVar[bool] = True
    BINDINGS: ClassVar[list[BindingType]] = [
        *actions.bindings("move", only=("down", "up", "top", "bottom", "page_down", "page_up", "open"))
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"rows--{name}"
        for name in ("header", "cursor", "blurred", "muted", "accent", "good", "warn", "bad", "mark", "strong")
    }
    DEFAULT_CSS = """
    RowList {
        height: 1fr; overflow-x: hidden; overflow-y: auto; scrollbar-size-vertical: 1; background: $surface;
        & > .rows--header { color: $text-muted; text-style: bold; }
        & > .rows--cursor { background: $primary; color: $text; text-style: bold; }
        & > .rows--blurred { background: $panel; color: $foreground; }
        & > .rows--muted { color: $text-muted; }
        & > .rows--strong { text-style: bold; }
        & > .rows--accent { color: $text-accent; }
        & > .rows--good { color: $text-success; }
        & > .rows--warn { color: $text-warning; }
        & > .rows--bad { color: $text-error; }
        & > .rows--mark { color: $text-accent; text-style: bold; }
    }
    """

    cursor: reactive[int] = reactive(0, repaint=False)
    empty: reactive[str] = reactive("")
    """What stands in a list without rows: what it would show, and what to do."""

    class Highlighted(Message):
        """The cursor came to a line. Only the newest of a flood is delivered."""

        def __init__(self, rows: RowList[Any]) -> None:
            super().__init__()
            self.rows = rows

        @property
        def control(self) -> RowList[Any]:
            return self.rows

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, RowList.Highlighted) and message.rows is self.rows

    class Chosen(Message):
        """Enter, or a double click, on a line."""

        def __init__(self, rows: RowList[Any]) -> None:
            super().__init__()
            self.rows = rows

        @property
        def control(self) -> RowList[Any]:
            return self.rows

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._items: Sequence[Item] = ()
        self._base = Style.null()

    # what is shown ------------------------------------------------------------------------------------------------

    @property
    def row_count(self) -> int:
        return len(self._items)

    def item(self, index: int) -> Item | None:
        return self._items[index] if 0 <= index < len(self._items) else None

    def cells(self, item: Item) -> Sequence[Cell]:
        """One cell a column, in the order of ``COLUMNS``."""
        return [(str(item), "")]

    @property
    def columns(self) -> tuple[Column, ...]:
        """``COLUMNS``, unless they depend on what is shown."""
        return self.COLUMNS

    def title(self, index: int) -> str:
        """What stands above the column number ``index``."""
        return self.columns[index].title

    def prepare(self, first: int, last: int) -> None:
        """Called before the lines ``first`` to ``last`` (exclusive) are drawn."""

    def set_items(self, items: Sequence[Item], *, cursor: int | None = None) -> None:
        """Show ``items``; the cursor stays on its line unless told otherwise."""
        self._items = items
        self.rows_changed(cursor)

    def rows_changed(self, cursor: int | None = None) -> None:
        """To be called when the number of rows or what they say has changed."""
        self.virtual_size = Size(self.size.width, self.row_count + self._header_height)
        wanted = self.cursor if cursor is None else cursor
        self.set_reactive(RowList.cursor, max(0, min(wanted, self.row_count - 1)))
        self._show_cursor()
        self.refresh()
        self.post_message(self.Highlighted(self))

    @property
    def current(self) -> Item | None:
        """The item under the cursor."""
        return self.item(self.cursor) if self.row_count else None

    # drawing ------------------------------------------------------------------------------------------------------

    @property
    def _header_height(self) -> int:
        return 1 if self.HEADER and self.row_count else 0

    def render_lines(self, crop: Region) -> list[Strip]:
        # Worked out once for all lines: it walks up the tree each time.
        self._base = self.rich_style
        top = self.scroll_offset.y
        self.prepare(top, min(self.row_count, top + self.size.height))
        return super().render_lines(crop)

    def render_line(self, y: int) -> Strip:
        width = self.scrollable_content_region.width
        base = self._base
        if not self.row_count:
            return self._empty_line(y, width, base)
        layout = fit(self.columns, max(1, width - 2))
        if self._header_height and y == 0:
            style = base + self._component("header")
            titles = [(cut(self.title(i), cells, right=self.columns[i].right), style) for i, cells in layout]
            return self._join(titles, width, style)
        index = y - self._header_height + self.scroll_offset.y
        item = self.item(index) if index < self.row_count else None
        if item is None:
            return Strip.blank(width, base)
        return self._item_line(item, index, layout, width, base)

    def _item_line(self, item: Item, index: int, layout: list[tuple[int, int]], width: int, base: Style) -> Strip:
        at_cursor = index == self.cursor
        row = base + self._component("cursor" if self.has_focus else "blurred") if at_cursor else base
        cells = self.cells(item)
        parts: list[tuple[str, Style]] = []
        for column, size in layout:
            text, name = cells[column]
            # Under the focused cursor every cell takes the cursor's own colour: tints are unreadable on it.
            style = row if not name or (at_cursor and self.has_focus) else row + self._component(name)
            parts.append((cut(text, size, right=self.columns[column].right), style))
        return self._join(parts, width, row)

    def _join(self, parts: list[tuple[str, Style]], width: int, filler: Style) -> Strip:
        segments = [Segment(" ", filler)]
        for position, (text, style) in enumerate(parts):
            if position:
                segments.append(Segment(" " * GAP, filler))
            segments.append(Segment(text, style))
        return Strip(segments).adjust_cell_length(width, filler)

    def _empty_line(self, y: int, width: int, base: Style) -> Strip:
        lines = _wrap(self.empty, max(1, width - 2))
        position = y - 1
        text = lines[position] if 0 <= position < len(lines) else ""
        return Strip([Segment(" " + text, base + self._component("muted"))]).adjust_cell_length(width, base)

    def _component(self, name: str) -> Style:
        if name in {"cursor", "blurred"}:
            return self.get_component_rich_style(f"rows--{name}")
        return ink(self, f"rows--{name}")

    # the cursor ---------------------------------------------------------------------------------------------------

    def validate_cursor(self, cursor: int) -> int:
        return max(0, min(cursor, self.row_count - 1))

    def watch_cursor(self, old: int, new: int) -> None:
        self.refresh_line(old + self._header_height)
        self.refresh_line(new + self._header_height)
        self._show_cursor()
        self.post_message(self.Highlighted(self))

    def _show_cursor(self) -> None:
        visible = max(1, self.size.height - self._header_height)
        top = self.scroll_offset.y
        if self.cursor < top:
            self.scroll_to(y=self.cursor, animate=False)
        elif self.cursor >= top + visible:
            self.scroll_to(y=self.cursor - visible + 1, animate=False)

    def _page(self) -> int:
        return max(1, self.size.height - self._header_height - 1)

    def do_down(self) -> None:
        self.cursor += 1

    def do_up(self) -> None:
        self.cursor -= 1

    def do_top(self) -> None:
        self.cursor = 0

    def do_bottom(self) -> None:
        self.cursor = self.row_count - 1

    def do_page_down(self) -> None:
        self.cursor += self._page()

    def do_page_up(self) -> None:
        self.cursor -= self._page()

    def do_open(self) -> None:
        if self.row_count:
            self.post_message(self.Chosen(self))

    def on_click(self, event: events.Click) -> None:
        y = event.get_content_offset_capture(self).y
        index = y - self._header_height + self.scroll_offset.y
        if 0 <= index < self.row_count and y >= self._header_height:
            self.cursor = index
            if event.chain == 2:
                self.do_open()

    def on_resize(self) -> None:
        self.virtual_size = Size(self.size.width, self.row_count + self._header_height)
        self._show_cursor()

    def watch_has_focus(self, value: bool) -> None:
        super().watch_has_focus(value)
        if self.is_attached:
            self.refresh_line(self.cursor + self._header_height)


def _wrap(text: str, width: int) -> list[str]:
    """``text`` in lines of at most ``width`` characters; what follows a key and two spaces hangs under itself."""
    from textwrap import wrap

    lines: list[str] = []
    for paragraph in text.split("\n"):
        key = _KEY.match(paragraph)
        indent = " " * min(len(key[0]), width // 2) if key else ""
        lines += wrap(paragraph, width, subsequent_indent=indent, drop_whitespace=True) or [""]
    return lines
