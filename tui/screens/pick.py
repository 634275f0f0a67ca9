"""Choose a model of the library by writing a part of its name."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from registry import library
from registry.errors import HubError
from tui.widgets.model_list import ModelList, ModelOrder
from tui.widgets.rows import RowList

if TYPE_CHECKING:
    from tui.app import HubmanApp


class PickScreen(ModalScreen[str | None]):
    """Answers a model's id. The line is a query of the library; arrows move in the list while one writes."""

    CSS_PATH = "pick.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Cancel", show=False),
        Binding("down", "step(1)", "Next", show=False, priority=True),
        Binding("up", "step(-1)", "Previous", show=False, priority=True),
    ]

    def __init__(self, title: str) -> None:
        super().__init__()
        self._title = title
        self._order = ModelOrder(lambda ids: library.model_rows(self._hub.data.registry, ids))

    @property
    def _hub(self) -> HubmanApp:
        return cast("HubmanApp", self.app)

    def compose(self) -> ComposeResult:
        with Vertical() as frame:
            frame.border_title = self._title
            frame.border_subtitle = "enter takes it  esc cancels"
            yield Input(placeholder="part of a name, or a query such as tag:style")
            yield Static("", id="problem", markup=False)
            yield ModelList(self._order)

    def on_mount(self) -> None:
        self._search("")

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        self._search(event.value)

    def _search(self, text: str) -> None:
        """Some thousand ids cost a few milliseconds, so they are read here and now."""
        problem = self.query_one("#problem", Static)
        try:
            ids = library.model_ids(self._hub.data.registry, text)
        except HubError as error:
            problem.update(str(error))
            return
        problem.update("")
        self._order.show(ids)
        rows = self.query_one(ModelList)
        rows.empty = "No model matches."
        rows.rows_changed(0)

    def action_step(self, by: int) -> None:
        self.query_one(ModelList).cursor += by

    @on(Input.Submitted)
    @on(RowList.Chosen)
    def _done(self) -> None:
        row = self.query_one(ModelList).current
        self.dismiss(row.id if row else None)
