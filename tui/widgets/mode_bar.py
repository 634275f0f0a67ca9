"""The first line of the screen: the numbered modes, and what is at work."""

from __future__ import annotations

from typing import ClassVar

from rich.segment import Segment
from textual import events
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from tui.actions import MODES
from tui.widgets.columns import cut

_PRIVATE = " private "


class ModeBar(Widget):
    """``hubman  1 Library  2 Civitai …``; a click switches."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "mode-bar--name",
        "mode-bar--active",
        "mode-bar--news",
        "mode-bar--private",
    }
    DEFAULT_CSS = """
    ModeBar {
        dock: top; height: 1; background: $panel; color: $text-muted;
        & > .mode-bar--name { color: $text-primary; text-style: bold; }
        & > .mode-bar--active { background: $primary; color: $text; text-style: bold; }
        & > .mode-bar--news { color: $text-accent; }
        & > .mode-bar--private { background: $warning; color: $text; text-style: bold; }
    }
    """

    active: reactive[str] = reactive("library")
    news: reactive[str] = reactive("")
    """What is at work, at the right end."""
    private: reactive[bool] = reactive(False)

    def _spans(self) -> list[tuple[str, str]]:
        """(mode, text) of each piece; an empty mode is no button."""
        width = self.size.width - (len(_PRIVATE) if self.private else 0)
        names = [(mode, f" {number} {mode.title()} ") for number, mode in enumerate(MODES, 1)]
        needed = sum(len(text) for _, text in names)
        spans = [("", " hubman  ")] if width >= needed + 10 else []
        if width < needed:
            names = [(mode, text if mode == self.active else text[:5] + " ") for mode, text in names]
        return spans + names

    def render_line(self, y: int) -> Strip:
        del y
        base = self.rich_style
        segments = []
        for mode, text in self._spans():
            part = "active" if mode == self.active else "name" if not mode else ""
            style = self.get_component_rich_style(f"mode-bar--{part}") if part else base
            segments.append(Segment(text, style))
        if self.private:
            segments.append(Segment(_PRIVATE, self.get_component_rich_style("mode-bar--private")))
        used = sum(len(segment.text) for segment in segments)
        room = self.size.width - used - 2
        if self.news and room >= 6:
            news = cut(self.news, min(room, len(self.news)))
            segments.append(Segment(" " * (self.size.width - used - len(news) - 1), base))
            segments.append(Segment(news, self.get_component_rich_style("mode-bar--news")))
        return Strip(segments).adjust_cell_length(self.size.width, base)

    async def on_click(self, event: events.Click) -> None:
        position = 0
        for mode, text in self._spans():
            position += len(text)
            if event.x < position:
                if mode:
                    await self.run_action(f"app.act('app.{mode}')")
                return
