"""A text in Markdown beside what the page will show of it."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static, TextArea

_WIDTHS = [(0, "-narrow"), (110, "-wide")]


class PublishTextScreen(ModalScreen[str | None]):
    """Answers the text as it was left, or None. In few columns the text and its preview take turns."""

    CSS_PATH = "publish_text.tcss"
    HORIZONTAL_BREAKPOINTS = _WIDTHS
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "save", "Save", show=False, priority=True),
        Binding("f4", "preview", "Preview", show=False, priority=True),
        Binding("escape", "dismiss(None)", "Cancel", show=False),
        Binding("f8", "app.act('app.privacy')", "Hide what is private", show=False, priority=True),
    ]

    def __init__(self, title: str, text: str) -> None:
        super().__init__()
        self._title, self._text = title, text

    def compose(self) -> ComposeResult:
        with Vertical() as frame:
            frame.border_title = f"{self._title}, in Markdown"
            frame.border_subtitle = "ctrl+s saves  f4 preview  esc cancels"
            with Horizontal():
                yield TextArea(self._text, soft_wrap=True, show_line_numbers=False)
                with VerticalScroll(id="page"):
                    yield Static("", id="preview", markup=False)

    def on_mount(self) -> None:
        self._draw()
        self.query_one(TextArea).focus()

    @on(TextArea.Changed)
    def _draw(self) -> None:
        # A long text costs some milliseconds: once for all keys that were pressed meanwhile.
        self.set_timer(0.1, self._draw_now) if self.is_mounted else self._draw_now()

    def _draw_now(self) -> None:
        from hubman.civitai import markdown
        from tui.html_content import content

        text = self.query_one(TextArea).text
        self.query_one("#preview", Static).update(content(markdown.to_html(text[:20_000])))

    def action_preview(self) -> None:
        self.toggle_class("-preview")

    def action_save(self) -> None:
        self.dismiss(self.query_one(TextArea).text)
