"""The prompt: several lines of text, with a list under it that completes ``<lora:``."""

from __future__ import annotations

from textual import events
from textual.message import Message
from textual.widgets import TextArea

from tui import completing

_KEYS = {"down": 1, "up": -1}


class PromptEditor(TextArea):
    """A text area that says when a tag is begun, and hands the keys of the list on while one is open."""

    class Begun(Message):
        """A tag is being written; ``part`` is what stands of its name, None where none is."""

        def __init__(self, part: str | None) -> None:
            super().__init__()
            self.part = part

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, PromptEditor.Begun)

    class Stepped(Message):
        """The list's cursor is to move."""

        def __init__(self, by: int) -> None:
            super().__init__()
            self.by = by

    class Taken(Message):
        """What is under the list's cursor is to be written."""

    class Left(Message):
        """Escape was pressed: the list closes, or the prompt is done."""

    def __init__(self, *, id: str | None = None, placeholder: str = "") -> None:
        super().__init__(id=id, soft_wrap=True, tab_behavior="focus", placeholder=placeholder)
        self.completes = False
        """Whether the list is open."""

    @property
    def before(self) -> str:
        """The text up to the cursor."""
        row, column = self.cursor_location
        lines = self.text.split("\n")
        return "\n".join([*lines[:row], lines[row][:column]])

    def on_text_area_changed(self) -> None:
        self._tell()

    def on_text_area_selection_changed(self) -> None:
        self._tell()

    def _tell(self) -> None:
        self.post_message(self.Begun(completing.begun(self.before) if self.has_focus else None))

    async def _on_key(self, event: events.Key) -> None:
        if self.completes and event.key in _KEYS:
            self._swallow(event, self.Stepped(_KEYS[event.key]))
        elif self.completes and event.key in ("tab", "enter"):
            self._swallow(event, self.Taken())
        elif event.key == "escape":
            self._swallow(event, self.Left())

    def _swallow(self, event: events.Key, message: Message) -> None:
        event.stop()
        event.prevent_default()
        self.post_message(message)

    def write_tag(self, tag: str) -> None:
        """Write ``tag`` in the place of the one that is begun."""
        part = completing.begun(self.before)
        if part is None:
            self.insert(tag)
            return
        row, column = self.cursor_location
        start = column - len("<lora:") - len(part)
        self.replace(tag, (row, start), (row, column))
