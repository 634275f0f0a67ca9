"""One picture, as large as its place allows."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import ClassVar

from rich.segment import Segment
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from tui.widgets.blocks import strips_of_source
from tui.widgets.columns import cut
from tui.work import begin


class Picture(Widget):
    """Shows the picture in ``path``, decoded in a thread; without one, ``caption`` in the middle."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"picture--caption"}
    DEFAULT_CSS = """
    Picture { height: 12; & > .picture--caption { color: $text-muted; } }
    """

    path: reactive[Path | bytes | None] = reactive(None)
    """A file, or the bytes of one."""
    caption: reactive[str] = reactive("no preview")

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._strips: list[Strip] = []

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
        else:
            begin(self, partial(self._decode, self.path), group="picture", exclusive=True)

    async def _decode(self, path: Path | bytes) -> None:
        self._show(await asyncio.to_thread(strips_of_source, path, self.size.width, self.size.height))

    def _show(self, strips: list[Strip]) -> None:
        self._strips = strips
        self.refresh()

    def render_line(self, y: int) -> Strip:
        width, base = self.size.width, self.rich_style
        if not self._strips:
            middle = y == self.size.height // 2
            text = cut(self.caption.center(width), width) if middle else ""
            return Strip([Segment(text, self.get_component_rich_style("picture--caption"))]).adjust_cell_length(
                width, base
            )
        line = y - (self.size.height - len(self._strips)) // 2
        if not 0 <= line < len(self._strips):
            return Strip.blank(width, base)
        strip = self._strips[line]
        left = (width - strip.cell_length) // 2
        return Strip.join([Strip.blank(left, base), strip]).adjust_cell_length(width, base)
