"""Pictures side by side under their labels: the samples of a training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from rich.segment import Segment
from textual.strip import Strip
from textual.widget import Widget

from tui.decoding import decoded
from tui.widgets.blocks import strips_of_file
from tui.widgets.columns import cut
from tui.work import begin


class PictureRow(Widget):
    """The last of the given pictures, as many as fit, decoded in a thread."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"picture-row--label"}
    DEFAULT_CSS = "PictureRow { height: 12; & > .picture-row--label { color: $text-muted; } }"

    def __init__(self, *, id: str | None = None, empty: str = "") -> None:
        super().__init__(id=id)
        self._pictures: Sequence[tuple[str, Path]] = ()
        self._drawn: list[tuple[str, list[Strip]]] = []
        self._empty = empty

    def show(self, pictures: Sequence[tuple[str, Path]]) -> None:
        """(label, file) of each, in their order."""
        if tuple(pictures) != tuple(self._pictures):
            self._pictures = tuple(pictures)
            self._load()

    def on_resize(self) -> None:
        self._load()

    @property
    def _width(self) -> int:
        """Cells of one picture: square, with a gap."""
        return max(4, 2 * (self.size.height - 1))

    def _load(self) -> None:
        if self.is_attached and self.size.height > 2:
            begin(self, self._decode, group="pictures", exclusive=True)

    async def _decode(self) -> None:
        fits = max(1, self.size.width // (self._width + 1))
        shown = self._pictures[-fits:]
        width, height = self._width, self.size.height - 1
        strips = await decoded(lambda: [strips_of_file(path, width, height) for _, path in shown])
        self._drawn = [(label, lines) for (label, _), lines in zip(shown, strips, strict=True)]
        self.refresh()

    def render_line(self, y: int) -> Strip:
        base, label_style = self.rich_style, self.get_component_rich_style("picture-row--label")
        if not self._drawn:
            text = self._empty if y == 0 else ""
            return Strip([Segment(text, label_style)]).adjust_cell_length(self.size.width, base)
        parts: list[Strip] = []
        for label, lines in self._drawn:
            if y == 0:
                parts.append(Strip([Segment(cut(label, self._width), label_style)]))
            else:
                line = lines[y - 1] if y - 1 < len(lines) else Strip([])
                parts.append(line.adjust_cell_length(self._width, base))
            parts.append(Strip.blank(1, base))
        return Strip.join(parts).adjust_cell_length(self.size.width, base)
