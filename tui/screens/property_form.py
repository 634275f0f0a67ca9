"""A form over the screen: a line a property, with its reason; enter edits, s saves once all of it makes sense."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Static

from registry.errors import HubError
from tui.sync_properties import Property
from tui.widgets.dialogs import FRAME, Question
from tui.widgets.rows import RowList
from tui.widgets.sync_lists import PropertyList

Values = Mapping[str, str]


class PropertyForm(Question[Values]):
    """Answers the values. ``check`` raises ``HubError`` for what makes no sense: its text stands under the lines."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "dismiss(None)", "Cancel", show=False),
        Binding("s", "save", "Save", show=False),
        Binding("e", "edit", "Edit", show=False),
        Binding("X", "app.act('app.privacy')", "Hide what is private", show=False),
    ]
    DEFAULT_CSS = (
        FRAME.format(name="PropertyForm")
        + "PropertyForm PropertyList { height: auto; margin: 1 0; background: $surface; }"
        + "PropertyForm #hint { height: 3; }"
    )

    def __init__(
        self,
        title: str,
        values: Values,
        lines: Callable[[Values], Sequence[Property]],
        assign: Callable[[Values, str, str], Values],
        check: Callable[[Values], object],
        *,
        verb: str = "saves",
    ) -> None:
        super().__init__()
        self._title, self._values, self._verb = title, values, verb
        self._lines, self._assign, self._check = lines, assign, check

    def compose(self) -> ComposeResult:
        with Vertical() as frame:
            frame.border_title = self._title
            frame.border_subtitle = f"enter edits  s {self._verb}  esc cancels"
            yield PropertyList()
            yield Static("", id="hint", markup=False)
            yield Static("", id="error", markup=False)

    def on_mount(self) -> None:
        self._show()

    def _show(self) -> None:
        rows, lines = self.query_one(PropertyList), list(self._lines(self._values))
        at = rows.current.name if rows.current else ""
        names = [line.name for line in lines]
        rows.styles.height = len(lines)
        rows.set_items(lines, cursor=names.index(at) if at in names else None)

    @on(RowList.Highlighted)
    def _explain(self) -> None:
        line = self.query_one(PropertyList).current
        self.query_one("#hint", Static).update(line.hint if line else "")

    @on(RowList.Chosen)
    def action_edit(self) -> None:
        from tui.widgets.dialogs import Ask, Choose

        line = self.query_one(PropertyList).current
        if line is None:
            return

        def done(text: str | None) -> None:
            if text is not None:
                self.complain("")
                self._values = self._assign(self._values, line.name, text)
                self._show()

        if line.options:
            self.app.push_screen(Choose(line.title.strip(), line.options, at=line.value), done)
        else:
            self.app.push_screen(Ask(line.title.strip(), line.value, hint=line.hint, check=line.check), done)

    def action_save(self) -> None:
        try:
            self._check(self._values)
        except HubError as error:
            self.complain(str(error))
        else:
            self.dismiss(self._values)
