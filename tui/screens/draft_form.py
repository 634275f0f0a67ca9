"""How captions are to be drafted: a line a choice, checked before anything is started."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Static

from registry.errors import HubError
from tui import drafting, formats
from tui.drafting import ChoiceLine
from tui.widgets.columns import Column
from tui.widgets.dialogs import FRAME, Question
from tui.widgets.rows import Cell, RowList

if TYPE_CHECKING:
    from pathlib import Path

    from hubman.train.captioning.drafts import DraftRequest
    from registry.database import Registry
    from tui.screens.base import HubScreen


class ChoiceList(RowList[ChoiceLine]):
    """Names and values."""

    HEADER: ClassVar[bool] = False
    COLUMNS: ClassVar[tuple[Column, ...]] = (Column("", 16), Column("", 20, grow=True))

    def cells(self, item: ChoiceLine) -> Sequence[Cell]:
        return (item.field.title, "muted"), (formats.one_line(item.shown), "" if item.value else "muted")


class DraftForm(Question["DraftRequest"]):
    """Answers the request once it makes sense."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "dismiss(None)", "Cancel", show=False),
        Binding("s", "start", "Start", show=False),
        Binding("e", "edit", "Edit", show=False),
        Binding("X", "app.act('app.privacy')", "Hide what is private", show=False),
    ]
    DEFAULT_CSS = (
        FRAME.format(name="DraftForm")
        + "DraftForm ChoiceList { height: 11; margin: 1 0; background: $surface; } DraftForm #hint { height: 2; }"
    )

    def __init__(self, request: DraftRequest) -> None:
        super().__init__()
        self._request = request

    def compose(self) -> ComposeResult:
        with Vertical() as frame:
            frame.border_title = "draft captions"
            frame.border_subtitle = "enter edits  s starts  esc cancels"
            yield ChoiceList()
            yield Static("", id="hint", markup=False)
            yield Static("", id="error", markup=False)

    def on_mount(self) -> None:
        self._show()

    def _show(self) -> None:
        self.query_one(ChoiceList).set_items(drafting.lines(self._request))

    @on(RowList.Highlighted)
    def _explain(self) -> None:
        line = self.query_one(ChoiceList).current
        self.query_one("#hint", Static).update(line.field.hint if line else "")

    @on(RowList.Chosen)
    def action_edit(self) -> None:
        from tui.widgets.dialogs import Ask, Choose

        line = self.query_one(ChoiceList).current
        if line is None:
            return
        field = line.field

        def done(text: str | None) -> None:
            if text is not None:
                self.complain("")
                self._request = drafting.assign(self._request, field.name, text)
                self._show()

        if field.options:
            self.app.push_screen(Choose(field.title, field.options, at=line.value), done)
        else:
            check = lambda text: drafting.assign(self._request, field.name, text)  # noqa: E731 - shorter than a name
            self.app.push_screen(Ask(field.title, line.value, hint=field.hint, check=check), done)

    def action_start(self) -> None:
        from hubman.train.captioning import drafts

        try:
            drafts.check(self._request)
        except HubError as error:
            self.complain(str(error))
        else:
            self.dismiss(self._request)


def ask_drafts(screen: HubScreen, folder: Path, trigger: str) -> None:
    """Draft captions as is chosen, beginning with how it was done last; a job that goes on by itself."""

    def last(registry: Registry) -> DraftRequest:
        from hubman.train.captioning import draft_choices

        return draft_choices.remembered(registry.home, folder, trigger)

    def start(request: DraftRequest | None) -> None:
        if request is not None:
            screen.change(
                lambda registry: _remember(registry, request),
                lambda told: screen.start_job("caption", f"caption {folder.name}", told),
            )

    screen.in_thread(last, lambda request: screen.app.push_screen(DraftForm(request), start), group="last")


def _remember(registry: Registry, request: DraftRequest) -> dict[str, object]:
    """What the job is asked."""
    import msgspec

    from hubman.train.captioning import draft_choices

    draft_choices.remember(registry.home, request)
    told: dict[str, object] = msgspec.to_builtins(request)
    return told
