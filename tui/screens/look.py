"""One picture as large as the screen, or two in turn."""

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
    CLOSES = "esc closes"

    def __init__(self, path: Path | bytes, title: str) -> None:
        super().__init__()
        self._path = path
        self._title = title

    def compose(self) -> ComposeResult:
        yield Picture(id="large")

    def on_mount(self) -> None:
        self.show(self._path, self._title)

    def show(self, path: Path | bytes, title: str) -> None:
        """Show another picture in its place."""
        picture = self.query_one(Picture)
        picture.border_title = title or (path.name if isinstance(path, Path) else "")
        picture.border_subtitle = self.CLOSES
        picture.path = path


Titled = tuple[Path, str]
"""(picture, its title)"""


class FlipScreen(LookScreen):
    """Two pictures in the same place: space, f or a click shows the other one."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space,f,left,right,h,l", "flip", "The other one", show=False),
        Binding("escape,q,enter", "dismiss(None)", "Close", show=False),
    ]
    CLOSES = "space flips  esc closes"

    def __init__(self, first: Titled, second: Titled) -> None:
        super().__init__(first[0], f"A: {first[1]}")
        self._pair = [("A", first), ("B", second)]

    def action_flip(self) -> None:
        self._pair.reverse()
        name, (path, title) = self._pair[0]
        self.show(path, f"{name}: {title}")

    def on_click(self) -> None:
        self.action_flip()
