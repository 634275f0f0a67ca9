"""Choose among many names by writing a part of them: types and base models for a search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input

from registry.listing import plain_base
from tui import search_text
from tui.widgets.columns import Column
from tui.widgets.rows import Cell, RowList

Value = tuple[str, str, str]
"""(field, value as the line writes it, name as it is shown)"""


class ValueList(RowList[Value]):
    """Names, those that are asked for with a sign."""

    HEADER: ClassVar[bool] = False
    COLUMNS: ClassVar[tuple[Column, ...]] = (Column("", 1), Column("", 5), Column("", 20, grow=True))

    line: str = ""

    def cells(self, item: Value) -> Sequence[Cell]:
        field, value, name = item
        return [("●" if search_text.asks(self.line, field, value) else " ", "accent"), (field, "muted"), (name, "")]


class PickValuesScreen(ModalScreen[str]):
    """Answers the search line with what was turned on and off. Arrows move while one writes."""

    CSS_PATH = "pick_values.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "done", "Search", show=False),
        Binding("down", "step(1)", "Next", show=False, priority=True),
        Binding("up", "step(-1)", "Previous", show=False, priority=True),
        Binding("pagedown", "step(10)", "Further", show=False, priority=True),
        Binding("pageup", "step(-10)", "Back", show=False, priority=True),
    ]

    def __init__(self, line: str, values: Sequence[Value]) -> None:
        super().__init__()
        self._line = line
        # What is asked for stands first, where it can be seen and turned off.
        self._values = sorted(values, key=lambda value: not search_text.asks(line, value[0], value[1]))

    def compose(self) -> ComposeResult:
        with Vertical() as frame:
            frame.border_title = "types and base models"
            frame.border_subtitle = "enter turns it on or off  esc searches"
            yield Input(placeholder="part of a name")
            yield ValueList()

    def on_mount(self) -> None:
        self.query_one(ValueList).line = self._line
        self._show("")

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        self._show(event.value)

    def _show(self, text: str) -> None:
        wanted = plain_base(text)
        rows = self.query_one(ValueList)
        rows.empty = "No type and no base model is called so."
        rows.set_items([value for value in self._values if wanted in plain_base(value[0] + value[2])], cursor=0)

    def action_step(self, by: int) -> None:
        self.query_one(ValueList).cursor += by

    @on(Input.Submitted)
    @on(RowList.Chosen)
    def _toggle(self) -> None:
        rows = self.query_one(ValueList)
        if rows.current is not None:
            field, value, _ = rows.current
            self._line = rows.line = search_text.toggled(self._line, field, value)
            rows.refresh()

    def action_done(self) -> None:
        self.dismiss(self._line)
