"""Where a caption is written: its trigger word stands out, and what no training reads is dimmed."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.style import Style
from rich.text import Text
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import TextArea

from tui.caption_set import read_to
from tui.widgets.paint import ink

if TYPE_CHECKING:
    from tui.caption_set import CaptionSet


class CaptionEditor(TextArea):
    """A text field that hands page keys and escape to its screen: they go to the next picture, or back to the list."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("pagedown,ctrl+down", "step(1)", "Save, next picture", show=False),
        Binding("pageup,ctrl+up", "step(-1)", "Save, picture before", show=False),
        Binding("escape", "leave", "Save, back to the list", show=False),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {"caption--trigger", "caption--over"}
    DEFAULT_CSS = """
    CaptionEditor {
        border: none; padding: 0 1; background: $panel 40%;
        &:focus { border: none; background: $panel; }
        & > .caption--trigger { color: $text-accent; text-style: bold; }
        & > .caption--over { color: $text-error; text-style: italic; }
    }
    """

    class Stepped(Message):
        """Another picture is wanted: the next, or the one before."""

        def __init__(self, by: int) -> None:
            super().__init__()
            self.by = by

    class Left(Message):
        """The person is done writing here."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, highlight_cursor_line=False, show_line_numbers=False, placeholder="no caption yet")
        self._measure: CaptionSet | None = None

    def measure_by(self, found: CaptionSet) -> None:
        """Show trigger and limit of ``found`` from now on."""
        changed = self._measure is None or (found.trigger, found.most) != (self._measure.trigger, self._measure.most)
        self._measure = found
        if changed:
            self.notify_style_update()

    def get_line(self, line_index: int) -> Text:
        line = super().get_line(line_index)
        found = self._measure
        if found is None:
            return line
        from hubman.train.captioning.tags import trigger_spans

        for start, end in trigger_spans(line.plain, found.trigger):
            line.stylize(self._style("trigger"), start, end)
        line.stylize(self._style("over"), read_to(line.plain, found.most, found.rule.count))
        return line

    def _style(self, name: str) -> Style:
        return ink(self, f"caption--{name}")

    def action_step(self, by: int) -> None:
        self.post_message(self.Stepped(by))

    def action_leave(self) -> None:
        self.post_message(self.Left())
