"""The keys of a screen, from the registry of actions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen

from registry.records import FLAGS
from tui import actions
from tui.keymap import shown_keys
from tui.widgets.columns import Column
from tui.widgets.rows import Cell, RowList


class KeyList(RowList[tuple[str, str]]):
    """Keys and what they do."""

    COLUMNS: ClassVar[tuple[Column, ...]] = (Column("", 14), Column("", 20, grow=True))
    HEADER: ClassVar[bool] = False

    def cells(self, item: tuple[str, str]) -> Sequence[Cell]:
        keys, text = item
        return ((keys, "accent"), (text, "")) if keys else (("", ""), (text, "strong"))


class HelpScreen(ModalScreen[None]):
    """Closes by esc, q or ?."""

    CSS_PATH = "help.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,question_mark", "dismiss(None)", "Close", show=False)]

    def __init__(self, scope: str) -> None:
        super().__init__()
        self._scope = scope

    def compose(self) -> ComposeResult:
        with Vertical() as frame:
            frame.border_title = f"Keys of {self._scope.title()}"
            frame.border_subtitle = "esc closes · keys.toml in hubman's folder changes keys"
            yield KeyList()

    def on_mount(self) -> None:
        lines: list[tuple[str, str]] = []
        facets = [("Facets", "facets")] if self._scope == "library" else []
        for title, scope in ((self._scope.title(), self._scope), *facets, ("Lists", "move"), ("Everywhere", "app")):
            lines.append(("", title))
            lines += [
                (" ".join(shown_keys(self.app, action)), action.description) for action in actions.of_scope(scope)
            ]
            lines.append(("", ""))
        if self._scope == "library":
            lines += [("", "Letters at the end of a line"), *FLAGS.items(), ("", "")]
        self.query_one(KeyList).set_items(lines[:-1])
