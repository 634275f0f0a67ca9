"""The line over a pane that names its pages: the one that is shown, how much is in each, and the keys that go there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from rich.segment import Segment
from textual import events
from textual.strip import Strip
from textual.widget import Widget

from tui.widgets.columns import cut


class Page(NamedTuple):
    """A page: the action that goes there, its key, what it is called, and what is in it (empty for nothing)."""

    action: str
    key: str
    title: str
    news: str = ""
    style: str = ""


class PageLine(Widget):
    """``w waiting ↑3  e conflicts 2``; a click goes there."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"page-line--{name}" for name in ("key", "shown", "news", "bad")}
    DEFAULT_CSS = """
    PageLine {
        height: 1; background: $panel; color: $text-muted;
        & > .page-line--key { color: $text-accent; text-style: bold; }
        & > .page-line--shown { background: $surface; color: $foreground; text-style: bold; }
        & > .page-line--news { color: $text-warning; text-style: bold; }
        & > .page-line--bad { color: $text-error; text-style: bold; }
    }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._pages: Sequence[Page] = ()
        self._shown = ""

    def show(self, pages: Sequence[Page], shown: str) -> None:
        """``shown`` is the action of the page that is there now."""
        if (pages, shown) != (self._pages, self._shown):
            self._pages, self._shown = pages, shown
            self.refresh()

    def _parts(self, page: Page) -> list[tuple[str, str]]:
        """(text, component) of a page's name."""
        body = "shown" if page.action == self._shown else ""
        news = [(f" {page.news}", page.style or "news")] if page.news else []
        return [(" ", body), (page.key, "key"), (f" {page.title}", body), *news, (" ", body)]

    def render_line(self, y: int) -> Strip:
        del y
        base = self.rich_style
        shown = self.get_component_rich_style("page-line--shown")
        segments = [Segment(" ", base)]
        for page in self._pages:
            row = base + shown if page.action == self._shown else base
            for text, name in self._parts(page):
                ink = self.get_component_rich_style(f"page-line--{name}") if name and name != "shown" else None
                segments.append(Segment(text, row + type(row)(color=ink.color, bold=True) if ink else row))
            segments.append(Segment(" ", base))
        line = Strip(segments)
        if line.cell_length > self.size.width:
            return Strip([Segment(cut(line.text, self.size.width), base)])
        return line.adjust_cell_length(self.size.width, base)

    async def on_click(self, event: events.Click) -> None:
        position = 1
        for page in self._pages:
            position += sum(len(text) for text, _ in self._parts(page)) + 1
            if event.x < position:
                await self.run_action(f"screen.act('{page.action}')")
                return
