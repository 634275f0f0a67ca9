"""A grid of pictures with its axes and a cell cursor."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from rich.segment import Segment
from textual import events
from textual.binding import BindingType
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui import actions
from tui.acting import Acting
from tui.decoding import decoded
from tui.grids import At, GridShape
from tui.widgets.blocks import strips_of_file
from tui.widgets.columns import cut
from tui.widgets.paint import ink
from tui.work import begin

LABELS = 9
SMALLEST, LARGEST = 10, 48
"""Cells across of one picture; below the smallest the grid scrolls."""


class GridView(ScrollView, Acting, can_focus=True):
    """Finished cells as pictures, the others as dots; arrows move the cursor."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *actions.bindings("move", only=("down", "up", "left", "right", "top", "bottom", "open"))
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {"grid--label", "grid--cursor", "grid--dots", "grid--pinned"}
    DEFAULT_CSS = """
    GridView {
        height: 1fr; scrollbar-size-vertical: 1; scrollbar-size-horizontal: 1; background: $surface;
        & > .grid--label { color: $text-muted; }
        & > .grid--cursor { background: $primary; color: $text; text-style: bold; }
        & > .grid--dots { color: $text-disabled; }
        & > .grid--pinned { background: $success; }
    }
    """

    at: reactive[At] = reactive((0, 0), repaint=False)
    empty: reactive[str] = reactive("")
    pinned: reactive[Path | None] = reactive(None)
    """The picture that others are compared with."""

    class Moved(Message):
        """The cursor came to another cell."""

    class Opened(Message):
        """Enter, or a double click, on a cell."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.shape = GridShape("", (), "", ())
        self._cells: dict[At, Path] = {}
        self._previews: dict[At, Path] = {}
        self._strips: dict[At, list[Strip]] = {}
        self._drawn_for: tuple[int, int] | None = None

    @property
    def current(self) -> Path | None:
        return self._cells.get(self.at)

    def show(self, shape: GridShape, cells: Mapping[At, Path], previews: Mapping[At, Path] | None = None) -> None:
        """Show ``cells`` by (row, column); what is drawn already is not drawn again.

        ``previews`` are shown until the cell's picture is there; they are read anew each time.
        """
        if shape != self.shape:
            self._strips.clear()
            self.at = (0, 0)
        for at in self._cells.keys() | cells.keys():
            if self._cells.get(at) != cells.get(at):
                self._strips.pop(at, None)
        for at in previews or {}:
            self._strips.pop(at, None)
        self.shape, self._cells, self._previews = shape, dict(cells), dict(previews or {})
        self._fit()
        self.refresh()
        self.post_message(self.Moved())

    # geometry -----------------------------------------------------------------------------------------------------

    @property
    def _picture(self) -> Size:
        columns, rows = max(1, len(self.shape.xs)), max(1, len(self.shape.ys))
        by_width = (self.size.width - LABELS) // columns - 2
        by_height = 2 * ((self.size.height - 1) // rows - 1)
        across = max(SMALLEST, min(LARGEST, by_width, max(by_height, SMALLEST)))
        return Size(across, across // 2)

    @property
    def _step(self) -> Size:
        return Size(self._picture.width + 2, self._picture.height + 1)

    def _fit(self) -> None:
        step = self._step
        self.virtual_size = Size(LABELS + step.width * len(self.shape.xs), 1 + step.height * len(self.shape.ys))
        size = (self._picture.width, self._picture.height)
        if size != self._drawn_for:
            self._drawn_for = size
            self._strips.clear()
        if self.is_attached and any(at not in self._strips for at in self._shown):
            begin(self, self._decode, group="cells", exclusive=True)

    @property
    def _shown(self) -> dict[At, Path]:
        return {**self._previews, **self._cells}

    def on_resize(self) -> None:
        self._fit()

    async def _decode(self) -> None:
        size = self._picture
        cells = self._shown
        for at in sorted(cells, key=self._distance):
            if at not in self._strips:
                self._strips[at] = await decoded(strips_of_file, cells[at], size.width, size.height)
                self.refresh()

    def _distance(self, at: At) -> int:
        """From the cursor: what is looked at comes first."""
        return abs(at[0] - self.at[0]) + abs(at[1] - self.at[1])

    # drawing ------------------------------------------------------------------------------------------------------

    def render_line(self, y: int) -> Strip:
        width, base = self.scrollable_content_region.width, self.rich_style
        label = ink(self, "grid--label")
        if not self.shape.xs:
            lines = self.empty.split("\n")
            text = lines[y - 1] if 0 < y <= len(lines) else ""
            return Strip([Segment(" " + text, base + label)]).adjust_cell_length(width, base)
        if y == 0:
            return self._header().crop_extend(self.scroll_offset.x, self.scroll_offset.x + width, base)
        step = self._step
        row, line = divmod(y - 1 + self.scroll_offset.y, step.height)
        if row >= len(self.shape.ys):
            return Strip.blank(width, base)
        name = self.shape.ys[row] if line == 0 else self.shape.y_label if line == 1 else ""
        parts = [Strip([Segment(cut(name, LABELS - 1, right=True) + " ", base + label)])]
        parts += [self._cell_line((row, column), line) for column in range(len(self.shape.xs))]
        return Strip.join(parts).crop_extend(self.scroll_offset.x, self.scroll_offset.x + width, base)

    def _header(self) -> Strip:
        base = self.rich_style
        label, cursor = base + ink(self, "grid--label"), self.get_component_rich_style("grid--cursor")
        step = self._step
        segments = [Segment(cut(self.shape.x_label, LABELS - 1, right=True) + " ", label)]
        for column, name in enumerate(self.shape.xs):
            chosen = column == self.at[1]
            segments.append(Segment(cut(name.center(step.width - 1), step.width - 1), cursor if chosen else label))
            segments.append(Segment(" ", base))
        return Strip(segments)

    def _cell_line(self, at: At, line: int) -> Strip:
        base, size = self.rich_style, self._picture
        if line >= size.height:
            return Strip.blank(self._step.width, base)
        chosen = at == self.at
        cursor = self.get_component_rich_style("grid--cursor")
        pinned = self.pinned is not None and self._cells.get(at) == self.pinned
        edge = Segment(" ", cursor if chosen else self.get_component_rich_style("grid--pinned") if pinned else base)
        strips = self._strips.get(at)
        if strips and line < len(strips):
            inside = strips[line].adjust_cell_length(size.width, base)
        else:
            text = (
                ("…" if at in self._cells or at in self._previews else "·")
                if line == size.height // 2 and not strips
                else ""
            )
            inside = Strip([Segment(cut(text.center(size.width), size.width), base + ink(self, "grid--dots"))])
        return Strip([edge, *inside, Segment(" ", base)])

    # the cursor ---------------------------------------------------------------------------------------------------

    def validate_at(self, at: At) -> At:
        return max(0, min(at[0], len(self.shape.ys) - 1)), max(0, min(at[1], len(self.shape.xs) - 1))

    def watch_at(self) -> None:
        step = self._step
        top, left = self.at[0] * step.height, self.at[1] * step.width
        height, width = self.size.height - 1, self.size.width - LABELS
        y, x = self.scroll_offset.y, self.scroll_offset.x
        y = top if top < y else max(y, top + step.height - height)
        x = left if left < x else max(x, left + step.width - width)
        self.scroll_to(x=max(0, x), y=max(0, y), animate=False)
        self.refresh()
        self.post_message(self.Moved())

    def do_down(self) -> None:
        self.at = (self.at[0] + 1, self.at[1])

    def do_up(self) -> None:
        self.at = (self.at[0] - 1, self.at[1])

    def do_left(self) -> None:
        self.at = (self.at[0], self.at[1] - 1)

    def do_right(self) -> None:
        self.at = (self.at[0], self.at[1] + 1)

    def do_top(self) -> None:
        self.at = (0, 0)

    def do_bottom(self) -> None:
        self.at = (len(self.shape.ys) - 1, len(self.shape.xs) - 1)

    def do_open(self) -> None:
        if self.current is not None:
            self.post_message(self.Opened())

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset_capture(self)
        step = self._step
        row = (offset.y - 1 + self.scroll_offset.y) // step.height
        column = (offset.x - LABELS + self.scroll_offset.x) // step.width
        if 0 <= row < len(self.shape.ys) and 0 <= column < len(self.shape.xs):
            self.at = (row, column)
            if event.chain == 2:
                self.do_open()
