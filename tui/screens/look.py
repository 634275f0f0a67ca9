"""One picture as large as the screen."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen

from tui.widgets.picture import Picture


class LookScreen(ModalScreen[None]):
    """Closes by esc, q or enter."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter,space", "dismiss(None)", "Close", show=False),
        Binding("X", "app.act('app.privacy')", "Hide what is private", show=False),
    ]
    CSS_PATH = "look.tcss"

    def __init__(self, path: Path | bytes, title: str) -> None:
        super().__init__()
        self._path = path
        self._title = title

    def compose(self) -> ComposeResult:
        yield Picture(id="large")

    def on_mount(self) -> None:
        picture = self.query_one(Picture)
        picture.border_title = self._title or (self._path.name if isinstance(self._path, Path) else "")
        picture.border_subtitle = "esc closes"
        picture.path = self._path
