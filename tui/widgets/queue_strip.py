"""One line of the queue of downloads, above the keys; gone where there is nothing to tell."""

from __future__ import annotations

from typing import ClassVar

from rich.segment import Segment
from textual import events
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from tui.pulls import Pulls
from tui.widgets.columns import cut
from tui.widgets.paint import ink

_HINT = "Q queue"


class QueueStrip(Widget):
    """What is on its way, and how many wait; a click opens the queue."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"queue-strip--hint"}
    DEFAULT_CSS = """
    QueueStrip {
        height: 1; display: none; background: $panel 60%; color: $foreground;
        &.-shown { display: block; }
        & > .queue-strip--hint { color: $text-accent; }
    }
    """

    pulls: reactive[Pulls] = reactive(Pulls())

    def watch_pulls(self, pulls: Pulls) -> None:
        self.set_class(bool(pulls.words(self.size.width)), "-shown")

    def render_line(self, y: int) -> Strip:
        del y
        width, base = self.size.width, self.rich_style
        room = max(0, width - len(_HINT) - 3)
        hint = base + ink(self, "queue-strip--hint")
        segments = [Segment(f" {cut(self.pulls.words(room), room)} ", base), Segment(f"{_HINT} ", hint)]
        return Strip(segments).adjust_cell_length(width, base)

    async def on_click(self, event: events.Click) -> None:
        event.stop()
        await self.run_action("screen.act('civitai.queue')")
